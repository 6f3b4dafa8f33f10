/** Request bodies of JSON endpoints (endpoints.md §1.2 and §1.7). */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { assertError, at, MANIFEST, md5, type Answer, type RequestHeaders } from '../support/api';
import { exchange, RawConnection } from '../support/raw-connection';
import { Registry, testKeys } from '../support/registry';
import { signedHeaders } from '../support/keys';

const MIB = 1 << 20;

describe('HTTP: request bodies', () => {
    let registry: Registry;

    before(async () => {
        registry = await Registry.start({ limits: { readTimeout: '200ms', headerTimeout: '200ms' } });
    });
    after(() => registry.stop());

    const create = (
        body: Buffer | string | AsyncIterable<Buffer>,
        headers: RequestHeaders = {},
    ): Promise<Answer> =>
        registry.client.request('POST', '/images', {
            headers: { 'content-type': 'application/json', ...headers },
            body,
        });

    async function* chunks(count: number, bytes: Buffer): AsyncGenerator<Buffer> {
        for (let i = 0; i < count; i++) {
            yield bytes;
        }
    }

    /** The head of a signed request, as text. */
    function head(line: string, headers: Record<string, string>): string {
        const all = { host: 'imgapi', ...signedHeaders('alice', testKeys()[0]), ...headers };
        const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
        return `${line} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
    }

    describe('types', () => {
        it('are JSON with any parameters, in any case', async () => {
            for (const type of [
                'application/json',
                'application/json; charset=utf-8',
                'Application/JSON;x=y',
            ]) {
                assert.equal(
                    (await create(JSON.stringify(MANIFEST), { 'content-type': type })).status,
                    200,
                    type,
                );
            }
        });

        it('are forms, whose values are strings', async () => {
            const form = new URLSearchParams({ ...MANIFEST, public: 'true' }).toString();
            const { manifest } = await create(form, { 'content-type': 'application/x-www-form-urlencoded' });
            assert.equal(manifest.name, MANIFEST.name);
            assert.equal(manifest.public, true);
        });

        it('count as no body when they are any other', async () => {
            for (const type of [
                'text/plain',
                'application/octet-stream',
                'multipart/form-data; boundary=x',
                'json',
            ]) {
                const answer = await create(JSON.stringify(MANIFEST), { 'content-type': type });
                assertError(answer, 422, 'ValidationFailed', 'body:MissingParameter');
            }
        });

        it('count as no body when they are empty or missing', async () => {
            assertError(await create(''), 422, 'ValidationFailed', 'body:MissingParameter');
            assertError(
                await registry.client.post('/images'),
                422,
                'ValidationFailed',
                'body:MissingParameter',
            );
        });

        it('are 400 when they are no JSON', async () => {
            for (const body of ['{', 'name=x', '{"a":1}}', '\u0000', '{"a":NaN}', "{'a':1}"]) {
                assertError(await create(body), 400, 'InvalidContent');
            }
        });

        it('are 422 when they are JSON but no object', async () => {
            for (const body of ['null', '5', '"text"', 'true', '[]']) {
                assertError(await create(body), 422, 'ValidationFailed', 'body:MissingParameter');
            }
        });

        it('keep their characters', async () => {
            const { manifest } = await create(JSON.stringify({ ...MANIFEST, description: 'Größe 日本 🎉' }));
            assert.equal(manifest.description, 'Größe 日本 🎉');
        });
    });

    describe('Content-Encoding', () => {
        it('may be gzip or identity', async () => {
            const body = JSON.stringify(MANIFEST);
            assert.equal((await create(gzipSync(body), { 'content-encoding': 'gzip' })).status, 200);
            assert.equal((await create(body, { 'content-encoding': 'identity' })).status, 200);
        });

        it('is 400 when the body is not gzip, or cut off', async () => {
            const zipped = gzipSync(JSON.stringify(MANIFEST));
            for (const body of [Buffer.from('{}'), zipped.subarray(0, -9)]) {
                assertError(await create(body, { 'content-encoding': 'gzip' }), 400, 'InvalidContent');
            }
        });

        it('is 415 when it is another', async () => {
            assertError(await create('{}', { 'content-encoding': 'br' }), 415, 'UnsupportedMediaType');
        });
    });

    describe('Content-MD5', () => {
        const body = JSON.stringify(MANIFEST);

        it('is taken when it is right', async () => {
            assert.equal((await create(body, { 'content-md5': md5(body) })).status, 200);
        });

        it('is over the bytes as sent, compressed or not', async () => {
            const zipped = gzipSync(body);
            const headers = { 'content-encoding': 'gzip' };
            assert.equal((await create(zipped, { ...headers, 'content-md5': md5(zipped) })).status, 200);
        });

        it('is 400 when it is wrong, before the JSON is looked at', async () => {
            assertError(await create(body, { 'content-md5': md5('other') }), 400, 'BadDigest');
            assertError(await create('{', { 'content-md5': 'junk' }), 400, 'BadDigest');
        });

        it('is checked on every JSON endpoint', async () => {
            const { uuid } = await registry.client.create();
            for (const path of ['?action=enable', '?action=update', '/acl', '/acl?action=remove']) {
                const answer = await registry.client.post(
                    at(uuid, path),
                    {},
                    { 'content-md5': md5('other') },
                );
                assertError(answer, 400, 'BadDigest');
            }
        });
    });

    describe('sizes', () => {
        const large = (length: number) => JSON.stringify({ ...MANIFEST, name: 'x'.repeat(length) });

        it('up to 1 MiB are read', async () => {
            const text = large(MIB - JSON.stringify({ ...MANIFEST, name: '' }).length);
            assert.equal(text.length, MIB);
            assertError(await create(text), 422, 'ValidationFailed', 'name:Invalid');
        });

        it('announced over 1 MiB are 413 before a byte came', async () => {
            const { status } = await exchange(
                registry.url,
                head('POST /images', {
                    'content-type': 'application/json',
                    'content-length': String(MIB + 1),
                }),
            );
            assert.equal(status, 413);
        });

        it('chunked over 1 MiB are 413', async () => {
            assertError(await create(chunks(40, Buffer.alloc(32 << 10, ' '))), 413, 'RequestEntityTooLarge');
        });

        it('decompressed over 1 MiB are 413', async () => {
            const bomb = gzipSync(Buffer.alloc(64 * MIB, ' '));
            assert.ok(bomb.length < MIB);
            assertError(await create(bomb, { 'content-encoding': 'gzip' }), 413, 'RequestEntityTooLarge');
        });
    });

    describe('timeouts', () => {
        it('end a body that stops arriving with 408', async () => {
            const answer = await exchange(
                registry.url,
                head('POST /images', { 'content-type': 'application/json', 'content-length': '100' }) + '{',
            );
            assert.equal(answer.status, 408);
            assert.equal(answer.headers.connection, 'close', 'the rest may never come');
            assert.equal((JSON.parse(answer.body) as { code: string }).code, 'RequestTimeout');
        });

        it('end an upload that stops arriving with 408, and leave nothing of it', async () => {
            const { uuid } = await registry.client.create();
            const answer = await exchange(
                registry.url,
                head(`PUT ${at(uuid, '/file?compression=none')}`, { 'content-length': '100' }) + 'abc',
            );
            assert.equal(answer.status, 408);
            assert.deepEqual(await registry.stored(uuid), []);
        });

        it('do not end a body that arrives slowly', async () => {
            const { uuid } = await registry.client.create();
            const connection = await RawConnection.open(registry.url);
            connection.write(head(`PUT ${at(uuid, '/file?compression=none')}`, { 'content-length': '6' }));
            for (const byte of 'slowly') {
                await new Promise((resolve) => setTimeout(resolve, 80));
                connection.write(byte);
            }
            const [answer] = await connection.answers(1);
            connection.close();
            assert.equal(answer?.status, 200, answer?.body);
        });

        it('end a head that stops arriving with 408', async () => {
            const answer = await exchange(registry.url, 'GET /ping HTTP/1.1\r\nhost: imgapi\r\n');
            assert.equal(answer.status, 408);
            assert.equal((JSON.parse(answer.body) as { code: string }).code, 'RequestTimeout');
            assert.equal(answer.headers.connection, 'close');
        });
    });
});
