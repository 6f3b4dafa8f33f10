/** The reference documentation against the tables it is made of, both ways, for every kind of server. */
import assert from 'node:assert/strict';
import type { Route } from '../../lib/api/route';
import { errorRow, errorTable, type ErrorCode } from '../../lib/errors';
import { NAMED_ANSWERS, NAMED_BODIES } from '../../lib/reference/contents';
import { createReference } from '../../lib/reference/index';
import { openApi, PATH_PARAMETERS } from '../../lib/reference/openapi';
import { actionOf, errorsOf, ON_EVERY_ROUTE, refuses } from '../../lib/reference/operations';
import { resources } from '../../lib/reference/resources';
import { schemas } from '../../lib/reference/schemas';
import { PALETTES } from '../../lib/reference/style';
import { serverFacts, type Subject } from '../../lib/reference/subject';
import { existingRoutes, routes, type RouteConfig } from '../../lib/routes';
import { byId, findAll, parseHtml, tableRows, textOf, type Element } from '../support/html';
import { lintOpenApi } from '../support/lint-openapi';

const CHANNELS = [
    { name: 'dev', description: 'New.' },
    { name: 'release', description: 'Good.', default: true },
];

const limits = { requests: 0 };

const OPEN = { reads: 'anonymous', hideUnpublished: false, roles: {} } as const;
/** What servers that check signatures may ask of their callers. */
const ASKING: Readonly<Record<string, RouteConfig['auth']>> = {
    '': OPEN,
    ', roles': { ...OPEN, roles: { bob: 'write' }, replayWindow: 60_000 },
    ', what is not active hidden': { ...OPEN, hideUnpublished: true },
    ', reads signed': { ...OPEN, reads: 'signed', roles: { bob: 'read' } },
};

/** Every kind of server, and the pages of the repository, which are about all of them. */
const SUBJECTS: [name: string, subject: Subject][] = [
    ['of the repository', { routes, version: '1.2.3' }],
    ...(['public', 'private', 'dc'] as const).flatMap((mode) =>
        [undefined, CHANNELS].flatMap((channels) => [
            ...Object.entries(ASKING)
                .filter(([, { reads }]) => !(mode === 'dc' && reads === 'signed'))
                .map(([asks, auth]) => about({ mode, channels, authType: 'signature', auth, limits }, asks)),
            about({ mode, channels, authType: 'none', auth: OPEN, limits }),
        ]),
    ),
];

function about(config: RouteConfig, asks = ''): [name: string, subject: Subject] {
    const { mode, channels, authType } = config;
    return [
        `of a server in mode ${mode}, ${channels ? 'with' : 'without'} channels, authType ${authType}${asks}`,
        { routes: existingRoutes(config), version: '1.2.3', server: serverFacts(config) },
    ];
}

function pageOf(subject: Subject, name: string): Element {
    return parseHtml(String(createReference(subject).page(`/docs/${name}`)?.body));
}

interface Operation {
    operationId: string;
    summary: string;
    tags: string[];
    security: object[];
    parameters: { name?: string; in?: string; description?: string; required?: boolean }[];
    requestBody?: { content: Record<string, object> };
    responses: Record<
        string,
        {
            headers: Record<string, unknown>;
            content?: Record<
                string,
                { schema?: { allOf?: [unknown, { properties: { code: { enum: string[] } } }] } }
            >;
        }
    >;
    'x-actions'?: { name: string; actions?: string[]; parameters: string[]; errors: string[] }[];
}

interface Document {
    info: { version: string };
    tags: { name: string }[];
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, unknown>; securitySchemes?: object };
}

const sorted = (values: Iterable<string>) => [...new Set(values)].sort();

