/** The reference documentation as a running server shows it (endpoints.md §3 misc, metrics-and-extras.md §6). */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { assertError, assertServerHeaders, type Answer } from '../support/api';
import { byId, elementsOf, findAll, parseHtml, tableRows, textOf } from '../support/html';
import { lintOpenApi } from '../support/lint-openapi';
import { Registry, testKeys } from '../support/registry';
import { routesOf } from '../support/routes';
import { makeFolder, TestServer } from '../support/server';
import { skip } from '../support/skip';

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8';

const BIN = resolve(__dirname, '../../bin');

const PAGES: Readonly<Record<string, string>> = {
    '/docs/': 'text/html; charset=utf-8',
    '/docs/endpoints.html': 'text/html; charset=utf-8',
    '/docs/objects.html': 'text/html; charset=utf-8',
    '/docs/errors.html': 'text/html; charset=utf-8',
    '/docs/openapi.json': 'application/json',
    '/docs/style.css': 'text/css; charset=utf-8',
};
const HTML_PAGES = Object.keys(PAGES).filter((path) => PAGES[path]?.startsWith('text/html'));

describe('The documentation', () => {
    let registry: Registry;

    before(async () => {
        registry = await Registry.start();
    });
    after(() => registry.stop());

    const get = (path: string, headers?: Record<string, string>): Promise<Answer> =>
        registry.anonymous.get(path, headers);

    for (const [path, type] of Object.entries(PAGES)) {
        describe(path, () => {
            it('is there for everybody, whatever they accept', async () => {
                const plain = await get(path);
                assert.equal(plain.status, 200);
                assert.equal(plain.headers['content-type'], type);
                assert.equal(Number(plain.headers['content-length']), plain.body.length);
                assertServerHeaders(plain.headers);
                for (const accept of [BROWSER, 'text/html', 'application/json', 'image/png', '*/*']) {
                    const answer = await get(path, { accept });
                    assert.equal(answer.status, 200, accept);
                    assert.deepEqual(answer.body, plain.body);
                    assert.equal(answer.headers['content-type'], type);
                }
                const wrong = await get(path, { authorization: 'Signature keyId="x"' });
                assert.equal(wrong.status, 200);
            });

            it('may be kept for an hour, and is asked for again by its strong ETag', async () => {
                const { headers } = await get(path);
                assert.equal(headers['cache-control'], 'public, max-age=3600');
                const etag = String(headers.etag);
                assert.match(etag, /^"[0-9a-f]{40}"$/);
                const again = await get(path, { 'if-none-match': etag });
                assert.equal(again.status, 304);
                assert.equal(again.body.length, 0);
                assert.equal(again.headers.etag, etag);
                assert.equal(again.headers['cache-control'], 'public, max-age=3600');
                assert.equal((await get(path, { 'if-none-match': '"other"' })).status, 200);
                assertError(await get(path, { 'if-match': '"other"' }), 412, 'PreconditionFailed');
            });

            it('lets the browser load nothing from elsewhere, and run nothing', async () => {
                const { headers } = await get(path);
                const policy = String(headers['content-security-policy']);
                assert.match(policy, /^default-src 'none'; style-src 'self'; img-src 'self';/);
                assert.doesNotMatch(policy, /script|unsafe|\*|http/);
                assert.equal(headers['x-content-type-options'], 'nosniff');
            });

            it('answers HEAD as GET, and nothing else', async () => {
                const [whole, head] = [await get(path), await registry.anonymous.head(path)];
                assert.equal(head.status, 200);
                assert.equal(head.body.length, 0);
                for (const name of ['content-length', 'content-type', 'etag', 'cache-control']) {
                    assert.equal(head.headers[name], whole.headers[name], name);
                }
                const answer = await registry.anonymous.post(path, {});
                assertError(answer, 405, 'MethodNotAllowedError');
                assert.equal(answer.headers.allow, 'GET');
            });
        });
    }

    for (const path of ['/', '/docs', '//', '/docs?x=1']) {
        it(`is where ${path} leads to`, async () => {
            for (const answer of [
                await get(path, { accept: BROWSER }),
                await registry.anonymous.head(path),
            ]) {
                assert.equal(answer.status, 301);
                assert.equal(answer.headers.location, '/docs/');
                assert.equal(answer.body.length, 0);
                assert.equal(answer.headers['content-length'], '0');
                const dates = answer.rawHeaders.filter((name) => name.toLowerCase() === 'date');
                assert.equal(dates.length, 1);
                assertServerHeaders(answer.headers);
            }
        });
    }

    it('has no other pages, and no way out of its folder', async () => {
        for (const path of [
            '/docs/nowhere.html',
            '/docs/endpoints',
            '/docs/endpoints.html/',
            '/docs/../package.json',
            '/docs/%2e%2e/package.json',
            '/docs/..%2fpackage.json',
        ]) {
            assertError(await get(path), 404, 'ResourceNotFound');
        }
    });

    it('leaves no audit records, but those of errors and redirects are there', async () => {
        await get('/docs/');
        await registry.anonymous.head('/docs/errors.html');
        await get('/docs');
        await registry.anonymous.post('/docs/', {});
        const mark = 'the-last-request';
        await get('/nowhere', { 'x-request-id': mark });
        await registry.server.logged((record) => record.req_id === mark && record.audit === true);
        const audited = registry.server.log.filter(({ audit }) => audit === true);
        const reads = audited.filter((record) => {
            const { method, url } = record.req as { method: string; url: string };
            return method !== 'POST' && url.startsWith('/docs/');
        });
        assert.deepEqual(reads, []);
        assert.ok(audited.some(({ route }) => route === 'RedirectDocs'));
        assert.ok(audited.some(({ req }) => (req as { method: string }).method === 'POST'));
    });

    it('is well-formed, with one heading of the first level and no id twice', async () => {
        for (const path of HTML_PAGES) {
            const page = parseHtml((await get(path)).text);
            assert.equal(page.attributes.get('lang'), 'en');
            assert.equal(findAll(page, 'h1').length, 1);
            assert.equal(findAll(page, 'title').length, 1);
            assert.equal(findAll(page, 'main').length, 1);
            const ids = [...elementsOf(page)].flatMap(({ attributes }) => attributes.get('id') ?? []);
            assert.equal(new Set(ids).size, ids.length, path);
            for (const { attributes } of findAll(page, 'th')) {
                assert.match(attributes.get('scope') ?? '', /^(col|row)$/);
            }
            const levels = [...elementsOf(page)].flatMap(({ name }) => /^h([1-6])$/.exec(name)?.[1] ?? []);
            assert.ok(
                levels.every((level, index) => Number(level) - Number(levels[index - 1] ?? 2) <= 1),
                `${path} leaves out a level of headings`,
            );
            for (const { name, attributes } of elementsOf(page)) {
                assert.ok(!['script', 'style', 'iframe', 'form', 'object'].includes(name), name);
                assert.ok(
                    [...attributes.keys()].every((attribute) => !/^on|^style$/.test(attribute)),
                    name,
                );
            }
        }
    });

    it('has links that lead somewhere, all of them on this server', async () => {
        const found = new Map<string, ReadonlySet<string>>();
        let checked = 0;
        for (const path of HTML_PAGES) {
            const page = parseHtml((await get(path)).text);
            for (const { attributes } of elementsOf(page)) {
                const href = attributes.get('href');
                if (href === undefined) {
                    continue;
                }
                assert.doesNotMatch(
                    href,
                    /^\/|:/,
                    'links are relative, so that the pages can stand behind a prefix',
                );
                const target = new URL(href, registry.url + path);
                const ids = found.get(target.pathname) ?? idsOf(await get(target.pathname));
                found.set(target.pathname, ids);
                const place = decodeURIComponent(target.hash.slice(1));
                assert.ok(place === '' || ids.has(place), `${path} leads to ${href}`);
                checked++;
            }
        }
        assert.ok(checked > 300, String(checked));
        assert.deepEqual([...found.keys()].sort(), ['/favicon.ico', ...Object.keys(PAGES)].sort());
    });

    for (const [index, way] of ['imgapi-sign', 'openssl'].entries()) {
        it(`shows shell commands that work, signed by ${way}`, async function () {
            for (const [program, argument] of [
                ['curl', '--version'],
                ['openssl', 'version'],
            ] as const) {
                try {
                    execFileSync(program, [argument], { stdio: 'ignore' });
                } catch {
                    skip(this, `${program} is missing: apt install ${program}`);
                }
            }
            const overview = parseHtml((await get('/docs/')).text);
            const [, ping = '', list = '', ...signing] = findAll(overview, 'pre').map(textOf);
            const [define = '', who = ''] = [signing[index], signing[2]];
            assert.ok(define.includes(way), define);
            const endpoints = parseHtml((await get('/docs/endpoints.html')).text);
            const example = (name: string) => findAll(byId(endpoints, name), 'pre').map(textOf).join('');
            const { uuid } = await registry.client.create();
            const folder = await makeFolder();
            const key = join(folder.path, 'key');
            await writeFile(key, testKeys()[0].privateKey, { mode: 0o600 });
            const script = [
                'set -eu',
                `url='${registry.url}' uuid=${uuid}`,
                ping,
                list,
                define.replace(/(key|IMGAPI_CLI_IDENTITY)=.*/, `$1='${key}'`),
                who,
                example('CreateImage'),
                example('AddImageFile').replace('-T FILE', `-T '${__filename}'`),
                example('UpdateImage'),
                example('ActivateImage'),
                example('AddImageAcl'),
                example('GetImage'),
                example('DeleteImage'),
            ];
            const env = { ...process.env, PATH: [BIN, process.env.PATH].join(delimiter) };
            const { stdout: said } = await promisify(execFile)('sh', ['-c', script.join('\necho\n')], {
                env,
            }).finally(() => folder.remove());
            assert.match(said, /"ping": "pong"/);
            assert.match(said, /"user": "alice"/);
            assert.match(said, /"name": "hello"/);
            assert.match(said, /"state": "active"/);
            assert.match(said, /"description": "Says hello."/);
            assert.match(said, /204 No Content/);
            assert.doesNotMatch(said, /"code":/);
            assert.equal((await get(`/images/${uuid}`)).status, 404);
        });
    }
});

