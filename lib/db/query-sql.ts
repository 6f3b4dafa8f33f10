/**
 * Image queries as SQL over the tables of local-schema.ts. Pure: it makes text and parameters, and runs nothing.
 *
 * A filter is answered along one access path: an index (or the element table) that gives the images with one of the
 * wanted values in list order. The other conditions are decided from the same index, so the scan ends after `limit`
 * hits and reads no record. Which path is best depends on the data: the caller measures them with `pathSize`. The one
 * path without an order, that of substrings, sorts what it finds and is for few images only.
 */
import type { ImageFilter, ImageQuery } from './driver';
import { compareBytes } from './image-values';
import { tagKey, type ImageElement } from './local-columns';
import { LISTED_COLUMNS, RARE_BITS } from './local-schema';
import type { SqlValue } from './sqlite';

export interface SqlText {
    sql: string;
    params: SqlValue[];
}

/** A way to the images that meet one condition of a filter; in list order, except for 'text'. */
export type AccessPath =
    | { via: 'order' }
    | { via: 'text'; match: string }
    | { via: 'key'; key: string }
    | { via: 'column'; index: string; condition: SqlText }
    | { via: 'element'; element: ImageElement };

const LISTING_INDEX = 'imgapi_images_published_at_idx';
const SIDE_TABLES = { element: 'imgapi_image_elements e', text: 'imgapi_image_texts t' } as const;
const BITS = ['activated', 'disabled'] as const;
const ELEMENT = 'attribute = ? AND value = ?';

/** Trigrams find substrings of at least so many characters. */
const SHORTEST_MATCH = 3;
/** Characters of a substring that are looked up as trigrams, each at a cost; the rest is decided on what they find. */
const LONGEST_MATCH = 64;
const TEXT_COLUMNS = ['name', 'version'] as const;

/** The paths to the images that meet one of the filter's conditions. With several, the one to the fewest is best. */
export function accessPaths(filter: ImageFilter): AccessPath[] {
    if (filter.uuid !== undefined) {
        return [{ via: 'key', key: filter.uuid }];
    }
    return [...columnPaths(filter), ...textPaths(filter), ...elementPaths(filter)];
}

/** The path to take when all lead to many images: any of them soon meets enough of the wanted ones. */
export function fallbackPath(filter: ImageFilter): AccessPath {
    const [column] = columnPaths(filter);
    const [element] = elementPaths(filter);
    // Substrings are decided from the listing index alone, at a fifth of the cost of a step along an element.
    const order: AccessPath = { via: 'order' };
    return column ?? (hasSubstring(filter) ? order : (element ?? order));
}

function columnPaths(filter: ImageFilter): AccessPath[] {
    const conditions = [
        ...LISTED_COLUMNS.map((column) => ({ column, condition: equality(filter, column) })),
        ...BITS.filter((column) => Number(filter[column]) === RARE_BITS[column]).map((column) => ({
            column,
            condition: isBit(column, RARE_BITS[column] === 1),
        })),
    ];
    return conditions.flatMap(({ column, condition }) =>
        condition ? [{ via: 'column', index: `imgapi_images_${column}_idx`, condition }] : [],
    );
}

function textPaths(filter: ImageFilter): AccessPath[] {
    return TEXT_COLUMNS.flatMap((column) => {
        const wanted = filter[column];
        if (!wanted || !('contains' in wanted)) {
            return [];
        }
        // A character is one or two code units.
        const start = Array.from(wanted.contains.slice(0, 2 * LONGEST_MATCH)).slice(0, LONGEST_MATCH);
        return start.length >= SHORTEST_MATCH
            ? [{ via: 'text', match: `${column} : "${start.join('').replaceAll('"', '""')}"` }]
            : [];
    });
}

function elementPaths(filter: ImageFilter): AccessPath[] {
    return wantedElements(filter).map((element) => ({ via: 'element', element }));
}

function hasSubstring(filter: ImageFilter): boolean {
    return TEXT_COLUMNS.some((column) => filter[column] && 'contains' in filter[column]);
}

/** One row, one column: how many images a path leads to, counted up to `most`. */
export function pathSize(path: AccessPath, most: number): SqlText {
    const { from, conditions } = source(path);
    const where = conjunction(conditions);
    // Every row of the side tables has its image: there is no need to look.
    const table = path.via === 'element' || path.via === 'text' ? SIDE_TABLES[path.via] : from;
    return {
        sql: `SELECT count(*) FROM (SELECT 1 FROM ${table}${where.sql} LIMIT ?)`,
        params: [...where.params, most],
    };
}

