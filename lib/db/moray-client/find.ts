/** Searches, and changes of all objects that a search finds (moray.md §2.6, §2.7). */
import { randomBytes } from 'node:crypto';
import { MorayError } from './errors';
import { columnsFor, fieldsOf } from './fields';
import { parseFilter, type Filter } from './filter';
import { internalAttribute, mayMatch } from './filter-match';
import { notIndexed, toWhere, type Where } from './filter-sql';
import { quoted } from './names';
import { objectOf, type Objects } from './objects';
import type { Bucket, FindOptions, MorayObject, Row, Session, Sort, Value } from './types';

const DEFAULT_LIMIT = 1000;
const ORDERS = ['ASC', 'asc', 'DESC', 'desc'];

/**
 * The objects that meet the filter, in one view of the bucket if the session is a REPEATABLE READ transaction. Those
 * that only memory can tell from the others are taken out after the limit, so that there may be fewer than that.
 *
 * @throws MorayError InvalidQueryError, InvocationError, NotIndexedError
 */
export async function findObjects(
    objects: Objects,
    name: string,
    text: string,
    options: FindOptions = {},
): Promise<MorayObject[]> {
    const filter = parseFilter(text);
    let bucket = await objects.bucket(name);
    let found = await search(objects.session, bucket, filter, text, options);
    // A row may know of a newer version of the bucket, which has other columns.
    const newest = found.rows.reduce<Row | undefined>(
        (a, b) => (Number(b._rver ?? 0) > Number(a?._rver ?? 0) ? b : a),
        undefined,
    );
    const current = newest ? await objects.asOf(name, newest) : bucket;
    if (current !== bucket) {
        bucket = current;
        found = await search(objects.session, bucket, filter, text, options);
    }
    const counted = found.count === undefined ? {} : { _count: found.count };
    return found.rows
        .map((row) => ({ ...objectOf(row, bucket), ...counted }))
        .filter((object) => mayMatch(filter, object, bucket));
}

/** The rows of the page that meet what SQL can decide of the filter, and how many there are without a page. */
async function search(
    session: Session,
    bucket: Bucket,
    filter: Filter,
    text: string,
    options: FindOptions,
): Promise<{ rows: readonly Row[]; count: number | undefined }> {
    if (options.requireIndexes === true) {
        checkIndexes(filter, bucket, text);
    }
    const { sql, values } = toWhere(filter, bucket, text);
    const from = `FROM ${quoted(bucket.name)} WHERE ${sql}`;
    const page = pageOf(bucket, options);
    const counted =
        options.no_count === true
            ? undefined
            : await session.query({ text: `SELECT count(*) AS count ${from}`, values });
    const { rows } = await session.query({ text: `SELECT * ${from}${page}`, values });
    return { rows, count: counted && Number(counted.rows[0]?.count) };
}

/**
 * Sets columns of all objects that meet the filter, and their etags; not their `_value` (moray.md §2.7).
 *
 * @param fields are all indexed
 * @throws MorayError FieldUpdateError, NotIndexedError, NotNullableError and those of {@link findObjects}
 */
export async function updateObjects(
    session: Session,
    bucket: Bucket,
    fields: Value,
    text: string,
    options: FindOptions & { readonly now: number },
): Promise<{ count: number; etag: string }> {
    const columns = updatedColumns(bucket, fields);
    const { values, sql } = selection(bucket, text, options);
    const etag = `u${randomBytes(4).toString('hex').slice(0, 7)}`;
    const contents: readonly (readonly [string, unknown])[] = [
        ['_etag', etag],
        ['_mtime', String(options.now)],
        ...columns,
    ];
    const set = contents.map(([column], at) => `${quoted(column)} = $${values.length + at + 1}`);
    const { count } = await session.query({
        text: `UPDATE ${quoted(bucket.name)} SET ${set.join(', ')} WHERE _key IN (${sql})`,
        values: [...values, ...contents.map(([, content]) => content)],
    });
    return { count, etag };
}

/** @throws MorayError as {@link findObjects} */
export async function deleteMany(
    session: Session,
    bucket: Bucket,
    text: string,
    options: FindOptions,
): Promise<{ count: number }> {
    const { values, sql } = selection(bucket, text, options);
    const { count } = await session.query({
        text: `DELETE FROM ${quoted(bucket.name)} WHERE _key IN (${sql})`,
        values,
    });
    return { count };
}

