/** The tables of buckets: their statements, exactly as Moray makes them (moray.md §1). */
import { columnType } from './columns';
import { columnOf, quoted } from './names';
import type { IndexDefinition } from './types';

export const CREATE_BUCKETS_CONFIG =
    'CREATE TABLE IF NOT EXISTS buckets_config (name text PRIMARY KEY, index text NOT NULL, pre text NOT NULL, ' +
    'post text NOT NULL, options text, mtime timestamp without time zone NOT NULL DEFAULT now())';

/** Columns of every bucket that are indexed. */
const INDEXED_BY_ALL = ['_id', '_etag', '_mtime', '_vnode'];

interface Definitions {
    readonly name: string;
    readonly index: Readonly<Record<string, IndexDefinition>>;
    readonly guaranteeOrder: boolean;
}

/** The statements that make the table of a bucket, in their order. Names have been checked. */
export function createTable({ name, index, guaranteeOrder }: Definitions): string[] {
    const fields = Object.entries(index);
    const columns = fields.map(([field, definition]) =>
        [addedColumn(field, definition), ...(definition.unique === true ? ['UNIQUE'] : [])].join(' '),
    );
    const serial = `${name}_serial`;
    const locking = quoted(`${name}_locking_serial`);
    return [
        `CREATE SEQUENCE ${quoted(serial)}`,
        ...(guaranteeOrder
            ? [`CREATE TABLE ${locking} (id INTEGER PRIMARY KEY)`, `INSERT INTO ${locking} (id) VALUES (1)`]
            : []),
        `CREATE TABLE ${quoted(name)} (${[
            `_id BIGINT DEFAULT nextval('${quoted(serial)}')`,
            '_txn_snap INTEGER',
            '_key TEXT PRIMARY KEY',
            '_value TEXT NOT NULL',
            '_etag CHAR(8) NOT NULL',
            '_mtime BIGINT DEFAULT CAST(EXTRACT(EPOCH FROM now()) * 1000 AS BIGINT)',
            '_vnode BIGINT',
            ...columns,
        ].join(', ')})`,
        ...fields
            .filter(([, { unique }]) => unique !== true)
            .map(([field, definition]) => createIndex(name, field, definition)),
        ...INDEXED_BY_ALL.map((column) => createIndex(name, column)),
    ];
}

/** @param definition of a field; without one it is a column that every bucket has */
export function createIndex(
    bucket: string,
    field: string,
    definition?: IndexDefinition,
    { unique = false }: { unique?: boolean } = {},
): string {
    const column = quoted(columnOf(field));
    const kind = definition ? columnType(definition.type).index : 'BTREE';
    return (
        `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${quoted(`${bucket}_${field}_idx`)} ON ${quoted(bucket)} ` +
        `USING ${kind} (${column}) WHERE ${column} IS NOT NULL`
    );
}

/** A column as it is added to a table. */
export function addedColumn(field: string, { type }: IndexDefinition): string {
    return `${quoted(columnOf(field))} ${columnType(type).pg}`;
}

export function dropTable(name: string, guaranteeOrder: boolean): string[] {
    return [
        `DROP TABLE IF EXISTS ${quoted(name)}`,
        `DROP SEQUENCE IF EXISTS ${quoted(`${name}_serial`)}`,
        ...(guaranteeOrder ? [`DROP TABLE IF EXISTS ${quoted(`${name}_locking_serial`)}`] : []),
    ];
}