/**
 * Rows of `published_at`, `_key`, `_id`, in list order: the images that meet any of the filters, each once. `paths`
 * has the path to take for each filter; there must be at least one filter.
 */
export function selectPositions(query: ImageQuery, paths: readonly AccessPath[]): SqlText {
    const branches = query.anyOf.map((filter, at) => branch(filter, paths[at] ?? { via: 'order' }, query));
    const [only, ...others] = branches;
    if (only && others.length === 0) {
        return only;
    }
    // UNION makes an image that meets several filters one row; it sorts no more than `limit` rows of each branch.
    return {
        sql:
            branches.map((one) => `SELECT * FROM (${one.sql})`).join(' UNION ') +
            ` ORDER BY published_at ${direction(query)}, _key ${direction(query)} LIMIT ?`,
        params: [...branches.flatMap((one) => one.params), query.limit],
    };
}

function direction(query: ImageQuery): 'ASC' | 'DESC' {
    return query.order === 'asc' ? 'ASC' : 'DESC';
}

/** The tables of a path with the conditions that make it one. `i` is the image, `p` what gives the list order. */
function source(path: AccessPath): { from: string; place: 'i' | 'e'; conditions: SqlText[] } {
    switch (path.via) {
        case 'order':
            return { from: `imgapi_images i INDEXED BY ${LISTING_INDEX}`, place: 'i', conditions: [] };
        case 'key':
            return {
                from: 'imgapi_images i INDEXED BY imgapi_images__key_idx',
                place: 'i',
                conditions: [{ sql: 'i._key = ?', params: [path.key] }],
            };
        case 'column':
            return {
                from: `imgapi_images i INDEXED BY ${path.index}`,
                place: 'i',
                conditions: [path.condition],
            };
        case 'text':
            return {
                from: `${SIDE_TABLES.text} CROSS JOIN imgapi_images i ON i._id = t.rowid`,
                place: 'i',
                conditions: [{ sql: 't.imgapi_image_texts MATCH ?', params: [path.match] }],
            };
        case 'element':
            // CROSS JOIN: SQLite keeps the tables in this order, so elements lead.
            return {
                from:
                    `${SIDE_TABLES.element} CROSS JOIN imgapi_images i INDEXED BY ${LISTING_INDEX} ` +
                    'ON i.published_at = e.published_at AND i._key = e._key',
                place: 'e',
                conditions: [
                    {
                        sql: 'e.attribute = ? AND e.value = ?',
                        params: [path.element.attribute, path.element.value],
                    },
                ],
            };
    }
}

function branch(filter: ImageFilter, path: AccessPath, query: ImageQuery): SqlText {
    const { from, place, conditions } = source(path);
    const where = conjunction([...conditions, ...remaining(filter, path), ...bounds(query, place)]);
    return {
        sql:
            `SELECT ${place}.published_at AS published_at, ${place}._key AS _key, i._id AS _id FROM ${from}` +
            `${where.sql} ORDER BY ${place}.published_at ${direction(query)}, ${place}._key ${direction(query)} LIMIT ?`,
        params: [...where.params, query.limit],
    };
}

function conjunction(conditions: readonly SqlText[]): SqlText {
    return {
        sql: conditions.length > 0 ? ` WHERE ${conditions.map((one) => one.sql).join(' AND ')}` : '',
        params: conditions.flatMap((one) => one.params),
    };
}