function updatedColumns(bucket: Bucket, fields: Value): [string, unknown][] {
    const names = Object.keys(fields);
    if (names.length === 0) {
        throw new MorayError('FieldUpdateError', `There are no fields to update in ${bucket.name}`);
    }
    for (const name of names) {
        const field = fieldsOf(bucket).get(name);
        if (!field?.exists || field.isReindexing) {
            throw notIndexed(bucket, `an update of ${name}`);
        }
        if (fields[name] === null || fields[name] === undefined) {
            throw new MorayError('NotNullableError', `${name} of type ${field.type} cannot be set to null`);
        }
    }
    return [...columnsFor(bucket, fields)].filter(([, content]) => content !== undefined);
}

/** The keys of the objects to change, locked. Nobody looks at them again, so SQL has to decide the filter alone. */
function selection(bucket: Bucket, text: string, options: FindOptions): Where {
    const where = toWhere(parseFilter(text), bucket, text);
    if (!where.isExact) {
        throw notIndexed(bucket, text);
    }
    return {
        ...where,
        sql: `SELECT _key FROM ${quoted(bucket.name)} WHERE ${where.sql}${pageOf(bucket, options)} FOR UPDATE`,
    };
}

function checkIndexes(filter: Filter, bucket: Bucket, text: string): void {
    switch (filter.type) {
        case 'and':
        case 'or':
            filter.filters.forEach((one) => checkIndexes(one, bucket, text));
            break;
        case 'not':
            checkIndexes(filter.filter, bucket, text);
            break;
        default:
            if (!isSearchable(bucket, filter.attribute)) {
                throw notIndexed(bucket, text);
            }
    }
}

function isSearchable(bucket: Bucket, attribute: string): boolean {
    const field = fieldsOf(bucket).get(attribute);
    return field ? field.exists && !field.isReindexing : internalAttribute(attribute) !== undefined;
}

/** ORDER BY, LIMIT and OFFSET. */
function pageOf(bucket: Bucket, { sort = [], limit, offset, noLimit = false }: FindOptions): string {
    const sorts = (Array.isArray(sort) ? sort : [sort]) as readonly Sort[];
    const order = sorts.flatMap((one) => orderBy(bucket, one)).join(', ');
    const most = wholeNumber('limit', limit) ?? (noLimit ? undefined : DEFAULT_LIMIT);
    const skipped = wholeNumber('offset', offset) ?? 0;
    return (
        (order === '' ? '' : ` ORDER BY ${order}`) +
        (most === undefined ? '' : ` LIMIT ${most}`) +
        (skipped === 0 ? '' : ` OFFSET ${skipped}`)
    );
}

function orderBy(bucket: Bucket, { attribute, order = 'ASC' }: Sort): string[] {
    if (!ORDERS.includes(order)) {
        throw new MorayError('InvocationError', `sort.order must be ASC or DESC, not "${order}"`);
    }
    if (typeof (attribute as unknown) !== 'string') {
        throw new MorayError('InvocationError', 'sort.attribute must be a string');
    }
    const direction = order.toUpperCase();
    const field = fieldsOf(bucket).get(attribute);
    if (!isSearchable(bucket, attribute)) {
        throw notIndexed(bucket, `sorting by ${attribute}`);
    }
    if (field) {
        const collation = field.type === 'string' && !bucket.sortsByBytes ? ' COLLATE "C"' : '';
        return [`${quoted(field.column)}${collation} ${direction}`];
    }
    const collation = attribute === '_key' && !bucket.sortsByBytes ? ' COLLATE "C"' : '';
    const extended = attribute === '_id' && bucket.hasExtendedId ? [`_idx ${direction}`] : [];
    return [`${quoted(attribute)}${collation} ${direction}`, ...extended];
}

/** @throws MorayError InvocationError */
function wholeNumber(option: string, given: number | string | undefined): number | undefined {
    if (given === undefined) {
        return undefined;
    }
    const number = typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : given;
    if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0) {
        throw new MorayError(
            'InvocationError',
            `${option} must be a whole number from 0 on, not "${String(given)}"`,
        );
    }
    return number;
}
