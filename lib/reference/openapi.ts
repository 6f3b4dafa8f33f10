/** The OpenAPI 3.1 document, from the route table and the error table. */
import { STATUS_CODES } from 'node:http';
import type { Route, Schema } from '../api/route';
import { ROLES } from '../config/auth';
import type { ErrorCode } from '../errors';
import { answerSchema, bodySchema } from './contents';
import { ANSWER_HEADERS, EVERY_ANSWER, REQUEST_HEADERS } from './headers';
import {
    authText,
    byStatus,
    errorsOf,
    existenceText,
    mayBeUnchanged,
    ON_EVERY_ROUTE,
    operationsOf,
    parameterText,
    REDIRECT_HEADERS,
    roleOf,
    sharedParameters,
    successStatus,
    takesRanges,
    type Operation,
    type SharedParameter,
} from './operations';
import { byResource, resourceOf } from './resources';
import { described, ref, usedSchemas } from './schemas';
import type { Subject } from './subject';

const REQUEST_ID = 'x-request-id';

const TEXT: Schema = { type: 'string' };

export function openApi(subject: Subject): Schema {
    const { routes, version, server } = subject;
    const paths: Record<string, Schema> = {};
    for (const operation of operationsOf(routes)) {
        const path = operation.path.replace(/:(\w+)/g, '{$1}');
        paths[path] = {
            ...paths[path],
            [operation.method.toLowerCase()]: operationObject(operation, subject),
        };
    }
    return {
        openapi: '3.1.0',
        info: {
            title: 'IMGAPI',
            version,
            description:
                'A registry of images of virtual machines and containers. Made from the route table of the server; ' +
                'what is said of GET goes for HEAD as well.',
            license: { name: 'MPL-2.0', identifier: 'MPL-2.0' },
        },
        servers: [
            server
                ? { url: '/', description: `The server that this document is from, in mode ${server.mode}.` }
                : { url: 'http://127.0.0.1:8080', description: 'The server that npm start starts.' },
        ],
        tags: byResource(routes).map(({ resource: { name, description } }) => ({ name, description })),
        paths,
        components: {
            parameters: {
                AcceptVersion: {
                    name: 'Accept-Version',
                    in: 'header',
                    description: REQUEST_HEADERS['Accept-Version'] ?? '',
                    schema: { type: 'string', default: '~1' },
                },
            },
            headers: Object.fromEntries(
                Object.entries(usedHeaders(routes)).map(([name, description]) => [
                    name,
                    { description, schema: TEXT },
                ]),
            ),
            schemas: usedSchemas(Object.values(paths)),
            ...(asksForSignatures(subject) && {
                securitySchemes: {
                    signature: {
                        type: 'http',
                        scheme: 'signature',
                        description:
                            'HTTP Signature (draft-cavage) over the Date header, with an SSH key of the user.',
                    },
                },
            }),
        },
    };
}

function asksForSignatures({ server }: Subject): boolean {
    return server?.signatures !== false;
}

function usedHeaders(routes: readonly Route[]): Record<string, string> {
    const used = new Set<string>(
        routes.flatMap(({ headers = [], redirects }) => [...headers, ...(redirects ? REDIRECT_HEADERS : [])]),
    );
    const own = Object.entries(ANSWER_HEADERS).filter(
        ([name]) => used.has(name) || (name === 'Content-Range' && routes.some(takesRanges)),
    );
    return { ...Object.fromEntries(own), [REQUEST_ID]: EVERY_ANSWER[REQUEST_ID] ?? '' };
}

function operationObject(operation: Operation, subject: Subject): Schema {
    const { name, rows, acting } = operation;
    const [row] = acting;
    const body = requestBody(operation);
    return {
        operationId: name,
        tags: [resourceOf(row).name],
        ...textsOf(operation, subject),
        security: security(operation, subject),
        parameters: [
            ...[...operation.path.matchAll(/:(\w+)/g)].map(([, part = '']) => pathParameter(part)),
            ...queryParameters(operation, subject),
            { $ref: '#/components/parameters/AcceptVersion' },
        ],
        ...(body && { requestBody: body }),
        responses: responses(operation),
        ...(rows.some(({ actions }) => actions !== undefined) && {
            'x-actions': rows.map((one) => actionObject(one, subject)),
        }),
    };
}