describe('The route table', () => {
    const parameters = routes.flatMap((route) => route.parameters.map((parameter) => ({ route, parameter })));

    it('says of every route what it does', () => {
        for (const { name, summary, description } of routes) {
            assert.match(summary, /^[A-Z].*\.$/s, name);
            assert.notEqual(description, '', name);
            assert.notEqual(description, summary, name);
        }
    });

    it('says of every parameter what it means, once in a route', () => {
        for (const { route, parameter } of parameters) {
            assert.match(parameter.description, /^[A-Z].*\.$/s, `${route.name} ${parameter.name}`);
        }
        for (const route of routes) {
            const names = route.parameters.map(({ name }) => name);
            assert.equal(new Set(names).size, names.length, route.name);
        }
    });

    it('names a role where requests have to be signed, and nowhere else', () => {
        for (const { name, auth, role } of routes) {
            assert.equal(role !== undefined, auth === 'strict', name);
        }
    });

    it('has an action parameter where actions select the row', () => {
        for (const route of routes.filter((one) => actionOf(one))) {
            assert.ok(
                route.parameters.some(({ name }) => name === 'action'),
                route.name,
            );
        }
    });

    it('balances the backticks of what it says', () => {
        const texts = [
            ...routes.flatMap(({ summary, description = '' }) => [summary, description]),
            ...parameters.map(({ parameter }) => parameter.description),
            ...Object.values(errorTable).map(({ description }) => description),
        ];
        for (const text of texts) {
            assert.equal(text.split('`').length % 2, 1, text);
        }
    });

    it('belongs to a group of the reference, row by row, by its path', () => {
        for (const { name, path } of routes) {
            assert.ok(
                resources.some(({ paths }) => paths.test(path)),
                `${name}: no group of lib/reference/resources.ts takes ${path}`,
            );
        }
    });

    it('has only path parameters that are described', () => {
        for (const { name, path } of routes) {
            for (const [, parameter = ''] of path.matchAll(/:(\w+)/g)) {
                assert.ok(PATH_PARAMETERS[parameter], `${name}: ${parameter} is not described`);
            }
        }
    });

    it('says what the bytes of an answer are, and takes no content type where there are none', () => {
        for (const { name, answers, contentTypes, body, bodyTypes } of routes) {
            assert.equal(contentTypes !== undefined, answers === 'bytes', name);
            assert.ok(bodyTypes === undefined || body === 'bytes', name);
        }
    });

    it('says of every JSON body what is wanted in it, and names only routes that there are', () => {
        const takesJson = routes.filter((route) => route.body === 'json' && !refuses(route, routes));
        assert.deepEqual([...NAMED_BODIES].sort(), takesJson.map(({ name }) => name).sort());
        const answersJson = new Set(
            routes.filter(({ answers }) => answers === 'json').map(({ name }) => name),
        );
        assert.deepEqual(
            NAMED_ANSWERS.filter((name) => !answersJson.has(name)),
            [],
        );
    });
});

describe('Objects of the reference', () => {
    it('are described, and so are their fields', () => {
        const undescribed: string[] = [];
        const look = (
            place: string,
            schema: { description?: unknown; $ref?: unknown; properties?: object },
        ) => {
            if (schema.$ref === undefined && typeof schema.description !== 'string') {
                undescribed.push(place);
            }
            for (const [name, field] of Object.entries(schema.properties ?? {})) {
                look(`${place}.${name}`, field as object);
            }
        };
        for (const [name, schema] of Object.entries(schemas)) {
            look(name, schema);
        }
        assert.deepEqual(undescribed, []);
    });
});

