/** Archived manifests on the local disk that wait to be moved to an object store (storage.md §5, config.md §6). */
import { randomUUID } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { readdir, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArchiveSpool, SpoolEntry } from './driver';
import { isAbsent, onDisk } from './local-errors';
import { removeFile, removeIfEmpty } from './local-files';

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

/**
 * `<uuid>.json`, or once taken `<id>.<uuid>.json`: a name that the original server would move away as well, since it
 * goes by the end of names only.
 */
const MANIFEST = new RegExp(`^(${UUID}\\.)?(${UUID})\\.json$`);

/** A manifest that is being written, or was when a process died: the sweep sees to those. */
const UNFINISHED = new RegExp(`^${UUID}\\.json\\.${UUID}$`);

/** What the call gives, or undefined if the file is not there. */
async function ifThere<T>(call: Promise<T>): Promise<T | undefined> {
    return onDisk(
        call.catch((error: unknown) => {
            if (isAbsent(error)) {
                return undefined;
            }
            throw error;
        }),
    );
}

class LocalEntry implements SpoolEntry {
    readonly path: string;
    readonly uuid: string | undefined;
    /** It has been taken. */
    readonly isTaken: boolean;

    constructor(
        private readonly folder: string,
        readonly name: string,
        isFile = true,
    ) {
        this.path = join(folder, name);
        const [, id, uuid] = (isFile ? MANIFEST.exec(name) : undefined) ?? [];
        this.uuid = uuid;
        this.isTaken = id !== undefined;
    }

    async read(): Promise<Buffer | undefined> {
        return ifThere(readFile(this.path));
    }

    async take(): Promise<SpoolEntry | undefined> {
        if (this.isTaken || this.uuid === undefined) {
            return this;
        }
        const name = `${randomUUID()}.${this.name}`;
        const taken = await ifThere(rename(this.path, join(this.folder, name)).then(() => true));
        return taken === true ? new LocalEntry(this.folder, name) : undefined;
    }

    async remove(): Promise<void> {
        await onDisk(removeFile(this.path));
    }

    /** When it was written, in ms; undefined if it is gone. */
    async writtenAt(): Promise<number | undefined> {
        return (await ifThere(stat(this.path)))?.mtimeMs;
    }
}

export class LocalSpool implements ArchiveSpool {
    readonly #root: string;

    constructor({ dataDir }: { dataDir: string }) {
        this.#root = join(dataDir, 'archive');
    }

    async *entries(): AsyncGenerator<SpoolEntry, void, undefined> {
        for (const item of await this.#read(this.#root)) {
            if (!item.isDirectory()) {
                yield new LocalEntry(this.#root, item.name, false);
                continue;
            }
            const folder = join(this.#root, item.name);
            yield* this.#in(folder);
            // Whoever archives a manifest makes the folder again.
            await removeIfEmpty(folder);
        }
    }

    async *#in(folder: string): AsyncGenerator<SpoolEntry, void, undefined> {
        const entries = (await this.#read(folder))
            .filter(({ name }) => !UNFINISHED.test(name))
            .map((item) => new LocalEntry(folder, item.name, item.isFile()));
        // Those that were taken are older than what has been written since, and may be several of one image.
        const left: [LocalEntry, number][] = [];
        for (const entry of entries.filter(({ isTaken }) => isTaken)) {
            left.push([entry, (await entry.writtenAt()) ?? 0]);
        }
        yield* left.sort(([, a], [, b]) => a - b).map(([entry]) => entry);
        yield* entries.filter(({ isTaken }) => !isTaken);
    }

    /** What is in a folder, by name; nothing if it is gone. */
    async #read(folder: string): Promise<Dirent[]> {
        const found = (await ifThere(readdir(folder, { withFileTypes: true }))) ?? [];
        return found.sort((a, b) => (a.name < b.name ? -1 : 1));
    }
}
