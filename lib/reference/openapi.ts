/** docs/reference/openapi.json (OpenAPI 3.1), from the route table and the error table. */
import { STATUS_CODES } from 'node:http';
import type { Parameter, Route, Schema } from '../api/route';
import type { ErrorCode } from '../errors';
import { routes } from '../routes';
import { VERSION } from '../version';
import {
    actionOf,
    AUTH_TEXT,
    byStatus,
    errorsOf,
    mayBeUnchanged,
    ON_EVERY_ROUTE,
    operationsOf,
    successStatus,
    takesRanges,
    type Operation,
} from './operations';
import { answerSchema, bodySchema, ref, schemas } from './schemas';

const API_VERSIONS = '~1, ~2 or *';

export function openApi(): Schema {
    const paths: Record<string, Schema> = {};
    for (const operation of operationsOf(routes)) {
        const path = operation.path.replace(/:(\w+)/g, '{$1}');
        paths[path] = { ...paths[path], [operation.method.toLowerCase()]: operationObject(operation) };
    }
    return {
        openapi: '3.1.0',
        info: {
            title: 'IMGAPI',
            version: VERSION,
            description:
                'A registry of images of virtual machines and containers. Made from the route table of the server; ' +
                'what is said of GET goes for HEAD as well.',
            license: { name: 'MPL-2.0', identifier: 'MPL-2.0' },
        },
        servers: [{ url: 'http://127.0.0.1:8080', description: 'The server that npm start starts.' }],
        paths,
        components: {
            parameters: { AcceptVersion: acceptVersion },
            headers: {
                RequestId: {
                    description:
                        'The id under which the log has the request: the one that was sent, or a new one.',
                    schema: { type: 'string' },
                },
            },
            schemas,
            securitySchemes: {
                signature: {
                    type: 'http',
                    scheme: 'signature',
                    description:
                        'HTTP Signature (draft-cavage) over the Date header, with an SSH key of the user.',
                },
            },
        },
    };
}

const acceptVersion: Schema = {
    name: 'Accept-Version',
    in: 'header',
    description: `Versions of the API to answer in: ${API_VERSIONS}, or any other semver range. By default ~1.`,
    schema: { type: 'string', default: '~1' },
};

function operationObject(operation: Operation): Schema {
    const { name, rows, parameters } = operation;
    const [row] = rows;
    if (!row) {
        throw new TypeError(`Operation ${name} has no row.`);
    }
    const body = requestBody(operation);
    return {
        operationId: name,
        ...textsOf(rows, row.auth),
        security: { strict: [{ signature: [] }], passive: [{}, { signature: [] }], none: [] }[row.auth],
        parameters: [
            ...[...operation.path.matchAll(/:(\w+)/g)].map(([, part]) => pathParameter(part ?? '')),
            ...parameters.flatMap((parameter) => queryParameter(parameter, rows)),
            { $ref: '#/components/parameters/AcceptVersion' },
        ],
        ...(body && { requestBody: body }),
        responses: responses(operation),
    };
}

/** The rows that do something, as opposed to the one that refuses the rest. */
function actionRows(rows: readonly Route[]): Route[] {
    return rows.filter((row) => actionOf(row) !== undefined);
}

/** Summary and description: of the one row that does something, or of all of them. */
function textsOf(rows: readonly Route[], auth: Route['auth']): Schema {
    const acting = actionRows(rows);
    const [first] = acting.length > 0 ? acting : rows;
    if (acting.length <= 1 && first) {
        return { summary: first.summary, description: AUTH_TEXT[auth] };
    }
    const lines = acting.map((row) => {
        const values = row.actions?.map((value) => (value === '' ? 'no action' : `action \`${value}\``));
        return `- ${values?.join(' or ') ?? ''}: ${row.name}. ${row.summary}`;
    });
    return {
        summary: acting.map(({ name }) => name).join(', '),
        description: [AUTH_TEXT[auth], '', ...lines].join('\n'),
    };
}

function pathParameter(name: string): Schema {
    const image = { description: 'The image.', schema: { type: 'string', format: 'uuid' } };
    const { description, schema } = PATH_PARAMETERS[name] ?? image;
    return { name, in: 'path', required: true, description, schema };
}

/** The parameters of paths that are no image. */
const PATH_PARAMETERS: Readonly<Record<string, { description: string; schema: Schema }>> = {
    job: { description: 'The uuid of a job.', schema: { type: 'string', format: 'uuid' } },
    dataset: { description: 'A uuid, a name, or `NAME:VERSION`.', schema: { type: 'string' } },
};

/** As OpenAPI has it; nothing for an `action` that no row takes. */
function queryParameter(
    { name, description, schema: given, required: always }: Parameter,
    rows: readonly Route[],
): Schema[] {
    const actions = actionRows(rows).flatMap((row) => row.actions ?? []);
    if (name !== 'action' || actions.length === 0) {
        return [
            {
                name,
                in: 'query',
                description,
                ...(always && { required: true }),
                schema: given ?? { type: 'string' },
            },
        ];
    }
    const values = actions.filter((value) => value !== '');
    const required = !actions.includes('');
    const schema: Schema = { type: 'string', enum: values };
    return values.length > 0 ? [{ name, in: 'query', description, required, schema }] : [];
}

function requestBody({ name, rows }: Operation): Schema | undefined {
    switch (rows.find(({ body }) => body)?.body) {
        case 'json':
            return { content: { 'application/json': { schema: bodySchema(name) } } };
        case 'bytes':
            return { required: true, content: { '*/*': {} } };
        case undefined:
            return undefined;
    }
}

const headers: Schema = { 'x-request-id': { $ref: '#/components/headers/RequestId' } };

function responses({ name, rows }: Operation): Schema {
    const [row] = rows;
    if (!row) {
        return {};
    }
    const content: Schema | undefined =
        row.answers === 'json'
            ? { 'application/json': { schema: answerSchema(name) } }
            : row.answers === 'bytes'
              ? { '*/*': {} }
              : undefined;
    const codes = [...ON_EVERY_ROUTE, ...rows.flatMap((one) => errorsOf(one))];
    const bare = (description: string): Schema => ({ description, headers });
    return {
        [successStatus(row)]: { ...bare('Done.'), ...(content && { content }) },
        ...(takesRanges(row) && {
            206: { ...bare('The part that Range asks for.'), content: { '*/*': {} } },
        }),
        ...(mayBeUnchanged(row) && { 304: bare('The client has it already.') }),
        ...Object.fromEntries(byStatus(codes).map(([status, same]) => [status, errorResponse(status, same)])),
    };
}

function errorResponse(status: number, codes: readonly ErrorCode[]): Schema {
    const list = codes.map((code) => `\`${code}\``).join(', ');
    const description = `${String(STATUS_CODES[status])}: ${list}.`;
    const hasBody = !codes.includes('NotAcceptable');
    return {
        description,
        headers,
        ...(hasBody && {
            content: {
                'application/json': {
                    schema: { allOf: [ref('Error'), { properties: { code: { enum: codes } } }] },
                },
            },
        }),
    };
}
