import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { StorageDriver } from '../storage/driver';
import { abortable } from './abortable';
import { isKeyFileName, keyText, MAX_KEY_FILE, readRegularFile } from './key-file';
import {
    MARKER,
    parseMarker,
    serializeMarker,
    SYNCED,
    type Marker,
    type MirroredFile,
    type ObjectPart,
} from './mirror-marker';
import { isAbsent, messageOf } from './system-error';

/** Largest marker that is read, in bytes: it tells about some 100,000 files. */
const MAX_MARKER = 32 * 1024 * 1024;

/** Where keys are in the object store; the files of a name in both are joined in this order. */
const PREFIXES = ['authkeys/', 'keys/'];

/** Unfinished files: `.<uuid>.part`. */
const PART = /^\..*\.part$/;

const NEWLINE = Buffer.from('\n');

/** File names that a message shows. */
const SHOWN = 5;

export interface KeyMirrorOptions {
    /** Where the keys come from. */
    driver: StorageDriver;
    /** Where they go; made as needed. */
    folder: string;
    clock: Clock;
    log: Logger;
}

/** What is to be in one file of the mirror. */
interface Wanted {
    readonly name: string;
    readonly parts: readonly ObjectPart[];
}

/** Work on one file after the other, of which one that fails hinders no other. */
class Attempts {
    readonly #failures: { readonly name: string; readonly err: unknown }[] = [];

    constructor(private readonly signal: AbortSignal) {}

    /** @throws the signal's reason once it is aborted */
    async make(name: string, work: () => Promise<void>): Promise<void> {
        this.signal.throwIfAborted();
        try {
            await work();
        } catch (err) {
            this.signal.throwIfAborted();
            this.#failures.push({ name, err });
        }
    }

    get haveFailed(): boolean {
        return this.#failures.length > 0;
    }

    /** What to tell about those that failed. */
    get error(): Error {
        const reasons = this.#failures.map(({ name, err }) => `${name} (${messageOf(err)})`);
        return new Error(`these files could not be brought up to date: ${shown(reasons)}`, {
            cause: this.#failures[0]?.err,
        });
    }
}

/**
 * The key files of an object store, as files of a folder (auth.md §5).
 *
 * A marker in the folder names the store that the files come from. A poll deletes what the store does not have any
 * more, unless the marker names another store: then it changes nothing, so that a mistake in the configuration does not
 * lock everybody out. What is in the folder is whole at any time, and a poll that was interrupted is made good by the
 * next one. Several processes may use the folder, one at a time.
 */
export class KeyMirror {
    readonly #options: KeyMirrorOptions;

    constructor(options: KeyMirrorOptions) {
        this.#options = options;
    }

