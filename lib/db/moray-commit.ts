/**
 * A change of images as one transaction of PostgreSQL (moray.md §2.2, §2.5).
 *
 * All rows that it is about are locked first, in the order of their keys, so that two changes never wait for each other
 * in a circle; what is asked of them is asked after that, and holds until the end.
 */
import { DependencyConflict, EtagConflict, ImageNotFound, UniqueConflict, ValueTooLong } from './driver';
import type { ImageChange, StoredImage } from './driver';
import { morayEtag } from './etag';
import { matches } from './image-match';
import { MorayError } from './moray-client/errors';
import type { ColumnValue } from './moray-client/columns';
import { writesVersion } from './moray-client/fields';
import { quoted } from './moray-client/names';
import { isTooLong, toMorayError } from './moray-client/sql-state';
import type { Row, Session } from './moray-client/types';
import { IMAGES_TABLE, type ImagesLayout } from './moray-layout';
import type { Pending } from './moray-pending';
import { conditionsOf } from './moray-query';
import { LayoutOutdated } from './moray-reach';
import {
    columnContents,
    readRow,
    recordColumns,
    versionOf,
    writtenImage,
    type Version,
} from './moray-record';
import { named } from './moray-statements';

/** From the weakest to the strongest. */
const LOCKS = ['FOR KEY SHARE', 'FOR SHARE', 'FOR UPDATE'] as const;
type Lock = (typeof LOCKS)[number];

/** Two transactions made the first record of one image; this one, which takes whatever is there, has to begin anew. */
export class FirstInsertLost extends Error {
    override readonly name = 'FirstInsertLost';
}

/** What a transaction did. */
export interface Applied {
    /** The written records in the order of `put`. */
    readonly written: StoredImage[];
    /** The versions that it found of all rows that the change is about. */
    readonly former: ReadonlyMap<string, Version>;
}

export interface CommitContext {
    readonly layout: ImagesLayout;
    readonly pending: Pending;
    /** In ms since the epoch. */
    readonly now: number;
}

/**
 * The work of a transaction.
 *
 * @throws FirstInsertLost, LayoutOutdated; MorayError; and the conflicts of {@link ImageChange}
 */
export async function applyChange(
    session: Session,
    change: ImageChange,
    context: CommitContext,
): Promise<Applied> {
    const { put = [], delete: remove = [], settle = [], drop = [] } = change;
    const { unchanged = [], requires = [], withoutDependents = [] } = change;
    const { layout, pending, now } = context;
    await pending.settle(session, settle);
    const former = await lockRows(session, layout, locksOf(change));
    const etags = new Map([...former].map(([uuid, { etag }]) => [uuid, etag]));
    for (const { uuid, etag } of unchanged) {
        assertEtag(etags, uuid, etag);
    }
    for (const uuid of requires) {
        if (!etags.has(uuid)) {
            throw new DependencyConflict(uuid);
        }
    }
    for (const { uuid, channel } of withoutDependents) {
        const { count } = await findDependents(session, layout, { uuid, channel, first: 1 });
        if (count > 0) {
            throw new DependencyConflict(uuid);
        }
    }
    for (const { uuid, etag } of remove) {
        if (!etags.has(uuid)) {
            throw new ImageNotFound(uuid);
        }
        assertEtag(etags, uuid, etag);
        await session.query(named(`DELETE FROM ${IMAGES_TABLE} WHERE _key = $1`, [uuid]));
        etags.delete(uuid);
    }
    const written: StoredImage[] = [];
    for (const { raw, etag } of put) {
        assertEtag(etags, raw.uuid, etag);
        const image = await write(session, layout, { raw, etag, now, isNew: !etags.has(raw.uuid) });
        etags.set(raw.uuid, image.etag);
        written.push(image);
    }
    await pending.condemnNew(session, drop, now);
    return { written, former };
}

/** Each row with the strongest of the locks that the change needs of it. */
function locksOf(change: ImageChange): Map<string, Lock> {
    const wanted: [string, Lock][] = [
        ...(change.requires ?? []).map((uuid): [string, Lock] => [uuid, 'FOR KEY SHARE']),
        ...(change.unchanged ?? []).map(({ uuid }): [string, Lock] => [uuid, 'FOR SHARE']),
        ...(change.put ?? []).map(({ raw }): [string, Lock] => [raw.uuid, 'FOR UPDATE']),
        ...(change.delete ?? []).map(({ uuid }): [string, Lock] => [uuid, 'FOR UPDATE']),
        // Whoever builds something on it has to wait until this is decided.
        ...(change.withoutDependents ?? []).map(({ uuid }): [string, Lock] => [uuid, 'FOR UPDATE']),
    ];
    wanted.sort(([, a], [, b]) => LOCKS.indexOf(a) - LOCKS.indexOf(b));
    return new Map(wanted);
}

