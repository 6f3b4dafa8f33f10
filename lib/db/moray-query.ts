/**
 * Image queries as SQL over Moray's table (moray.md §1.3, §4). Pure: it makes text and values, and runs nothing.
 *
 * A bucket that is there already may lack columns, and none may be added to it; nor has it any index but one for each
 * column. So a statement asks what the columns can answer, and says whether that was all. It walks along the index of
 * `published_at`, or sorts what another index leads to: the database knows the sizes. What no column has is decided by
 * the caller from the records.
 */
import type { ImageFilter, ImageQuery } from './driver';
import { keptText } from './image-values';
import { IMAGES_TABLE, type ImagesLayout } from './moray-layout';

export interface SqlText {
    text: string;
    values: unknown[];
}

/**
 * What is known of rows without a `published_at`. No index leads to them, and they stand first in ascending order: to
 * see that there are none, all rows would have to be read for each list.
 */
export interface UnpublishedRows {
    /** Of those written before this time (in ms) whose `activated` is not false, all are among `keys`. */
    readonly before: number;
    readonly keys: readonly string[];
}

/** The columns that {@link selectPositions} gives. */
const POSITION = '_key, _etag, _mtime, published_at';

const EQUALITIES = ['owner', 'state', 'os', 'origin'] as const;
const TEXTS = ['name', 'version'] as const;
const BOOLEANS = ['activated', 'disabled', 'public'] as const;

/** Names of channels that JSON spells in one way only, whoever wrote it. */
const PLAIN = /^[\w.-]+$/;

/** Gathers the values of one statement; gives their place in its text. */
type Bind = (value: unknown) => string;

/** The published ones, which have a place in the index, and the others, which stand before them. */
type Part = 'published' | 'unpublished';

/**
 * Rows of {@link POSITION}, in list order. There must be at least one filter, and one part of the list.
 *
 * They are the answer only if the columns answer each of the filters: see {@link isAnswered}.
 */
export function selectPositions(
    query: ImageQuery,
    layout: ImagesLayout,
    unpublished: UnpublishedRows | undefined,
    parts: readonly Part[] = partsOf(query),
): SqlText {
    const values: unknown[] = [];
    const bind: Bind = (value) => `$${values.push(value)}`;
    const limit = bind(query.limit);
    const direction = query.order === 'asc' ? 'ASC' : 'DESC';
    const branches = query.anyOf.flatMap((filter) =>
        parts.flatMap((part) =>
            partConditions(part, query, { layout, filter, bind, unpublished }).map((place) => {
                const { conditions } = conditionsOf(filter, layout, bind);
                const order =
                    part === 'published'
                        ? `${layout.ordered('published_at')} ${direction}, ${layout.ordered('_key')} ${direction}`
                        : `${layout.ordered('_key')} ${direction}`;
                return (
                    `SELECT ${POSITION} FROM ${IMAGES_TABLE} WHERE ${[...place, ...conditions].join(' AND ')} ` +
                    `ORDER BY ${order} LIMIT ${limit}`
                );
            }),
        ),
    );
    const [only = ''] = branches;
    // UNION makes an image that meets several filters one row; it sorts no more than `limit` rows of each branch.
    const text =
        branches.length === 1
            ? only
            : `SELECT ${POSITION} FROM (${branches.map((branch) => `(${branch})`).join(' UNION ')}) AS found ` +
              `ORDER BY coalesce(${layout.ordered('published_at')}, '') ${direction}, ` +
              `${layout.ordered('_key')} ${direction} LIMIT ${limit}`;
    return { text, values };
}

/** Which parts of the list the answer can come from. */
export function partsOf({ order, marker, after }: ImageQuery): Part[] {
    const parts: Part[] = [];
    if (!marker && (order === 'desc' || !after || after.publishedAt === '')) {
        parts.push('unpublished');
    }
    if (order === 'asc' || after?.publishedAt !== '') {
        parts.push('published');
    }
    return parts;
}

interface PartContext {
    layout: ImagesLayout;
    filter: ImageFilter;
    bind: Bind;
    unpublished: UnpublishedRows | undefined;
}

/** The conditions of one part, in as many sets as there are ways to its rows. */
function partConditions(part: Part, query: ImageQuery, context: PartContext): string[][] {
    return part === 'published' ? [publishedRows(query, context)] : unpublishedRows(query, context);
}

