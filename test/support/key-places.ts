/** Places that keys come from, each in a temporary folder of its own, for the suite of key sources and what is special. */
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configKeys } from '../../lib/auth/config-keys';
import { FolderKeys } from '../../lib/auth/folder-keys';
import { MirrorKeys, type MirrorKeysOptions } from '../../lib/auth/mirror-keys';
import type { LeaseStore } from '../../lib/db/driver';
import type { StorageDriver } from '../../lib/storage/driver';
import { createLocalStorage } from '../../lib/storage/local';
import type { KeyPlace } from '../conformance/key-sources';
import { MantaAccount } from './manta-storage';
import { localDatabase } from './local-database';

export const systemClock = { now: () => Date.now(), uuid: () => randomUUID() };

const makeRoot = (): Promise<string> => mkdtemp(join(tmpdir(), 'imgapi-keys-'));

/** Puts a file in its place as a whole, so that nobody reads half of it. */
export async function putFile(path: string, text: string | Buffer): Promise<void> {
    const temp = `${path}.new`;
    await writeFile(temp, text);
    await rename(temp, path);
}

/** `config.authKeys`, as the next start finds it. */
export function configPlace(): Promise<KeyPlace> {
    const users = new Map<string, string[]>();
    return Promise.resolve({
        source: (log) => configKeys(Object.fromEntries(users), log),
        put: async (user, text) => void users.set(user, text.toString().trim().split('\n')),
        drop: async (user) => void users.delete(user),
        where: (user, line) => ({ user, index: line - 1 }),
        remove: () => Promise.resolve(),
    });
}

/** A folder on this machine. */
export interface FolderPlace extends KeyPlace {
    readonly folder: string;
}

export async function folderPlace(): Promise<FolderPlace> {
    const root = await makeRoot();
    const folder = join(root, 'etc', 'keys', 'local');
    const path = (user: string): string => join(folder, `${user}.keys`);
    return {
        folder,
        source: (log) => new FolderKeys({ folder, log }),
        put: async (user, text) => {
            await mkdir(folder, { recursive: true });
            await putFile(path(user), text);
        },
        drop: (user) => rm(path(user)),
        where: (user, line) => ({ file: path(user), line }),
        remove: () => rm(root, { recursive: true }),
    };
}

/** An object store with keys, and the folder of a mirror. */
export interface MirrorPlace extends KeyPlace {
    readonly root: string;
    /** The mirror's folder. */
    readonly folder: string;
    readonly store: StorageDriver;
    readonly leases: LeaseStore;
    /** A mirror with other parts than `source` makes it with. */
    mirror(options: Partial<MirrorKeysOptions> & Pick<MirrorKeysOptions, 'log'>): MirrorKeys;
    /** Puts an object into the store. */
    putObject(key: string, content: string | Buffer): Promise<void>;
}

/** A poll that nobody asks for comes long after the test. */
const NEVER = 3_600_000;

export async function putObject(store: StorageDriver, key: string, content: string | Buffer): Promise<void> {
    async function* bytes(): AsyncGenerator<Buffer> {
        yield Buffer.from(content);
    }
    await (await store.stage(key, bytes())).commit();
}

/** A driver of which some parts are others. */
export function altered(driver: StorageDriver, parts: Partial<StorageDriver>): StorageDriver {
    return new Proxy(driver, {
        get(target, name) {
            const value: unknown = Reflect.get(name in parts ? parts : target, name);
            return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
    });
}

/** An object store of its own for one test, not opened; `remove` is called after it is closed. */
interface OwnStore {
    readonly store: StorageDriver;
    readonly remove?: () => Promise<void>;
}

async function localStore(root: string): Promise<OwnStore> {
    const dataDir = join(root, 'store');
    await mkdir(dataDir);
    return { store: createLocalStorage({ dataDir }) };
}

async function mantaStore(): Promise<OwnStore> {
    const account = new MantaAccount();
    const server = await account.serve();
    const remove = async (): Promise<void> => {
        await server.stop();
        account.remove();
    };
    return { store: account.storage(server.url), remove };
}

export const mantaPlace = (): Promise<MirrorPlace> => mirrorPlace(mantaStore);

/** A mirror of what `makeStore` gives; by default of another folder of this machine. */
export async function mirrorPlace(
    makeStore: (root: string) => Promise<OwnStore> = localStore,
): Promise<MirrorPlace> {
    const root = await makeRoot();
    const folder = join(root, 'etc', 'keys', 'manta');
    const { store, remove } = await makeStore(root);
    await store.open();
    const database = localDatabase(root);
    await database.open();
    const mirror: MirrorPlace['mirror'] = (options) =>
        new MirrorKeys({
            driver: store,
            folder,
            leases: database.leases,
            lease: `auth-keys:${folder}`,
            holder: randomUUID(),
            clock: systemClock,
            interval: NEVER,
            ...options,
        });
    return {
        root,
        folder,
        store,
        leases: database.leases,
        mirror,
        source: (log) => mirror({ log }),
        put: (user, text) => putObject(store, `keys/${user}.keys`, text),
        putObject: (key, content) => putObject(store, key, content),
        drop: (user) => store.delete(`keys/${user}.keys`),
        where: (user, line) => ({ file: join(folder, `${user}.keys`), line }),
        remove: async () => {
            await database.close();
            await store.close();
            await remove?.();
            await rm(root, { recursive: true });
        },
    };
}