/** The versions of the rows that are there, now locked. @throws LayoutOutdated */
async function lockRows(
    session: Session,
    layout: ImagesLayout,
    locks: ReadonlyMap<string, Lock>,
): Promise<Map<string, Version>> {
    const version = layout.bucket.columns.has('_rver') ? ', _rver' : '';
    const found = new Map<string, Version>();
    for (const { lock, uuids } of runsOf(locks)) {
        const { rows } = await session.query(
            named(
                `SELECT _key, _etag, _mtime${version} FROM ${IMAGES_TABLE} WHERE _key = ANY($1::text[]) ` +
                    `ORDER BY _key ${lock}`,
                [uuids],
            ),
        );
        for (const row of rows) {
            if (Number(row._rver ?? 0) > layout.bucket.options.version) {
                throw new LayoutOutdated();
            }
            const one = versionOf(row);
            found.set(one.uuid, one);
        }
    }
    return found;
}

/** The rows in order, those with the same lock together as far as they are neighbours. */
function runsOf(locks: ReadonlyMap<string, Lock>): { lock: Lock; uuids: string[] }[] {
    const runs: { lock: Lock; uuids: string[] }[] = [];
    for (const [uuid, lock] of [...locks].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const last = runs.at(-1);
        if (last?.lock === lock) {
            last.uuids.push(uuid);
        } else {
            runs.push({ lock, uuids: [uuid] });
        }
    }
    return runs;
}

function assertEtag(
    etags: ReadonlyMap<string, string>,
    uuid: string,
    wanted: string | null | undefined,
): void {
    if (wanted !== undefined && wanted !== (etags.get(uuid) ?? null)) {
        throw new EtagConflict(uuid);
    }
}

interface Write {
    raw: StoredImage['raw'];
    etag: string | null | undefined;
    now: number;
    isNew: boolean;
}

async function write(
    session: Session,
    layout: ImagesLayout,
    { raw, etag, now, isNew }: Write,
): Promise<StoredImage> {
    const json = JSON.stringify(raw);
    const indexed = columnContents(raw, layout.written);
    const image = writtenImage({ uuid: raw.uuid, etag: morayEtag(json), mtime: now }, json);
    const contents: [string, unknown][] = [
        ['_value', json],
        ['_etag', image.etag],
        ['_mtime', now],
        ['_vnode', null],
        ...(writesVersion(layout.bucket)
            ? [['_rver', layout.bucket.options.version] as [string, unknown]]
            : []),
        ...indexed,
    ];
    const columns = contents.map(([column]) => quoted(column));
    const text = isNew
        ? `INSERT INTO ${IMAGES_TABLE} (_key, ${columns.join(', ')}) ` +
          `VALUES ($1, ${columns.map((_column, at) => `$${at + 2}`).join(', ')})`
        : `UPDATE ${IMAGES_TABLE} SET ${columns.map((column, at) => `${column} = $${at + 2}`).join(', ')} WHERE _key = $1`;
    try {
        await session.query(named(text, [raw.uuid, ...contents.map(([, content]) => content)]));
    } catch (error) {
        throw isTooLong(error) ? new ValueTooLong(longestOf(indexed)) : conflictOf(error, raw.uuid, etag);
    }
    return image;
}

/** The column with the longest text. */
function longestOf(contents: ReadonlyMap<string, ColumnValue>): string {
    const lengths = [...contents].map(([column, content]): [string, number] => [
        column,
        Math.max(0, ...[content].flat().map((text) => text?.length ?? 0)),
    ]);
    return lengths.sort(([, a], [, b]) => b - a)[0]?.[0] ?? '';
}

/** What a failed write was about, if it was about a unique value. */
function conflictOf(error: unknown, uuid: string, etag: string | null | undefined): unknown {
    const failure = toMorayError(error);
    if (failure.name !== 'UniqueAttributeError') {
        return failure;
    }
    const { attribute = '', value = '' } = failure.details;
    if (attribute !== '_key' && !(attribute === 'uuid' && value === uuid)) {
        return new UniqueConflict(attribute, value);
    }
    return etag === undefined ? new FirstInsertLost() : new EtagConflict(uuid);
}

/** Images whose origin this is, in the channel if one is given: how many, and the first by uuid. */
export async function findDependents(
    session: Session,
    layout: ImagesLayout,
    { uuid, channel, first }: { uuid: string; channel: string | undefined; first: number },
): Promise<{ count: number; uuids: string[] }> {
    const filter = { origin: uuid, ...(channel !== undefined && { channel }) };
    const values: unknown[] = [];
    const { conditions, isExact } = conditionsOf(filter, layout, (value) => `$${values.push(value)}`);
    const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
    const order = `ORDER BY ${layout.ordered('_key')}`;
    if (isExact) {
        const limit = `LIMIT $${values.push(first)}`;
        const { rows } = await session.query(
            named(
                `SELECT _key, count(*) OVER () AS count FROM ${IMAGES_TABLE} ${where} ${order} ${limit}`,
                values,
            ),
        );
        return { count: Number(rows[0]?.count ?? 0), uuids: rows.map(keyOf) };
    }
    const { rows } = await session.query(
        named(`SELECT ${recordColumns(layout)} FROM ${IMAGES_TABLE} ${where} ${order}`, values),
    );
    const found = rows.filter((row) => {
        const image = readRow(row, layout);
        return typeof image !== 'string' && matches(image.raw, filter);
    });
    return { count: found.length, uuids: found.slice(0, first).map(keyOf) };
}

function keyOf(row: Row): string {
    return String(row._key);
}

export function isOutcomeUnknown(error: unknown): boolean {
    return error instanceof MorayError && error.details.outcomeUnknown === true;
}
