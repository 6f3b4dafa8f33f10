/**
 * Where the images of a list stand, and in which version: as one value of one row.
 *
 * What a hundred rows cost, here and in the database, is mostly that they are rows. As one text they are also compared
 * at once with what was there before.
 */
import { textOf } from './image-values';
import type { Row, Session } from './moray-client/types';
import type { SqlText } from './moray-query';
import { versionOf, type Version } from './moray-record';
import { named } from './moray-statements';

/** An image in a list. */
export interface Place extends Version {
    readonly publishedAt: string;
}

/** Values of places, column by column; null if there are none. */
type Column = readonly (string | number | null)[] | null;

/** The text of no places. */
export const NO_PLACES = '[]';

const COLUMNS = ['_key', '_etag', '_mtime', 'published_at'].map((column) => `json_agg(${column})`).join(', ');

/** Runs a statement that gives the rows of `selectPositions`; gives them as one text, and how many there are. */
export async function gatherPlaces(
    session: Session,
    { text, values }: SqlText,
): Promise<{ text: string; count: number }> {
    const gathering = `SELECT count(*) AS count, json_build_array(${COLUMNS})::text AS places FROM (${text}) AS listed`;
    const { rows } = await session.query(named(gathering, values));
    return { text: String(rows[0]?.places), count: Number(rows[0]?.count) };
}

/** The places in a text, in their order. */
export function readPlaces(text: string): Place[] {
    const [keys = null, etags = null, mtimes = null, times = null] = JSON.parse(text) as Column[];
    return (keys ?? []).map((key, index) =>
        placeOf({
            _key: key,
            _etag: etags?.[index],
            _mtime: mtimes?.[index],
            published_at: times?.[index],
        }),
    );
}

export function placeOf(row: Row): Place {
    const { uuid, etag, mtime } = versionOf(row);
    return { uuid, etag, mtime, publishedAt: textOf(row.published_at) ?? '' };
}
