/** The tables of the database file, and their creation. */
import { VALUE_COLUMNS } from './local-columns';
import type { Connection } from './local-connection';

/** Raised with every change of the tables; a file of a higher version is refused. */
export const SCHEMA_VERSION = 2;

/** The list order; `_key` is the uuid. */
const ORDER_COLUMNS = ['published_at', '_key'];
/** Every index that serves lists ends in these, so that a filter is decided without reading a record. */
const FILTER_COLUMNS = [
    'state',
    'activated',
    'disabled',
    'public',
    'type',
    'os',
    'name',
    'version',
    'owner',
    'origin',
];

/** Columns that have a listing index of their own: equal values in list order. */
export const LISTED_COLUMNS = [
    'name',
    'version',
    'owner',
    'origin',
    'state',
    'os',
    'type',
    'public',
] as const;
/** Booleans of which one value is rare: only that one is indexed. */
export const RARE_BITS = { activated: 0, disabled: 1 } as const;

function listingIndex(name: string, leading: string[], where = ''): string {
    const columns = [
        ...leading,
        ...ORDER_COLUMNS,
        ...FILTER_COLUMNS.filter((column) => !leading.includes(column)),
    ];
    return `CREATE INDEX imgapi_images_${name}_idx ON imgapi_images (${columns.join(', ')})${where};`;
}

const INTEGER_COLUMNS: readonly string[] = ['activated', 'disabled', 'public'];

function columnDefinition(column: string): string {
    if (INTEGER_COLUMNS.includes(column)) {
        return `${column} INTEGER`;
    }
    // '' and not NULL for unpublished images, so that every position in the list order compares as a row value.
    return column === 'published_at' ? `${column} TEXT NOT NULL` : `${column} TEXT`;
}

const JOBS = `
CREATE TABLE jobs (
    uuid TEXT PRIMARY KEY,
    image_uuid TEXT NOT NULL,
    task TEXT NOT NULL,
    execution TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER,
    finished_at INTEGER,
    etag TEXT NOT NULL,
    value TEXT NOT NULL
);
CREATE INDEX jobs_created_at_idx ON jobs (created_at, uuid);
CREATE INDEX jobs_image_uuid_idx ON jobs (image_uuid, created_at, uuid);
CREATE INDEX jobs_execution_idx ON jobs (execution, created_at, uuid);
CREATE INDEX jobs_due_at_idx ON jobs (due_at, uuid) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_finished_at_idx ON jobs (finished_at) WHERE finished_at IS NOT NULL;
`;

const SCHEMA = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE imgapi_images (
    _id INTEGER PRIMARY KEY,
    _key TEXT NOT NULL,
    _etag TEXT NOT NULL,
    _mtime INTEGER NOT NULL,
    uuid TEXT GENERATED ALWAYS AS (_key) VIRTUAL,
    ${VALUE_COLUMNS.map(columnDefinition).join(',\n    ')},
    _value TEXT NOT NULL
);
CREATE UNIQUE INDEX imgapi_images__key_idx ON imgapi_images (_key);
CREATE UNIQUE INDEX imgapi_images_urn_idx ON imgapi_images (urn) WHERE urn IS NOT NULL;
CREATE INDEX imgapi_images_expires_at_idx ON imgapi_images (expires_at, _key) WHERE expires_at IS NOT NULL;
${listingIndex('published_at', [])}
${LISTED_COLUMNS.map((column) => listingIndex(column, [column])).join('\n')}
${Object.entries(RARE_BITS)
    .map(([column, rare]) => listingIndex(column, [], ` WHERE ${column} = ${rare}`))
    .join('\n')}

CREATE TABLE imgapi_image_elements (
    attribute TEXT NOT NULL,
    value TEXT NOT NULL,
    published_at TEXT NOT NULL,
    _key TEXT NOT NULL,
    PRIMARY KEY (attribute, value, published_at, _key)
) WITHOUT ROWID;

-- Trigrams of name and version by _id, for substring searches that match few images.
CREATE VIRTUAL TABLE imgapi_image_texts USING fts5 (
    name, version, content = '', columnsize = 0, tokenize = 'trigram case_sensitive 1'
);

CREATE TABLE pending_objects (
    id TEXT PRIMARY KEY,
    image TEXT NOT NULL,
    storage TEXT NOT NULL,
    key TEXT NOT NULL,
    beat INTEGER NOT NULL,
    condemned INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX pending_objects_key_idx ON pending_objects (storage, key);
CREATE INDEX pending_objects_beat_idx ON pending_objects (condemned, beat, id);

CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;

${JOBS}
CREATE TABLE replay (value TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX replay_expires_idx ON replay (expires);

CREATE TABLE raw_files (
    name TEXT PRIMARY KEY,
    mtime REAL NOT NULL,
    sha1 TEXT NOT NULL,
    imported INTEGER NOT NULL
) WITHOUT ROWID;
`;

/** A value of the meta table. */
export function readMeta(connection: Connection, name: string): string | undefined {
    const row = connection.prepare('SELECT value FROM meta WHERE name = ?').get([name]);
    return row && String(row[0]);
}

export function writeMeta(connection: Connection, name: string, value: string): void {
    connection
        .prepare(
            'INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
        )
        .run([name, value]);
}

export function deleteMeta(connection: Connection, name: string): void {
    connection.prepare('DELETE FROM meta WHERE name = ?').run([name]);
}

/** What the names of meta values begin with that tell when a task was last done. */
export const TASK_PREFIX = 'done:';

/** The file was made by a newer version of the program. */
export class SchemaTooNew extends Error {
    override readonly name = 'SchemaTooNew';
    constructor(file: string, version: number) {
        super(
            `The database ${file} has schema version ${version}; this program knows versions up to ` +
                `${SCHEMA_VERSION}. Run the program version that wrote it, or a later one.`,
        );
    }
}

/**
 * Creates the tables in an empty file, or brings those of an older version up to date. Gives the database's id;
 * `newId` is its id if it is new.
 */
export async function prepareSchema(connection: Connection, newId: string): Promise<string> {
    return connection.write(() => {
        const version = Number(connection.prepare('PRAGMA user_version').get()?.[0]);
        if (version > SCHEMA_VERSION) {
            throw new SchemaTooNew(connection.file, version);
        }
        if (version === 0) {
            connection.exec(SCHEMA);
            writeMeta(connection, 'id', newId);
            writeMeta(connection, 'generation', '0');
        }
        if (version === 1) {
            // No program that wrote version 1 had jobs.
            connection.exec(`DROP TABLE jobs; ${JOBS}`);
        }
        if (version < SCHEMA_VERSION) {
            connection.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
        }
        const id = readMeta(connection, 'id');
        if (id === undefined) {
            throw new Error(`The database ${connection.file} has lost its id (row "id" of table "meta").`);
        }
        return id;
    });
}
