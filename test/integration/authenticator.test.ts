/** Where signature users come from, all sources together (auth.md §5), with folders of this machine as object stores. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthenticator } from '../../lib/auth/index';
import type { Authenticator } from '../../lib/auth/driver';
import { loadConfig } from '../../lib/config';
import type { LocalDatabase } from '../../lib/db/local';
import type { StorageType } from '../../lib/manifest';
import type { StorageDriver } from '../../lib/storage/driver';
import { createLocalStorage } from '../../lib/storage/local';
import { altered, putObject, systemClock } from '../support/key-places';
import { signedHeaders, type TestKey } from '../support/keys';
import { localDatabase } from '../support/local-database';
import { unlistable } from '../support/mirrors';
import { recordingLog } from '../support/recording-log';
import { testKeys } from '../support/registry';

describe('Authenticator', () => {
    const [one, two] = testKeys();
    let root: string;
    let database: LocalDatabase;
    let stores: StorageDriver[];
    let opened: Authenticator[];

    beforeEach(async () => {
        root = await mkdtemp(join(tmpdir(), 'imgapi-auth-'));
        database = localDatabase(root);
        await database.open();
        stores = [await objectStore('manta'), await objectStore('s3')];
        opened = [];
    });
    afterEach(async () => {
        await Promise.all(opened.map((authenticator) => authenticator.close()));
        await Promise.all(stores.map((store) => store.close()));
        await database.close();
        await rm(root, { recursive: true });
    });

    async function objectStore(type: StorageType): Promise<StorageDriver> {
        const dataDir = join(root, `store-${type}`);
        await mkdir(dataDir);
        const store = createLocalStorage({ dataDir });
        await store.open();
        return altered(store, { type });
    }

    async function open(): Promise<Authenticator> {
        const file = join(root, 'config.json');
        const authKeys = { alice: [one.publicLine] };
        await writeFile(file, JSON.stringify({ authType: 'signature', authKeys, dataDir: root }));
        const authenticator = createAuthenticator({
            config: loadConfig({ file, environment: {} }),
            log: recordingLog([]),
            clock: systemClock,
            replay: database.replay,
            leases: database.leases,
            holder: systemClock.uuid(),
            objectStores: stores,
        });
        await authenticator.open();
        opened.push(authenticator);
        return authenticator;
    }

    async function knows(authenticator: Authenticator, user: string, key: TestKey): Promise<boolean> {
        const { date, authorization } = signedHeaders(user, key);
        const request = { method: 'GET', url: '/', httpVersion: '1.1', headers: { date, authorization } };
        try {
            return (await authenticator.authenticate(request, true))?.principal.user === user;
        } catch (err) {
            assert.equal((err as Error).name, 'UnauthorizedError');
            return false;
        }
    }
    const put = (n: number, key: string, { publicLine }: TestKey): Promise<void> =>
        putObject(stores[n]!, key, publicLine);
    const write = async (path: string, { publicLine }: TestKey): Promise<void> => {
        await mkdir(join(root, path, '..'), { recursive: true });
        await writeFile(join(root, path), publicLine);
    };

    it('has a mirror of each object store, which reload brings up to date', async () => {
        await put(0, 'keys/bob.keys', one);
        await put(1, 'keys/carol.keys', one);
        await put(1, 'keys/alice.keys', two);
        const authenticator = await open();
        await authenticator.reload();
        for (const [user, key] of [
            ['alice', one],
            ['alice', two],
            ['bob', one],
            ['carol', one],
        ] as const) {
            assert.equal(await knows(authenticator, user, key), true, user);
        }
        assert.deepEqual((await readdir(join(root, 'etc', 'keys'))).sort(), ['manta', 's3']);
        assert.ok((await readdir(join(root, 'etc', 'keys', 's3'))).includes('carol.keys'));

        await stores[1]!.delete('keys/carol.keys');
        await authenticator.reload();
        assert.equal(await knows(authenticator, 'carol', one), false);
        assert.equal(await knows(authenticator, 'bob', one), true);
    });

    it('keeps the keys of one object store apart from those of the other', async () => {
        await put(0, 'keys/bob.keys', one);
        await put(1, 'keys/bob.keys', two);
        const authenticator = await open();
        await authenticator.reload();
        await stores[0]!.delete('keys/bob.keys');
        await authenticator.reload();
        assert.equal(await knows(authenticator, 'bob', one), false);
        assert.equal(await knows(authenticator, 'bob', two), true);
    });

    it('has what was mirrored before from the first request on', async () => {
        await put(1, 'keys/bob.keys', one);
        await (await open()).reload();
        stores = stores.map(unlistable);
        assert.equal(await knows(await open(), 'bob', one), true);
    });

    it('takes the mirror that the original server had of Manta, and of nothing else', async () => {
        await write('etc/authkeys/manta/bob.keys', one);
        await write('etc/authkeys/s3/carol.keys', one);
        stores = stores.map(unlistable);
        const authenticator = await open();
        assert.equal(await knows(authenticator, 'bob', one), true);
        assert.equal(await knows(authenticator, 'carol', one), false);
    });

    it('reloads everything else where one object store fails', async () => {
        stores = [unlistable(stores[0]!), stores[1]!];
        const authenticator = await open();
        await put(1, 'keys/carol.keys', one);
        await write('etc/keys/local/bob.keys', one);
        await authenticator.reload();
        for (const user of ['alice', 'bob', 'carol']) {
            assert.equal(await knows(authenticator, user, one), true, user);
        }
    });
});
