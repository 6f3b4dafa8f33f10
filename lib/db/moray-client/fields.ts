/** The index columns of a bucket: which of them can be read and written, and what a write puts into them. */
import { columnOf } from './names';
import { toColumn, type ColumnValue } from './columns';
import type { Bucket, IndexType, Value } from './types';

export interface Field {
    readonly name: string;
    readonly column: string;
    readonly type: IndexType;
    /** The table has the column. */
    readonly exists: boolean;
    /** It is being filled: what it holds may be less than the value has, so it is neither read nor searched. */
    readonly isReindexing: boolean;
}

const known = new WeakMap<Bucket, ReadonlyMap<string, Field>>();

/** The fields that the bucket's description names. */
export function fieldsOf(bucket: Bucket): ReadonlyMap<string, Field> {
    let fields = known.get(bucket);
    if (!fields) {
        const reindexing = new Set(Object.values(bucket.reindexActive ?? {}).flat());
        fields = new Map(
            Object.entries(bucket.index).map(([name, { type }]) => [
                name,
                {
                    name,
                    column: columnOf(name),
                    type,
                    exists: bucket.columns.has(columnOf(name)),
                    isReindexing: reindexing.has(name),
                },
            ]),
        );
        known.set(bucket, fields);
    }
    return fields;
}

/** Whether rows are to be marked with the version that they were written by (moray.md §2.2). */
export function writesVersion(bucket: Bucket): boolean {
    return bucket.reindexActive !== undefined && bucket.columns.has('_rver');
}

/**
 * The contents of the index columns for a value, by column; those of absent fields are undefined.
 *
 * @param value as JSON has it
 * @throws MorayError InvalidIndexTypeError
 */
export function columnsFor(bucket: Bucket, value: Value): Map<string, ColumnValue | undefined> {
    return new Map(
        [...fieldsOf(bucket).values()]
            .filter(({ exists }) => exists)
            .map(({ name, column, type }) => {
                const content = Object.hasOwn(value, name) ? value[name] : undefined;
                return [column, content === undefined ? undefined : toColumn(name, type, content)];
            }),
    );
}
