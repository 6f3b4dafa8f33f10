/**
 * What every database driver promises. `test/conformance/db.ts` holds each of them to it.
 *
 * All methods may be called at any time between `open` and `close`, by any number of processes at once. A driver
 * that cannot reach its database throws ServiceUnavailableError, one whose disk is full InsufficientStorage; no
 * other failure of the backend may look like an empty answer.
 */
import type { RawImage, StorageType } from '../manifest';

/** An image as the database has it. */
export interface StoredImage {
    readonly uuid: string;
    /**
     * The value for optimistic writes: a checksum of the record, as Moray makes it (moray.md §2.3), eight characters.
     * Two different contents may share it, though not by chance in practice.
     */
    readonly etag: string;
    /** When the record was written, in ms since the epoch. Together with `etag` it names one version. */
    readonly mtime: number;
    /** Length of the record's JSON text in characters, for caches to weigh it by. */
    readonly size: number;
    /** Its place in the order of lists; '' if it is not published. */
    readonly publishedAt: string;
    /** The record; parsed when first asked for. Immutable. */
    readonly raw: RawImage;
}

/** Conditions that an image must all meet. An absent one asks nothing. */
export interface ImageFilter {
    uuid?: string;
    owner?: string;
    state?: string;
    os?: string;
    origin?: string;
    type?: { is: string } | { not: string };
    /** Exact, or a case-sensitive substring. */
    name?: { is: string } | { contains: string };
    version?: { is: string } | { contains: string };
    activated?: boolean;
    disabled?: boolean;
    public?: boolean;
    /** The account is in the ACL. */
    acl?: string;
    /** The image is in the channel. */
    channel?: string;
    /** `key=value` strings of the search form that must all be there. */
    tags?: string[];
    /** Keys that must all have a tag, whatever its value. */
    tagKeys?: string[];
    /** All must be among the image's billing tags. */
    billingTags?: string[];
}

/** A place in the list order. Unpublished images have `published_at` ''. */
export interface ListPosition {
    publishedAt: string;
    uuid: string;
}

/**
 * A list of images: those that meet any of the filters, each once.
 *
 * The order is `published_at` by bytes, then uuid; 'desc' is the exact reverse. Images that are not published come
 * first in ascending and last in descending order.
 */
export interface ImageQuery {
    anyOf: ImageFilter[];
    order: 'asc' | 'desc';
    /** Only images at or after this place in the order, and never unpublished ones. Without `uuid`: of that time or beyond. */
    marker?: { publishedAt: string; uuid?: string };
    /** Only images strictly after this place in the order: for reading on. */
    after?: ListPosition;
    /** Most images to give, at least 1. */
    limit: number;
}

/** What a query found. */
export interface FoundImages {
    readonly images: StoredImage[];
    /** Stands for these versions of these images, in this order; undefined if the driver gives no marks. */
    readonly mark: string | undefined;
}

/** A stored object that no record may refer to: being written, or to be deleted. */
export interface PendingObject {
    /** Server-made uuid. */
    readonly id: string;
    readonly image: string;
    readonly storage: StorageType;
    readonly key: string;
}

/** Changes to images that happen together or not at all. The one commit point of every operation. */
export interface ImageChange {
    /**
     * Records to write. `etag`: a string must be the stored one, null means there must be none, absent writes over
     * anything.
     */
    put?: readonly { raw: RawImage; etag?: string | null }[];
    /** Records to delete; they must exist. `etag` as for `put`. */
    delete?: readonly { uuid: string; etag?: string }[];
    /** Versions that must still be the current ones: what the written records were made from. */
    unchanged?: readonly { uuid: string; etag: string }[];
    /** Images that must be there: origins of what is written. */
    requires?: readonly string[];
    /** Images that no other one may have as its origin (in the channel, if one is given): what is to go. */
    withoutDependents?: readonly { uuid: string; channel?: string | undefined }[];
    /** Ids of pending objects that the written records now refer to. Each must still be live. */
    settle?: readonly string[];
    /** Objects that no record refers to after this change; they become condemned pending objects. */
    drop?: readonly PendingObject[];
}

