import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { ImageStore, PendingStore } from '../db/driver';
import type { StorageType } from '../manifest';
import { imageKey, type ObjectInfo, type StorageDriver, type StorageSet } from '../storage/driver';
import { referredNames } from './references';

/** Objects younger than this are left alone whatever the database says, in ms. */
const LEAST_AGE = 24 * 3_600_000;

/** Holds the id of the database that the objects of a storage belong to. */
export const MARK_KEY = 'images/database-id';

/** Longer than any id: what is above belongs to somebody else. */
const MOST_MARK_BYTES = 1024;

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

/**
 * Objects that this server, and nobody else, gives such names: finished (`file0-<id>`) or still being written
 * (`file0.<id>`). A plain `file0` or `icon` is never touched: it may be the original's, or an operator's.
 */
const OWN_OBJECT = new RegExp(`^images/[^/]+/(${UUID})/((?:file[0-9]+|icon)([-.])${UUID})$`);

/** What an interrupted write of an archived manifest leaves. */
const OWN_SPOOL = new RegExp(`^archive/[^/]+/[^/]+\\.${UUID}$`);

interface Candidate {
    readonly info: ObjectInfo;
    readonly image: string;
    readonly name: string;
    /** It was never finished. */
    readonly partial: boolean;
}

function candidate(info: ObjectInfo): Candidate | undefined {
    const [, image, name, separator] = OWN_OBJECT.exec(info.key) ?? [];
    return image !== undefined && name !== undefined && info.key === imageKey(image, name)
        ? { info, image, name, partial: separator === '.' }
        : undefined;
}

/** The name the object would have had when finished: its pending row has that one. */
function finishedKey({ info, partial }: Candidate): string {
    const dot = info.key.lastIndexOf('.');
    return partial ? `${info.key.slice(0, dot)}-${info.key.slice(dot + 1)}` : info.key;
}

/** Neighbours of the same image together, so that its record is read once. */
async function* byImage(objects: AsyncIterable<ObjectInfo>): AsyncGenerator<[Candidate, ...Candidate[]]> {
    let group: [Candidate, ...Candidate[]] | undefined;
    for await (const info of objects) {
        const found = candidate(info);
        if (found === undefined) {
            continue;
        }
        if (group?.[0].image === found.image) {
            group.push(found);
            continue;
        }
        if (group !== undefined) {
            yield group;
        }
        group = [found];
    }
    if (group !== undefined) {
        yield group;
    }
}

async function* once(chunk: Buffer): AsyncGenerator<Buffer> {
    yield chunk;
}

export interface UnreferencedSweepOptions {
    databaseId: () => string;
    images: ImageStore;
    pending: PendingStore;
    storages: StorageSet;
    clock: Clock;
    log: Logger;
    /** Is told of each object instead of its being deleted, and no storage is marked. */
    onlyTell?: ((storage: StorageType, info: ObjectInfo) => void) | undefined;
}

export interface UnreferencedSweepResult {
    /** Objects, or if they are only told of, those that would be. */
    deleted: number;
    bytes: number;
    /** The storages that were not searched to the end; the log says why. */
    left: StorageType[];
}

/**
 * Finds and deletes objects of our own naming that are over 24 h old and that neither a record nor a pending row
 * knows.
 *
 * A wrong or empty database would make every object look like that, so a storage carries the id of its database.
 * Nothing is deleted from a storage with another mark. One without a mark gets it if all that is in it is known to
 * this database; otherwise an operator has to decide.
 */
export class UnreferencedSweep {
    readonly #options: UnreferencedSweepOptions;

    constructor(options: UnreferencedSweepOptions) {
        this.#options = options;
    }