/** Which of the alternatives a request needs; the empty one is none. Some actions may need a greater role. */
function security({ acting }: Operation, subject: Subject): readonly Schema[] {
    const [{ auth, read }] = acting;
    if (!asksForSignatures(subject)) {
        return [];
    }
    if (auth === 'strict') {
        const roles = acting.map((row) => roleOf(row, subject));
        const least = ROLES.find((role) => roles.includes(role));
        return [{ signature: least === undefined ? [] : [least] }];
    }
    // What a server need not look at, another may.
    return auth === 'passive' || (read && !subject.server) ? [{}, { signature: [] }] : [];
}

/** What the rows of one operation have apart from each other; OpenAPI knows only their union. */
function actionObject(row: Route, subject: Subject): Schema {
    const body = row.body === 'json' ? bodySchema(row.name) : undefined;
    const role = roleOf(row, subject);
    return {
        name: row.name,
        ...(row.actions && { actions: row.actions }),
        summary: row.summary,
        ...(role && { role }),
        parameters: row.parameters.map(({ name }) => name),
        ...(body && { body }),
        errors: errorsOf(row),
    };
}

/** `activate`, or the words for none. */
function actionText(row: Route): string {
    const values = (row.actions ?? []).map((value) => (value === '' ? 'no action' : `action \`${value}\``));
    return values.join(' or ');
}

/** Summary and description: of the one row that does something, or of all of them. */
function textsOf({ acting }: Operation, subject: Subject): Schema {
    const [row, ...more] = acting;
    const described = (one: Route) =>
        [one.summary, one.description, existenceText(one, subject)].filter((text) => text !== undefined);
    if (more.length === 0) {
        const [summary = '', ...rest] = described(row);
        return { summary, description: [...rest, authText(row, subject)].join('\n\n') };
    }
    const auth = authText(row, subject);
    return {
        summary: acting.map(({ name }) => name).join(', '),
        description: [
            auth,
            '',
            ...acting.map((one) => {
                const own = authText(one, subject);
                const texts = [...described(one), ...(own === auth ? [] : [own])];
                return `- ${actionText(one)}: ${one.name}. ${texts.join(' ')}`;
            }),
        ].join('\n'),
    };
}

function pathParameter(name: string): Schema {
    const { description, schema } = PATH_PARAMETERS[name] ?? { description: name, schema: TEXT };
    return { name, in: 'path', required: true, description, schema };
}

/** What may stand in the place of the parameters of paths. */
export const PATH_PARAMETERS: Readonly<Record<string, { description: string; schema: Schema }>> = {
    uuid: { description: 'The uuid of an image.', schema: { type: 'string', format: 'uuid' } },
    job: { description: 'The uuid of a job.', schema: { type: 'string', format: 'uuid' } },
    dataset: { description: 'A uuid, a name, or `NAME:VERSION`.', schema: TEXT },
};

function queryParameters({ acting }: Operation, subject: Subject): Schema[] {
    return sharedParameters(acting).flatMap((parameter) => {
        const actions = acting.flatMap((row) => row.actions ?? []);
        return parameter.name === 'action' && actions.length > 0
            ? actionParameter(actions)
            : [queryParameter(parameter, acting, subject)];
    });
}

/** The parameter that selects the row; none if there is nothing to select. */
function actionParameter(actions: readonly string[]): Schema[] {
    const values = actions.filter((value) => value !== '');
    return values.length === 0
        ? []
        : [
              {
                  name: 'action',
                  in: 'query',
                  description: 'What to do.',
                  required: !actions.includes(''),
                  schema: { type: 'string', enum: values },
              },
          ];
}

/** A parameter with all its variants; those that only some actions have say so. */
function queryParameter(
    { name, variants }: SharedParameter,
    acting: readonly Route[],
    subject: Subject,
): Schema {
    const [first, ...others] = variants;
    const everywhere = others.length === 0 && first?.rows.length === acting.length;
    const described = variants.map(({ parameter, rows }) =>
        everywhere
            ? parameterText(parameter, subject)
            : `With ${rows.map(actionText).join(', ')}${parameter.required ? ', required' : ''}: ${parameterText(parameter, subject)}`,
    );
    const allowed = distinct(variants.map(({ parameter }) => parameter.schema ?? TEXT));
    return {
        name,
        in: 'query',
        description: described.join('\n\n'),
        ...(everywhere && first.parameter.required === true && { required: true }),
        schema: union(allowed),
    };
}

