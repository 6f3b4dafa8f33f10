/** The commands of `imgapiadm` that ask a running server, or work beside one. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import { once } from 'node:events';
import { mkdir, stat, utimes, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { serverUrl } from '../../lib/admin/server';
import type { ListenConfig } from '../../lib/config/types';
import { LocalDatabase } from '../../lib/db/local';
import { imageKey } from '../../lib/storage/driver';
import { MARK_KEY } from '../../lib/images/unreferenced-sweep';
import { Client, at } from '../support/api';
import { testUuid } from '../support/images';
import { Imgapiadm } from '../support/imgapiadm';
import { makeKey, type TestKey } from '../support/keys';
import { quietLog } from '../support/local-database';
import { makeFolder, TestServer } from '../support/server';

const DAY = 24 * 3_600_000;
const clock = { now: () => Date.now(), uuid: () => 'not used' };

describe('imgapiadm and a running server', function () {
    this.timeout(60_000);

    let place: Awaited<ReturnType<typeof makeFolder>>;
    let key: TestKey;
    before(async () => {
        place = await makeFolder();
        key = makeKey(place.path, 'id_ecdsa', 'ecdsa');
    });
    after(() => place.remove());

    describe('that asks for no signatures', () => {
        let server: TestServer;
        let adm: Imgapiadm;
        before(async () => {
            server = await TestServer.start();
            adm = await Imgapiadm.for(server, place.path);
            await new Client(server.url).createActive();
        });
        after(() => server.stop());

        it('prints its state, all of it', async () => {
            const { code, out, err } = await adm.run('state');
            assert.deepEqual([code, err], [0, '']);
            assert.ok(out.endsWith('}\n'));
            const shown = JSON.parse(out) as { db: { manifestFromUuid: object } };
            assert.equal(Object.keys(shown.db.manifestFromUuid).length, 1);
            assert.deepEqual(
                Object.keys(shown),
                Object.keys((await (await server.fetch('/state')).json()) as object),
            );
        });

        it('has it forget what it remembers', async () => {
            const client = new Client(server.url);
            const [uuid = ''] = (await client.get('/images')).uuids;
            await client.get(at(uuid));
            const items = async (): Promise<number> =>
                ((await client.get('/state')).json as { cache: { ImageGet: { items: number } } }).cache
                    .ImageGet.items;
            assert.equal(await items(), 1);
            const { code, out } = await adm.run('state', '--drop-caches');
            assert.deepEqual([code, out], [0, '']);
            assert.equal(await items(), 0);
        });

        it('has it load the keys again', async () => {
            const { code, out, err } = await adm.runWith({}, 'reload-auth-keys');
            assert.deepEqual([code, out], [0, '']);
            assert.match(err, /loads the keys again/);
            await server.logged(({ route, audit }) => audit === true && route === 'AdminReloadAuthKeys');
        });

        it('finds it by --url as well', async () => {
            const elsewhere = await Imgapiadm.with(place.path, { dataDir: server.dataDir, port: 1 });
            assert.equal((await elsewhere.run('state', '--url', server.url)).code, 0);
            assert.equal((await elsewhere.run('state', `--url=${server.url}/`)).code, 0);
        });
    });

    describe('that asks for signatures', () => {
        let server: TestServer;
        let adm: Imgapiadm;
        let file: string;
        before(async () => {
            const auth = {
                roles: { reader: 'read' },
                requireSigned: ['(request-target)', 'host', 'digest'],
                replayWindow: '10s',
            };
            const authKeys = { alice: [key.publicLine], reader: [key.publicLine] };
            server = await TestServer.start({ config: { authType: 'signature', authKeys, auth } });
            adm = await Imgapiadm.for(server, place.path, { authType: 'signature' });
            file = key.privateKeyFile;
        });
        after(() => server.stop());

        it('signs as the user and with the key that are named, each request anew', async () => {
            for (const args of [
                ['-u', 'alice', '-i', file],
                ['--user=alice', `--identity=${file}`, '--algorithm', 'ecdsa-sha256'],
            ]) {
                for (const command of ['state', 'reload-auth-keys']) {
                    const { code, err } = await adm.run(command, ...args);
                    assert.equal(code, 0, err);
                }
            }
            const audit = await server.logged(({ route }) => route === 'AdminReloadAuthKeys');
            assert.equal(audit.remoteUser, 'alice');
        });

        it('takes user and key from the environment', async () => {
            const environment = { IMGAPI_CLI_USER: 'alice', IMGAPI_CLI_IDENTITY: file };
            assert.equal((await adm.runWith(environment, 'state')).code, 0);
            assert.equal((await adm.runWith(environment, 'state', '-u', 'nobody')).code, 2);
        });

        for (const [what, args, code, complaint] of [
            ['no user', ['-i', 'FILE'], 1, /asks for signatures: give -u USER/],
            ['a user that no signature can carry', ['-u', 'a"b', '-i', 'FILE'], 1, /printable ASCII/],
            [
                'a user whose key it is not',
                ['-u', 'bob', '-i', 'FILE'],
                2,
                /answered 401 UnauthorizedError: /,
            ],
            ['a user who may not', ['-u', 'reader', '-i', 'FILE'], 2, /answered 403 NotAuthorized: /],
            ['a key that is not there', ['-u', 'alice', '-i', '/nowhere'], 2, /\/nowhere/],
            [
                'an algorithm of another key',
                ['-u', 'alice', '-i', 'FILE', '-a', 'rsa-sha256'],
                2,
                /signs with ecdsa/,
            ],
        ] as const) {
            it(`exits with ${code} and says why for ${what}`, async () => {
                const given = args.map((arg) => (arg === 'FILE' ? file : arg));
                for (const command of ['state', 'reload-auth-keys']) {
                    const { code: is, out, err } = await adm.run(command, ...given);
                    assert.deepEqual([is, out], [code, ''], err);
                    assert.match(err, complaint);
                }
            });
        }
    });

    describe('that cannot be asked', () => {
        /** Something else that listens there. */
        async function withOther(
            listener: RequestListener,
            work: (adm: Imgapiadm) => Promise<void>,
        ): Promise<void> {
            const other: Server = createServer(listener).listen(0, '127.0.0.1');
            await once(other, 'listening');
            const { port } = other.address() as AddressInfo;
            try {
                await work(await Imgapiadm.with(place.path, { dataDir: place.path, port }));
            } finally {
                other.closeAllConnections();
                other.close();
            }
        }

        it('exits with 2 while none runs', async () => {
            const gone = createServer().listen(0, '127.0.0.1');
            await once(gone, 'listening');
            const { port } = gone.address() as AddressInfo;
            gone.close();
            await once(gone, 'close');
            const adm = await Imgapiadm.with(place.path, { dataDir: place.path, port });
            for (const command of ['state', 'reload-auth-keys']) {
                const { code, out, err } = await adm.run(command);
                assert.deepEqual([code, out], [2, '']);
                assert.match(
                    err,
                    new RegExp(
                        `server at http://127\\.0\\.0\\.1:${port} cannot be reached \\(ECONNREFUSED\\)`,
                    ),
                );
            }
        });

        it('exits with 2 for answers of something else, or that are cut off', async () => {
            await withOther(
                (_request, response) => response.writeHead(502).end('<html>'),
                async (adm) => {
                    const { code, err } = await adm.run('reload-auth-keys');
                    assert.deepEqual([code, err], [2, 'imgapiadm: The server answered 502: Bad Gateway\n']);
                },
            );
            await withOther(
                (_request, response) => {
                    response.writeHead(200, { 'content-length': 100 }).write('{');
                    setImmediate(() => response.destroy());
                },
                async (adm) => assert.equal((await adm.run('state')).code, 2),
            );
        });

        it('is looked for where it listens, as seen from this machine', async () => {
            const url = (
                address: string,
                port: number,
                schemes: ListenConfig['schemes'] = ['http'],
            ): string =>
                serverUrl({
                    address,
                    port,
                    listen: { schemes, socketMode: '0660' },
                    tls: { port: 8443, requests: 0 },
                });
            assert.equal(url('0.0.0.0', 80), 'http://127.0.0.1:80');
            assert.equal(url('::', 8080), 'http://[::1]:8080');
            assert.equal(url('192.0.2.1', 8080, ['https', 'http']), 'http://192.0.2.1:8080');
            assert.equal(url('192.0.2.1', 8080, ['https']), 'https://192.0.2.1:8443');
            assert.throws(() => url('::', 0), /config\.port .* give --url/);
            assert.throws(() => url('::', 80, ['unix']), /give --url/);
        });
    });

    describe('that goes on meanwhile', () => {
        let server: TestServer;
        let adm: Imgapiadm;
        let database: LocalDatabase;
        beforeEach(async () => {
            server = await TestServer.start();
            adm = await Imgapiadm.for(server, place.path);
            const { dataDir } = server;
            database = new LocalDatabase({ databaseDir: dataDir, dataDir, log: quietLog, clock });
            await database.open();
        });
        afterEach(async () => {
            await database.close();
            await server.stop();
        });

        async function lay(objectKey: string, age: number, bytes = 'x'): Promise<string> {
            const path = join(server.dataDir, objectKey);
            await mkdir(dirname(path), { recursive: true });
            await writeFile(path, bytes);
            await utimes(path, new Date(Date.now() - age), new Date(Date.now() - age));
            return path;
        }

        it('sweep deletes what nothing refers to, although the server has searched today', async () => {
            const client = new Client(server.url);
            const { uuid } = await client.createActive();
            await database.tasks.done('sweep-unreferenced', Date.now());
            await lay(MARK_KEY, 0, database.id);
            const orphan = await lay(imageKey(uuid, `file0-${testUuid(5)}`), 2 * DAY, 'bytes');
            const young = await lay(imageKey(uuid, `file0-${testUuid(6)}`), DAY / 2);
            for (const flag of ['-n', '--dry-run']) {
                const dry = await adm.run('sweep', flag);
                assert.deepEqual([dry.code, dry.err], [0, '']);
                const [named, summary] = dry.out.split('\n');
                assert.ok(
                    named?.startsWith(`local  ${imageKey(uuid, `file0-${testUuid(5)}`)}  5 bytes  of 2`),
                    dry.out,
                );
                assert.equal(summary, 'Unreferenced files: 1 (5 bytes) would be deleted.');
            }
            await stat(orphan);
            const { code, out, err } = await adm.runWith({}, 'sweep');
            assert.deepEqual([code, err], [0, '']);
            assert.match(
                out,
                /^Interrupted operations: removed what 0 .*\nUnreferenced files: deleted 1 \(5 bytes\)\.\n$/,
            );
            await assert.rejects(stat(orphan), { code: 'ENOENT' });
            await stat(young);
            assert.equal((await client.get(at(uuid, '/file'))).status, 200);
            const told = await adm.run('-v', 'sweep');
            assert.equal(told.out.includes('deleted 0 (0 bytes)'), true);
        });

        it('sweep says with -v what it deletes', async () => {
            await lay(MARK_KEY, 0, database.id);
            await lay(imageKey(testUuid(1), `file0-${testUuid(5)}`), 2 * DAY, 'bytes');
            const { code, err } = await adm.run('sweep', '-v');
            assert.equal(code, 0);
            assert.match(
                err,
                new RegExp(`^info: deleted an object that nothing refers to .*${testUuid(5)}`, 'm'),
            );
        });

        it('sweep exits with 1 for a storage of another database, and deletes nothing there', async () => {
            await lay(MARK_KEY, 0, testUuid(99));
            const orphan = await lay(imageKey(testUuid(1), `file0-${testUuid(5)}`), 2 * DAY);
            const { code, out, err } = await adm.run('sweep');
            assert.equal(code, 1);
            assert.match(out, /Storage "local" was not searched/);
            assert.match(err, /^warn: the objects of storage "local" belong to another database/);
            await stat(orphan);
        });
    });
});