/** The conditions of a filter that the path itself does not meet. */
function remaining(filter: ImageFilter, path: AccessPath): SqlText[] {
    const conditions: SqlText[] = [];
    if (filter.uuid !== undefined && path.via !== 'key') {
        conditions.push({ sql: 'i._key = ?', params: [filter.uuid] });
    }
    for (const column of LISTED_COLUMNS) {
        const condition = equality(filter, column);
        const taken = path.via === 'column' && path.index === `imgapi_images_${column}_idx`;
        if (condition && !taken) {
            conditions.push(condition);
        }
    }
    for (const column of BITS) {
        const wanted = filter[column];
        if (wanted !== undefined) {
            conditions.push(isBit(column, wanted));
        }
    }
    if (filter.type && 'not' in filter.type) {
        conditions.push({ sql: 'i.type IS NOT ?', params: [filter.type.not] });
    }
    for (const column of TEXT_COLUMNS) {
        const wanted = filter[column];
        if (wanted && 'contains' in wanted) {
            conditions.push({ sql: `instr(i.${column}, ?) > 0`, params: [wanted.contains] });
        }
    }
    for (const element of wantedElements(filter)) {
        const taken =
            path.via === 'element' &&
            path.element.attribute === element.attribute &&
            path.element.value === element.value;
        if (!taken) {
            conditions.push({
                sql:
                    `EXISTS (SELECT 1 FROM imgapi_image_elements WHERE ${ELEMENT} ` +
                    'AND published_at = i.published_at AND _key = i._key)',
                params: [element.attribute, element.value],
            });
        }
    }
    for (const key of filter.tagKeys ?? []) {
        // tag_keys end at the first `=`; a key that has one itself takes a look into the record.
        if (key.includes('=')) {
            conditions.push({
                sql: "EXISTS (SELECT 1 FROM json_each(i._value, '$.tags') AS t WHERE instr(t.value, ?) = 1)",
                params: [`${key}=`],
            });
        }
    }
    return conditions;
}

/** The element rows an image must have to meet the filter. */
function wantedElements(filter: ImageFilter): ImageElement[] {
    const wanted: ImageElement[] = [];
    if (filter.acl !== undefined) {
        wanted.push({ attribute: 'acl', value: filter.acl });
    }
    if (filter.channel !== undefined) {
        wanted.push({ attribute: 'channels', value: filter.channel });
    }
    for (const value of filter.billingTags ?? []) {
        wanted.push({ attribute: 'billing_tags', value });
    }
    for (const value of filter.tags ?? []) {
        wanted.push({ attribute: 'tags', value });
    }
    for (const key of filter.tagKeys ?? []) {
        wanted.push({ attribute: 'tag_keys', value: tagKey(`${key}=`) });
    }
    return wanted;
}

/** The condition that a column has one value, if the filter sets it. */
function equality(filter: ImageFilter, column: (typeof LISTED_COLUMNS)[number]): SqlText | undefined {
    const wanted = filter[column];
    if (typeof wanted === 'boolean') {
        return isBit(column, wanted);
    }
    const value = typeof wanted === 'object' ? ('is' in wanted ? wanted.is : undefined) : wanted;
    return value === undefined ? undefined : { sql: `i.${column} = ?`, params: [value] };
}

/** A literal and not a parameter, so that SQLite can tell that a partial index applies. */
function isBit(column: string, wanted: boolean): SqlText {
    return { sql: `i.${column} = ${wanted ? 1 : 0}`, params: [] };
}

/** Where in the list order the answer begins. Only the tighter of marker and `after` is used: an index takes one. */
function bounds(query: ImageQuery, place: 'i' | 'e'): SqlText[] {
    const { marker, after } = query;
    const beyond = query.order === 'asc' ? '>' : '<';
    const position = `(${place}.published_at, ${place}._key)`;
    const conditions: SqlText[] = [];
    if (after && (!marker || isTighter(after, marker, query.order))) {
        conditions.push({ sql: `${position} ${beyond} (?, ?)`, params: [after.publishedAt, after.uuid] });
    } else if (marker?.uuid !== undefined) {
        conditions.push({
            sql: `${position} ${beyond}= (?, ?)`,
            params: [marker.publishedAt, marker.uuid],
        });
    } else if (marker) {
        conditions.push({ sql: `${place}.published_at ${beyond}= ?`, params: [marker.publishedAt] });
    }
    if (marker && (query.order === 'desc' || marker.publishedAt === '')) {
        conditions.push({ sql: `${place}.published_at > ''`, params: [] });
    }
    return conditions;
}

/** Whether everything after `after` also meets the marker. */
function isTighter(
    after: NonNullable<ImageQuery['after']>,
    marker: NonNullable<ImageQuery['marker']>,
    order: ImageQuery['order'],
): boolean {
    const sign = order === 'asc' ? 1 : -1;
    const time = sign * compareBytes(after.publishedAt, marker.publishedAt);
    return time > 0 || (time === 0 && sign * compareBytes(after.uuid, marker.uuid ?? after.uuid) >= 0);
}
