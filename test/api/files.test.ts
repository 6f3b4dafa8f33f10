/** AddImageFile (endpoints.md §3). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import {
    Answer,
    assertError,
    at,
    FILE,
    md5,
    OTHER,
    OWNER,
    sha1,
    UNKNOWN,
    type Manifest,
} from '../support/api';
import { signedHeaders } from '../support/keys';
import { RawConnection } from '../support/raw-connection';
import { Registry, testKeys } from '../support/registry';

const OVERSIZE = 20 * 1024 ** 3 + 1;

describe('AddImageFile', () => {
    let registry: Registry;
    let image: Manifest;

    before(async () => {
        registry = await Registry.start({ limits: { readTimeout: '300ms' } });
    });
    beforeEach(async () => {
        image = await registry.client.create();
    });
    after(() => registry.stop());

    const put = (body: Parameters<Registry['client']['put']>[1], query = 'compression=none', headers = {}) =>
        registry.client.put(at(image.uuid, `/file?${query}`), body, headers);

    async function* chunked(bytes: Buffer, size = 10): AsyncGenerator<Buffer> {
        for (let start = 0; start < bytes.length; start += size) {
            yield bytes.subarray(start, start + size);
        }
    }

    /** A signed PUT of which only the head and these bytes are sent. */
    async function begin(head: string, bytes: Buffer | string): Promise<RawConnection> {
        const connection = await RawConnection.open(registry.url);
        const { date, authorization } = signedHeaders('alice', testKeys()[0]);
        connection.write(
            [
                `PUT ${at(image.uuid, '/file?compression=none')} HTTP/1.1`,
                'host: imgapi',
                `date: ${date}`,
                `authorization: ${authorization}`,
                head,
                '',
                '',
            ].join('\r\n'),
        );
        connection.write(bytes);
        return connection;
    }

    describe('success', () => {
        for (const compression of ['gzip', 'bzip2', 'xz', 'none']) {
            it(`with compression ${compression}, whatever the bytes are`, async () => {
                const answer = await put(FILE, `compression=${compression}`);
                assert.deepEqual(answer.manifest.files, [
                    { sha1: sha1(FILE), size: FILE.length, compression },
                ]);
                assert.equal(answer.manifest.state, 'unactivated');
                const get = await registry.client.get(at(image.uuid));
                assert.equal(get.text, answer.text);
                assert.equal(get.headers.etag, answer.headers.etag);
            });
        }

        it('keeps what is needed to serve it', async () => {
            await put(FILE, `compression=none&sha1=${sha1(FILE)}&dataset_guid=123&storage=local`);
            const [file] = (await registry.record(image.uuid))?.files ?? [];
            assert.equal(file?.contentMD5, md5(FILE));
            assert.equal(file.stor, 'local');
            assert.equal(file.dataset_guid, '123');
            assert.ok(Math.abs(Date.parse(file.mtime ?? '') - Date.now()) < 60_000);
            assert.deepEqual(await registry.stored(image.uuid), [file.object]);
            assert.equal((await registry.client.get(at(image.uuid))).manifest.files[0]?.dataset_guid, '123');
        });

        it('does not show where the file is', async () => {
            const { text } = await put(FILE);
            assert.doesNotMatch(text, /stor|object|contentMD5|mtime/);
        });

        it('takes chunks', async () => {
            assert.deepEqual((await put(chunked(FILE))).manifest.files[0]?.sha1, sha1(FILE));
        });

        it('takes megabytes', async () => {
            const bytes = Buffer.alloc(5_000_001, 'some bytes ');
            assert.equal((await put(bytes)).manifest.files[0]?.size, bytes.length);
            assert.deepEqual((await registry.client.get(at(image.uuid, '/file'))).body, bytes);
        });

        it('passes over Content-MD5, and looks at no content type', async () => {
            const headers = {
                'content-md5': 'wrong',
                'content-type': 'application/json',
                'content-encoding': 'gzip',
            };
            assert.equal((await put(FILE, 'compression=none', headers)).manifest.files[0]?.sha1, sha1(FILE));
        });

        it('replaces a file, and leaves nothing of the former one', async () => {
            await put(FILE);
            const { manifest } = await put(Buffer.from('other bytes'), 'compression=gzip');
            assert.deepEqual(manifest.files, [{ sha1: sha1('other bytes'), size: 11, compression: 'gzip' }]);
            assert.equal((await registry.client.get(at(image.uuid, '/file'))).text, 'other bytes');
            assert.equal((await registry.stored(image.uuid)).length, 1);
        });

        it('is for the owner', async () => {
            assert.equal((await put(FILE, `compression=none&account=${OWNER}`)).status, 200);
        });

        it('of two at once: both are answered, one of them stays, whole', async () => {
            const [one, two] = [Buffer.alloc(300_000, 'one'), Buffer.alloc(200_000, 'two')];
            const answers = await Promise.all([put(one), put(two)]);
            assert.deepEqual(
                answers.map(({ status }) => status),
                [200, 200],
            );
            const { files } = (await registry.client.get(at(image.uuid))).manifest;
            const { body } = await registry.client.get(at(image.uuid, '/file'));
            assert.equal(sha1(body), files[0]?.sha1);
            assert.ok(body.equals(one) || body.equals(two));
            assert.equal((await registry.stored(image.uuid)).length, 1);
        });
    });

    describe('errors leave the former file, the record and the folder as they were', () => {
        /** Bytes that stand before each attempt. */
        const FORMER = Buffer.from('the former file');

        async function refused(
            attempt: () => Promise<Answer>,
            status: number,
            code: string,
            ...fields: string[]
        ) {
            await put(FORMER);
            const former = await registry.snapshot(image.uuid);
            assertError(await attempt(), status, code, ...fields);
            await registry.untilStored(image.uuid, former.stored);
            assert.deepEqual(await registry.snapshot(image.uuid), former);
            assert.deepEqual((await registry.client.get(at(image.uuid, '/file'))).body, FORMER);
        }

        const parameters: Record<string, [string, string, ...string[]]> = {
            'no compression': ['', 'InvalidParameter', 'compression:Missing'],
            'an empty compression': ['compression=', 'InvalidParameter', 'compression:Missing'],
            'an unknown compression': ['compression=zip', 'InvalidParameter', 'compression:Invalid'],
            'an unknown storage': ['compression=none&storage=tape', 'InvalidParameter', 'storage:Invalid'],
            'a storage from an account': [
                `compression=none&storage=local&account=${OWNER}`,
                'InvalidParameter',
                'storage:NotAllowed',
            ],
            'an account that is no uuid': [
                'compression=none&account=x',
                'InvalidParameter',
                'account:Invalid',
            ],
            'compression before storage': [
                'compression=zip&storage=tape',
                'InvalidParameter',
                'compression:Invalid',
            ],
        };
        for (const [name, [query, code, ...fields]] of Object.entries(parameters)) {
            it(`${name}: 422`, () => refused(() => put(FILE, query), 422, code, ...fields));
        }

        it('Content-Length over 20 GiB: 400, before a byte is sent', () =>
            refused(() => announce(OVERSIZE), 400, 'Upload'));

        it('an unknown storage before the size', () =>
            refused(() => announce(OVERSIZE, '&storage=tape'), 422, 'InvalidParameter', 'storage:Invalid'));

        it('Content-Length of 0: 400', () => refused(() => put(Buffer.alloc(0)), 400, 'Download'));

        it('chunks without a byte: 400', () => refused(() => put(chunked(Buffer.alloc(0))), 400, 'Download'));

        it('another sha1: 400', () =>
            refused(() => put(FILE, `compression=none&sha1=${sha1('other')}`), 400, 'Download'));

        it('the sha1 in upper case: 400', () =>
            refused(() => put(FILE, `compression=none&sha1=${sha1(FILE).toUpperCase()}`), 400, 'Download'));

        it('fewer bytes than announced, then silence: 408', () =>
            refused(() => announce(FILE.length + 10, '', FILE), 408, 'RequestTimeout'));

        /** An upload of which the size is announced, and only these bytes are sent. */
        async function announce(length: number, query = '', bytes = Buffer.alloc(0)): Promise<Answer> {
            const { hostname, port } = new URL(registry.url);
            const req = http.request({
                host: hostname,
                port,
                method: 'PUT',
                path: at(image.uuid, `/file?compression=none${query}`),
                headers: { ...signedHeaders('alice', testKeys()[0]), 'content-length': String(length) },
            });
            req.flushHeaders();
            req.write(bytes);
            const [res] = (await once(req, 'response')) as [http.IncomingMessage];
            const body = await res.toArray();
            req.on('error', () => undefined).destroy();
            return new Answer(
                res.statusCode ?? 0,
                res.headers,
                res.rawHeaders,
                Buffer.concat(body as Buffer[]),
            );
        }

        it('a connection cut half-way: nothing of it stays', async () => {
            await put(FORMER);
            const former = await registry.snapshot(image.uuid);
            for (const head of ['content-length: 1000000', 'transfer-encoding: chunked']) {
                const bytes = head.startsWith('content') ? Buffer.alloc(500_000) : '5\r\nhello\r\n';
                const connection = await begin(head, bytes);
                await untilReceiving(former.stored);
                connection.close();
                await registry.untilStored(image.uuid, former.stored);
            }
            assert.deepEqual(await registry.snapshot(image.uuid), former);
        });

        it('more bytes than announced: never taken for the file', async () => {
            const connection = await begin(`content-length: ${FILE.length}`, Buffer.concat([FILE, FILE]));
            // The bytes beyond are no request, and may be met before or after the upload is done.
            assert.match(await connection.closed, /^HTTP\/1\.1 (200|400) /);
            const { files } = (await registry.client.get(at(image.uuid))).manifest;
            assert.ok(files[0] === undefined || files[0].sha1 === sha1(FILE));
        });

        /** Waits until an upload has begun to write. */
        async function untilReceiving(former: readonly string[]): Promise<void> {
            while ((await registry.stored(image.uuid)).length === former.length) {
                await new Promise((resolve) => setTimeout(resolve, 5));
            }
        }

        it('an activation meanwhile: 422 ImageAlreadyActivated', async () => {
            await put(FORMER);
            const { stored } = await registry.snapshot(image.uuid);
            const connection = await begin('content-length: 6', 'abc');
            await untilReceiving(stored);
            assert.equal((await registry.client.action(image.uuid, 'activate')).status, 200);
            connection.write('def');
            const [answer] = await connection.answers(1);
            assert.equal(answer?.status, 422);
            assert.match(answer.body, /ImageAlreadyActivated/);
            await registry.untilStored(image.uuid, stored);
            assert.deepEqual((await registry.client.get(at(image.uuid, '/file'))).body, FORMER);
        });

        it('a deletion meanwhile: 404, and nothing stays', async () => {
            const connection = await begin('content-length: 6', 'abc');
            await untilReceiving([]);
            assert.equal((await registry.client.delete(at(image.uuid))).status, 204);
            connection.write('def');
            const [answer] = await connection.answers(1);
            assert.equal(answer?.status, 404, answer?.body);
            await registry.untilStored(image.uuid, []);
        });

        it('an update meanwhile is kept', async () => {
            const connection = await begin('content-length: 6', 'abc');
            await untilReceiving([]);
            await registry.client.action(image.uuid, 'update', { description: 'changed meanwhile' });
            connection.write('def');
            const [answer] = await connection.answers(1);
            assert.equal(answer?.status, 200);
            const { manifest } = await registry.client.get(at(image.uuid));
            assert.equal(manifest.description, 'changed meanwhile');
            assert.equal(manifest.files.length, 1);
        });
    });

    describe('the order of checks', () => {
        it('signature, uuid, account, image, owner', async () => {
            const path = (uuid: string, query = '') => at(uuid, `/file${query}`);
            assertError(await registry.anonymous.put(path('x'), FILE), 401, 'UnauthorizedError');
            assertError(await registry.client.put(path('x'), FILE), 404, 'ResourceNotFound');
            const account = await registry.client.put(path(UNKNOWN, '?account=x'), FILE);
            assertError(account, 422, 'InvalidParameter', 'account:Invalid');
            assertError(await registry.client.put(path(UNKNOWN), FILE), 404, 'ResourceNotFound');
            assertError(await put(FILE, `account=${OTHER}`), 404, 'ResourceNotFound');
            const active = await registry.client.createActive();
            assertError(
                await registry.client.put(path(active.uuid, `?account=${OTHER}`), FILE),
                422,
                'NotImageOwner',
            );
        });

        it('an activated image before its parameters: 422 ImageFilesImmutable', async () => {
            const active = await registry.client.createActive();
            const former = await registry.snapshot(active.uuid);
            assertError(
                await registry.client.put(at(active.uuid, '/file'), FILE),
                422,
                'ImageFilesImmutable',
            );
            assert.deepEqual(await registry.snapshot(active.uuid), former);
        });
    });
});
