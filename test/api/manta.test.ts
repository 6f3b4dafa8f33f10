/** A server that keeps its files in Manta, as its clients and its operator see it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assertError, at, FILE, ICON, md5, OTHER, OWNER, sha1, type Client } from '../support/api';
import { CertificateAuthority } from '../support/certificates';
import { MANTA_USER, MantaAccount } from '../support/manta-storage';
import type { MantaServer } from '../support/manta-server';
import { Registry } from '../support/registry';
import { withServer } from '../support/signed';

const ROOT = `/${MANTA_USER}/stor/imgapi`;

describe('files in Manta', () => {
    let account: MantaAccount;
    let manta: MantaServer;

    before(() => (account = new MantaAccount()));
    after(() => account.remove());
    beforeEach(async () => {
        manta = await account.serve();
    });
    afterEach(() => manta.stop());

    const config = (block: Record<string, unknown> = {}, url = manta.url): Record<string, unknown> => ({
        storageTypes: ['local', 'manta'],
        manta: { ...account.config(url), ...block },
    });

    const storOf = async (client: Client, uuid: string): Promise<unknown> => {
        const { files } = (await client.get(at(uuid, '?inclAdminFields=true'))).manifest;
        return files[0]?.stor;
    };

    describe('in a running server', () => {
        let registry: Registry;
        beforeEach(async () => {
            registry = await Registry.start(config());
        });
        afterEach(() => registry.stop());

        it('are received, served in whole and in parts, and deleted', async () => {
            const { client, anonymous } = registry;
            const bytes = randomBytes(3_000_000);
            async function* chunks(): AsyncGenerator<Buffer> {
                yield bytes.subarray(0, 1_234_567);
                yield bytes.subarray(1_234_567);
            }
            const { uuid } = await client.create();
            const path = at(uuid, '/file');
            const folder = `${ROOT}/images/${uuid.slice(0, 3)}/${uuid}`;

            // A first one that is replaced, of known length; then one in chunks.
            await client.upload(uuid);
            assert.equal(manta.objects.length, 1);
            const sum = `compression=none&sha1=${sha1(bytes)}`;
            const uploaded = (await client.put(`${path}?${sum}`, chunks())).manifest;
            assert.equal(uploaded.files[0]?.size, bytes.length);
            assert.equal(await storOf(client, uuid), 'manta');
            await client.uploadIcon(uuid);
            assert.equal((await client.action(uuid, 'activate')).status, 200);

            const kinds = manta.objects.map((object) => object.replace(/-[0-9a-f-]{36}$/, ''));
            assert.deepEqual(kinds, [`${folder}/file0`, `${folder}/icon`]);
            assert.deepEqual(await registry.stored(uuid), []);

            const whole = await anonymous.get(path);
            assert.equal(whole.headers['content-md5'], md5(bytes));
            assert.ok(whole.body.equals(bytes));
            const part = await anonymous.get(path, { range: 'bytes=999990-2000009' });
            assert.equal(part.status, 206);
            assert.ok(part.body.equals(bytes.subarray(999_990, 2_000_010)));
            const tail = await anonymous.get(path, { range: 'bytes=-1' });
            assert.ok(tail.body.equals(bytes.subarray(-1)));
            assert.equal((await anonymous.head(path)).headers['content-length'], '3000000');
            assert.ok((await anonymous.get(at(uuid, '/icon'))).body.equals(ICON));

            assert.equal((await client.delete(at(uuid, '/icon'))).status, 200);
            assert.equal((await client.delete(at(uuid))).status, 204);
            assert.deepEqual(manta.objects, []);
            assert.ok(!manta.directories.includes(folder));
        });

        it('leave nothing behind when they are not what was said', async () => {
            const { client } = registry;
            const { uuid } = await client.create();
            const answer = await client.put(at(uuid, `/file?compression=none&sha1=${sha1('other')}`), FILE);
            assertError(answer, 400, 'Download');
            assert.deepEqual(manta.objects, []);
        });

        it('go where the operator wants', async () => {
            const { client } = registry;
            const { uuid } = await client.create();
            await client.upload(uuid, FILE, 'compression=none&storage=local');
            assert.equal(await storOf(client, uuid), 'local');
            assert.deepEqual(manta.objects, []);
            await client.upload(uuid, FILE, 'compression=none&storage=manta');
            assert.equal(await storOf(client, uuid), 'manta');
            assert.deepEqual(await registry.stored(uuid), []);
        });

        it('are out of reach while Manta is, and everything else goes on', async () => {
            const { client, anonymous } = registry;
            const { uuid } = await client.createActive();
            const other = await client.create();
            await manta.suspend();
            assertError(await anonymous.get(at(uuid, '/file')), 503, 'StorageIsDown');
            assertError(
                await client.put(at(other.uuid, '/file?compression=none'), FILE),
                503,
                'StorageIsDown',
            );
            assert.equal((await anonymous.get(at(uuid))).status, 200);
            assert.equal((await client.delete(at(uuid))).status, 204);
            await manta.resume();
            await client.upload(other.uuid);
            assert.ok((await client.get(at(other.uuid, '/file'))).body.equals(FILE));
        });
    });

    it('are not needed for a start, nor for what needs no files', async () => {
        await manta.suspend();
        await withServer({ config: config() }, async (client, server) => {
            await server.logged(({ msg }) => msg === 'Manta: not usable; trying on');
            assert.equal((await client.get('/ping')).status, 200);
            const { uuid } = await client.create();
            const refused = await client.put(at(uuid, '/file?compression=none'), FILE);
            assertError(refused, 503, 'StorageIsDown');
            await manta.resume();
            await client.upload(uuid);
            await server.logged(({ msg }) => msg === 'Manta: usable again');
            assert.equal(await storOf(client, uuid), 'manta');
        });
    });

    it('need a key that Manta knows: the log says so', async () => {
        manta.accounts.removeKeys(MANTA_USER);
        await withServer({ config: config() }, async (client, server) => {
            const { uuid } = await client.create();
            const refused = await client.put(at(uuid, '/file?compression=none'), FILE);
            assertError(refused, 500, 'InternalError');
            const { level } = await server.logged(({ msg }) =>
                msg.includes('add its public half to the account'),
            );
            assert.equal(level, 50);
        });
    });

    it('need a private key: without one the server does not start', async () => {
        const start = withServer({ config: config({ key: '/nonexistent/id_rsa' }) }, async () => undefined);
        await assert.rejects(start, ({ message }: Error) => {
            assert.match(message, /ended with code 2/);
            assert.match(
                message,
                /config\.manta\.key is \\"\/nonexistent\/id_rsa\\"; it has to name a private key/,
            );
            return true;
        });
    });

    it('travel over TLS, with a certificate that is verified unless the configuration says otherwise', async () => {
        const place = mkdtempSync(join(tmpdir(), 'imgapi-manta-tls-'));
        const tls = new CertificateAuthority(place).selfSigned('manta', 'IP:127.0.0.1');
        const secure = await account.serve({ tls });
        try {
            // Without a scheme it is https.
            const url = secure.url.replace('https://', '');
            await withServer({ config: config({}, url) }, async (client, server) => {
                const { uuid } = await client.create();
                const refused = await client.put(at(uuid, '/file?compression=none'), FILE);
                assertError(refused, 503, 'StorageIsDown');
                await server.logged(({ msg }) => msg.includes('"manta.insecure"'));
            });
            await withServer({ config: config({ insecure: true }, url) }, async (client) => {
                const { uuid } = await client.createActive();
                assert.ok((await client.get(at(uuid, '/file'))).body.equals(FILE));
                assert.equal(secure.objects.length, 1);
            });
        } finally {
            await secure.stop();
            rmSync(place, { recursive: true });
        }
    });

    it("stay local if they are the administrator's and Manta is remote", async () => {
        for (const [remote, expected] of [
            [true, ['local', 'manta']],
            [false, ['manta', 'manta']],
        ] as const) {
            await withServer(
                { config: { ...config({ remote }), adminUuid: OWNER, mode: 'private' } },
                async (client) => {
                    const stored: unknown[] = [];
                    for (const owner of [OWNER, OTHER]) {
                        const { uuid } = await client.createActive({ owner, public: false });
                        stored.push(await storOf(client, uuid));
                    }
                    assert.deepEqual(stored, expected);
                },
            );
        }
    });
});
