/** What holds for every request: headers, content negotiation, versions, routing (endpoints.md §1). */
import assert from 'node:assert/strict';
import { testImage } from '../support/images';
import {
    assertError,
    assertServerHeaders,
    at,
    FILE,
    md5,
    newUuid,
    send,
    sha1,
    type Answer,
    type Manifest,
} from '../support/api';
import { exchange, type RawAnswer } from '../support/raw-connection';
import { Registry } from '../support/registry';
import { routesOf } from '../support/routes';

describe('HTTP: every request', () => {
    let registry: Registry;
    let image: Manifest;
    /** An image with an icon and two files. */
    const rich = testImage(1, { type: 'lxd', published_at: '2016-01-01T00:00:00Z' });

    before(async () => {
        registry = await Registry.start({ limits: { headerBytes: 4096 } });
        image = await registry.client.createActive();
        const file = {
            sha1: sha1(FILE),
            size: FILE.length,
            contentMD5: md5(FILE),
            mtime: '2016-01-01T00:00:00.000Z',
            stor: 'local' as const,
            compression: 'none',
        };
        const icon = { ...file, contentType: 'image/png' };
        await registry.plant({ ...rich, files: [file, file], icon });
        for (const name of ['file0', 'file1', 'icon']) {
            await registry.plantObject(rich.uuid, name, FILE);
        }
    });
    after(() => registry.stop());

    describe('§1.1 response headers', () => {
        const answers: Record<string, [number, () => Promise<Answer>]> = {
            'a manifest': [200, () => registry.client.get(at(image.uuid))],
            'a file': [200, () => registry.client.get(at(image.uuid, '/file'))],
            'a part of a file': [
                206,
                () => registry.client.get(at(image.uuid, '/file'), { range: 'bytes=0-3' }),
            ],
            'an empty 202': [202, () => registry.client.post('/state?action=dropcaches')],
            'an unmodified manifest': [
                304,
                async () => {
                    const { headers } = await registry.client.get(at(image.uuid));
                    return registry.client.get(at(image.uuid), { 'if-none-match': String(headers.etag) });
                },
            ],
            'a deleted image': [
                204,
                async () => registry.client.delete(at((await registry.client.create()).uuid)),
            ],
            'a path that cannot be decoded': [400, () => registry.client.get('/images/%zz')],
            'a bad Host': [400, () => registry.client.get('/ping', { host: 'not a host' })],
            'a Host with a path': [400, () => registry.client.get('/ping', { host: 'host/path' })],
            'a version nobody speaks': [400, () => registry.client.get('/ping', { 'accept-version': '~99' })],
            'no signature': [401, () => registry.anonymous.get('/state')],
            'an unknown path': [404, () => registry.client.get('/nowhere')],
            'an unknown image': [404, () => registry.client.get(at(newUuid()))],
            'a wrong method': [405, () => registry.client.request('PUT', '/ping')],
            'nothing acceptable': [406, () => registry.client.get('/ping', { accept: 'text/html' })],
            'a failed condition': [412, () => registry.client.get(at(image.uuid), { 'if-match': 'other' })],
            'a range outside of the file': [
                416,
                () => registry.client.get(at(image.uuid, '/file'), { range: 'bytes=9999-' }),
            ],
            'a wrong parameter': [422, () => registry.client.get('/images?limit=many')],
            'large headers': [
                431,
                () => send(registry.url, 'GET', '/ping', { headers: { 'x-a': 'a'.repeat(5000) } }),
            ],
        };
        for (const [name, [status, ask]] of Object.entries(answers)) {
            it(`are on the answer to ${name} (${status})`, async () => {
                const answer = await ask();
                assert.equal(answer.status, status, answer.text);
                assertServerHeaders(answer.headers);
                if (status >= 400 && status !== 406) {
                    assert.equal(answer.headers['content-type'], 'application/json');
                    assert.ok(answer.error.code && answer.error.message);
                }
            });
        }

        it('are on the answer to what is not HTTP (400)', async () => {
            const answer: RawAnswer = await exchange(registry.url, 'hello, is this a mail server?\r\n\r\n');
            assert.equal(answer.status, 400);
            assertServerHeaders(answer.headers);
            assert.equal((JSON.parse(answer.body) as { code: string }).code, 'BadRequestError');
        });

        it('echo x-request-id, or request-id before it', async () => {
            for (const [sent, echoed] of [
                [{ 'x-request-id': 'abc' }, 'abc'],
                [{ 'request-id': 'def' }, 'def'],
                [{ 'x-request-id': 'abc', 'request-id': 'def' }, 'def'],
            ] as const) {
                assertServerHeaders((await registry.anonymous.get('/ping', sent)).headers, echoed);
                assertServerHeaders((await registry.anonymous.get('/nowhere', sent)).headers, echoed);
            }
        });

        it('give every request without an id a new one', async () => {
            const ids = new Set<unknown>();
            for (let i = 0; i < 5; i++) {
                ids.add((await registry.anonymous.get('/ping')).headers['x-request-id']);
            }
            assert.equal(ids.size, 5);
        });

        it('take any request id for an upload', async () => {
            const { uuid } = await registry.client.create();
            const answer = await registry.client.put(at(uuid, '/file?compression=none'), FILE, {
                'x-request-id': 'no.uuid:at-all_1',
            });
            assert.equal(answer.status, 200, answer.text);
            assert.equal(answer.headers['x-request-id'], 'no.uuid:at-all_1');
        });

        it('take no request id that could be something else, and answers without a route have one, too', async () => {
            for (const id of ['../../abc', 'a b', 'x'.repeat(129), '"quoted"', '']) {
                for (const path of ['/ping', '/no/such/path']) {
                    const answer = await registry.anonymous.get(path, { 'x-request-id': id });
                    assert.match(String(answer.headers['x-request-id']), /^[0-9a-f-]{36}$/, id);
                }
            }
            const both = { 'request-id': '', 'x-request-id': 'second' };
            assert.equal(
                (await registry.anonymous.get('/no/such/path', both)).headers['x-request-id'],
                'second',
            );
        });

        it('have the date once', async () => {
            const { rawHeaders } = await registry.client.get(at(image.uuid));
            assert.equal(rawHeaders.filter((name) => name.toLowerCase() === 'date').length, 1);
        });
    });

    describe('§1.2 content negotiation', () => {
        const ask = (accept: string, path = '/ping') => registry.anonymous.get(path, { accept });

        it('answers with indented JSON by default, for */* and for application/json', async () => {
            for (const headers of [
                undefined,
                { accept: '*/*' },
                { accept: 'application/json' },
                { accept: 'text/html, */*;q=0.1' },
            ]) {
                const answer = await registry.anonymous.get('/ping', headers);
                assert.equal(answer.headers['content-type'], 'application/json');
                assert.equal(answer.text, JSON.stringify(answer.json, null, 2));
            }
        });

        it('answers text/plain and application/javascript with compact JSON', async () => {
            for (const accept of ['text/plain', 'application/javascript']) {
                for (const path of ['/ping', at(image.uuid), '/images']) {
                    const answer = await ask(accept, path);
                    assert.equal(answer.headers['content-type'], accept);
                    assert.equal(answer.text, JSON.stringify(answer.json));
                }
            }
        });

        it('answers errors to text/plain with the bare message', async () => {
            for (const path of ['/images?limit=x', '/nowhere']) {
                const plain = await ask('text/plain', path);
                const json = await ask('*/*', path);
                assert.equal(plain.headers['content-type'], 'text/plain');
                assert.equal(plain.text, json.error.message);
                assert.equal(plain.status, json.status);
            }
        });

        it('answers application/octet-stream with JSON', async () => {
            const answer = await ask('application/octet-stream');
            assert.equal((answer.json as { ping: string }).ping, 'pong');
            assert.equal(
                (await ask('application/octet-stream', '/images?limit=x')).error.code,
                'InvalidParameter',
            );
        });

        it('answers 406 without a body when nothing is acceptable, whatever the answer would have been', async () => {
            for (const path of [
                '/ping',
                '/images',
                at(image.uuid),
                at(newUuid()),
                '/images?limit=x',
                '/state',
                '/nowhere',
            ]) {
                const answer = await ask('text/html', path);
                assert.equal(answer.status, 406, path);
                assert.equal(answer.text, '');
                assert.equal(answer.headers['content-length'], '0');
            }
        });

        it('does nothing for a request whose answer would not be acceptable', async () => {
            const { uuid } = await registry.client.create();
            const answer = await registry.client.action(uuid, 'disable', {}, { accept: 'text/html' });
            assert.equal(answer.status, 406);
            assert.equal((await registry.record(uuid))?.disabled, false);
        });

        it('never compresses', async () => {
            const answer = await registry.anonymous.get('/images', {
                'accept-encoding': 'gzip, deflate, br',
            });
            assert.equal(answer.headers['content-encoding'], undefined);
            assert.equal(answer.headers['transfer-encoding'], undefined);
        });
    });

    describe('§1.3 versions', () => {
        for (const version of ['', '~1', '1.0.0', '~2', '2.0.0', '*', '>=1', '^1||^2', '1 - 2']) {
            it(`speaks "${version}"`, async () => {
                const answer = await registry.anonymous.get('/ping', { 'accept-version': version });
                assert.equal(answer.status, 200, answer.text);
            });
        }
        for (const version of [
            '~3',
            '~99',
            '0.x',
            'junk',
            '>2',
            '1.0.1',
            'x'.repeat(500),
            '1||'.repeat(200),
        ]) {
            it(`does not speak "${version.slice(0, 10)}"`, async () => {
                const answer = await registry.anonymous.get('/ping', { 'accept-version': version });
                assertError(answer, 400, 'InvalidVersion');
            });
        }
        it('takes x-api-version only in place of an empty Accept-Version', async () => {
            const ask = (headers: Record<string, string>) => registry.anonymous.get('/ping', headers);
            assert.equal((await ask({ 'x-api-version': '~99' })).status, 200);
            assert.equal((await ask({ 'accept-version': '', 'x-api-version': '~2' })).status, 200);
            assertError(await ask({ 'accept-version': '', 'x-api-version': '~99' }), 400, 'InvalidVersion');
        });
        it('is judged before the signature', async () => {
            const answer = await registry.anonymous.get('/state', { 'accept-version': '~99' });
            assertError(answer, 400, 'InvalidVersion');
        });
    });

    describe('§1.5 routing', () => {
        it('collapses slashes', async () => {
            for (const path of ['//ping', '///ping', `//images///${image.uuid}`]) {
                assert.equal((await registry.anonymous.get(path)).status, 200, path);
            }
        });

        it('does not match a trailing slash, another case or a part of a path', async () => {
            for (const path of [
                '/ping/',
                '/images/',
                `${at(image.uuid)}/`,
                '/PING',
                '/pin',
                '/ping/pong',
                '/docs/nowhere',
            ]) {
                assertError(await registry.anonymous.get(path), 404, 'ResourceNotFound');
            }
        });

        it('names the unknown path without its query', async () => {
            const { error } = await registry.anonymous.get('/nowhere?secret=1');
            assert.match(error.message, /\/nowhere/);
            assert.doesNotMatch(error.message, /secret/);
        });

        it('decodes the path', async () => {
            assert.equal(
                (await registry.anonymous.get(`/images/${image.uuid.replaceAll('-', '%2D')}`)).status,
                200,
            );
        });

        it('answers 400 to what cannot be decoded', async () => {
            for (const path of ['/images/%zz', '/images/%', '/images/%ff/file', '/images/%E0%A4%A']) {
                assertError(await registry.anonymous.get(path), 400, 'BadRequestError');
            }
        });

        it('answers 404 to a bad uuid, also with a % in the query', async () => {
            for (const path of [
                '/images/abc?x=%zz',
                '/images/%25',
                at(image.uuid.toUpperCase()),
                '/images/..%2f..',
            ]) {
                assertError(await registry.anonymous.get(path), 404, 'ResourceNotFound');
            }
        });

        it('takes an absolute request target', async () => {
            assert.equal((await registry.anonymous.get(`${registry.url}/ping`)).status, 200);
            assert.equal((await registry.anonymous.get('http://other.example/ping?x=1')).status, 200);
        });

        const allowed: Record<string, [string, string[]]> = {
            '/ping': ['GET', ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']],
            '/state': ['GET, POST', ['PUT', 'DELETE']],
            '/authkeys/reload': ['POST', ['GET', 'HEAD', 'PUT', 'DELETE']],
            '/images': ['GET, POST', ['PUT', 'DELETE', 'OPTIONS']],
            '/images/U': ['GET, POST, DELETE', ['PUT', 'PATCH']],
            '/images/U/file': ['PUT, GET', ['POST', 'DELETE']],
            '/images/U/icon': ['PUT, GET, DELETE', ['POST']],
            '/images/U/acl': ['POST', ['GET', 'HEAD', 'PUT', 'DELETE']],
        };
        for (const [path, [allow, methods]] of Object.entries(allowed)) {
            it(`answers 405 to ${methods.join(', ')} ${path}, before any signature`, async () => {
                for (const method of methods) {
                    const answer = await registry.anonymous.request(method, path.replace('U', image.uuid));
                    assert.equal(answer.status, 405, method);
                    assert.equal(answer.headers.allow, allow);
                    if (method !== 'HEAD') {
                        assertError(answer, 405, 'MethodNotAllowedError');
                    }
                }
            });
        }
    });

    describe('HEAD', () => {
        /** What differs between any two answers. */
        const VARYING = new Set([
            'transfer-encoding',
            'date',
            'x-request-id',
            'x-response-time',
            'connection',
            'keep-alive',
        ]);
        const comparable = ({ headers }: Answer) =>
            Object.fromEntries(Object.entries(headers).filter(([name]) => !VARYING.has(name)));

        /** Rows that have nothing to show here. */
        const EMPTY: Record<string, number> = { ListImageJobs: 503, GetJob: 404 };

        for (const { name, path, status = EMPTY[name] ?? 200 } of routesOf().filter(
            ({ method }) => method === 'GET',
        )) {
            it(`of ${name} has the headers of GET and no body`, async () => {
                const target = path.replace(':uuid', rich.uuid);
                const get = await registry.client.get(target);
                const head = await registry.client.head(target);
                assert.equal(get.status, status, get.text);
                assert.equal(head.status, status);
                assert.deepEqual(comparable(head), comparable(get));
                assert.equal(head.body.length, 0);
            });
        }

        it('of an error has its headers and no body', async () => {
            for (const path of [at(newUuid()), at(newUuid(), '/file'), '/nowhere', '/images?limit=x']) {
                const get = await registry.client.get(path);
                const head = await registry.client.head(path);
                assert.equal(head.status, get.status);
                assert.equal(head.headers['content-type'], 'application/json');
                assert.equal(head.body.length, 0);
            }
        });

        it('of a file honours conditions and ranges', async () => {
            const path = at(image.uuid, '/file');
            assert.equal((await registry.client.head(path, { 'if-none-match': sha1(FILE) })).status, 304);
            const part = await registry.client.head(path, { range: 'bytes=1-4' });
            assert.equal(part.status, 206);
            assert.equal(part.headers['content-length'], '4');
        });
    });

    describe('§1.7 repeated parameters', () => {
        const uuid = () => image.uuid;
        const requests: Record<string, [string, () => string]> = {
            account: ['GET', () => at(uuid(), '?account=a&account=b')],
            inclAdminFields: ['GET', () => at(uuid(), '?inclAdminFields=true&inclAdminFields=true')],
            error: ['GET', () => '/ping?error=a&error=b'],
            index: ['GET', () => at(uuid(), '/file?index=0&index=0')],
            action: ['POST', () => at(uuid(), '?action=enable&action=enable')],
            force_all_channels: [
                'DELETE',
                () => at(uuid(), '?force_all_channels=true&force_all_channels=true'),
            ],
        };
        for (const name of [
            'limit',
            'state',
            'public',
            'sort',
            'marker',
            'account',
            'name',
            'version',
            'owner',
            'os',
            'type',
            'tag.a',
        ]) {
            requests[`${name} of a list`] = ['GET', () => `/images?${name}=1&${name}=1`];
        }
        for (const [name, [method, path]] of Object.entries(requests)) {
            it(`answers 422 to ${name} given twice`, async () => {
                const field = name.replace(' of a list', '');
                assertError(
                    await registry.client.request(method, path()),
                    422,
                    'InvalidParameter',
                    `${field}:Invalid`,
                );
            });
        }
        for (const name of ['compression', 'storage', 'sha1', 'dataset_guid']) {
            it(`answers 422 to ${name} of an upload given twice`, async () => {
                const created = await registry.client.create();
                const parameters = name === 'compression' ? '' : 'compression=none&';
                const path = at(created.uuid, `/file?${parameters}${name}=gzip&${name}=gzip`);
                assertError(
                    await registry.client.put(path, FILE),
                    422,
                    'InvalidParameter',
                    `${name}:Invalid`,
                );
                assert.deepEqual(await registry.stored(created.uuid), []);
            });
        }
        it('passes over a[b] and parameters that nobody knows', async () => {
            assert.equal(
                (await registry.client.get('/images?a[b]=1&a=1&a=2&__proto__=x&constructor=y')).status,
                200,
            );
        });
    });
});
