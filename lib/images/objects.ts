import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { Database, PendingObject } from '../db/driver';
import { faultPoint } from '../fault';
import type { RawImage, StorageType } from '../manifest';
import type { StagedObject, StorageSet } from '../storage/driver';
import { imageKey } from '../storage/driver';
import { Digest } from './digest';
import { Heartbeat, isGivenUp } from './heartbeat';
import { filesOf } from './references';

/** Name of an object within its image's folder. */
function objectName(key: string): string {
    return key.slice(key.lastIndexOf('/') + 1);
}

/** A storage does not have an object: a record that refers to it is outdated, or the storage is damaged. */
export class ObjectMissing extends Error {
    override readonly name = 'ObjectMissing';
    /** @param image whose object it is */
    constructor(
        readonly image: string,
        key: string,
    ) {
        super(`The storage has no object ${key}.`);
    }
}

/** Bytes on their way into a storage. */
export interface Incoming {
    image: string;
    /** What they are: the object is named `<kind>-<uuid>`. */
    kind: 'file0' | 'file1' | 'icon';
    storage: StorageType;
    source: AsyncIterable<Uint8Array>;
    contentType?: string;
    /** How many they are, and their MD5 (base64), where that is known: bytes that differ are refused (Download). */
    size?: number;
    contentMD5?: string;
    /** Throws when the bytes so far are too many. */
    checkSize: (size: number) => void;
    signal: AbortSignal;
}

/** An object that is stored but that no record refers to yet. */
export interface ReceivedObject {
    /** Id of its pending row, to settle with the record that refers to it. */
    readonly id: string;
    /** Name within the image's folder. */
    readonly object: string;
    readonly storage: StorageType;
    readonly size: number;
    readonly sha1: string;
    readonly contentMD5: string;
}

/** An object to copy, and the image whose folder the copy is to be in. */
export interface Duplication {
    readonly original: PendingObject;
    readonly image: string;
}

/** A copy that no record refers to yet; see {@link ReceivedObject}. */
export type ObjectCopy = Pick<ReceivedObject, 'id' | 'object'>;

/**
 * The stored objects of images: written under unique names, never changed, deleted when no record refers to them.
 *
 * Every object that no record refers to has a pending row, from before its first byte until it is either referred to
 * or gone; whatever crashes in between is cleared by the sweep.
 */
export class Objects {
    readonly #heartbeat: Heartbeat;

    constructor(
        private readonly database: Database,
        private readonly storages: StorageSet,
        private readonly clock: Clock,
        private readonly log: Logger,
        silence: number,
    ) {
        this.#heartbeat = new Heartbeat(database.pending, clock, log, silence);
    }

    /**
     * Stores bytes as a new object and hands it to `attach`, which makes a record refer to it and settles its row.
     * If anything fails, `attach` included, the object is removed again.
     *
     * @param check judges the received bytes before they become an object
     */
    async receive<T>(
        incoming: Incoming,
        check: (digest: { size: number; sha1: string; contentMD5: string }) => void,
        attach: (received: ReceivedObject) => Promise<T>,
    ): Promise<T> {
        const pending = this.#pendingObject(incoming.image, incoming.kind, incoming.storage);
        const storage = this.storages.get(incoming.storage);
        await this.database.pending.add(pending, this.clock.now());
        faultPoint('upload:pending');
        const lost = this.#heartbeat.watch(pending.id);
        let staged: StagedObject | undefined;
        try {
            const digest = new Digest();
            const { contentType, size, contentMD5 } = incoming;
            staged = await storage.stage(pending.key, digest.through(incoming.source, incoming.checkSize), {
                signal: AbortSignal.any([incoming.signal, lost]),
                ...(contentType !== undefined && { contentType }),
                ...(size !== undefined && { size }),
                ...(contentMD5 !== undefined && { contentMD5 }),
            });
            faultPoint('upload:staged');
            const received = { size: digest.size, ...digest.sums() };
            check(received);
            const stagedObject = staged;
            staged = undefined;
            await stagedObject.commit();
            faultPoint('upload:committed');
            const object = objectName(pending.key);
            return await attach({ id: pending.id, object, storage: incoming.storage, ...received });
        } catch (err) {
            await staged?.discard();
            await this.#giveUp(pending, err);
            throw err;
        } finally {
            this.#heartbeat.forget(pending.id);
        }
    }