for (const [kind, subject] of SUBJECTS) {
    describe(`The reference ${kind}`, () => {
        const known = subject.routes;
        const document = openApi(subject) as unknown as Document;
        const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
            Object.entries(methods).map(([method, operation]) => ({
                operation,
                rows: known.filter(
                    (row) =>
                        row.method.toLowerCase() === method && row.path.replace(/:(\w+)/g, '{$1}') === path,
                ),
            })),
        );

        it('has a section for every route, and for nothing else', () => {
            const page = pageOf(subject, 'endpoints.html');
            const sections = findAll(page, 'section').map(({ attributes }) => attributes.get('id') ?? '');
            assert.equal(sections.length, known.length);
            assert.deepEqual(sorted(sections), sorted(known.map(({ name }) => name)));
        });

        it('has in each section the request, the parameters and the errors of the route, and no others', () => {
            const page = pageOf(subject, 'endpoints.html');
            for (const route of known) {
                const section = byId(page, route.name);
                assert.ok(textOf(section).includes(route.method), route.name);
                const shown = tableRows(section, 'Parameters').map(([name = '']) =>
                    name.replace(' required', ''),
                );
                const wanted = route.parameters
                    .map(({ name }) => name)
                    .filter((name) => name !== 'action' || !route.actions);
                assert.deepEqual(shown, wanted, route.name);
                const required = tableRows(section, 'Parameters').filter(([name = '']) =>
                    name.endsWith(' required'),
                );
                assert.equal(
                    required.length,
                    route.parameters.filter((one) => one.required && wanted.includes(one.name)).length,
                );
                const errors = tableRows(section, 'Errors').flatMap(([status = '', codes = '']) =>
                    codes.split(', ').map((code) => `${status} ${code}`),
                );
                assert.deepEqual(
                    errors.sort(),
                    errorsOf(route)
                        .map((code) => `${errorRow(code).status} ${code}`)
                        .sort(),
                    route.name,
                );
            }
        });

        it('has a row for every error code, and for nothing else', () => {
            const page = pageOf(subject, 'errors.html');
            const rows = findAll(page, 'tr').flatMap(({ attributes }) => attributes.get('id') ?? []);
            assert.deepEqual(rows.sort(), Object.keys(errorTable).sort());
            for (const code of Object.keys(errorTable) as ErrorCode[]) {
                const { status, description } = errorRow(code);
                assert.ok(textOf(byId(page, code)).includes(description.replaceAll('`', '')), code);
                assert.ok(
                    tableRows(page, `Codes with status ${status}`).some(
                        ([cell = '']) => cell.split(' ')[0] === code,
                    ),
                    code,
                );
            }
        });

        it('has an operation for every method of every path, and for nothing else', () => {
            assert.ok(operations.every(({ rows }) => rows.length > 0));
            const described = operations.map(({ rows: [row] }) => `${row?.method} ${row?.path}`);
            assert.deepEqual(sorted(described), sorted(known.map(({ method, path }) => `${method} ${path}`)));
            const ids = operations.map(({ operation }) => operation.operationId);
            assert.equal(new Set(ids).size, ids.length);
            assert.ok(ids.every((id) => known.some(({ name }) => name === id)));
        });

        it('tells the actions of an operation apart as the rows do', () => {
            for (const { operation, rows } of operations) {
                const { 'x-actions': actions } = operation;
                if (rows.length === 1 && !rows[0]?.actions) {
                    assert.equal(actions, undefined);
                    continue;
                }
                assert.deepEqual(
                    actions?.map(({ name, actions: values, parameters, errors }) => ({
                        name,
                        values,
                        parameters,
                        errors: sorted(errors),
                    })),
                    rows.map((row) => ({
                        name: row.name,
                        values: row.actions,
                        parameters: row.parameters.map(({ name }) => name),
                        errors: sorted(errorsOf(row)),
                    })),
                );
                const action = operation.parameters.find(({ name }) => name === 'action');
                const values = sorted(
                    rows.flatMap((row) => row.actions ?? []).filter((value) => value !== ''),
                );
                assert.deepEqual(
                    sorted((action as { schema?: { enum: string[] } }).schema?.enum ?? []),
                    values,
                );
            }
        });

        it('has the parameters of every operation, and no others', () => {
            for (const { operation, rows } of operations) {
                const names = operation.parameters.flatMap((one) =>
                    one.in === 'query' ? [one.name ?? ''] : [],
                );
                assert.equal(new Set(names).size, names.length, operation.operationId);
                const acting = rows.filter(({ actions }) => actions);
                const wanted = (acting.length > 0 ? acting : rows).flatMap((row) =>
                    row.parameters.map(({ name }) => name),
                );
                assert.deepEqual(sorted(names), sorted(wanted), operation.operationId);
                assert.ok(operation.parameters.every((one) => one.description !== ''));
            }
        });

        it('has the error codes of every operation, each with its status, and no others', () => {
            for (const { operation, rows } of operations) {
                const described = Object.entries(operation.responses).flatMap(([status, { content }]) =>
                    (content?.['application/json']?.schema?.allOf?.[1].properties.code.enum ?? []).map(
                        (code) => `${status} ${code}`,
                    ),
                );
                const wanted = [...ON_EVERY_ROUTE, ...rows.flatMap(errorsOf)]
                    .filter((code) => code !== 'NotAcceptable')
                    .map((code) => `${errorRow(code).status} ${code}`);
                assert.deepEqual(sorted(described), sorted(wanted), operation.operationId);
                assert.equal(
                    '406' in operation.responses,
                    rows.some(({ answers }) => answers === 'json'),
                );
            }
        });

        it('has the headers of every operation’s successes, and no others', () => {
            for (const { operation, rows } of operations) {
                const described = Object.entries(operation.responses)
                    .filter(([status]) => ['200', '202', '204', '301'].includes(status))
                    .flatMap(([, { headers }]) => Object.keys(headers));
                const acting: Route[] = rows.filter(({ actions }) => actions);
                const wanted = (acting.length > 0 ? acting : rows).flatMap(({ headers }) => headers ?? []);
                assert.deepEqual(
                    sorted(described),
                    sorted([...wanted, 'x-request-id']),
                    operation.operationId,
                );
            }
        });

        it('asks for signatures where the server does', () => {
            const signatures = subject.server?.signatures ?? true;
            assert.equal(document.components.securitySchemes !== undefined, signatures);
            for (const { operation, rows } of operations) {
                const strict = signatures && rows.some(({ auth }) => auth === 'strict');
                assert.equal(operation.security.length > 0 && !operation.security.some(isEmpty), strict);
            }
            const overview = textOf(pageOf(subject, ''));
            assert.equal(overview.includes('openssl'), signatures);
        });

        it('has an OpenAPI document without a fault', async () => {
            assert.deepEqual(await lintOpenApi(JSON.stringify(document)), []);
        });

        it('has a description of every object that it speaks of', () => {
            const page = pageOf(subject, 'objects.html');
            const described = findAll(page, 'section').flatMap((section) =>
                findAll(section, 'h2').map(({ attributes }) => attributes.get('id') ?? ''),
            );
            assert.deepEqual(sorted(described), sorted(Object.keys(document.components.schemas)));
        });
    });
}

