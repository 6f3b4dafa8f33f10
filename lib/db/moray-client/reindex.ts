/** Fills the columns that an update of a bucket brought (moray.md §2.7 reindexObjects). */
import { readBucket } from './buckets';
import { MorayError } from './errors';
import { columnsFor } from './fields';
import { quoted } from './names';
import { overlaid } from './objects';
import type { Bucket, Row, Session } from './types';

export interface Reindexed {
    readonly processed: number;
    /** How many are left; undefined if nothing is being reindexed. */
    readonly remaining?: number;
}

const OUTDATED = '(_rver IS NULL OR _rver < $1)';

/**
 * Brings up to so many objects to the version of their bucket. Once there are none, the new columns can be searched.
 *
 * @throws MorayError BucketNotFoundError, InvocationError
 */
export async function reindexObjects(session: Session, name: string, count: number): Promise<Reindexed> {
    if (!Number.isSafeInteger(count) || count < 1) {
        throw new MorayError('InvocationError', `count must be a whole number from 1 on, not ${count}`);
    }
    const bucket = await readBucket(session, name);
    if (Object.keys(bucket.reindexActive ?? {}).length === 0) {
        return { processed: 0 };
    }
    const { version } = bucket.options;
    const { rows } = await session.query({
        text: `SELECT * FROM ${quoted(name)} WHERE ${OUTDATED} LIMIT ${count} FOR UPDATE`,
        values: [version],
    });
    for (const row of rows) {
        await reindex(session, bucket, row);
    }
    if (rows.length === 0) {
        await finish(session, bucket);
    }
    const left = await session.query({
        text: `SELECT count(*) AS count FROM ${quoted(name)} WHERE ${OUTDATED}`,
        values: [version],
    });
    return { processed: rows.length, remaining: Number(left.rows[0]?.count) };
}

/** Writes what is read: changes that were made to columns alone come into the value, too. The etag stays. */
async function reindex(session: Session, bucket: Bucket, row: Row): Promise<void> {
    const value = overlaid(row, bucket);
    const contents: readonly (readonly [string, unknown])[] = [
        ['_value', JSON.stringify(value)],
        ['_rver', bucket.options.version],
        ...columnsFor(bucket, value),
    ];
    const set = contents.map(([column], at) => `${quoted(column)} = $${at + 2}`);
    await session.query({
        text: `UPDATE ${quoted(bucket.name)} SET ${set.join(', ')} WHERE _key = $1`,
        values: [row._key, ...contents.map(([, content]) => content ?? null)],
    });
}

/** Unless a newer version has come meanwhile, which has columns of its own to fill. */
async function finish(session: Session, { name, options }: Bucket): Promise<void> {
    await session.query({
        text: 'SELECT 1 FROM buckets_config WHERE name = $1 FOR UPDATE',
        values: [name],
    });
    const now = await readBucket(session, name);
    if (now.options.version === options.version) {
        await session.query({
            text: "UPDATE buckets_config SET reindex_active = '{}' WHERE name = $1",
            values: [name],
        });
    }
}