    async run(signal?: AbortSignal): Promise<UnreferencedSweepResult> {
        const found = { deleted: 0, bytes: 0, left: [] as StorageType[] };
        for (const storage of this.#options.storages.all()) {
            try {
                await this.#sweep(storage, found, signal);
            } catch (err) {
                found.left.push(storage.type);
                this.#options.log.warn(
                    { err, storage: storage.type },
                    'could not search a storage for unreferenced objects; it will be tried again tomorrow',
                );
            }
        }
        return found;
    }

    async #sweep(
        storage: StorageDriver,
        found: UnreferencedSweepResult,
        signal: AbortSignal | undefined,
    ): Promise<void> {
        const { log } = this.#options;
        const databaseId = this.#options.databaseId();
        const mark = await this.#readMark(storage);
        if (mark === databaseId) {
            await this.#deleteOrphans(storage, found, signal);
            await this.#deleteSpool(storage, found, signal);
            return;
        }
        const unknown = mark === undefined ? await this.#countUnknown(storage, signal) : undefined;
        if (signal?.aborted === true) {
            return;
        }
        if (unknown === 0) {
            if (!this.#options.onlyTell) {
                await this.#writeMark(storage);
            }
            return;
        }
        found.left.push(storage.type);
        log.warn(
            { storage: storage.type, mark, databaseId, unknown },
            unknown === undefined
                ? `the objects of storage "${storage.type}" belong to another database, so unreferenced ones are not ` +
                      `deleted; if that database is gone for good, put ${databaseId} into the object ${MARK_KEY}`
                : `storage "${storage.type}" does not say which database it belongs to and holds ${unknown} objects ` +
                      'that this one does not know, so they are not deleted; if it is the right database and they ' +
                      `may go, put ${databaseId} into the object ${MARK_KEY}`,
        );
    }

    async #deleteOrphans(
        storage: StorageDriver,
        found: UnreferencedSweepResult,
        signal: AbortSignal | undefined,
    ): Promise<void> {
        for await (const group of byImage(this.#old(storage.list('images/')))) {
            if (signal?.aborted === true) {
                return;
            }
            for (const { info } of await this.#orphans(storage, group)) {
                await this.#delete(storage, info, found);
            }
        }
    }

    async #deleteSpool(
        storage: StorageDriver,
        found: UnreferencedSweepResult,
        signal: AbortSignal | undefined,
    ): Promise<void> {
        for await (const info of this.#old(storage.list('archive/'))) {
            if (signal?.aborted === true) {
                return;
            }
            if (OWN_SPOOL.test(info.key)) {
                await this.#delete(storage, info, found);
            }
        }
    }

    async #delete(storage: StorageDriver, info: ObjectInfo, found: UnreferencedSweepResult): Promise<void> {
        const { onlyTell, log } = this.#options;
        if (onlyTell) {
            onlyTell(storage.type, info);
        } else {
            const { key, size, mtime } = info;
            await storage.delete(key);
            log.info({ storage: storage.type, key, size, mtime }, 'deleted an object that nothing refers to');
        }
        found.deleted++;
        found.bytes += info.size;
    }

    /** How many finished objects of our own naming, of any age, nothing in this database knows. */
    async #countUnknown(storage: StorageDriver, signal: AbortSignal | undefined): Promise<number> {
        let unknown = 0;
        for await (const group of byImage(storage.list('images/'))) {
            if (signal?.aborted === true) {
                break;
            }
            const orphans = await this.#orphans(storage, group);
            unknown += orphans.filter(({ partial }) => !partial).length;
        }
        return unknown;
    }

    /**
     * Those of an image's listed objects that nothing knows.
     *
     * An object has a pending row from before its first byte until a record refers to it. So the row is looked for
     * first: if there is none, the record that is read afterwards is one that already refers to it, or none will.
     */
    async #orphans(
        storage: StorageDriver,
        group: readonly [Candidate, ...Candidate[]],
    ): Promise<readonly Candidate[]> {
        const { images, pending } = this.#options;
        const { image } = group[0];
        const known = referredNames((await images.get(image))?.raw, storage.type);
        const unclaimed: Candidate[] = [];
        for (const found of group) {
            if (!known.has(found.name) && !(await pending.has(storage.type, finishedKey(found)))) {
                unclaimed.push(found);
            }
        }
        if (unclaimed.length === 0) {
            return unclaimed;
        }
        const referred = referredNames((await images.get(image))?.raw, storage.type);
        const orphans = unclaimed.filter(({ name }) => !referred.has(name));
        return orphans.some(({ partial }) => partial) && (await this.#isDamaged(storage, image, referred))
            ? orphans.filter(({ partial }) => !partial)
            : orphans;
    }

    /**
     * Whether an object that the record refers to is missing. Then an unfinished one may be all that is left of it:
     * the original could lose a file like that when it moved it between storages (storage.md §4).
     */
    async #isDamaged(storage: StorageDriver, image: string, referred: Set<string>): Promise<boolean> {
        for (const name of referred) {
            if ((await storage.stat(imageKey(image, name))) === undefined) {
                this.#options.log.warn(
                    { storage: storage.type, image, missing: name },
                    'an object of an image is missing; unfinished ones beside it are kept, one may be its content',
                );
                return true;
            }
        }
        return false;
    }

    async *#old(objects: AsyncIterable<ObjectInfo>): AsyncGenerator<ObjectInfo> {
        const latest = this.#options.clock.now() - LEAST_AGE;
        for await (const info of objects) {
            if (info.mtime.getTime() <= latest) {
                yield info;
            }
        }
    }

    async #readMark(storage: StorageDriver): Promise<string | undefined> {
        const reader = await storage.read(MARK_KEY);
        let text = '';
        for await (const chunk of reader?.body ?? []) {
            text += chunk.toString('latin1');
            if (text.length > MOST_MARK_BYTES) {
                break;
            }
        }
        return reader && text.trim();
    }

    async #writeMark(storage: StorageDriver): Promise<void> {
        const mark = Buffer.from(this.#options.databaseId());
        const staged = await storage.stage(MARK_KEY, once(mark), {
            size: mark.length,
            contentType: 'text/plain',
        });
        await staged.commit();
        this.#options.log.info({ storage: storage.type }, 'marked a storage as belonging to this database');
    }
}