    /**
     * Copies objects within their storages into the folders of other images, as new objects, and hands those to
     * `attach` in the same order, as {@link receive} does: if anything fails, none of them stays.
     *
     * @throws ObjectMissing if one of them is not there; ApiError StorageUnsupported, with nothing copied
     */
    async duplicate<T>(
        wanted: readonly Duplication[],
        attach: (copies: readonly ObjectCopy[]) => Promise<T>,
    ): Promise<T> {
        const copies = wanted.map(({ original, image }) => ({
            original,
            // Asked for first: a row of a storage that is not there could never be cleared.
            storage: this.storages.get(original.storage),
            to: this.#pendingObject(
                image,
                objectName(original.key).startsWith('icon') ? 'icon' : 'file0',
                original.storage,
            ),
        }));
        try {
            for (const { original, storage, to } of copies) {
                await this.database.pending.add(to, this.clock.now());
                faultPoint('duplicate:pending');
                this.#heartbeat.watch(to.id);
                if (!(await storage.copy(original.key, to.key))) {
                    throw new ObjectMissing(original.image, original.key);
                }
                faultPoint('duplicate:copied');
            }
            return await attach(copies.map(({ to }) => ({ id: to.id, object: objectName(to.key) })));
        } catch (err) {
            for (const { to } of copies) {
                await this.#giveUp(to, err);
            }
            throw err;
        } finally {
            copies.forEach(({ to }) => this.#heartbeat.forget(to.id));
        }
    }

    /** The objects a record refers to, as rows for {@link ImageChange.drop}. */
    referredBy(raw: RawImage, kinds: { files: boolean; icon: boolean }): PendingObject[] {
        const objects: { storage: StorageType; object: string }[] = [];
        if (kinds.files) {
            for (const [index, file] of filesOf(raw)) {
                objects.push({ storage: file.stor, object: file.object ?? `file${index}` });
            }
        }
        if (kinds.icon && raw.icon) {
            objects.push({ storage: raw.icon.stor ?? 'local', object: raw.icon.object ?? 'icon' });
        }
        return objects.map(({ storage, object }) => ({
            id: this.clock.uuid(),
            image: raw.uuid,
            storage,
            key: imageKey(raw.uuid, object),
        }));
    }

    /**
     * Refuses what would be deleted from a storage that this server does not have: nobody could tell when it will be.
     * @throws ApiError StorageUnsupported
     */
    assertDeletable(raw: RawImage, kinds: { files: boolean; icon: boolean }): void {
        this.referredBy(raw, kinds).forEach(({ storage }) => this.storages.get(storage));
    }

    /** Deletes objects that have been dropped. One that can't be deleted now is left to the sweep. */
    async dispose(dropped: readonly PendingObject[]): Promise<void> {
        for (const object of dropped) {
            try {
                await this.storages.get(object.storage).delete(object.key);
                faultPoint('dispose:deleted');
                await this.database.pending.remove([object.id]);
                faultPoint('dispose:forgotten');
            } catch (err) {
                this.log.warn(
                    { err, object },
                    'could not delete an object that is no longer used; the sweep will',
                );
            }
        }
    }

    #pendingObject(image: string, kind: string, storage: StorageType): PendingObject {
        const id = this.clock.uuid();
        return { id, image, storage, key: imageKey(image, `${kind}-${id}`) };
    }

    /**
     * Removes the object of a failed operation. Its row is condemned first: if the operation did reach the database
     * after all (an answer lost on the way), the row is gone, and the record and the object stay. Where the operation
     * failed because the row was gone before, nothing but this would find the object.
     */
    async #giveUp(pending: PendingObject, failure: unknown): Promise<void> {
        try {
            await this.database.pending.abandon([pending.id]);
            if (isGivenUp(failure) || (await this.database.pending.has(pending.storage, pending.key))) {
                await this.dispose([pending]);
            }
        } catch (err) {
            this.log.warn(
                { err, object: pending },
                'could not clean up after a failed upload; the sweep will',
            );
        }
    }
}
