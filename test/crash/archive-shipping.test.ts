/** Archived manifests on their way to Manta, with processes that die and processes that archive meanwhile (manta.md §5). */
import assert from 'node:assert/strict';
import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { LocalDatabase } from '../../lib/db/local';
import { archiveKey, type StorageDriver } from '../../lib/storage/driver';
import { contentOf } from '../conformance/storage';
import { at, type Client, type Manifest } from '../support/api';
import { quietLog } from '../support/local-database';
import { MantaAccount } from '../support/manta-storage';
import type { MantaServer } from '../support/manta-server';
import { makeFolder } from '../support/server';
import { withServer } from '../support/signed';

const MOVED_WITHIN = 20_000;
const CHANGES = 25;

describe('the manifest archive is moved to Manta', function () {
    this.timeout(90_000);

    let place: Awaited<ReturnType<typeof makeFolder>>;
    let dataDir: string;
    let account: MantaAccount;
    let manta: MantaServer;
    let storage: StorageDriver;
    let config: Record<string, unknown>;

    /** A data folder with one archived manifest. */
    let prepared: Awaited<ReturnType<typeof makeFolder>>;
    let created: Manifest;

    before(async () => {
        account = new MantaAccount();
        prepared = await makeFolder();
        created = await withServer({ dataDir: join(prepared.path, 'data') }, async (client) => {
            const { uuid } = await client.create();
            await client.action(uuid, 'update', { description: 'the second version' });
            return shown(client, uuid);
        });
    });
    after(async () => {
        account.remove();
        await prepared.remove();
    });
    beforeEach(async () => {
        place = await makeFolder();
        dataDir = join(place.path, 'data');
        manta = await account.serve();
        storage = account.storage(manta.url);
        await storage.open();
        config = {
            storageTypes: ['manta', 'local'],
            manta: account.config(manta.url),
            limits: { uploadSilence: 1000, archiveInterval: 10 },
        };
    });
    afterEach(async () => {
        await storage.close();
        await manta.stop();
        await place.remove();
    });

    const spooled = async (): Promise<string[]> => readdir(join(dataDir, 'archive'), { recursive: true });

    /** Waits until nothing waits on the disk; gives the manifest that Manta has of an image then. */
    async function moved(uuid: string): Promise<unknown> {
        const end = Date.now() + MOVED_WITHIN;
        let left = await spooled();
        while (left.length > 0 && Date.now() < end) {
            await wait(20);
            left = await spooled();
        }
        assert.deepEqual(left, []);
        return JSON.parse((await contentOf(storage, archiveKey(uuid))).toString());
    }

    /** Lets the lease of a process that died run out at once. */
    async function freeLease(): Promise<void> {
        const clock = { now: () => Date.now(), uuid: () => 'not used' };
        const database = new LocalDatabase({ databaseDir: dataDir, dataDir, log: quietLog, clock });
        await database.open();
        await database.leases.acquire('ship-archive', 'test', 0, Date.now() + 60_000);
        await database.leases.release('ship-archive', 'test');
        await database.close();
    }

    const shown = async (client: Client, uuid: string): Promise<Manifest> =>
        (await client.get(at(uuid))).manifest;

    for (const point of ['ship:taken', 'stage:written', 'stage:committed', 'ship:stored', 'ship:removed']) {
        it(`by the next process if one is killed at ${point}`, async () => {
            await cp(join(prepared.path, 'data'), dataDir, { recursive: true });
            assert.equal((await spooled()).length, 2);
            const faulty = {
                nodeArguments: ['-r', join(__dirname, '../support/arm-fault.js')],
                environment: {
                    IMGAPI_TEST_FAULT_LOG: join(place.path, 'points'),
                    IMGAPI_TEST_FAULT_AT: point,
                },
            };
            await withServer({ ...faulty, config, dataDir }, async (_client, server) => {
                assert.equal(await server.ended(), 'SIGKILL');
            });
            await freeLease();
            const { uuid } = created;
            await withServer({ config, dataDir }, async (client) => {
                assert.deepEqual(await moved(uuid), created);
                assert.deepEqual(await shown(client, uuid), created);
            });
        });
    }

    it('while two servers archive new versions: the last one arrives', async () => {
        await withServer({ config, dataDir }, (one) =>
            withServer({ config, dataDir }, async (other) => {
                const { uuid } = await one.create();
                for (let n = 0; n < CHANGES; n++) {
                    const [first, second] = await Promise.all([
                        one.action(uuid, 'update', { description: `one ${n}` }),
                        other.action(uuid, 'update', { version: `${n}` }),
                    ]);
                    assert.deepEqual([first.status, second.status], [200, 200]);
                }
                assert.deepEqual(await moved(uuid), await shown(one, uuid));
            }),
        );
    });

    it('once it is there again, with a warning until then', async () => {
        await withServer({ config, dataDir }, async (client, server) => {
            await manta.suspend();
            const { uuid } = await client.create();
            const { msg } = await server.logged(({ msg: text }) =>
                text.startsWith('could not move archived'),
            );
            assert.match(msg, /stay on the local disk/);
            assert.equal((await spooled()).length, 2);
            await client.action(uuid, 'update', { description: 'meanwhile' });
            await manta.resume();
            assert.deepEqual(await moved(uuid), await shown(client, uuid));
            assert.equal((await client.delete(at(uuid))).status, 204);
            assert.ok(
                await storage.stat(archiveKey(uuid)),
                'the last manifest stays when the image is deleted',
            );
        });
    });
});
