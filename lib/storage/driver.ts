/**
 * What every storage driver promises. `test/conformance/storage.ts` holds each of them to it.
 *
 * A storage keeps objects under keys such as `images/aaa/aaa…/file0-<uuid>`: segments of `[A-Za-z0-9._-]`, none of
 * them `.` or `..`, joined by `/`. Objects are written whole and never changed. A backend that cannot be reached
 * throws StorageIsDown, a full one InsufficientStorage.
 */
import { ApiError } from '../errors';
import type { StorageType } from '../manifest';

export interface ObjectInfo {
    readonly key: string;
    /** Bytes. */
    readonly size: number;
    readonly mtime: Date;
    /** Differs whenever the content under the key differs. */
    readonly etag: string;
}

export interface StageOptions {
    /** Expected size in bytes and MD5 (base64), where known: the driver checks them. @throws ApiError Download */
    size?: number;
    contentMD5?: string;
    contentType?: string;
    /** For a name without an id: a uuid to name the unfinished object by, `<name>.<id>`. By default a random one. */
    id?: string;
    /** Aborts the write; `stage` then rejects with the signal's reason. */
    signal?: AbortSignal;
}

/**
 * Bytes that are stored durably but are nobody's object yet. Exactly one of the two must be called. (Of a key without an
 * id and a size that is known and small, some drivers store nothing before the commit.)
 *
 * Until then an object that was under the key stays what it is. A key that ends in `-<uuid>` is new by that, and
 * nothing refers to it yet, so some drivers let the whole object be read there already: see `hidesStaged`.
 */
export interface StagedObject {
    /** Bytes received. */
    readonly size: number;
    /**
     * Puts the object under its key, durably; an object that was there is replaced as a whole. After a failure it is
     * not known whether the object is there: delete it.
     */
    commit(): Promise<ObjectInfo>;
    /** Throws the bytes away. */
    discard(): Promise<void>;
}

export interface ReadOptions {
    /** First and last byte wanted, both inclusive and within the object. */
    start?: number;
    end?: number;
    signal?: AbortSignal;
}

export interface ObjectReader {
    readonly info: ObjectInfo;
    /**
     * The bytes, in chunks of about 256 KiB or more. **A chunk is valid only until the next one is asked for**: its
     * memory is used again. Ending the iteration early releases everything. Whoever got a reader iterates its body or
     * aborts the signal: until then it holds a file or a connection open.
     */
    readonly body: AsyncIterable<Buffer>;
}

/**
 * What the body of a reader throws in the place of the last chunk if the bytes do not have the digest that the storage
 * itself keeps of the object: they were damaged there, or on the way.
 */
export class DamagedObject extends ApiError {
    constructor(message: string) {
        super('StorageIsDown', message);
    }
}

export interface PresignOptions {
    /** For how long the URL is good, in seconds: at most a week. */
    readonly expiresIn: number;
    /** What the answer is to have as its `Content-Type`. */
    readonly contentType?: string;
}

/** What a storage can do beyond the interface, as data. The conformance suite tests presence and refusal. */
export interface StorageCapabilities {
    /** {@link StorageDriver.presign} is there: reads may be answered with a URL of the storage's own. */
    readonly presign: boolean;
    /** {@link StorageDriver.exports} is there: objects can be copied to paths of the users' own. */
    readonly export: boolean;
    /** Staged bytes under a key that ends in `-<uuid>` cannot be read before the commit. */
    readonly hidesStaged: boolean;
}

export interface ExportOptions {
    contentType: string;
    /** Aborts it; it then rejects with the signal's reason. */
    signal?: AbortSignal;
}

export interface ExportCopyOptions extends ExportOptions {
    /** Size in bytes and MD5 (base64) of the object: a copy that differs is not left there. @throws ApiError Download */
    size: number;
    contentMD5?: string;
}

/**
 * The places outside of what a storage keeps for this server, to which images can be exported: paths of the users' own
 * in Manta (absolute, `/login/stor/…`), and in S3 keys below the one prefix that the operator sets aside for them (and
 * without that prefix). Their segments are any text without control characters, none of them empty, `.` or `..`.
 *
 * What is said to be refused is so by the fault of whoever named the path: it does not exist, or the user of this
 * server may not write there. That says nothing about whether the storage can be used.
 */
