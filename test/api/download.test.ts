/** GetImageFile (endpoints.md §3 and §1.6). */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
    assertError,
    at,
    md5,
    OTHER,
    OWNER,
    sha1,
    UNKNOWN,
    type Manifest,
    type RequestHeaders,
} from '../support/api';
import { testImage } from '../support/images';
import { RawConnection } from '../support/raw-connection';
import { Registry } from '../support/registry';

describe('GetImageFile', () => {
    let registry: Registry;
    let image: Manifest;
    const BYTES = Buffer.from(Array.from({ length: 3_000_000 }, (_, n) => (n * 7919) % 251));
    const ETAG = sha1(BYTES);
    /** Two stored files under the names the original gave them. */
    const lxd = testImage(1, { type: 'lxd' });
    const SECOND = Buffer.from('the second file');

    before(async () => {
        registry = await Registry.start();
        image = await registry.client.createActive({}, BYTES);
        const file = (bytes: Buffer) => ({
            sha1: sha1(bytes),
            size: bytes.length,
            contentMD5: md5(bytes),
            stor: 'local' as const,
            compression: 'none',
        });
        await registry.plant({ ...lxd, files: [file(BYTES), file(SECOND)] });
        await registry.plantObject(lxd.uuid, 'file0', BYTES);
        await registry.plantObject(lxd.uuid, 'file1', SECOND);
    });
    after(() => registry.stop());

    const get = (headers: RequestHeaders = {}, query = '') =>
        registry.anonymous.get(at(image.uuid, `/file${query}`), headers);

    describe('the whole file', () => {
        it('comes with all that clients check it by', async () => {
            const { status, headers, body } = await get();
            assert.equal(status, 200);
            assert.ok(body.equals(BYTES));
            assert.equal(headers['content-type'], 'application/octet-stream');
            assert.equal(headers['content-length'], String(BYTES.length));
            assert.equal(headers['content-md5'], md5(BYTES));
            assert.equal(headers.etag, ETAG);
            assert.equal(headers['accept-ranges'], 'bytes');
            assert.equal(headers['content-encoding'], undefined);
            const { mtime = '' } = (await registry.record(image.uuid))?.files?.[0] ?? {};
            assert.equal(headers['last-modified'], new Date(mtime).toUTCString());
        });

        it('is for everybody who has the uuid, whatever state the image is in, whatever Authorization says', async () => {
            const { uuid } = await registry.client.create();
            await registry.client.upload(uuid);
            await registry.client.action(uuid, 'disable');
            for (const headers of [
                undefined,
                { authorization: 'Basic x' },
                { authorization: 'Signature x' },
            ]) {
                assert.equal((await registry.anonymous.get(at(uuid, '/file'), headers)).status, 200);
            }
        });

        it('obeys the account', async () => {
            const { uuid } = await registry.client.create();
            await registry.client.upload(uuid);
            const seen = (account: string) => registry.anonymous.get(at(uuid, `/file?account=${account}`));
            assert.equal((await seen(OWNER)).status, 200);
            assertError(await seen(OTHER), 404, 'ResourceNotFound');
            assertError(await seen('x'), 422, 'InvalidParameter', 'account:Invalid');
        });
    });

    describe('index', () => {
        const file = (rest: string) => registry.anonymous.get(at(lxd.uuid, rest));

        it('names one of several files; what is no number counts as 0', async () => {
            assert.equal((await file('/file?index=1')).text, SECOND.toString());
            assert.equal((await file('/file1')).text, SECOND.toString());
            for (const query of ['', '?index=0', '?index=x', '?index=', '?index=0x1', '?index=0.9']) {
                assert.equal((await file(`/file${query}`)).headers.etag, ETAG, query);
            }
        });

        it('of no file is 404', async () => {
            for (const index of ['2', '-1', '99999999999']) {
                assertError(await file(`/file?index=${index}`), 404, 'ResourceNotFound');
            }
            assertError(await registry.anonymous.get(at(image.uuid, '/file1')), 404, 'ResourceNotFound');
        });
    });

    describe('ranges', () => {
        const { length } = BYTES;
        const parts: Record<string, [number, number]> = {
            'bytes=0-0': [0, 0],
            'bytes=0-99': [0, 99],
            'bytes=262143-262145': [262_143, 262_145],
            'bytes=100-': [100, length - 1],
            'bytes=-7': [length - 7, length - 1],
            [`bytes=-${length + 1}`]: [0, length - 1],
            [`bytes=5-${length + 99}`]: [5, length - 1],
            'bytes= 1-2': [1, 2],
        };
        for (const [range, [start, end]] of Object.entries(parts)) {
            it(`${range} is 206`, async () => {
                const answer = await get({ range });
                assert.equal(answer.status, 206);
                assert.ok(answer.body.equals(BYTES.subarray(start, end + 1)));
                assert.equal(answer.headers['content-range'], `bytes ${start}-${end}/${length}`);
                assert.equal(answer.headers['content-length'], String(end - start + 1));
                assert.equal(answer.headers['content-md5'], undefined, 'it would be of the whole file');
                assert.equal(answer.headers.etag, ETAG);
            });
        }

        for (const range of [`bytes=${BYTES.length}-`, 'bytes=99999999-99999999', 'bytes=-0']) {
            it(`${range} is 416`, async () => {
                const answer = await get({ range });
                assertError(answer, 416, 'RequestedRangeNotSatisfiable');
                assert.equal(answer.headers['content-range'], `bytes */${length}`);
            });
        }

        for (const range of ['bytes=0-1,5-6', 'lines=0-1', 'bytes', 'bytes=a-b', 'bytes=', '', 'bytes=5-2']) {
            it(`"${range}" is answered with the whole file`, async () => {
                const answer = await get({ range });
                assert.equal(answer.status, 200);
                assert.equal(answer.body.length, length);
            });
        }

        it('apply only if If-Range names this version', async () => {
            const { headers } = await get();
            const modified = String(headers['last-modified']);
            for (const same of [ETAG, `"${ETAG}"`, modified]) {
                assert.equal((await get({ range: 'bytes=0-1', 'if-range': same })).status, 206, same);
            }
            for (const other of ['other', '"other"', 'Thu, 01 Jan 1970 00:00:00 GMT', `W/"${ETAG}"`]) {
                assert.equal((await get({ range: 'bytes=0-1', 'if-range': other })).status, 200, other);
            }
        });

        it('put together are the file', async () => {
            const parts = [];
            for (let start = 0; start < length; start += 700_000) {
                parts.push((await get({ range: `bytes=${start}-${start + 699_999}` })).body);
            }
            assert.equal(sha1(Buffer.concat(parts)), ETAG);
        });
    });

    describe('conditions', () => {
        const manifestEtag = async () => String((await registry.anonymous.get(at(image.uuid))).headers.etag);

        it('If-None-Match with the ETag of the file or of the manifest is 304, with ETag and Last-Modified', async () => {
            for (const etag of [
                ETAG,
                `"${ETAG}"`,
                `W/"${ETAG}"`,
                `"x", "${ETAG}"`,
                '*',
                await manifestEtag(),
            ]) {
                const answer = await get({ 'if-none-match': etag });
                assert.equal(answer.status, 304, etag);
                assert.equal(answer.headers.etag, ETAG);
                assert.ok(answer.headers['last-modified']);
                assert.equal(answer.body.length, 0);
            }
            assert.equal((await get({ 'if-none-match': 'other' })).status, 200);
        });

        it('If-Match with another is 412, as JSON', async () => {
            assertError(await get({ 'if-match': 'other' }), 412, 'PreconditionFailed');
            for (const etag of [ETAG, '*', await manifestEtag()]) {
                assert.equal((await get({ 'if-match': etag })).status, 200);
            }
        });

        it('If-Modified-Since is 304 from the date of the file on', async () => {
            const modified = String((await get()).headers['last-modified']);
            assert.equal((await get({ 'if-modified-since': modified })).status, 304);
            assert.equal(
                (await get({ 'if-modified-since': new Date(Date.now() + 86_400_000).toUTCString() })).status,
                304,
            );
            for (const earlier of ['Thu, 01 Jan 1970 00:00:00 GMT', 'not a date']) {
                assert.equal((await get({ 'if-modified-since': earlier })).status, 200);
            }
        });

        it('If-None-Match decides before If-Modified-Since', async () => {
            const later = new Date(Date.now() + 86_400_000).toUTCString();
            assert.equal((await get({ 'if-none-match': 'other', 'if-modified-since': later })).status, 200);
        });

        it('If-Unmodified-Since before the date of the file is 412', async () => {
            assertError(
                await get({ 'if-unmodified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' }),
                412,
                'PreconditionFailed',
            );
            assert.equal((await get({ 'if-unmodified-since': new Date().toUTCString() })).status, 200);
        });

        it('come before ranges', async () => {
            assert.equal((await get({ 'if-none-match': ETAG, range: 'bytes=99999999-' })).status, 304);
        });
    });

    describe('errors', () => {
        it('no image, or no file: 404', async () => {
            assertError(await registry.anonymous.get(at(UNKNOWN, '/file')), 404, 'ResourceNotFound');
            assertError(await registry.anonymous.get(at('x', '/file')), 404, 'ResourceNotFound');
            const { uuid } = await registry.client.create();
            assertError(await registry.anonymous.get(at(uuid, '/file')), 404, 'ResourceNotFound');
            assertError(await registry.anonymous.get(at(uuid, '/file?index=1')), 404, 'ResourceNotFound');
        });

        it('a stored file that is missing, or of another size: 500 as JSON, without headers of the file', async () => {
            const { uuid } = await registry.client.createActive();
            const [name = ''] = await registry.stored(uuid);
            for (const spoil of [
                () => registry.plantObject(uuid, name, Buffer.from('short')),
                () => registry.unlinkObject(uuid, name),
            ]) {
                await spoil();
                for (const answer of [
                    await registry.anonymous.get(at(uuid, '/file')),
                    await registry.anonymous.get(at(uuid, '/file'), { range: 'bytes=0-1' }),
                ]) {
                    assertError(answer, 500, 'InternalError');
                    assert.equal(answer.headers['content-md5'], undefined);
                    assert.equal(answer.headers.etag, undefined);
                }
            }
        });

        it('leave no file open', async function () {
            const folder = `/proc/${String(registry.server.child.pid)}/fd`;
            if (!existsSync(folder)) {
                this.skip();
            }
            const openFiles = () =>
                readdirSync(folder)
                    .map((fd) => readlinkSync(join(folder, fd)))
                    .filter((path) => path.includes('/images/'));
            const { uuid } = await registry.client.createActive();
            const [name = ''] = await registry.stored(uuid);
            await registry.plantObject(uuid, name, Buffer.from('short'));
            for (const headers of [undefined, { range: 'bytes=0-1' }]) {
                assert.equal((await registry.anonymous.get(at(uuid, '/file'), headers)).status, 500);
            }
            assert.deepEqual(openFiles(), []);
        });

        it('a file kept in a storage this server does not have: 503', async () => {
            const elsewhere = testImage(2, {
                files: [{ sha1: ETAG, size: 5, stor: 'manta', compression: 'none' }],
            });
            await registry.plant(elsewhere);
            assertError(await registry.anonymous.get(at(elsewhere.uuid, '/file')), 503, 'StorageUnsupported');
        });
    });

    it('of a client that goes away leaves the server well', async () => {
        for (let i = 0; i < 5; i++) {
            const connection = await RawConnection.open(registry.url);
            connection.write(`GET ${at(image.uuid, '/file')} HTTP/1.1\r\nhost: x\r\n\r\n`);
            await connection.until(/\r\n\r\n/);
            connection.close();
        }
        assert.ok((await get()).body.equals(BYTES));
    });
});
