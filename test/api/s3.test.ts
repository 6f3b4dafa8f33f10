/** A server that keeps its files in S3, as its clients and its operator see it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { assertError, at, FILE, ICON, md5, OTHER, OWNER, sha1, type Client } from '../support/api';
import { FaultProxy } from '../support/fault-proxy';
import { signedHeaders } from '../support/keys';
import { RadosGateway } from '../support/radosgw';
import { Registry, testKeys } from '../support/registry';
import { credentials, withServer } from '../support/signed';

const MIB = 1024 * 1024;

/** Time within which something comes about that there is no event for, in ms: machines may be busy. */
const SOON = 10_000;

/** What S3 says of an object that it does not have. */
const LOST = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code></Error>';

describe('files in S3', () => {
    let s3: RadosGateway;

    before(async function () {
        s3 = await RadosGateway.start(this);
    });
    after(() => (s3 as RadosGateway | undefined)?.stop());
    afterEach(() => s3.empty());

    const config = (block: Record<string, unknown> = {}): Record<string, unknown> => ({
        storageTypes: ['local', 's3'],
        s3: { ...s3.config, prefix: 'images-of/test', partSize: '5MiB', ...block },
    });

    const storOf = async (client: Client, uuid: string): Promise<unknown> => {
        const { files } = (await client.get(at(uuid, '?inclAdminFields=true'))).manifest;
        return files[0]?.stor;
    };

    describe('in a running server', () => {
        let registry: Registry;
        let proxy: FaultProxy;

        before(async () => {
            proxy = await FaultProxy.start(s3.url);
            registry = await Registry.start(config({ endpoint: proxy.url, idleTimeout: '1s' }));
        });
        after(async () => {
            await registry.stop();
            await proxy.stop();
        });
        afterEach(() => proxy.clear());

        it('are received, served in whole and in parts, and deleted', async () => {
            const { client, anonymous } = registry;
            const bytes = randomBytes(11 * MIB);
            async function* chunks(): AsyncGenerator<Buffer> {
                yield bytes.subarray(0, 1_234_567);
                yield bytes.subarray(1_234_567);
            }
            const { uuid } = await client.create();
            const path = at(uuid, '/file');
            const folder = `images-of/test/images/${uuid.slice(0, 3)}/${uuid}`;

            // A first one that is replaced, of known length; then one in chunks.
            await client.upload(uuid);
            assert.equal((await s3.contents()).length, 1);
            const sum = `compression=none&sha1=${sha1(bytes)}`;
            const uploaded = (await client.put(`${path}?${sum}`, chunks())).manifest;
            assert.equal(uploaded.files[0]?.size, bytes.length);
            assert.equal(await storOf(client, uuid), 's3');
            await client.uploadIcon(uuid);
            assert.equal((await client.action(uuid, 'activate')).status, 200);

            const kinds = (await s3.contents()).map((object) => object.replace(/-[0-9a-f-]{36}$/, ''));
            assert.deepEqual(kinds, [`${folder}/file0`, `${folder}/icon`]);
            assert.deepEqual(await registry.stored(uuid), []);

            const whole = await anonymous.get(path);
            assert.equal(whole.headers['content-md5'], md5(bytes));
            assert.ok(whole.body.equals(bytes));
            const part = await anonymous.get(path, { range: 'bytes=999990-8000009' });
            assert.equal(part.status, 206);
            assert.ok(part.body.equals(bytes.subarray(999_990, 8_000_010)));
            const tail = await anonymous.get(path, { range: 'bytes=-1' });
            assert.ok(tail.body.equals(bytes.subarray(-1)));
            assert.equal((await anonymous.head(path)).headers['content-length'], String(bytes.length));
            assert.ok((await anonymous.get(at(uuid, '/icon'))).body.equals(ICON));

            assert.equal((await client.delete(at(uuid, '/icon'))).status, 200);
            assert.equal((await client.delete(at(uuid))).status, 204);
            assert.deepEqual(await s3.contents(), []);
        });

        it('leave nothing behind when they are not what was said', async () => {
            const { client } = registry;
            const { uuid } = await client.create();
            for (const bytes of [FILE, randomBytes(6 * MIB)]) {
                const path = at(uuid, `/file?compression=none&sha1=${sha1('other')}`);
                assertError(await client.put(path, bytes), 400, 'Download');
                assert.deepEqual(await s3.contents(), []);
            }
        });

        it('leave nothing behind when their client goes away', async () => {
            const { client } = registry;
            const { uuid } = await client.create();
            const begun = proxy.inject({ on: /partNumber=1/, fault: { kind: 'slow', delay: 0 } });
            const upload = request(`${registry.url}${at(uuid, '/file?compression=none')}`, {
                method: 'PUT',
                headers: credentials(),
            });
            upload.on('error', () => undefined);
            upload.write(randomBytes(6 * MIB));
            await begun.hit;
            assert.equal((await s3.contents()).length, 1);
            upload.destroy();
            // There is no event for it.
            const deadline = performance.now() + SOON;
            while ((await s3.contents()).length > 0) {
                assert.ok(performance.now() < deadline, `something is left after ${SOON} ms`);
                await sleep(20);
            }
        });

        it('go where the operator wants', async () => {
            const { client } = registry;
            const { uuid } = await client.create();
            await client.upload(uuid, FILE, 'compression=none&storage=local');
            assert.equal(await storOf(client, uuid), 'local');
            assert.deepEqual(await s3.contents(), []);
            await client.upload(uuid, FILE, 'compression=none&storage=s3');
            assert.equal(await storOf(client, uuid), 's3');
            assert.deepEqual(await registry.stored(uuid), []);
        });

        it('come whole to the client although S3 breaks off, and are cut off when it has lost them', async () => {
            const { client } = registry;
            const bytes = randomBytes(6 * MIB);
            const { uuid } = await client.createActive({}, bytes);
            const on = /^GET .*x-id=GetObject/;
            const cut = { kind: 'cut-answer', after: 2 * MIB, by: 'reset' } as const;
            proxy.inject({ on, fault: cut, times: 2 });
            assert.ok((await client.get(at(uuid, '/file'))).body.equals(bytes));
            proxy.clear();
            proxy.inject({ on, fault: { ...cut, after: MIB, by: 'end' } });
            proxy.inject({ on, fault: { kind: 'answer', status: 404, body: LOST } });
            await assert.rejects(client.get(at(uuid, '/file')), { code: 'ECONNRESET' });
        });

        it('are out of reach while S3 is, and everything else goes on', async () => {
            const { client, anonymous } = registry;
            const { uuid } = await client.createActive();
            const other = await client.create();
            await proxy.goAway();
            assertError(await anonymous.get(at(uuid, '/file')), 503, 'StorageIsDown');
            const refused = await client.put(at(other.uuid, '/file?compression=none'), FILE);
            assertError(refused, 503, 'StorageIsDown');
            assert.equal((await anonymous.get(at(uuid))).status, 200);
            assert.equal((await client.delete(at(uuid))).status, 204);
            await proxy.comeBack();
            await client.upload(other.uuid);
            assert.ok((await client.get(at(other.uuid, '/file'))).body.equals(FILE));
        });
    });

    it('are not needed for a start, nor for what needs no files', async () => {
        const proxy = await FaultProxy.start(s3.url);
        await proxy.goAway();
        await withServer({ config: config({ endpoint: proxy.url }) }, async (client, server) => {
            await server.logged(({ msg }) => msg === 'S3: not usable; trying on');
            assert.equal((await client.get('/ping')).status, 200);
            const { uuid } = await client.create();
            const refused = await client.put(at(uuid, '/file?compression=none'), FILE);
            assertError(refused, 503, 'StorageIsDown');
            await proxy.comeBack();
            await client.upload(uuid);
            await server.logged(({ msg }) => msg === 'S3: usable again');
            assert.equal(await storOf(client, uuid), 's3');
        });
        await proxy.stop();
    });

    const mistakes: [string, Record<string, string>, RegExp][] = [
        ['a bucket', { bucket: 'nowhere' }, /there is no bucket "nowhere": create it/],
        ['the secret', { secretAccessKey: 'of-somebody-else' }, /correct "s3\.secretAccessKey"/],
        ['an access key', { accessKeyId: 'NOBODY' }, /correct "s3\.accessKeyId"/],
    ];
    for (const [what, block, advice] of mistakes) {
        it(`need ${what} that S3 knows: the log says so, without the secret`, async () => {
            await withServer({ config: config(block) }, async (client, server) => {
                const { level } = await server.logged(({ msg }) => advice.test(msg));
                assert.equal(level, 50);
                const { uuid } = await client.create();
                for (const answer of [
                    await client.put(at(uuid, '/file?compression=none'), FILE),
                    await client.put(at(uuid, '/icon'), ICON, { 'content-type': 'image/png' }),
                ]) {
                    assertError(answer, 500, 'InternalError');
                }
                const secret = block.secretAccessKey ?? s3.credentials.secretAccessKey;
                assert.ok(!JSON.stringify(server.log).includes(secret));
            });
        });
    }

    it("stay local if they are the administrator's and S3 is remote", async () => {
        await withServer(
            { config: { ...config({ remote: true }), adminUuid: OWNER, mode: 'private' } },
            async (client) => {
                const stored: unknown[] = [];
                for (const owner of [OWNER, OTHER]) {
                    const { uuid } = await client.createActive({ owner, public: false });
                    stored.push(await storOf(client, uuid));
                }
                assert.deepEqual(stored, ['local', 's3']);
            },
        );
    });

    it('stand beside the keys of those who may upload them, which count and are revoked by themselves', async () => {
        const [key] = testKeys();
        const Key = 'images-of/test/keys/bob.keys';
        await s3.client.send(
            new PutObjectCommand({ Bucket: s3.bucket, Key, Body: `# of bob\n${key.publicLine}\n` }),
        );
        const registry = await Registry.start({ ...config(), auth: { keyPollInterval: '1s' } });
        try {
            const ask = async (): Promise<number> =>
                (await registry.anonymous.get('/state', signedHeaders('bob', key))).status;
            const becomes = async (status: number): Promise<void> => {
                const deadline = performance.now() + SOON;
                while ((await ask()) !== status) {
                    assert.ok(performance.now() < deadline, `not ${status} for ${SOON} ms`);
                    await sleep(20);
                }
            };
            await becomes(200);
            await s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket, Key }));
            await becomes(401);
        } finally {
            await registry.stop();
        }
    });
});