export interface StorageExports {
    /**
     * Whether the path is a folder, so that what is exported to it is put into it. It may end in `/`; where there are no
     * folders, that is what makes it one.
     */
    isFolder(path: string, signal?: AbortSignal): Promise<boolean>;
    /** Puts bytes at the path; what is there is replaced as a whole. @throws ExportRefused */
    exportBytes(path: string, bytes: Buffer, options: ExportOptions): Promise<void>;
    /** Puts the content of an object at the path in the same way; false if there is no such object. @throws ExportRefused */
    exportObject(key: string, path: string, options: ExportCopyOptions): Promise<boolean>;
}

/** Nothing can be exported to a path, and the storage is not at fault. The message says why, for whoever named it. */
export class ExportRefused extends Error {
    override readonly name = 'ExportRefused';
}

/** In bytes. */
export interface StorageSpace {
    readonly total: number;
    /** What this server may still use. */
    readonly free: number;
}

export interface StorageDriver {
    readonly type: StorageType;
    /**
     * Where it keeps its objects, as a URL without credentials; every start and every process gives the same, and one
     * that keeps them elsewhere gives another.
     */
    readonly location: string;
    readonly capabilities: StorageCapabilities;
    /** Makes ready what the driver needs (folders, connections). */
    open(): Promise<void>;
    close(): Promise<void>;
    /** Resolves if the storage can be used. */
    check(): Promise<void>;
    /** How much room there is; absent where nobody can tell. */
    space?(): Promise<StorageSpace>;
    /**
     * Receives an object without putting it under its key. On rejection nothing is left behind, and the source is closed. The source
     * may be the body of a reader; the chunks of any other one are held, so their memory must not be used again.
     *
     * An object staged but not committed when the process dies is removed by `delete` of the same key if its name
     * ends in `-<uuid>`; under any other name `list` shows it as `<name>.<uuid>` until it is deleted as such.
     */
    stage(key: string, source: AsyncIterable<Uint8Array>, options?: StageOptions): Promise<StagedObject>;
    /** Opens an object; undefined if there is none. */
    read(key: string, options?: ReadOptions): Promise<ObjectReader | undefined>;
    stat(key: string): Promise<ObjectInfo | undefined>;
    /** Deletes the object and what an unfinished `stage` of it left. An absent one counts as deleted. */
    delete(key: string): Promise<void>;
    /** Makes `to` an object with the content of `from`, in the storage itself where it can. Undefined if `from` is absent. */
    copy(from: string, to: string): Promise<ObjectInfo | undefined>;
    /** The objects whose key starts with the prefix (whole segments, ends in `/`), in no promised order, unfinished ones included. */
    list(prefix: string): AsyncIterable<ObjectInfo>;
    /** There if, and only if, `capabilities.export` says so. */
    readonly exports?: StorageExports;
    /**
     * A URL under which everybody who knows it can GET the object, ranges of it too, until it expires. It is made
     * whether or not there is such an object.
     */
    presign?(key: string, options: PresignOptions): Promise<string>;
}

/** Folder of an image's objects (storage.md §1): `images/UUU/U/`. */
export function imageFolder(uuid: string): string {
    return `images/${uuid.slice(0, 3)}/${uuid}/`;
}

/** Key of one of an image's objects. */
export function imageKey(uuid: string, object: string): string {
    return imageFolder(uuid) + object;
}

/** Key of an image's archived manifest (storage.md §5). */
export function archiveKey(uuid: string): string {
    return `archive/${uuid.slice(0, 3)}/${uuid}.json`;
}

/** The storages this server is configured for; `local` is always among them, as spool. */
export interface StorageSet {
    /** @throws ApiError StorageUnsupported if the type is not configured */
    get(type: StorageType): StorageDriver;
    has(type: StorageType): boolean;
    all(): readonly StorageDriver[];
}

/** Something in the folder of archived manifests. */
export interface SpoolEntry {
    /** Its path, for messages. */
    readonly path: string;
    /** Whose manifest it is; undefined if it is not ours. */
    readonly uuid: string | undefined;
    /** Its bytes; undefined if it is gone. */
    read(): Promise<Buffer | undefined>;
    /**
     * Takes it out of the way of whoever archives the next version: from now on nobody writes it. Undefined if it is
     * gone. Should the process die, it is among the entries of the next run.
     */
    take(): Promise<SpoolEntry | undefined>;
    /** Deletes it, once it is taken. One that is gone counts as deleted. */
    remove(): Promise<void>;
}

/** The folder that archived manifests wait in until they are moved to an object store (storage.md §5). */
export interface ArchiveSpool {
    /**
     * What is in it: of one image the older ones first. Folders that are found or left empty are removed. To be walked
     * by one process at a time.
     */
    entries(): AsyncIterable<SpoolEntry>;
}