function distinct(values: readonly Schema[]): Schema[] {
    return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}

function union(values: readonly Schema[]): Schema {
    const [first, ...others] = values;
    return others.length === 0 ? (first ?? {}) : { anyOf: values };
}

/** The body that one of the rows takes; the rows without a use for one are satisfied with any. */
function requestBody({ acting }: Operation): Schema | undefined {
    const [row] = acting;
    if (row.body === 'bytes') {
        return { required: !takesSource(row), content: bytes(row.bodyTypes) };
    }
    const used = acting.flatMap((one) => {
        const schema = one.body === 'json' ? bodySchema(one.name) : undefined;
        return schema ? [{ row: one, schema }] : [];
    });
    if (used.length === 0) {
        return undefined;
    }
    const always = used.length === acting.length;
    return {
        ...(acting.length > 1 && {
            description: used.map((one) => `- ${actionText(one.row)}: ${described(one.schema)}`).join('\n'),
        }),
        required: always,
        content: { 'application/json': { schema: union(distinct(used.map(({ schema }) => schema))) } },
    };
}

/** Whether the server can be told to fetch the bytes from elsewhere. */
function takesSource({ parameters }: Route): boolean {
    return parameters.some(({ name }) => name === 'source');
}

const BYTES = 'application/octet-stream';

/** Bytes of these types, of which a schema has nothing to say. */
function bytes(types: readonly string[] = [BYTES]): Schema {
    return Object.fromEntries(types.map((type) => [type, {}]));
}

function headerReferences(names: readonly string[]): Schema {
    return Object.fromEntries(
        [...names, REQUEST_ID].map((name) => [name, { $ref: `#/components/headers/${name}` }]),
    );
}

function responses({ rows, acting }: Operation): Schema {
    const codes = [...ON_EVERY_ROUTE, ...rows.flatMap(errorsOf)];
    const statuses = [...new Set(acting.map(successStatus))];
    return {
        ...Object.fromEntries(
            statuses.map((status) => [
                status,
                successResponse(
                    status,
                    acting.filter((row) => successStatus(row) === status),
                ),
            ]),
        ),
        ...(acting.some(takesRanges) && { 206: partResponse(acting) }),
        ...(acting.some(({ redirects }) => redirects) && {
            302: {
                description: 'Location is where the object store gives the bytes.',
                headers: headerReferences(REDIRECT_HEADERS),
            },
        }),
        ...(acting.some(mayBeUnchanged) && {
            304: { description: 'The client has it already.', headers: headerReferences([]) },
        }),
        ...Object.fromEntries(byStatus(codes).map(([status, same]) => [status, errorResponse(status, same)])),
    };
}

/** What the rows of one status answer with. */
function successResponse(status: number, rows: readonly Route[]): Schema {
    const json = rows.filter(({ answers }) => answers === 'json').map(({ name }) => answerSchema(name));
    const content: Schema = {
        ...(json.length > 0 && { 'application/json': { schema: union(distinct(json)) } }),
        ...bytes(
            rows
                .filter(({ answers }) => answers === 'bytes')
                .flatMap(({ contentTypes }) => contentTypes ?? [BYTES]),
        ),
    };
    return {
        description: `${STATUS_CODES[status] ?? 'Done'}.`,
        headers: headerReferences([...new Set(rows.flatMap(({ headers }) => headers ?? []))]),
        ...(Object.keys(content).length > 0 && { content }),
    };
}

function partResponse([row]: Operation['acting']): Schema {
    const whole = (row.headers ?? []).filter((name) => name !== 'Content-MD5');
    return {
        description: 'The part that Range asks for.',
        headers: headerReferences([...whole, 'Content-Range']),
        content: bytes(row.contentTypes),
    };
}

function errorResponse(status: number, codes: readonly ErrorCode[]): Schema {
    const list = codes.map((code) => `\`${code}\``).join(', ');
    const description = `${String(STATUS_CODES[status])}: ${list}.`;
    const hasBody = !codes.includes('NotAcceptable');
    return {
        description,
        headers: headerReferences([]),
        ...(hasBody && {
            content: {
                'application/json': {
                    schema: { allOf: [ref('Error'), { properties: { code: { enum: codes } } }] },
                },
            },
        }),
    };
}
