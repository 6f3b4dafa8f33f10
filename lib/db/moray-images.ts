/** The images in Moray's bucket (moray.md §1.3, §2, §4). */
import type { Clock } from '../clock';
import type {
    FoundImages,
    ImageChange,
    ImageFilter,
    ImageQuery,
    ImageStore,
    ListPosition,
    StoredImage,
} from './driver';
import { compareBytes } from './image-values';
import { comparePlaces, isInRange, matches } from './image-match';
import type { Row, Session } from './moray-client/types';
import { applyChange, findDependents, FirstInsertLost, isOutcomeUnknown, type Applied } from './moray-commit';
import { IMAGES_TABLE, type ImagesLayout } from './moray-layout';
import { happened } from './moray-outcome';
import type { Pending } from './moray-pending';
import { gatherPlaces, NO_PLACES, placeOf, readPlaces, type Place } from './moray-places';
import { conditionsOf, isAnswered, partsOf, selectPositions } from './moray-query';
import type { Reach, Reached, ReachLog } from './moray-reach';
import { Lookups } from './moray-lookups';
import { isSame, recordColumns, versionOf } from './moray-record';
import { RememberedRecords } from './moray-remembered';
import { named } from './moray-statements';
import { Unpublished } from './moray-unpublished';

/** Least rows read at a time where not all of them may be in the answer. */
const BATCH = 200;

/** How often a list is read again because records were changed between the look at the index and that at them. */
const LOOKS = 4;

const SQL = {
    versions: `SELECT _key, _etag, _mtime FROM ${IMAGES_TABLE} WHERE _key = ANY($1::text[])`,
};

const EXPIRING: ImageFilter[] = [{ state: 'creating' }, { state: 'failed' }];

export interface MorayImagesParts {
    reach: Reach;
    pending: Pending;
    clock: Clock;
    log: ReachLog;
}

export class MorayImages implements ImageStore {
    readonly #parts: MorayImagesParts;
    readonly #records: RememberedRecords;
    readonly #unpublished: Unpublished;
    readonly #lookups = new Lookups<StoredImage>((uuids) => this.#findAll(uuids));

    constructor(parts: MorayImagesParts) {
        this.#parts = parts;
        this.#records = new RememberedRecords(parts.log);
        this.#unpublished = new Unpublished(() => parts.clock.now());
    }

    /** It cannot be told: others write the same table without a word to us. */
    generation(): undefined {
        return undefined;
    }

    get(uuid: string): Promise<StoredImage | undefined> {
        return this.#lookups.find(uuid);
    }

