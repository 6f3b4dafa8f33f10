/** Objects as files below one folder of the local disk (storage.md §1 and §4). */
import { randomUUID } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import {
    access,
    constants,
    copyFile,
    link,
    mkdir,
    open,
    readdir,
    rename,
    stat,
    statfs,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type {
    ObjectInfo,
    ObjectReader,
    ReadOptions,
    StagedObject,
    StageOptions,
    StorageCapabilities,
    StorageDriver,
    StorageSpace,
} from './driver';
import { faultPoint } from '../fault';
import { assertKey, assertPrefix, isKeySegment, NAME_WITH_ID, unfinishedKey } from './key';
import { FileBody } from './local-body';
import { isAbsent, onDisk, storageError, systemCode } from './local-errors';
import { createInFolder, removeFile, removeIfEmpty, syncFolder, syncMadeFolders } from './local-files';
import { receive } from './local-receive';

export interface LocalStorageOptions {
    /** The folder that holds `images/` and `archive/`. */
    dataDir: string;
}

/** What `link` says when the two names cannot share one file: then the bytes are copied. */
const CANNOT_LINK = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

function infoOf(key: string, stats: BigIntStats): ObjectInfo {
    return {
        key,
        size: Number(stats.size),
        mtime: stats.mtime,
        etag: [stats.ino, stats.size, stats.mtimeNs].map((part) => part.toString(36)).join('-'),
    };
}

/** What `call` gives, or undefined if the file it is about is not there. */
async function unlessAbsent<T>(call: Promise<T>): Promise<T | undefined> {
    try {
        return await call;
    } catch (error) {
        if (isAbsent(error)) {
            return undefined;
        }
        throw storageError(error);
    }
}

/**
 * The file in which the object of this path is received. `file0-<id>` becomes `file0.<id>`, the form that operators'
 * tools know as an upload in flight; a name without an id gets the one given, or a random one.
 */
function stagingPath(path: string, given = randomUUID() as string): string {
    const [, stem, id] = NAME_WITH_ID.exec(basename(path)) ?? [];
    return stem !== undefined && id !== undefined
        ? join(dirname(path), `${stem}.${id}`)
        : unfinishedKey(path, given);
}

class LocalStorage implements StorageDriver {
    readonly type = 'local';
    readonly capabilities: StorageCapabilities = { presign: false, export: false, hidesStaged: true };
    readonly location: string;
    readonly #root: string;
    readonly #folders: string[];

    constructor({ dataDir }: LocalStorageOptions) {
        this.#root = resolve(dataDir);
        this.location = pathToFileURL(this.#root).href;
        this.#folders = ['images', 'archive'].map((folder) => join(this.#root, folder));
    }

    async open(): Promise<void> {
        for (const folder of this.#folders) {
            await onDisk(mkdir(folder, { recursive: true }));
        }
    }

    async close(): Promise<void> {
        // Files are closed by whoever opened them.
    }

    async check(): Promise<void> {
        for (const folder of this.#folders) {
            await onDisk(access(folder, constants.R_OK | constants.W_OK | constants.X_OK));
        }
    }

    async space(): Promise<StorageSpace> {
        const { bsize, blocks, bavail } = await onDisk(statfs(this.#root));
        return { total: bsize * blocks, free: bsize * bavail };
    }

    async stage(
        key: string,
        source: AsyncIterable<Uint8Array>,
        options: StageOptions = {},
    ): Promise<StagedObject> {
        const path = this.#path(key);
        const temp = stagingPath(path, options.id);
        options.signal?.throwIfAborted();
        const { value: handle, made } = await onDisk(createInFolder(temp, () => open(temp, 'wx')));
        try {
            await onDisk(syncMadeFolders(temp, made));
            faultPoint('stage:created');
            const size = await receive(handle, source, options);
            faultPoint('stage:written');
            await onDisk(handle.datasync());
            faultPoint('stage:synced');
            const info = infoOf(key, await onDisk(handle.stat({ bigint: true })));
            await onDisk(handle.close());
            return {
                size,
                commit: () => this.#commit(temp, path, info),
                discard: () => onDisk(this.#clear([temp])),
            };
        } catch (error) {
            // The first failure is the one to tell. What it keeps from being removed here is left to the sweep.
            await handle.close().catch(() => undefined);
            await this.#clear([temp], made).catch(() => undefined);
            throw error;
        }
    }

    async read(key: string, { start = 0, end, signal }: ReadOptions = {}): Promise<ObjectReader | undefined> {
        const path = this.#path(key);
        signal?.throwIfAborted();
        const handle = await unlessAbsent(open(path, 'r'));
        if (handle === undefined) {
            return undefined;
        }
        try {
            const stats = await onDisk(handle.stat({ bigint: true }));
            if (!stats.isFile()) {
                await handle.close();
                return undefined;
            }
            const info = infoOf(key, stats);
            const length = (end ?? info.size - 1) + 1 - start;
            if (start < 0 || length < 0 || start + length > info.size) {
                throw new RangeError(
                    `Bytes ${start} to ${end ?? info.size - 1} do not lie within the ${info.size} bytes of "${key}".`,
                );
            }
            return { info, body: new FileBody(handle, start, length, signal) };
        } catch (error) {
            await handle.close().catch(() => undefined);
            throw error;
        }
    }

    async stat(key: string): Promise<ObjectInfo | undefined> {
        const stats = await unlessAbsent(stat(this.#path(key), { bigint: true }));
        return stats?.isFile() === true ? infoOf(key, stats) : undefined;
    }

    async delete(key: string): Promise<void> {
        const path = this.#path(key);
        // A staged twin has a predictable name only if the object has an id; any other may belong to an upload.
        await onDisk(this.#clear(NAME_WITH_ID.test(basename(path)) ? [path, stagingPath(path)] : [path]));
    }

    async copy(from: string, to: string): Promise<ObjectInfo | undefined> {
        const source = this.#path(from);
        const path = this.#path(to);
        const temp = stagingPath(path);
        if ((await this.stat(from)) === undefined) {
            return undefined;
        }
        try {
            const { made } = await createInFolder(temp, () => this.#duplicate(source, temp));
            await syncMadeFolders(temp, made);
            faultPoint('copy:written');
            await rename(temp, path);
            // Renaming does nothing if both names are the same file already.
            await removeFile(temp);
            faultPoint('copy:renamed');
            await syncFolder(dirname(path));
            faultPoint('copy:committed');
            return await this.stat(to);
        } catch (error) {
            await this.#clear([temp]).catch(() => undefined);
            if (isAbsent(error) && (await this.stat(from)) === undefined) {
                return undefined;
            }
            throw storageError(error);
        }
    }

    async *list(prefix: string): AsyncGenerator<ObjectInfo, void, undefined> {
        assertPrefix(prefix);
        yield* this.#walk(prefix);
    }

    /** Everything is tolerated here: names that are no keys, and what vanishes while it is looked at. */
    async *#walk(prefix: string): AsyncGenerator<ObjectInfo, void, undefined> {
        const entries = await unlessAbsent(readdir(join(this.#root, prefix), { withFileTypes: true }));
        for (const entry of entries ?? []) {
            if (!isKeySegment(entry.name)) {
                continue;
            }
            const key = prefix + entry.name;
            if (entry.isDirectory()) {
                yield* this.#walk(`${key}/`);
            } else {
                const info = await this.stat(key);
                if (info !== undefined) {
                    yield info;
                }
            }
        }
    }

    async #commit(temp: string, path: string, info: ObjectInfo): Promise<ObjectInfo> {
        try {
            await rename(temp, path);
            faultPoint('stage:renamed');
            await syncFolder(dirname(path));
            faultPoint('stage:committed');
            return info;
        } catch (error) {
            await this.#clear([temp]).catch(() => undefined);
            throw storageError(error);
        }
    }

    /** Makes the new file `temp` hold the bytes of `source`, durably: by a second name for them where possible. */
    async #duplicate(source: string, temp: string): Promise<void> {
        try {
            await link(source, temp);
            return;
        } catch (error) {
            if (!CANNOT_LINK.has(systemCode(error) ?? '')) {
                throw error;
            }
        }
        await copyFile(source, temp, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
        const handle = await open(temp, 'r+');
        try {
            await handle.datasync();
        } finally {
            await handle.close();
        }
    }

    /**
     * Removes files of one folder, then the folder if that empties it, then its emptied parents down to `made`. The
     * folders made by `open` stay.
     */
    async #clear(paths: [string, ...string[]], made?: string): Promise<void> {
        for (const path of paths) {
            await removeFile(path);
            faultPoint('remove:unlinked');
        }
        const last = made ?? dirname(paths[0]);
        for (let folder = dirname(paths[0]); folder.length >= last.length; folder = dirname(folder)) {
            if (this.#folders.includes(folder) || !(await removeIfEmpty(folder))) {
                return;
            }
        }
    }

    #path(key: string): string {
        assertKey(key);
        return join(this.#root, key);
    }
}

/** The storage of type `local`. It needs nothing but its folder; several processes may use the same one. */
export function createLocalStorage(options: LocalStorageOptions): StorageDriver {
    return new LocalStorage(options);
}
