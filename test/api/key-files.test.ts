/** Key files on the server's machine, and AdminReloadAuthKeys (auth.md §5). */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StorageDriver } from '../../lib/storage/driver';
import { signedHeaders, type TestKey } from '../support/keys';
import { putFile, putObject } from '../support/key-places';
import { MantaAccount } from '../support/manta-storage';
import type { MantaServer } from '../support/manta-server';
import { Registry, testKeys } from '../support/registry';

/** Time within which a change of a key file counts, in ms; with as much again for a busy machine. */
const SOON = 2 * 1000;
const POLL = 20;

const ROOT_DIR = '/imgapi/stor/imgapi';

describe('Key files', () => {
    const [one, two] = testKeys();
    let dataDir: string;
    let registry: Registry;

    const folder = (...names: string[]): string => join(dataDir, 'etc', ...names);
    const start = (config: Record<string, unknown> = {}): Promise<Registry> =>
        Registry.start(config, { dataDir });

    beforeEach(async () => {
        dataDir = await mkdtemp(join(tmpdir(), 'imgapi-test-'));
    });
    afterEach(async () => {
        await registry.stop();
        await rm(dataDir, { recursive: true });
    });

    /** Status of a request that needs a signature. */
    async function ask(user: string, key: TestKey): Promise<number> {
        return (await registry.anonymous.get('/state', signedHeaders(user, key))).status;
    }

    /** Waits until the status is as it should be: the API has no event for it. */
    async function becomes(status: number, user: string, key: TestKey): Promise<void> {
        const deadline = performance.now() + SOON;
        while (performance.now() < deadline && (await ask(user, key)) !== status) {
            await sleep(POLL);
        }
        assert.equal(await ask(user, key), status);
    }

    it('count within a second when they come, change and go, without a reload', async () => {
        registry = await start();
        assert.equal(await ask('bob', one), 401);
        await mkdir(folder('keys', 'local'), { recursive: true });
        const file = folder('keys', 'local', 'bob.keys');

        await writeFile(file, `# of bob\n${one.publicLine}\n`);
        await becomes(200, 'bob', one);

        await writeFile(file, `${two.publicLine}\n`);
        await becomes(401, 'bob', one);
        assert.equal(await ask('bob', two), 200);

        await rm(file);
        await becomes(401, 'bob', two);

        await putFile(folder('keys', 'local', 'carol.keys'), one.publicLine);
        await becomes(200, 'carol', one);
        await rm(folder(), { recursive: true });
        await becomes(401, 'carol', one);

        await mkdir(folder('keys', 'local'), { recursive: true });
        await writeFile(file, one.publicLine);
        await becomes(200, 'bob', one);
    });

    it('are read before the first request is answered', async () => {
        await mkdir(folder('keys', 'local'), { recursive: true });
        await writeFile(folder('keys', 'local', 'a.b.keys'), one.publicLine);
        registry = await start();
        assert.equal(await ask('a.b', one), 200);
        assert.equal(await ask('a', one), 401);
    });

    it('add to the keys of the configuration, and to each other', async () => {
        for (const name of ['keys', 'authkeys']) {
            await mkdir(folder(name, 'local'), { recursive: true });
        }
        await writeFile(folder('keys', 'local', 'alice.keys'), two.publicLine);
        await writeFile(folder('authkeys', 'local', 'bob.keys'), one.publicLine);
        await writeFile(folder('keys', 'local', 'bob.keys'), two.publicLine);
        registry = await start();
        for (const user of ['alice', 'bob']) {
            assert.equal(await ask(user, one), 200);
            assert.equal(await ask(user, two), 200);
        }
        await rm(folder('keys', 'local', 'alice.keys'));
        await becomes(401, 'alice', two);
        assert.equal(await ask('alice', one), 200, 'the key of the configuration stays');
    });

    it('in the old folder are watched as well', async () => {
        await mkdir(folder('authkeys', 'local'), { recursive: true });
        registry = await start();
        await writeFile(folder('authkeys', 'local', 'bob.keys'), one.publicLine);
        await becomes(200, 'bob', one);
    });

    it('may be swapped all at once, as Kubernetes does', async () => {
        const local = folder('keys', 'local');
        await mkdir(join(local, '..first'), { recursive: true });
        await mkdir(join(local, '..second'));
        await writeFile(join(local, '..first', 'bob.keys'), one.publicLine);
        await writeFile(join(local, '..second', 'bob.keys'), two.publicLine);
        await symlink('..first', join(local, '..data'));
        await symlink('..data/bob.keys', join(local, 'bob.keys'));
        registry = await start();
        assert.equal(await ask('bob', one), 200);

        await symlink('..second', join(local, '..new'));
        await rename(join(local, '..new'), join(local, '..data'));
        await becomes(401, 'bob', one);
        assert.equal(await ask('bob', two), 200);
    });

    it('that have no user of that name, or another ending, give nobody access', async () => {
        await mkdir(folder('keys', 'local', 'deeper'), { recursive: true });
        for (const name of ['.keys', '.bob.keys', 'bob', 'bob.keys~', 'bob.keys.new', 'deeper/bob.keys']) {
            await writeFile(folder('keys', 'local', name), one.publicLine);
        }
        registry = await start();
        for (const user of ['', 'bob', '.bob', 'deeper/bob', '../local/deeper/bob']) {
            assert.equal(await ask(user, one), 401, user);
        }
    });

    it('are not looked at without authentication', async () => {
        await mkdir(folder('keys', 'local'), { recursive: true });
        await writeFile(folder('keys', 'local', 'bob.keys'), 'no key');
        registry = await start({ authType: 'none' });
        assert.deepEqual(
            registry.server.log.filter(({ level }) => level >= 40),
            [],
        );
    });

    it('count where the system cannot watch files, with one warning for each folder', async () => {
        await mkdir(folder('keys', 'local'), { recursive: true });
        const file = folder('keys', 'local', 'bob.keys');
        await writeFile(file, one.publicLine);
        const preload = join(__dirname, '../support/no-watches.js');
        registry = await Registry.start({}, { dataDir, nodeArguments: ['-r', preload] });
        assert.equal(await ask('bob', one), 200);
        await putFile(file, two.publicLine);
        await registry.client.post('/authkeys/reload', {});
        await becomes(200, 'bob', two);
        const { log } = registry.server;
        const reads = log.length;
        await putFile(file, one.publicLine);
        // Without being told, in its own time.
        await registry.server.logged((record) => log.indexOf(record) >= reads && record.users !== undefined);
        assert.equal(await ask('bob', one), 200);
        const warnings = registry.server.log.filter(({ level }) => level >= 40);
        assert.deepEqual(
            warnings.map((warning) => warning.folder),
            [folder('keys', 'local')],
        );
    });

    describe('in Manta', () => {
        let account: MantaAccount;
        let manta: MantaServer;
        let store: StorageDriver;
        const withManta = (storageTypes = ['local', 'manta']): Promise<Registry> =>
            start({
                storageTypes,
                manta: { ...account.config(manta.url), rootDir: ROOT_DIR },
            });

        beforeEach(async () => {
            account = new MantaAccount();
            manta = await account.serve();
            store = account.storage(manta.url, { rootDir: ROOT_DIR });
            await store.open();
        });
        afterEach(async () => {
            await store.close();
            await manta.stop();
            account.remove();
        });

        it('count after the start by themselves, are revoked by AdminReloadAuthKeys, and outlive Manta', async () => {
            await putObject(store, 'keys/bob.keys', one.publicLine);
            await putObject(store, 'authkeys/carol.keys', one.publicLine);
            registry = await withManta();
            await becomes(200, 'bob', one);
            await becomes(200, 'carol', one);

            await store.delete('keys/bob.keys');
            assert.deepEqual((await registry.client.post('/authkeys/reload', {})).json, {});
            await becomes(401, 'bob', one);
            assert.equal(await ask('carol', one), 200);

            await registry.stop();
            await manta.stop();
            registry = await withManta();
            assert.equal(await ask('carol', one), 200, 'before Manta is asked');
            assert.equal(await ask('bob', one), 401);
            assert.equal((await registry.client.post('/authkeys/reload', {})).status, 200);
            const warning = await registry.server.logged(({ msg }) =>
                msg.includes('could not fetch the keys'),
            );
            assert.equal(warning.folder, folder('keys', 'manta'));
            assert.equal(await ask('carol', one), 200);
        });

        it('count also where Manta keeps no files of images', async () => {
            await putObject(store, 'keys/bob.keys', one.publicLine);
            registry = await withManta(['local']);
            await becomes(200, 'bob', one);
        });
    });

    describe('AdminReloadAuthKeys', () => {
        it('keeps the keys of a user whose file cannot be read, with a warning that says where', async () => {
            await mkdir(folder('keys', 'local'), { recursive: true });
            const file = folder('keys', 'local', 'bob.keys');
            await writeFile(file, one.publicLine);
            registry = await start();
            await putFile(file, `${two.publicLine}\n# \0`);
            await registry.client.post('/authkeys/reload', {});
            const warning = await registry.server.logged(({ level }) => level === 40);
            assert.deepEqual([warning.file, warning.line], [file, 2]);
            assert.equal(await ask('bob', one), 200);
            assert.equal(await ask('bob', two), 401);
        });
    });
});