    /**
     * Makes the folder the same as the object store. Files of which one fails stay as they are and hinder no others.
     *
     * @throws Error saying what could not be done
     */
    async poll(signal: AbortSignal): Promise<void> {
        const { driver, folder, log } = this.#options;
        const wanted = await this.#list(signal);
        await mkdir(folder, { recursive: true });
        const entries = await readdir(folder, { withFileTypes: true });
        const former = await this.#readMarker();
        const superfluous = entries
            .filter((entry) => isKeyFileName(entry.name) && !entry.isDirectory() && !wanted.has(entry.name))
            .map(({ name }) => name);
        this.#guard(former, superfluous);

        const attempts = new Attempts(signal);
        // First of all, since this is how keys are revoked.
        const deleted = await this.#removeAll(superfluous, attempts);
        const unfinished = entries.filter((entry) => PART.test(entry.name) && !entry.isDirectory());
        await this.#removeAll(
            unfinished.map(({ name }) => name),
            attempts,
        );
        const known = former === 'unreadable' ? undefined : former;
        const isOurs = known?.source === driver.location;
        const { files, fetched } = await this.#fetchAll(
            wanted,
            isOurs ? known.files : new Map(),
            attempts,
            signal,
        );
        // Until it has been here as a whole, a new source is not taken over.
        if (isOurs || !attempts.haveFailed) {
            const marker = serializeMarker({ source: driver.location, files });
            if (known === undefined || marker !== serializeMarker(known)) {
                await this.#write(MARKER, Buffer.from(marker));
            }
            if (!entries.some(({ name }) => name === SYNCED)) {
                await this.#write(SYNCED, Buffer.alloc(0));
            }
        }
        if (fetched.length > 0 || deleted.length > 0) {
            log.info(
                { source: driver.location, folder, fetched, deleted },
                'fetched the key files of an object store',
            );
        }
        if (attempts.haveFailed) {
            throw attempts.error;
        }
    }

    /** Removes files, durably. Gives those that are gone. */
    async #removeAll(names: readonly string[], attempts: Attempts): Promise<string[]> {
        const removed: string[] = [];
        for (const name of names) {
            await attempts.make(name, async () => {
                await this.#remove(name);
                removed.push(name);
            });
        }
        if (removed.length > 0) {
            await this.#syncFolder();
        }
        return removed;
    }

    /**
     * Fetches what is not here already.
     *
     * @param known what the marker tells about the files of this object store
     * @returns what the marker is to tell about them, and the names of those that were replaced
     */
    async #fetchAll(
        wanted: ReadonlyMap<string, Wanted>,
        known: Marker['files'],
        attempts: Attempts,
        signal: AbortSignal,
    ): Promise<{ files: Map<string, MirroredFile>; fetched: string[] }> {
        const files = new Map<string, MirroredFile>();
        const fetched: string[] = [];
        for (const want of wanted.values()) {
            const { name } = want;
            await attempts.make(name, async () => {
                const before = known.get(name);
                if (before && sameParts(before, want) && (await this.#digest(name)) === before.sha256) {
                    files.set(name, before);
                    return;
                }
                const { file, replaced } = await this.#fetch(want, signal);
                files.set(name, file);
                if (replaced) {
                    fetched.push(name);
                }
            });
        }
        return { files, fetched };
    }

    /** The whole of what the object store has. */
    async #list(signal: AbortSignal): Promise<Map<string, Wanted>> {
        const wanted = new Map<string, Wanted>();
        for (const prefix of PREFIXES) {
            for await (const { key, etag } of abortable(this.#options.driver.list(prefix), signal)) {
                const name = key.slice(prefix.length);
                if (isKeyFileName(name) && !name.includes('/')) {
                    const parts = wanted.get(name)?.parts ?? [];
                    wanted.set(name, { name, parts: [...parts, { key, etag }] });
                }
            }
        }
        return wanted;
    }

    async #readMarker(): Promise<Marker | 'unreadable' | undefined> {
        try {
            const bytes = await readRegularFile(this.#path(MARKER), { limit: MAX_MARKER });
            return parseMarker(bytes.toString('utf8')) ?? 'unreadable';
        } catch (err) {
            return isAbsent(err) ? undefined : 'unreadable';
        }
    }

    #guard(marker: Marker | 'unreadable' | undefined, superfluous: readonly string[]): void {
        const { driver, folder } = this.#options;
        const isStrange = marker === 'unreadable' || (marker && marker.source !== driver.location);
        if (!isStrange || superfluous.length === 0) {
            return;
        }
        const from =
            marker === 'unreadable'
                ? `it cannot be known where the key files in ${folder} come from, since its marker cannot be read`
                : `the key files in ${folder} come from ${marker.source}`;
        throw new Error(
            `${from}. The object store is ${driver.location} and does not have ${shown(superfluous)}: nothing was ` +
                `changed. If the keys are to come from ${driver.location} from now on, delete ` +
                `${this.#path(MARKER)}; files that are not in the object store are deleted then.`,
        );
    }

    /** Gets a file, and puts it in place if it differs from the one there. */
    async #fetch(
        { name, parts }: Wanted,
        signal: AbortSignal,
    ): Promise<{ file: MirroredFile; replaced: boolean }> {
        const contents: Buffer[] = [];
        const read: ObjectPart[] = [];
        for (const { key } of parts) {
            const { bytes, etag } = await this.#download(key, signal);
            read.push({ key, etag });
            if (contents.length > 0) {
                contents.push(NEWLINE);
            }
            contents.push(bytes);
        }
        const content = Buffer.concat(contents);
        // What nobody can read must not take the place of what they can.
        keyText(content);
        const sha256 = digestOf(content);
        const replaced = (await this.#digest(name)) !== sha256;
        if (replaced) {
            await this.#write(name, content);
        }
        return { file: { parts: read, sha256 }, replaced };
    }

    async #download(key: string, signal: AbortSignal): Promise<{ bytes: Buffer; etag: string }> {
        const reader = await this.#options.driver.read(key, { signal });
        if (!reader) {
            throw new Error(`${key} was deleted from the object store just now`);
        }
        const chunks: Buffer[] = [];
        let size = 0;
        for await (const chunk of reader.body) {
            size += chunk.length;
            if (size > MAX_KEY_FILE) {
                throw new Error(`${key} is larger than ${MAX_KEY_FILE} bytes`);
            }
            // Its memory is used again for the next one.
            chunks.push(Buffer.from(chunk));
        }
        return { bytes: Buffer.concat(chunks), etag: reader.info.etag };
    }

    /** SHA-256 of a file of the mirror; undefined if it is not one that the mirror could have written. */
    async #digest(name: string): Promise<string | undefined> {
        try {
            return digestOf(await readRegularFile(this.#path(name), { follow: false }));
        } catch {
            // Whatever is there is replaced, or replacing it fails and says why.
            return undefined;
        }
    }

    /** Puts a file in its place as a whole, durably; a symlink there is replaced and not followed. */
    async #write(name: string, content: Buffer): Promise<void> {
        const part = `.${this.#options.clock.uuid()}.part`;
        try {
            const handle = await open(this.#path(part), 'wx', 0o644);
            try {
                await handle.writeFile(content);
                await handle.datasync();
            } finally {
                await handle.close();
            }
            await rename(this.#path(part), this.#path(name));
        } catch (err) {
            await this.#remove(part).catch(() => undefined);
            throw err;
        }
        await this.#syncFolder();
    }

    async #remove(name: string): Promise<void> {
        try {
            await unlink(this.#path(name));
        } catch (err) {
            if (!isAbsent(err)) {
                throw err;
            }
        }
    }

    async #syncFolder(): Promise<void> {
        const handle = await open(this.#options.folder, 'r');
        try {
            await handle.sync();
        } finally {
            await handle.close();
        }
    }

    #path(name: string): string {
        return join(this.#options.folder, name);
    }
}

/** Whether a mirror in this folder has ever been the same as its object store. */
export async function hasBeenSynced(folder: string): Promise<boolean> {
    try {
        const names = await readdir(folder);
        return names.includes(MARKER) || names.includes(SYNCED);
    } catch (err) {
        return !isAbsent(err);
    }
}

function sameParts(file: MirroredFile, { parts }: Wanted): boolean {
    return (
        file.parts.length === parts.length &&
        file.parts.every(({ key, etag }, n) => key === parts[n]?.key && etag === parts[n].etag)
    );
}

function digestOf(bytes: Buffer): string {
    return createHash('sha256').update(bytes).digest('hex');
}

function shown(names: readonly string[]): string {
    return (
        names.slice(0, SHOWN).join(', ') + (names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '')
    );
}