/** A write met a record of another version than it expected. */
export class EtagConflict extends Error {
    override readonly name = 'EtagConflict';
    constructor(readonly uuid: string) {
        super(`Image ${uuid} was changed by another request.`);
    }
}

/** A record to delete is not there. */
export class ImageNotFound extends Error {
    override readonly name = 'ImageNotFound';
    constructor(readonly uuid: string) {
        super(`Image ${uuid} does not exist.`);
    }
}

/** An image that a change requires is not there, or one that is to go has dependents. */
export class DependencyConflict extends Error {
    override readonly name = 'DependencyConflict';
    constructor(readonly uuid: string) {
        super(`What depends on image ${uuid}, or what it depends on, was changed by another request.`);
    }
}

/** Another image has the same value in an attribute that must be unique (`uuid` or `urn`). */
export class UniqueConflict extends Error {
    override readonly name = 'UniqueConflict';
    constructor(
        readonly attribute: string,
        readonly value: string,
    ) {
        super(`Another image has the ${attribute} "${value}".`);
    }
}

/** A value of an attribute is too long for the index that the database keeps of it. */
export class ValueTooLong extends Error {
    override readonly name = 'ValueTooLong';
    constructor(readonly attribute: string) {
        super(`The database cannot keep a value of ${attribute} that is so long; make it shorter.`);
    }
}

/** The pending object was given up as abandoned before it could be settled. */
export class PendingObjectLost extends Error {
    override readonly name = 'PendingObjectLost';
    constructor(readonly id: string) {
        super(`The upload ${id} was silent for too long and has been given up.`);
    }
}

export interface ImageStore {
    get(uuid: string): Promise<StoredImage | undefined>;
    query(query: ImageQuery): Promise<StoredImage[]>;
    /**
     * As `query`, for callers that have kept what they made of an answer to the same query: 'unchanged' if it would be
     * the one that had this mark. That is looked up in the database, but costs much less than the images do.
     */
    queryUnless(query: ImageQuery, mark: string | undefined): Promise<FoundImages | 'unchanged'>;
    /** Applies a change; gives the written records in the order of `put`. Durable when it resolves.
     * @throws EtagConflict, ImageNotFound, DependencyConflict, UniqueConflict, ValueTooLong, PendingObjectLost, with
     * nothing changed. */
    commit(change: ImageChange): Promise<StoredImage[]>;
    /** Images whose origin is `uuid` (and that are in `channel`, if given): how many, and the first few by uuid. */
    dependents(
        uuid: string,
        options: { channel?: string; first: number },
    ): Promise<{ count: number; uuids: string[] }>;
    /** Images in state creating or failed with an `expires_at` at or before `now` (ISO form); at most `limit`. */
    expired(now: string, limit: number): Promise<StoredImage[]>;
    /** How many images there are in each state. */
    countByState(): Promise<Record<string, number>>;
    /**
     * A number that differs whenever any process has changed images since; undefined if the driver can't tell cheaply.
     * It lasts: a restart does not change it, and none comes again, also after the database was put back to a former
     * state and changed from there.
     */
    generation(): number | undefined;
}

/**
 * The pending objects: uploads in flight, and objects to delete.
 *
 * A live one is kept alive by its process with `beat`. One that was silent is condemned by whoever sweeps; from then
 * on it can't be settled, so its object can be deleted without looking back.
 */
export interface PendingStore {
    add(object: PendingObject, now: number): Promise<void>;
    /** Says that these are still being written. Gives the ids that are not live any more. */
    beat(ids: readonly string[], now: number): Promise<string[]>;
    /** Condemns every live one last heard of at or before `silentSince`, and gives all condemned ones, at most `limit`. */
    condemn(silentSince: number, limit: number): Promise<PendingObject[]>;
    /** Condemns these whatever their age: their own process gives them up. */
    abandon(ids: readonly string[]): Promise<void>;
    /** Forgets them: their objects are gone. */
    remove(ids: readonly string[]): Promise<void>;
    /** Whether the object has a row, live or condemned. */
    has(storage: StorageType, key: string): Promise<boolean>;
    /** When the longest silent live one was last heard of, in ms since the epoch. */
    oldestBeat(): Promise<number | undefined>;
}