function isEmpty(value: object): boolean {
    return Object.keys(value).length === 0;
}

describe('The pages of the reference', () => {
    it('show texts as they are, whatever is in them', () => {
        const text = `<script>alert("1")</script> & 'more' \`<b>\` &amp;.`;
        const [route] = routes;
        assert.ok(route);
        const hostile: Route = {
            ...route,
            summary: text,
            description: text,
            parameters: [{ name: '<i>"', description: text, schema: { type: 'string', enum: ['</td>'] } }],
        };
        const facts = {
            mode: 'public',
            signatures: true,
            signedReads: false,
            hidesUnpublished: false,
            roles: true,
            channels: ['<u>'],
        } as const;
        const subject: Subject = { routes: [hostile], version: '"<s>"', server: facts };
        const page = pageOf(subject, 'endpoints.html');
        const shown = text.replaceAll('`', '');
        assert.equal(textOf(byId(page, route.name)).split(shown).length, 4);
        assert.deepEqual(tableRows(byId(page, route.name), 'Parameters'), [['<i>"', '</td>', shown]]);
        assert.ok(textOf(pageOf(subject, '')).includes('"<s>"'));
        assert.ok(textOf(pageOf(subject, '')).includes('<u>'));
        for (const name of ['script', 'b', 'i', 'u', 's']) {
            assert.deepEqual(findAll(page, name), []);
        }
    });

    it('can be read: texts have a contrast of 4.5 : 1 on their grounds', () => {
        for (const palette of Object.values(PALETTES)) {
            const { page, raised, text, quiet, link, badge, get, post, put } = palette;
            const pairs = [
                ...[text, quiet, link].flatMap((color) => [
                    [color, page],
                    [color, raised],
                ]),
                ...[get, post, put, palette.delete].map((ground) => [badge, ground]),
            ];
            for (const [color = '', ground = ''] of pairs) {
                assert.ok(
                    contrast(color, ground) >= 4.5,
                    `${color} on ${ground}: ${contrast(color, ground)}`,
                );
            }
        }
    });
});

describe('The check of OpenAPI documents', () => {
    it('finds what is wrong', async () => {
        const document = openApi({ routes, version: '1.2.3' }) as unknown as Document;
        const [path = ''] = Object.keys(document.paths);
        const broken = { ...document, paths: { [path]: { get: { responses: {} } } } };
        assert.notDeepEqual(await lintOpenApi(JSON.stringify(broken)), []);
    });
});

/** The contrast of two colours, as the WCAG defines it. */
function contrast(one: string, other: string): number {
    const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
}

function luminance(color: string): number {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
        const part = Number.parseInt(color.slice(at, at + 2), 16) / 255;
        return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