/** The places of a page that links can lead to; none for what is no page. */
function idsOf(answer: Answer): Set<string> {
    assert.equal(answer.status, 200);
    return answer.headers['content-type']?.startsWith('text/html')
        ? new Set(
              [...elementsOf(parseHtml(answer.text))].flatMap(({ attributes }) => attributes.get('id') ?? []),
          )
        : new Set();
}

describe('The documentation of', () => {
    const channels = [{ name: 'dev', description: 'New images.', default: true }];
    const servers = {
        'a public server': { mode: 'public' },
        'a private server with channels': { mode: 'private', channels },
        'a server in a datacenter': {
            mode: 'dc',
            datacenterName: 'test',
            ufds: { url: 'ldap://127.0.0.1:1', bindDN: 'cn=root', bindPassword: 'secret' },
        },
    } as const;
    for (const [name, config] of Object.entries(servers)) {
        it(`${name} is about what it has`, async () => {
            const server = await TestServer.start({ config });
            try {
                const has = 'channels' in config ? channels : undefined;
                const routes = routesOf({ mode: config.mode, channels: has, authType: 'none' });
                const document = await (await server.fetch('/docs/openapi.json')).text();
                assert.deepEqual(await lintOpenApi(document), []);
                const { paths } = JSON.parse(document) as { paths: Record<string, object> };
                const described = Object.entries(paths).flatMap(([path, methods]) =>
                    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
                );
                const wanted = new Set(
                    routes.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`),
                );
                assert.deepEqual(described.sort(), [...wanted].sort());

                const page = parseHtml(await (await server.fetch('/docs/endpoints.html')).text());
                assert.deepEqual(
                    findAll(page, 'section')
                        .map(({ attributes }) => attributes.get('id'))
                        .sort(),
                    routes.map((route) => route.name).sort(),
                );
                const facts = new Map(
                    tableRows(parseHtml(await (await server.fetch('/docs/')).text()), 'Facts').map(
                        ([key = '', value = '']) => [key, value],
                    ),
                );
                assert.ok(facts.get('Mode')?.startsWith(`${config.mode}:`));
                assert.equal(facts.get('Channels'), has ? 'dev' : 'none');
                assert.match(facts.get('Authentication') ?? '', /^none/);
                assert.match(facts.get('Version') ?? '', /^\d+\.\d+\.\d+/);
            } finally {
                await server.stop();
            }
        });
    }
});
