/** Objects in Manta, each in the directory of its image (manta.md §1 and §5). */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type Logger from 'bunyan';
import { mantaOrigin } from '../config/manta';
import { faultPoint } from '../fault';
import type {
    ObjectInfo,
    ObjectReader,
    ReadOptions,
    StagedObject,
    StageOptions,
    StorageCapabilities,
    StorageDriver,
    StorageExports,
} from './driver';
import { Intake, type Sink } from './intake';
import { assertKey, assertPrefix, isKeySegment, NAME_WITH_ID, nameOf, unfinishedKey } from './key';
import { MantaClient, type MantaObjectInfo } from './manta-client';
import { MantaDirectories } from './manta-directories';
import { download, type MantaDownload } from './manta-download';
import { MantaExports } from './manta-exports';
import type { MantaTimeouts } from './manta-exchange';
import { MantaFailure, onManta, storageError } from './manta-failure';
import { MantaIdentity } from './manta-identity';
import { MantaState } from './manta-state';
import { upload } from './manta-upload';

export interface MantaStorageOptions {
    /** `https://` unless it says otherwise. */
    url: string;
    user: string;
    /** Path of the private key. */
    key: string;
    /** Fingerprint of the key, as the operator knows it. */
    keyId: string;
    /** Directory of all objects. */
    rootDir: string;
    insecure: boolean;
    maxSockets: number;
    timeouts: MantaTimeouts;
    userAgent: string;
    log: Logger;
}

/** The directory of one image: nobody needs it once the image has no objects. */
const IMAGE_FOLDER = /^images\/[^/]+\/[^/]+$/;

/** What is to be stored under a name without an id and has no more bytes than this is kept here until the commit. */
const MOST_HELD = 1024 * 1024;

function folderOf(key: string): string {
    return key.slice(0, key.lastIndexOf('/'));
}

function described(key: string, { size, mtime, etag }: MantaObjectInfo): ObjectInfo {
    return { key, size, mtime, etag };
}

class MantaStorage implements StorageDriver {
    readonly type = 'manta';
    readonly capabilities: StorageCapabilities = { presign: false, export: true, hidesStaged: false };
    readonly exports: StorageExports;
    readonly location: string;
    readonly #options: MantaStorageOptions;
    readonly #client: MantaClient;
    readonly #directories: MantaDirectories;
    readonly #closing = new AbortController();