/** Named locks that expire, so that one process at a time runs a periodic task. */
export interface LeaseStore {
    /** Takes or renews the lease until `now + ttl` (ms). False while another holder has it. */
    acquire(name: string, holder: string, ttl: number, now: number): Promise<boolean>;
    release(name: string, holder: string): Promise<void>;
}

/** When tasks were last done: those that are to be done once in a time, by whichever process. It lasts. */
export interface TaskStore {
    /** In ms since the epoch; undefined if it never was. */
    doneAt(name: string): Promise<number | undefined>;
    done(name: string, now: number): Promise<void>;
}

/** A durable job (imports.md); `value` is the job object in WFAPI's form. */
export interface StoredJob {
    readonly uuid: string;
    readonly imageUuid: string;
    readonly task: string;
    readonly execution: string;
    /** Times are in ms since the epoch. */
    readonly createdAt: number;
    /** From when on somebody should work on it; undefined once nothing is left to do. */
    readonly dueAt: number | undefined;
    /** When it ended; undefined while it goes on. */
    readonly finishedAt: number | undefined;
    readonly etag: string;
    readonly value: Record<string, unknown>;
}

export interface JobStore {
    /** Writes a job; `etag` as in {@link ImageChange}. @throws EtagConflict */
    put(job: Omit<StoredJob, 'etag'>, etag: string | null): Promise<StoredJob>;
    get(uuid: string): Promise<StoredJob | undefined>;
    /** Jobs that meet all of the conditions, newest first. */
    list(
        where: { imageUuid?: string; task?: string; execution?: string },
        options: { limit: number; offset?: number },
    ): Promise<StoredJob[]>;
    /** Jobs that are to be worked on at `now`, those that wait for longest first. */
    due(now: number, options: { limit: number; offset?: number }): Promise<StoredJob[]>;
    /** How many jobs there are of each execution. */
    countByExecution(): Promise<Record<string, number>>;
    /** Deletes jobs that ended at or before this time and have nothing left to do, at most `limit`; gives how many. */
    prune(finishedBefore: number, limit: number): Promise<number>;
}

/** Values that may be used once until they expire: signatures, for replay protection. */
export interface ReplayStore {
    /** Remembers the value until `expires` (ms). False if it is remembered already at `now`. */
    remember(value: string, expires: number, now: number): Promise<boolean>;
    prune(now: number): Promise<number>;
}

/** How many connections there are to a database on another machine. */
export interface ConnectionUsage {
    readonly open: number;
    /** Of those, the ones that nobody uses at the moment. */
    readonly idle: number;
    /** How many requests wait for one. */
    readonly waiting: number;
}

export interface Database {
    readonly type: 'local' | 'moray';
    readonly images: ImageStore;
    readonly pending: PendingStore;
    readonly leases: LeaseStore;
    readonly tasks: TaskStore;
    readonly jobs: JobStore;
    readonly replay: ReplayStore;
    /**
     * A uuid made with the database, the same for every process that uses it.
     * @throws ServiceUnavailableError while the database has not been reached yet
     */
    readonly id: string;
    /**
     * Opens and, where needed, creates or upgrades the schema. A database on another machine may be out of reach: then
     * it is opened and set up later, by itself, and what is asked meanwhile throws ServiceUnavailableError.
     */
    open(): Promise<void>;
    close(): Promise<void>;
    /** Of this process; undefined if there are none, or the database needs none. */
    readonly connectionUsage: ConnectionUsage | undefined;
    /** Resolves if the database answers. */
    check(): Promise<void>;
}