function publishedRows({ order, marker, after }: ImageQuery, { layout, bind }: PartContext): string[] {
    const beyond = order === 'asc' ? '>' : '<';
    const [time, key] = [layout.ordered('published_at'), layout.ordered('_key')];
    // The comparisons of the time alone are those that the index can start from.
    const conditions = [`${time} > ''`];
    if (marker) {
        const at = bind(keptText(marker.publishedAt));
        conditions.push(`${time} ${beyond}= ${at}`);
        if (marker.uuid !== undefined) {
            conditions.push(`(${time} ${beyond} ${at} OR ${key} ${beyond}= ${bind(marker.uuid)})`);
        }
    }
    if (after && after.publishedAt !== '') {
        const at = bind(keptText(after.publishedAt));
        conditions.push(
            `${time} ${beyond}= ${at}`,
            `(${time} ${beyond} ${at} OR ${key} ${beyond} ${bind(after.uuid)})`,
        );
    }
    return conditions;
}

function unpublishedRows(
    { order, after }: ImageQuery,
    { layout, filter, bind, unpublished }: PartContext,
): string[][] {
    const beyond =
        after?.publishedAt === ''
            ? [`${layout.ordered('_key')} ${order === 'asc' ? '>' : '<'} ${bind(after.uuid)}`]
            : [];
    if (!unpublished || filter.activated === false || !layout.isUsable('activated')) {
        return [["(published_at = '' OR published_at IS NULL)", ...beyond]];
    }
    const known = [
        `_mtime >= ${bind(unpublished.before)}`,
        ...(unpublished.keys.length > 0 ? [`_key = ANY(${bind(unpublished.keys)}::text[])`] : []),
    ];
    // Two ways, because only one that names few rows makes the database go along an index.
    return [
        [`(published_at = '' OR (published_at IS NULL AND (${known.join(' OR ')})))`, ...beyond],
        ...(filter.activated === undefined ? [['activated = false', 'published_at IS NULL', ...beyond]] : []),
    ];
}

/** The conditions of a filter as far as columns have them; the rows may be more than those that meet the filter. */
export function conditionsOf(
    filter: ImageFilter,
    layout: ImagesLayout,
    bind: Bind,
): { conditions: string[]; isExact: boolean } {
    const conditions: string[] = [];
    let isExact = true;
    /** A condition, if the table has the column for it. */
    const ask = (field: string, condition: () => string) => {
        if (layout.isUsable(field)) {
            conditions.push(condition());
        } else {
            isExact = false;
        }
    };
    const text = (value: string) => bind(keptText(value));
    const texts = (values: readonly string[]) => `${bind(values.map(keptText))}::text[]`;

    if (filter.uuid !== undefined) {
        conditions.push(`_key = ${text(filter.uuid)}`);
    }
    for (const field of EQUALITIES) {
        const wanted = filter[field];
        if (wanted !== undefined) {
            ask(field, () => `${field} = ${text(wanted)}`);
        }
    }
    for (const field of TEXTS) {
        const wanted = filter[field];
        if (wanted) {
            ask(field, () =>
                'is' in wanted
                    ? `${field} = ${text(wanted.is)}`
                    : `strpos(${field}, ${text(wanted.contains)}) > 0`,
            );
        }
    }
    for (const field of BOOLEANS) {
        const wanted = filter[field];
        if (wanted !== undefined) {
            ask(field, () => `${field} = ${wanted}`);
        }
    }
    const { type, acl, channel, tags = [], tagKeys = [], billingTags = [] } = filter;
    if (type) {
        ask('type', () =>
            'is' in type ? `type = ${text(type.is)}` : `type IS DISTINCT FROM ${text(type.not)}`,
        );
    }
    if (acl !== undefined) {
        ask('acl', () => `acl @> ${texts([acl])}`);
    }
    if (tags.length > 0) {
        ask('tags', () => `tags @> ${texts(tags)}`);
    }
    for (const key of tagKeys) {
        ask('tags', () => `EXISTS (SELECT 1 FROM unnest(tags) AS t WHERE strpos(t, ${text(`${key}=`)}) = 1)`);
    }
    if (billingTags.length > 0) {
        ask('billing_tags', () => `billing_tags @> ${texts(billingTags)}`);
    }
    if (channel !== undefined) {
        ask('channels', () => `channels @> ${texts([channel])}`);
        if (!layout.isUsable('channels') && PLAIN.test(channel)) {
            conditions.push(`strpos(_value, ${bind(JSON.stringify(channel))}) > 0`);
        }
    }
    return { conditions, isExact };
}

/** Whether the columns answer the whole filter. */
export function isAnswered(filter: ImageFilter, layout: ImagesLayout): boolean {
    return conditionsOf(filter, layout, () => '').isExact;
}
