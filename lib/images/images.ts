import type Logger from 'bunyan';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock';
import type { Config } from '../config/types';
import type { Database, ImageChange, PendingObject, StoredImage } from '../db/driver';
import { EtagConflict, PendingObjectLost, UniqueConflict, ValueTooLong } from '../db/driver';
import { ApiError, validationFailed } from '../errors';
import { faultPoint } from '../fault';
import type { RawImage } from '../manifest';
import type { StorageSet } from '../storage/driver';
import { VERSION } from '../version';
import { Archive } from './archive';
import { givenUp } from './heartbeat';
import { Image, type Rules } from './image';
import { ImageLists, storedPages } from './lists';
import { ObjectMissing, Objects, type Duplication, type ObjectCopy } from './objects';
import { existsAlready } from './refusals';
import { renderImage } from './serialize';
import { Turns } from './turns';
import { assertValidImage, profileFor } from './validate';

/** Bytes that remembered images may take. */
const CACHE_BYTES = 48 << 20;

/** How a save goes along with stored objects. */
export interface ObjectChanges {
    settle?: readonly string[];
    drop?: readonly PendingObject[];
}

/** An image to be made from a version of another. */
export interface CopiedImage {
    readonly from: Image;
    /** The record, still naming the objects of the other image. */
    readonly raw: RawImage;
}

interface Remembered {
    readonly image: Image;
    /** The database's generation at which this was the current version. */
    generation: number | undefined;
}

export interface ImagesParts {
    config: Config;
    database: Database;
    storages: StorageSet;
    clock: Clock;
    log: Logger;
}

/**
 * The images of this server: reading them, and the one way in which each kind of change is made durable.
 *
 * Nothing read is ever older than the last commit of any process: what is remembered is used only while the
 * database's generation is the same, or for records of exactly the remembered version.
 */
export class Images {
    readonly objects: Objects;
    readonly lists: ImageLists;
    /** Changes of one image take turns here, by its uuid. */
    readonly turns = new Turns();
    readonly rules: Rules;
    readonly #database: Database;
    readonly #archive: Archive;
    readonly #log: Logger;
    readonly #images = new LRUCache<string, Remembered>({ maxSize: CACHE_BYTES });

    constructor({ config, database, storages, clock, log }: ImagesParts) {
        this.#database = database;
        this.#log = log;
        this.#archive = new Archive(storages.get('local'), database.pending, clock);
        this.objects = new Objects(database, storages, clock, log, config.limits.uploadSilence);
        this.rules = { mode: config.mode, channels: config.channels?.map(({ name }) => name) };
        this.lists = new ImageLists(database.images, {
            seed: () => JSON.stringify([database.id, VERSION, this.rules]),
            imageOf: (stored) => this.#remember(stored),
        });
    }

    /** The current version of an image if it is at hand without asking the database; undefined says nothing. */
    peek(uuid: string): Image | undefined {
        const known = this.#images.get(uuid);
        const generation = known?.generation === undefined ? undefined : this.#database.images.generation();
        return generation !== undefined && known?.generation === generation ? known.image : undefined;
    }

    /** The current version of an image, valid or not; undefined if there is none. */
    async get(uuid: string): Promise<Image | undefined> {
        const known = this.peek(uuid);
        if (known) {
            return known;
        }
        const generation = this.#database.images.generation();
        const stored = await this.#database.images.get(uuid);
        if (!stored) {
            this.#images.delete(uuid);
            return undefined;
        }
        // Read after `generation` was: at worst the next call looks again.
        return this.#remember(stored, generation);
    }

    /** Whether there is an image with this uuid, in any state. */
    async has(uuid: string): Promise<boolean> {
        return (await this.get(uuid)) !== undefined;
    }