    constructor(options: MantaStorageOptions) {
        const { url, user, rootDir, log } = options;
        const origin = mantaOrigin(url);
        if (origin === undefined) {
            throw new TypeError(`"${url}" is not the URL of a Manta.`);
        }
        this.#options = options;
        this.location = new URL(rootDir.split('/').map(encodeURIComponent).join('/'), origin).href;
        this.#client = new MantaClient({ ...options, origin, state: new MantaState(log) });
        this.#directories = new MantaDirectories(this.#client, user);
        this.exports = new MantaExports(this.#client, (key, wanted) => this.#download(key, wanted));
    }

    /** Needs the private key, but not Manta. @throws Error if the key cannot be used */
    async open(): Promise<void> {
        const { user, key, keyId, log } = this.#options;
        const identity = await MantaIdentity.read(user, key);
        this.#client.identify(identity);
        log.info(
            { location: this.location, user, fingerprint: identity.fingerprint },
            'Manta: files may be kept there',
        );
        if (!identity.isNamedBy(keyId)) {
            log.warn(
                `config.manta.keyId is ${JSON.stringify(keyId)}, but config.manta.key is another key: requests are ` +
                    `signed with that one, whose fingerprint is ${identity.fingerprint}`,
            );
        }
        // What it comes to is in the log; the server starts without Manta as well.
        this.check().catch(() => undefined);
    }

    async close(): Promise<void> {
        this.#closing.abort();
        this.#client.close();
    }

    async check(): Promise<void> {
        await onManta(this.#client.check(this.#options.user, this.#closing.signal));
    }

    /**
     * Manta has no renaming: under a key with an id the object is stored as what it is to be, and committing it is a
     * matter of the records. Under any other key it is stored beside, and copied when it is committed; a small one of
     * known size waits in memory instead, so that one request stores it.
     */
    async stage(
        key: string,
        source: AsyncIterable<Uint8Array>,
        options: StageOptions = {},
    ): Promise<StagedObject> {
        assertKey(key);
        options.signal?.throwIfAborted();
        const isNew = NAME_WITH_ID.test(nameOf(key));
        if (!isNew && options.size !== undefined && options.size <= MOST_HELD) {
            return this.#hold(key, source, options);
        }
        const place = isNew ? key : unfinishedKey(key, options.id ?? randomUUID());
        const info = await onManta(this.#put(place, source, options, true));
        faultPoint('stage:written');
        return {
            size: info.size,
            commit: () => (isNew ? this.#commit(key, info) : onManta(this.#replace(place, key))),
            discard: () => this.delete(place),
        };
    }

    async read(key: string, options: ReadOptions = {}): Promise<ObjectReader | undefined> {
        assertKey(key);
        options.signal?.throwIfAborted();
        const download = await onManta(this.#download(key, options));
        return download && { info: described(key, download.info), body: download.body };
    }

    async stat(key: string): Promise<ObjectInfo | undefined> {
        assertKey(key);
        const info = await onManta(this.#client.head(this.#path(key)));
        return info && described(key, info);
    }

    async delete(key: string): Promise<void> {
        assertKey(key);
        await onManta(this.#client.delete(this.#path(key)));
        faultPoint('remove:unlinked');
        await this.#tidy(key);
    }

    async copy(from: string, to: string): Promise<ObjectInfo | undefined> {
        assertKey(from);
        assertKey(to);
        const info = await onManta(this.#copy(from, to));
        faultPoint('copy:committed');
        return info;
    }

    async *list(prefix: string): AsyncGenerator<ObjectInfo, void, undefined> {
        assertPrefix(prefix);
        try {
            yield* this.#walk(prefix);
        } catch (error) {
            throw storageError(error);
        }
    }

    /** Everything is tolerated here: names that are no keys, and what vanishes while it is looked at. */
    async *#walk(prefix: string): AsyncGenerator<ObjectInfo, void, undefined> {
        for await (const { name, type, info } of this.#client.list(this.#path(prefix.slice(0, -1)))) {
            if (!isKeySegment(name)) {
                continue;
            }
            if (type === 'directory') {
                yield* this.#walk(`${prefix}${name}/`);
            } else {
                yield described(prefix + name, info);
            }
        }
    }

    async #hold(
        key: string,
        source: AsyncIterable<Uint8Array>,
        options: StageOptions,
    ): Promise<StagedObject> {
        const chunks: Buffer[] = [];
        // The chunks of a reader are valid only until the next one.
        const sink: Sink = { write: (chunk) => void chunks.push(Buffer.from(chunk)), check: () => undefined };
        const { size, contentMD5 } = await new Intake().run(source, sink, options, true);
        const expected = { ...options, size, ...(contentMD5 !== undefined && { contentMD5 }) };
        faultPoint('stage:written');
        return {
            size,
            commit: async () => {
                const info = await onManta(this.#put(key, Readable.from(chunks), expected, false));
                faultPoint('stage:committed');
                return described(key, info);
            },
            discard: async () => undefined,
        };
    }

    async #commit(key: string, info: MantaObjectInfo): Promise<ObjectInfo> {
        faultPoint('stage:committed');
        return described(key, info);
    }

    /** Puts what was received beside an object in its place. */
    async #replace(place: string, key: string): Promise<ObjectInfo> {
        try {
            const info = await this.#copy(place, key);
            if (info === undefined) {
                throw new MantaFailure('An object that was received is gone.', { status: 404 });
            }
            faultPoint('stage:committed');
            return info;
        } finally {
            // What it was received as has no use any more, and does no harm.
            await this.#client.delete(this.#path(place)).catch(() => undefined);
        }
    }

    /** Manta copies nothing by itself: the bytes go through this server. */
    async #copy(from: string, to: string): Promise<ObjectInfo | undefined> {
        const source = await this.#download(from, {});
        if (source === undefined) {
            return undefined;
        }
        const { size, contentMD5 } = source.info;
        const expected = { size, ...(contentMD5 !== undefined && { contentMD5 }) };
        const info = await this.#put(to, source.body, expected, NAME_WITH_ID.test(nameOf(to)));
        faultPoint('copy:written');
        return described(to, info);
    }

    async #download(key: string, options: ReadOptions): Promise<MantaDownload | undefined> {
        return download(this.#client, this.#path(key), options, (err, received) => {
            this.#options.log.info({ err, key, received }, 'Manta: a download broke; asking for the rest');
        });
    }

    /** Stores an object. @param fresh nothing else is or will be under the key */
    async #put(
        key: string,
        source: AsyncIterable<Uint8Array>,
        options: StageOptions,
        fresh: boolean,
    ): Promise<MantaObjectInfo> {
        const folder = folderOf(key);
        const makeFolder = (signal?: AbortSignal): Promise<void> =>
            this.#directories.make(this.#path(folder), signal);
        const makeParent = (): Promise<void> => makeFolder(options.signal);
        const path = this.#path(key);
        let info: MantaObjectInfo;
        try {
            info = await upload(this.#client, { path, source, options, fresh, makeParent });
        } catch (error) {
            if (!(error instanceof MantaFailure && error.disabling)) {
                await this.#tidy(key);
            }
            throw error;
        }
        try {
            // Whoever deleted the last object beside it meanwhile has removed the directory as well: Manta does not
            // mind, but what is in no directory is in no list.
            if (IMAGE_FOLDER.test(folder)) {
                await makeFolder();
            }
        } catch (err) {
            this.#options.log.warn({ err, key }, 'Manta: an object is stored, but maybe in no directory');
        }
        return info;
    }

    /** Removes the directory of an image if that has no object left. One that has to stay, for any reason, does no harm. */
    async #tidy(key: string): Promise<void> {
        const folder = folderOf(key);
        if (IMAGE_FOLDER.test(folder)) {
            await this.#client.delete(this.#path(folder)).catch(() => undefined);
        }
    }

    #path(key: string): string {
        return `${this.#options.rootDir}/${key}`;
    }
}

/** The storage of type `manta`. Any number of processes may use the same one. */
export function createMantaStorage(options: MantaStorageOptions): StorageDriver {
    return new MantaStorage(options);
}
