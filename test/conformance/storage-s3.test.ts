import {
    CreateMultipartUploadCommand,
    GetObjectCommand,
    HeadObjectCommand,
    PutObjectCommand,
    UploadPartCommand,
} from '@aws-sdk/client-s3';
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { S3Config } from '../../lib/config/types';
import { createS3Storage } from '../../lib/storage/s3';
import {
    archiveKey,
    ExportRefused,
    imageFolder,
    imageKey,
    type StorageDriver,
} from '../../lib/storage/driver';
import { mirrorPlace } from '../support/key-places';
import { RadosGateway } from '../support/radosgw';
import { recordingLog } from '../support/recording-log';
import { describeKeySource } from './key-sources';
import { apiError, contentOf, describeStorage, inChunks, keysIn, put } from './storage';

const MIB = 1024 * 1024;

describe('S3', () => {
    let server: RadosGateway;

    before(async function () {
        server = await RadosGateway.start(this);
    });
    after(() => (server as RadosGateway | undefined)?.stop());

    const driver = (config: Partial<S3Config> = {}): StorageDriver =>
        createS3Storage({
            config: { ...server.config, partSize: 5 * MIB, ...config },
            maxSockets: 100,
            log: recordingLog([]),
        });

    describeStorage('s3', async () => ({
        driver: driver({ prefix: 'a/prefix', presignRedirect: true, exportPrefix: 'b' }),
        twin: driver({ prefix: 'a/prefix/' }),
        stranger: driver(),
        leftovers: () => server.contents(),
        remove: async () => undefined,
    }));

    describeKeySource('mirror of S3', { changes: 'on reload', texts: true }, () =>
        mirrorPlace(async () => ({
            store: driver({ prefix: randomUUID() }),
            remove: () => server.empty(),
        })),
    );

    describe('exports', () => {
        let storage: StorageDriver;
        let now: number;
        const image = randomUUID();
        const key = imageKey(image, `file0-${image}`);
        /** Copied in three parts. */
        const bytes = randomBytes(12 * MIB + 1);
        const about = { contentType: 'application/octet-stream', size: bytes.length };

        beforeEach(() => {
            now = Date.now();
            storage = createS3Storage({
                config: { ...server.config, prefix: 'east', exportPrefix: 'exports' },
                maxSockets: 10,
                log: recordingLog([]),
                copy: { mostAtOnce: 5 * MIB, part: 5 * MIB },
                now: () => now,
            });
        });
        afterEach(async () => {
            await storage.close();
            await server.empty();
        });

        const exported = async (Key: string): Promise<Buffer> => {
            const found = await server.client.send(new GetObjectCommand({ Bucket: server.bucket, Key }));
            return Buffer.from((await found.Body?.transformToByteArray()) ?? []);
        };

        it('copies large objects in parts, which replace what is there as a whole', async () => {
            await put(storage, key, bytes);
            await storage.exports?.exportBytes('a/x', Buffer.from('former'), { contentType: 'text/plain' });
            assert.equal(await storage.exports?.exportObject(key, 'a/x', about), true);
            assert.ok((await exported('exports/a/x')).equals(bytes));
            assert.deepEqual(await server.contents(), [`east/${key}`, 'exports/a/x']);
        });

        it('says that an object is not there, or is another, and leaves what is there', async () => {
            await storage.exports?.exportBytes('x', Buffer.from('former'), { contentType: 'text/plain' });
            assert.equal(await storage.exports?.exportObject(key, 'x', about), false);
            await put(storage, key, bytes.subarray(1));
            await assert.rejects(storage.exports!.exportObject(key, 'x', about), apiError('Download'));
            assert.equal((await exported('exports/x')).toString(), 'former');
        });

        it('stops when whoever asked is gone, and leaves nothing', async () => {
            await put(storage, key, bytes);
            const signal = AbortSignal.abort(new Error('gone'));
            await assert.rejects(
                storage.exports!.exportObject(key, 'x', { ...about, signal }),
                /^Error: gone$/,
            );
            const later = new AbortController();
            const copy = storage.exports!.exportObject(key, 'x', { ...about, signal: later.signal });
            later.abort(new Error('gone'));
            await assert.rejects(copy, /^Error: gone$/);
            assert.deepEqual(await server.contents(), [`east/${key}`]);
        });

        it('ends copies that were never finished, once they are a day old', async () => {
            const begun = { Bucket: server.bucket, Key: 'exports/never' };
            await server.client.send(new CreateMultipartUploadCommand(begun));
            await server.client.send(new CreateMultipartUploadCommand({ ...begun, Key: 'other/never' }));
            await put(storage, key, bytes);
            now += 23 * 3_600_000;
            await storage.exports?.exportObject(key, 'x', about);
            assert.ok((await server.contents()).includes('exports/never (unfinished)'));
            now += 2 * 3_600_000;
            await storage.exports?.exportObject(key, 'x', about);
            const left = await server.contents();
            assert.deepEqual(left, [`east/${key}`, 'exports/x', 'other/never (unfinished)']);
        });

        it('refuses names that S3 has no room for', async () => {
            const path = 'ä'.repeat(509);
            const options = { contentType: 'text/plain' };
            await assert.rejects(
                storage.exports!.exportBytes(path, Buffer.from('x'), options),
                (error) => error instanceof ExportRefused,
            );
            await storage.exports?.exportBytes(path.slice(1), Buffer.from('x'), options);
            assert.equal((await exported(`exports/${path.slice(1)}`)).toString(), 'x');
        });
    });

    describe('in the bucket', () => {
        let storage: StorageDriver;
        const image = randomUUID();
        const key = imageKey(image, `file0-${image}`);

        beforeEach(() => (storage = driver({ prefix: 'east' })));
        afterEach(async () => {
            await storage.close();
            await server.empty();
        });

        /** As a process leaves it that dies in the middle of an upload. */
        async function begin(Key: string): Promise<void> {
            const object = { Bucket: server.bucket, Key };
            const { UploadId } = await server.client.send(new CreateMultipartUploadCommand(object));
            await server.client.send(
                new UploadPartCommand({ ...object, UploadId, PartNumber: 1, Body: Buffer.alloc(1000) }),
            );
        }

        const head = (Key: string) =>
            server.client.send(new HeadObjectCommand({ Bucket: server.bucket, Key }));

        it('stores objects under the prefix, with their content type', async () => {
            for (const bytes of [Buffer.from('small'), randomBytes(5 * MIB + 1)]) {
                const staged = await storage.stage(key, inChunks(bytes, 65_536), {
                    contentType: 'text/x-test',
                });
                await staged.commit();
                assert.deepEqual(await server.contents(), [`east/${key}`]);
                assert.equal((await head(`east/${key}`)).ContentType, 'text/x-test');
            }
        });

        it('uploads what fits into one part with one request, and more in parts', async () => {
            await put(storage, key, randomBytes(5 * MIB));
            assert.doesNotMatch((await head(`east/${key}`)).ETag!, /-/);
            await put(storage, key, randomBytes(10 * MIB + 1));
            assert.match((await head(`east/${key}`)).ETag!, /-3"$/);
        });

        it('shows an upload that was never finished where the sweep looks for it', async () => {
            await begin(`east/${key}`);
            const [listed, ...more] = await keysIn(storage, imageFolder(image));
            assert.deepEqual(more, []);
            assert.equal(listed, imageKey(image, `file0.${image}`));
            for await (const { mtime } of storage.list('images/')) {
                assert.ok(Math.abs(mtime.getTime() - Date.now()) < 60_000);
            }
            assert.equal(await storage.stat(listed), undefined);
            await storage.delete(listed);
            assert.deepEqual(await server.contents(), []);
        });

        it('ends what was never finished of an object with its deletion', async () => {
            const beside = imageKey(image, `file0-${randomUUID()}`);
            await begin(`east/${key}`);
            await begin(`east/${key}`);
            await begin(`east/${beside}`);
            await storage.delete(key);
            assert.deepEqual(await server.contents(), [`east/${beside} (unfinished)`]);
        });

        it('leaves an upload alone that may be under way, of a name without an id', async () => {
            const archived = archiveKey(image);
            await begin(`east/${archived}`);
            await storage.delete(archived);
            const [unfinished] = await keysIn(storage, 'archive/');
            assert.match(
                unfinished!,
                new RegExp(`^${archived}\\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
            );
            await storage.delete(unfinished!);
            assert.deepEqual(await server.contents(), []);
        });

        it('does not see what others keep in the bucket', async () => {
            for (const Key of [key, `eastern/${key}`, 'east/images/with a blank', 'east/images/folder/']) {
                await server.client.send(new PutObjectCommand({ Bucket: server.bucket, Key, Body: 'x' }));
                await begin(Key);
            }
            assert.deepEqual(await keysIn(storage, 'images/'), []);
            assert.equal(await storage.stat(key), undefined);
        });

        it('reads what other programs have put there', async () => {
            const Key = 'east/keys/alice.keys';
            await server.client.send(new PutObjectCommand({ Bucket: server.bucket, Key, Body: 'ssh-rsa' }));
            assert.equal((await contentOf(storage, 'keys/alice.keys')).toString(), 'ssh-rsa');
        });

        it('lists more than a page of each kind', async () => {
            const paged = createS3Storage({
                config: server.config,
                maxSockets: 9,
                log: recordingLog([]),
                page: 2,
            });
            const keys = Array.from({ length: 5 }, () => imageKey(image, `file0-${randomUUID()}`));
            for (const one of keys) {
                await put(paged, one, Buffer.from('x'));
                await begin(one.replace('file0', 'icon'));
            }
            const begun = keys.map((one) => one.replace(/file0-([0-9a-f-]{36})$/, 'icon.$1'));
            assert.deepEqual(await keysIn(paged, 'images/'), [...keys, ...begun].sort());
            await paged.close();
        });

        it('copies in parts what is too large for one request', async () => {
            const bytes = randomBytes(11 * MIB);
            const copying = createS3Storage({
                config: { ...server.config, partSize: 5 * MIB },
                maxSockets: 100,
                log: recordingLog([]),
                copy: { mostAtOnce: 10 * MIB, part: 5 * MIB },
            });
            const [from, to] = [imageKey(image, 'file0'), imageKey(image, 'file1')];
            const staged = await copying.stage(from, inChunks(bytes, MIB), { contentType: 'text/x-test' });
            await staged.commit();
            await put(copying, to, Buffer.from('what was there before'));
            assert.equal((await copying.copy(from, to))?.size, bytes.length);
            const { ETag, ContentType } = await head(to);
            assert.match(ETag!, /-3"$/);
            assert.equal(ContentType, 'text/x-test');
            assert.ok(bytes.equals(await contentOf(copying, to)));
            assert.deepEqual(await server.contents(), [from, to]);
            await copying.close();
        });

        it('uploads beside each other without mixing their parts', async () => {
            const sums = await Promise.all(
                Array.from({ length: 6 }, async (_, n) => {
                    const bytes = Buffer.alloc(12 * MIB + n, randomBytes(1000));
                    const own = imageKey(image, `file0-${randomUUID()}`);
                    await put(storage, own, bytes);
                    return { own, sum: createHash('sha1').update(bytes).digest('hex') };
                }),
            );
            for (const { own, sum } of sums) {
                const read = await contentOf(storage, own);
                assert.equal(createHash('sha1').update(read).digest('hex'), sum);
            }
        });
    });
});
