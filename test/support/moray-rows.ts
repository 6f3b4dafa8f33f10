/** Buckets and rows of images as Moray itself makes them, by SQL alone (moray.md §1, §2). */
import { randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { MorayConfig } from '../../lib/config/types';
import type { Postgres } from './postgresql';

const SCALARS = {
    uuid: 'TEXT',
    name: 'TEXT',
    version: 'TEXT',
    owner: 'TEXT',
    origin: 'TEXT',
    state: 'TEXT',
    urn: 'TEXT',
    tags: 'TEXT[]',
    billing_tags: 'TEXT[]',
    acl: 'TEXT[]',
    activated: 'BOOLEAN',
    disabled: 'BOOLEAN',
    public: 'BOOLEAN',
    os: 'TEXT',
    type: 'TEXT',
    expires_at: 'TEXT',
    published_at: 'TEXT',
} as const;
export type Column = keyof typeof SCALARS;
const UNIQUE: readonly string[] = ['uuid', 'urn'];
const TYPES: Readonly<Record<string, string>> = { TEXT: 'string', BOOLEAN: 'boolean', 'TEXT[]': '[string]' };

export interface Make {
    /** Columns that are not there: the bucket was made before anybody thought of them. */
    without?: readonly Column[];
    /** The type of `_id`. */
    id?: 'BIGINT' | 'INTEGER';
    /** Columns of later versions of Moray: the row's bucket version, and the extended id. */
    later?: boolean;
    /** What `buckets_config` says of columns that are being filled; undefined if it has no such column. */
    reindexActive?: string | null;
    version?: number;
}

/** A row of the bucket, with what differs from what Moray would compute from the value. */
export interface MorayRow {
    value: Record<string, unknown> & { uuid: string };
    columns?: Partial<Record<Column, unknown>>;
    /** The text in the place of the value's JSON. */
    text?: string;
    mtime?: number;
}

/** One database with a bucket of images of a certain make. */
export class MorayTables {
    private constructor(
        private readonly postgres: Postgres,
        readonly config: MorayConfig,
        private readonly columns: readonly Column[],
    ) {}

    static async make(postgres: Postgres, make: Make = {}): Promise<MorayTables> {
        const { without = [], id = 'BIGINT', later = false, reindexActive, version = 0 } = make;
        const columns = (Object.keys(SCALARS) as Column[]).filter((column) => !without.includes(column));
        const index = Object.fromEntries(
            columns.map((column) => [
                column,
                {
                    type: TYPES[SCALARS[column]],
                    ...(UNIQUE.includes(column) && { unique: true }),
                },
            ]),
        );
        const tables = new MorayTables(postgres, await postgres.makeDatabase(), columns);
        const reindex = reindexActive === undefined ? '' : ', reindex_active TEXT';
        const indexes = [
            ...columns.filter((column) => !UNIQUE.includes(column)),
            '_id',
            '_etag',
            '_mtime',
            '_vnode',
        ];
        await tables.sql(`
            SET ROLE moray;
            CREATE TABLE buckets_config (name text PRIMARY KEY, index text NOT NULL, pre text NOT NULL,
                post text NOT NULL, options text, mtime timestamp without time zone DEFAULT now() NOT NULL${reindex});
            CREATE SEQUENCE imgapi_images_serial;
            CREATE TABLE imgapi_images (
                _id ${id} DEFAULT nextval('imgapi_images_serial'), _txn_snap INTEGER, _key TEXT PRIMARY KEY,
                _value TEXT NOT NULL, _etag CHAR(8) NOT NULL,
                _mtime BIGINT DEFAULT CAST (EXTRACT (EPOCH FROM NOW()) * 1000 AS BIGINT), _vnode BIGINT,
                ${columns.map((name) => `${name} ${SCALARS[name]}${UNIQUE.includes(name) ? ' UNIQUE' : ''}`).join(', ')}
                ${later ? ', _rver INTEGER, _idx BIGINT' : ''});
            ${indexes
                .map(
                    (name) =>
                        `CREATE INDEX imgapi_images_${name}_idx ON imgapi_images ` +
                        `USING ${isArray(name) ? 'GIN' : 'BTREE'} (${name}) ` +
                        `WHERE ${name} IS NOT NULL;`,
                )
                .join('\n')}`);
        await tables.sql(
            `INSERT INTO buckets_config (name, index, pre, post, options${reindex && ', reindex_active'})
             VALUES ('imgapi_images', $1, '[]', '[]', $2${reindex && ', $3'})`,
            [JSON.stringify(index), JSON.stringify({ version }), ...(reindex ? [reindexActive] : [])],
        );
        return tables;
    }

    async insert({ value, columns = {}, text, mtime = 1_420_070_400_000 }: MorayRow): Promise<void> {
        const json = text ?? JSON.stringify(value);
        const contents = Object.fromEntries(
            this.columns
                .filter((column) => value[column] !== undefined)
                .map((column) => [column, columnOf(column, value[column])]),
        );
        const row: Record<string, unknown> = {
            _key: value.uuid,
            _value: json,
            _etag: etagOf(json),
            _mtime: mtime,
            ...contents,
            ...columns,
        };
        const names = Object.keys(row);
        await this.sql(
            `INSERT INTO imgapi_images (${names.join(', ')}) VALUES (${names.map((_, at) => `$${at + 1}`).join(', ')})`,
            Object.values(row),
        );
    }

    async row(uuid: string): Promise<Record<string, unknown> | undefined> {
        return (await this.sql('SELECT * FROM imgapi_images WHERE _key = $1', [uuid]))[0];
    }

    /** All that the database knows of Moray's tables, to compare before and after. */
    async shape(): Promise<unknown> {
        return this.sql(
            `SELECT (SELECT json_agg(b) FROM buckets_config b) AS buckets,
                (SELECT json_agg(json_build_array(table_name, column_name, data_type) ORDER BY table_name, ordinal_position)
                    FROM information_schema.columns WHERE table_name IN ('imgapi_images', 'buckets_config')) AS columns,
                (SELECT json_agg(indexdef ORDER BY indexdef) FROM pg_indexes WHERE tablename = 'imgapi_images') AS indexes`,
        );
    }

    sql(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]> {
        return this.postgres.sql(text, values, this.config.pg?.database);
    }
}

/** Moray's checksum: the low byte of each UTF-16 code unit. */
export function etagOf(json: string): string {
    const bytes = Uint8Array.from(json, (character) => character.charCodeAt(0) & 0xff);
    return crc32(bytes).toString(16).toUpperCase().padStart(8, '0');
}

function isArray(name: string): boolean {
    return ['tags', 'billing_tags', 'acl'].includes(name);
}

function columnOf(column: Column, value: unknown): unknown {
    switch (SCALARS[column]) {
        case 'BOOLEAN':
            return String(value).toLowerCase() === 'true';
        case 'TEXT[]':
            return [value].flat().map(String);
        default:
            return typeof value === 'string' ? value : JSON.stringify(value);
    }
}

/** A valid record as the former server would have made it. */
export function formerRecord(
    fields: Record<string, unknown> = {},
): Record<string, unknown> & { uuid: string } {
    return {
        v: 2,
        uuid: randomUUID(),
        owner: '930896af-bf8c-48d4-885c-6573a94b1853',
        name: 'base-64',
        version: '14.4.0',
        state: 'active',
        disabled: false,
        public: true,
        published_at: '2015-01-02T03:04:05.678Z',
        type: 'zone-dataset',
        os: 'smartos',
        files: [
            {
                sha1: '97a272df1ee1e5b64b2e5dd1dc2c2ac1ed3d0c13',
                size: 110_742_036,
                compression: 'gzip',
                stor: 'local',
            },
        ],
        activated: true,
        acl: [],
        tags: ['role=db'],
        tagsObj: { role: 'db' },
        urn: `sdc:sdc:base-64:${randomUUID()}`,
        ...fields,
    };
}