    /** All records as they are stored, by publication. */
    async *records(): AsyncGenerator<RawImage> {
        for await (const page of storedPages(this.#database.images, { anyOf: [{}], order: 'asc' })) {
            for (const { raw } of page) {
                yield raw;
            }
        }
    }

    /**
     * Adds an image, if its origin is (still) there; with `anyOrigin` even if it is not.
     * @throws ApiError ImageUuidAlreadyExists, ValidationFailed; DependencyConflict about the origin
     */
    async create(raw: RawImage, { anyOrigin = false } = {}): Promise<Image> {
        return this.#write(raw, null, raw.origin && !anyOrigin ? { requires: [raw.origin] } : {});
    }

    /**
     * Puts `raw` in the place of a version of an image, and deletes the objects it no longer refers to.
     * @throws EtagConflict if that is not the current version; DependencyConflict about what the change requires
     */
    async save(
        current: Image,
        raw: RawImage,
        changes: ObjectChanges & Pick<ImageChange, 'requires'> = {},
    ): Promise<Image> {
        const saved = await this.#write(raw, current.version, changes);
        await this.objects.dispose(changes.drop ?? []);
        return saved;
    }

    /**
     * As {@link save}, for a change of what is not served to anybody but operators: the archived manifest stays right.
     * @throws EtagConflict
     */
    async saveUnserved(current: Image, raw: RawImage, changes: ObjectChanges): Promise<Image> {
        this.assertValid(raw);
        const saved = await this.#commitOne({ ...changes, put: [{ raw, etag: current.version }] });
        faultPoint('relocate:committed');
        await this.objects.dispose(changes.drop ?? []);
        return saved;
    }

    async #write(
        raw: RawImage,
        etag: string | null,
        rest: ObjectChanges & Pick<ImageChange, 'requires'>,
    ): Promise<Image> {
        this.assertValid(raw);
        const archived = await this.#writeArchive(raw);
        faultPoint('save:archived');
        const settle = [...(rest.settle ?? []), archived];
        try {
            const saved = await this.#commitOne(
                { ...rest, put: [{ raw, etag }], settle },
                etag === null ? raw.uuid : undefined,
            );
            faultPoint('save:committed');
            return saved;
        } catch (err) {
            await this.#restoreArchive(raw.uuid);
            throw err;
        }
    }

    /** Makes the archive tell again what the database has, after a change that did not come about. */
    async #restoreArchive(uuid: string): Promise<void> {
        try {
            const image = await this.get(uuid);
            if (image) {
                await this.#archive.rewrite(uuid, this.#archived(image.raw));
            }
        } catch (err) {
            this.#log.warn({ err, image_uuid: uuid }, 'the archived manifest is of a change that failed');
        }
    }

    /** @throws ApiError ValidationFailed if the record breaks the rules of this server */
    assertValid(raw: RawImage): void {
        assertValidImage(raw, profileFor(this.rules, raw.state));
    }

    /**
     * Gives an image another uuid: its objects are copied to the new uuid's folder, then the one record takes the
     * place of the other in one step.
     *
     * @param raw the record under its new uuid, still naming the objects of the old one
     * @throws ApiError ImageUuidAlreadyExists; EtagConflict if `current` is not the current version
     */
    async move(current: Image, raw: RawImage): Promise<Image> {
        this.assertValid(raw);
        const { objects } = this;
        const drop = objects.referredBy(current.raw, { files: true, icon: true });
        const wanted = drop.map((original) => ({ original, image: raw.uuid }));
        const moved = await this.#withCopies([current], wanted, async (copies) => {
            const renamed = withObjects(raw, copies);
            const archived = [
                await this.#writeArchive(renamed),
                await this.#writeArchive({ ...current.raw, files: [] }),
            ];
            faultPoint('move:archived');
            return this.#commitOne(
                {
                    put: [{ raw: renamed, etag: null }],
                    delete: [{ uuid: current.uuid, etag: current.version }],
                    settle: [...copies.map(({ id }) => id), ...archived],
                    drop,
                },
                raw.uuid,
            );
        });
        faultPoint('move:committed');
        this.#images.delete(current.uuid);
        await objects.dispose(drop);
        return moved;
    }

    /**
     * Adds images that are made from others, with copies of their files, all in one step. They may be each other's
     * origins.
     *
     * @param requires images that must be there: origins that are not among the new ones
     * @throws EtagConflict if one of those they are made from is not the current version; DependencyConflict about
     *   `requires`; ApiError ValidationFailed, StorageUnsupported, InternalError if stored bytes are missing
     */
    async createCopies(copied: readonly CopiedImage[], requires: readonly string[]): Promise<Image[]> {
        copied.forEach(({ raw }) => this.assertValid(raw));
        const wanted = copied.flatMap(({ from, raw }) =>
            this.objects
                .referredBy(from.raw, { files: true, icon: false })
                .map((original) => ({ original, image: raw.uuid })),
        );
        const sources = copied.map(({ from }) => from);
        return this.#withCopies(sources, wanted, async (copies) => {
            const raws = copied.map(({ raw }) =>
                withObjects(
                    raw,
                    copies.filter((_copy, index) => wanted[index]?.image === raw.uuid),
                ),
            );
            const archived: string[] = [];
            for (const raw of raws) {
                archived.push(await this.#writeArchive(raw));
            }
            faultPoint('clone:archived');
            const created = await this.#commit({
                put: raws.map((raw) => ({ raw, etag: null })),
                unchanged: sources.map(({ uuid, version }) => ({ uuid, etag: version })),
                requires,
                settle: [...copies.map(({ id }) => id), ...archived],
            });
            faultPoint('clone:committed');
            return created;
        });
    }

    /** Copies objects of images; one that is missing because its image has others by now is an EtagConflict. */
    async #withCopies<T>(
        sources: readonly Image[],
        wanted: readonly Duplication[],
        attach: (copies: readonly ObjectCopy[]) => Promise<T>,
    ): Promise<T> {
        try {
            return await this.objects.duplicate(wanted, attach);
        } catch (err) {
            if (!(err instanceof ObjectMissing)) {
                throw err;
            }
            const { image: uuid } = err;
            const known = sources.find((source) => source.uuid === uuid);
            if ((await this.get(uuid))?.version !== known?.version) {
                throw new EtagConflict(uuid);
            }
            this.#log.error({ err, image_uuid: uuid }, 'a stored object is missing');
            throw new ApiError('InternalError', `A stored object of image ${uuid} is missing.`, {
                cause: err,
            });
        }
    }

    /**
     * Deletes a version of an image, if nothing is built on it (in the channel, if one is given), and then its objects.
     * @throws EtagConflict, ImageNotFound, DependencyConflict
     */
    async remove(current: Image, channel: string | undefined): Promise<void> {
        const { uuid, version: etag } = current;
        const drop = this.objects.referredBy(current.raw, { files: true, icon: true });
        await this.#database.images.commit({
            delete: [{ uuid, etag }],
            withoutDependents: [{ uuid, channel }],
            drop,
        });
        faultPoint('delete:committed');
        this.#images.delete(current.uuid);
        await this.objects.dispose(drop);
    }

    /** Images whose origin is this one, in the channel if one is given: how many, and the first few. */
    async dependents(uuid: string, channel: string | undefined, first: number) {
        return this.#database.images.dependents(uuid, { first, ...(channel !== undefined && { channel }) });
    }

    /** What is remembered, in the form of GET /state. `expiry` is 0: nothing is trusted for a time. */
    cacheState(): Record<string, { name: string; expiry: number; items: number }> {
        return {
            ImageGet: { name: 'ImageGet', expiry: 0, items: this.#images.size },
            ImageList: { name: 'ImageList', expiry: 0, items: this.lists.size },
        };
    }

    dropCaches(): void {
        this.#images.clear();
        this.lists.clear();
    }

    /** Gives the id of a row to settle with the record. */
    async #writeArchive(raw: RawImage): Promise<string> {
        return this.#archive.write(raw.uuid, this.#archived(raw));
    }

    /** The form in which manifests are archived (storage.md §5). */
    #archived(raw: RawImage): Buffer {
        return renderImage(raw, { mode: this.rules.mode, channels: true, adminFields: false }).body;
    }

    /** Applies a change that writes one record; see {@link #commit}. */
    async #commitOne(change: ImageChange & { put: readonly [unknown] }, created?: string): Promise<Image> {
        const [image] = await this.#commit(change, created);
        if (!image) {
            throw new TypeError('The database driver gave no record back for the one it wrote.');
        }
        return image;
    }

    /**
     * Applies a change; gives the written images in the order of `put`.
     *
     * @param created uuid that must be new, so that a conflict about it means that it exists
     */
    async #commit(change: ImageChange, created?: string): Promise<Image[]> {
        try {
            const written = await this.#database.images.commit(change);
            return written.map((stored) => this.#remember(stored));
        } catch (err) {
            if (err instanceof EtagConflict && err.uuid === created) {
                throw existsAlready(created, err);
            }
            if (err instanceof PendingObjectLost) {
                throw givenUp(err);
            }
            if (err instanceof UniqueConflict || err instanceof ValueTooLong) {
                throw validationFailed(err.message, err.attribute);
            }
            throw err;
        }
    }

    /** @param generation up to which the record is known to be the current one */
    #remember(stored: StoredImage, generation?: number): Image {
        const known = this.#images.get(stored.uuid);
        if (known?.image.isVersion(stored)) {
            known.generation = generation ?? known.generation;
            return known.image;
        }
        const image = new Image(stored, this.rules);
        this.#images.set(stored.uuid, { image, generation }, { size: image.weight });
        return image;
    }
}

/** The record with copies in the place of its objects: those of its files in their order, then that of its icon. */
function withObjects(raw: RawImage, copies: readonly ObjectCopy[]): RawImage {
    const files = raw.files?.map((file, index) => ({ ...file, object: copies[index]?.object }));
    const iconObject = copies[files?.length ?? 0]?.object;
    return {
        ...raw,
        ...(files && { files }),
        ...(raw.icon && { icon: { ...raw.icon, object: iconObject } }),
    };
}