    async #findAll(uuids: readonly string[]): Promise<Map<string, StoredImage>> {
        return this.#parts.reach.use(async ({ connections, layout }) => {
            const found = new Map<string, StoredImage>();
            const unknown = uuids.filter((uuid) => !this.#records.has(uuid));
            const remembered = uuids.filter((uuid) => this.#records.has(uuid));
            if (remembered.length > 0) {
                const { rows } = await connections.query(named(SQL.versions, [remembered]));
                for (const row of rows) {
                    const version = versionOf(row);
                    const known = this.#records.find(version);
                    if (!known) {
                        unknown.push(version.uuid);
                    } else if (known.image) {
                        found.set(version.uuid, known.image);
                    }
                }
            }
            if (unknown.length > 0) {
                const text = `SELECT ${recordColumns(layout)} FROM ${IMAGES_TABLE} WHERE _key = ANY($1::text[])`;
                const { rows } = await connections.query(named(text, [unknown]));
                for (const row of rows) {
                    const image = this.#records.read(row, layout);
                    if (image) {
                        found.set(versionOf(row).uuid, image);
                    }
                }
            }
            return found;
        });
    }

    async query(query: ImageQuery): Promise<StoredImage[]> {
        const found = await this.queryUnless(query, undefined);
        return found === 'unchanged' ? [] : found.images;
    }

    async queryUnless(query: ImageQuery, mark: string | undefined): Promise<FoundImages | 'unchanged'> {
        if (query.anyOf.length === 0) {
            return { images: [], mark: undefined };
        }
        return this.#parts.reach.use(async ({ connections, layout }) =>
            layout.isUsable('published_at')
                ? this.#inOrder(connections, layout, query, mark)
                : { images: await this.#byScan(connections, layout, query), mark: undefined },
        );
    }

    /** Along the index of `published_at`, or of what else is asked for, until the list is full. */
    async #inOrder(
        session: Session,
        layout: ImagesLayout,
        query: ImageQuery,
        mark: string | undefined,
    ): Promise<FoundImages | 'unchanged'> {
        const isExact = query.anyOf.every((filter) => isAnswered(filter, layout));
        const found: StoredImage[] = [];
        let after: ListPosition | undefined;
        for (;;) {
            const left = query.limit - found.length;
            const limit = isExact ? left : Math.max(left, BATCH);
            const asked = { ...query, ...(after && { after }), limit };
            const page = await this.#page(session, layout, asked, after ? undefined : mark);
            if (page === 'unchanged') {
                return page;
            }
            const { places, images } = page;
            const wanted = isExact
                ? images
                : images.filter(({ raw }) => query.anyOf.some((filter) => matches(raw, filter)));
            found.push(...wanted.slice(0, left));
            const last = places.at(-1);
            if (!last || places.length < limit || found.length >= query.limit) {
                // That of a page stands for the whole answer only if there is no other.
                return { images: found, mark: after ? undefined : page.mark };
            }
            after = last;
        }
    }

    /** One page of places with the images of those that can be read, as they all were at one moment. */
    async #page(
        session: Session,
        layout: ImagesLayout,
        query: ImageQuery,
        mark: string | undefined,
    ): Promise<(FoundImages & { places: readonly Place[] }) | 'unchanged'> {
        for (let look = 1; look <= LOOKS; look++) {
            const text = await this.#places(session, layout, query);
            if (text === mark) {
                return 'unchanged';
            }
            const places = readPlaces(text);
            const images = await this.#load(session, layout, places);
            if (images) {
                return { places, images, mark: text };
            }
        }
        // Others write all the time: the records are read along with their places, known or not.
        const { text, values } = selectPositions(query, layout, undefined);
        const columns = `${recordColumns(layout)}, published_at`;
        const { rows } = await session.query({
            text: `SELECT ${columns} FROM ${IMAGES_TABLE} WHERE _key IN (SELECT _key FROM (${text}) AS found)`,
            values,
        });
        const placed = rows
            .map((row) => ({ place: placeOf(row), image: this.#records.read(row, layout) }))
            .sort((a, b) => comparePlaces(query.order, a.place, b.place));
        return {
            places: placed.map(({ place }) => place),
            images: placed.map(({ image }) => image).filter((image) => image !== undefined),
            mark: undefined,
        };
    }

    /** The places of a page, as one text. */
    async #places(session: Session, layout: ImagesLayout, query: ImageQuery): Promise<string> {
        const parts = partsOf(query);
        if (query.order === 'desc' && parts.length > 1) {
            // Unpublished images come last: mostly the published ones are enough.
            const published = selectPositions(query, layout, undefined, ['published']);
            const { count, text } = await gatherPlaces(session, published);
            if (count >= query.limit) {
                return text;
            }
        }
        if (parts.length === 0) {
            return NO_PLACES;
        }
        const unpublished = parts.includes('unpublished') ? this.#unpublished.rows(session) : undefined;
        return (await gatherPlaces(session, selectPositions(query, layout, unpublished, parts))).text;
    }

    /** The images of places, of exactly their versions; undefined if some are no longer what they were. */
    async #load(
        session: Session,
        layout: ImagesLayout,
        places: readonly Place[],
    ): Promise<StoredImage[] | undefined> {
        const images: (StoredImage | undefined)[] = [];
        const missing = new Map<string, number>();
        for (const [index, place] of places.entries()) {
            const known = this.#records.find(place);
            if (!known) {
                missing.set(place.uuid, index);
            }
            images.push(known?.image);
        }
        if (missing.size > 0) {
            const text = `SELECT ${recordColumns(layout)} FROM ${IMAGES_TABLE} WHERE _key = ANY($1::text[])`;
            const read = await session.query(named(text, [[...missing.keys()]]));
            for (const row of read.rows) {
                const version = versionOf(row);
                const index = missing.get(version.uuid) ?? -1;
                const place = places[index];
                if (place && isSame(place, version)) {
                    images[index] = this.#records.read(row, layout);
                    missing.delete(version.uuid);
                }
            }
        }
        return missing.size > 0 ? undefined : images.filter((image) => image !== undefined);
    }

    /** By a look at every row that may be meant, for a bucket without `published_at`. */
    async #byScan(session: Session, layout: ImagesLayout, query: ImageQuery): Promise<StoredImage[]> {
        let best: StoredImage[] = [];
        for await (const images of this.#scan(session, layout, query.anyOf)) {
            const wanted = images.filter((image) => isInRange(query, image));
            best = [...best, ...wanted]
                .sort((a, b) => comparePlaces(query.order, a, b))
                .slice(0, query.limit);
        }
        return best;
    }

    /** All images that meet any of the filters, in pages by uuid. */
    async *#scan(
        session: Session,
        layout: ImagesLayout,
        anyOf: readonly ImageFilter[],
    ): AsyncGenerator<StoredImage[], undefined> {
        let after = '';
        for (;;) {
            const values: unknown[] = [after];
            const bind = (value: unknown) => `$${values.push(value)}`;
            const meets = anyOf.map((filter) => {
                const { conditions } = conditionsOf(filter, layout, bind);
                return conditions.length > 0 ? `(${conditions.join(' AND ')})` : 'true';
            });
            const key = layout.ordered('_key');
            const { rows } = await session.query({
                text:
                    `SELECT ${recordColumns(layout)} FROM ${IMAGES_TABLE} ` +
                    `WHERE ${key} > $1 AND (${meets.join(' OR ')}) ORDER BY ${key} LIMIT ${bind(BATCH)}`,
                values,
            });
            const images = rows
                .map((row) => this.#records.read(row, layout))
                .filter((image) => image !== undefined)
                .filter(({ raw }) => anyOf.some((filter) => matches(raw, filter)));
            yield images;
            const last = rows.at(-1);
            if (!last || rows.length < BATCH) {
                return;
            }
            after = String(last._key);
        }
    }

    async commit(change: ImageChange): Promise<StoredImage[]> {
        return this.#parts.reach.use(async (reached) => {
            for (let attempt = 1; ; attempt++) {
                try {
                    return await this.#commitOnce(reached, change);
                } catch (error) {
                    if (!(error instanceof FirstInsertLost) || attempt === LOOKS) {
                        throw error;
                    }
                }
            }
        });
    }

    async #commitOnce({ connections, layout }: Reached, change: ImageChange): Promise<StoredImage[]> {
        const { pending, clock, log } = this.#parts;
        let applied: Applied | undefined;
        try {
            const { written } = await connections.transaction(async (session) => {
                applied = undefined;
                return (applied = await applyChange(session, change, { layout, pending, now: clock.now() }));
            });
            return written;
        } catch (error) {
            if (!applied || !isOutcomeUnknown(error)) {
                throw error;
            }
            const outcome = await happened(connections, { change, ...applied });
            const images = applied.written.map(({ uuid }) => uuid);
            log.warn(
                { err: error, images, happened: outcome },
                'the connection to the database was lost during a commit',
            );
            if (outcome !== true) {
                throw error;
            }
            return applied.written;
        }
    }

    async dependents(
        uuid: string,
        { channel, first }: { channel?: string; first: number },
    ): Promise<{ count: number; uuids: string[] }> {
        return this.#parts.reach.use(({ connections, layout }) =>
            findDependents(connections, layout, { uuid, channel, first }),
        );
    }

    async expired(now: string, limit: number): Promise<StoredImage[]> {
        return this.#parts.reach.use(async ({ connections, layout }) => {
            const found: StoredImage[] = [];
            if (layout.isUsable('expires_at') && layout.isUsable('state')) {
                const at = layout.ordered('expires_at');
                const { rows } = await connections.query(
                    named(
                        `SELECT ${recordColumns(layout)} FROM ${IMAGES_TABLE} ` +
                            `WHERE ${at} <= $1 AND state IN ('creating', 'failed') ` +
                            `ORDER BY ${at}, ${layout.ordered('_key')} LIMIT $2`,
                        [now, limit],
                    ),
                );
                found.push(...this.#read(rows, layout));
            } else {
                for await (const images of this.#scan(connections, layout, EXPIRING)) {
                    found.push(...images.filter(({ raw }) => hasExpired(raw.expires_at, now)));
                }
                found.sort((a, b) => compareBytes(String(a.raw.expires_at), String(b.raw.expires_at)));
            }
            return found.slice(0, limit);
        });
    }

    #read(rows: readonly Row[], layout: ImagesLayout): StoredImage[] {
        return rows.map((row) => this.#records.read(row, layout)).filter((image) => image !== undefined);
    }

    async countByState(): Promise<Record<string, number>> {
        return this.#parts.reach.use(async ({ connections, layout }) => {
            if (layout.isUsable('state')) {
                const { rows } = await connections.query(
                    named(
                        `SELECT state, count(*) AS count FROM ${IMAGES_TABLE} WHERE state IS NOT NULL GROUP BY state`,
                    ),
                );
                return Object.fromEntries(rows.map(({ state, count }) => [String(state), Number(count)]));
            }
            const counts: Record<string, number> = {};
            for await (const images of this.#scan(connections, layout, [{}])) {
                for (const { raw } of images) {
                    counts[raw.state] = (counts[raw.state] ?? 0) + 1;
                }
            }
            return counts;
        });
    }
}

function hasExpired(expiresAt: unknown, now: string): boolean {
    return typeof expiresAt === 'string' && compareBytes(expiresAt, now) <= 0;
}
