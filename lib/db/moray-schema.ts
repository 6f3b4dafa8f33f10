/**
 * The server's own tables beside Moray's buckets. Moray and its tools find buckets in `buckets_config`, so they never
 * see these; nor does anything here look into that table.
 */
import { ApiError } from '../errors';
import { assertInUse, COPY_MARK, parseMark } from './copy-side';
import { MorayError } from './moray-client/errors';
import type { Connections, Session } from './moray-client/types';

/** Raised with every change of the tables; a database with a higher one is refused. */
export const SCHEMA_VERSION = 1;

/** The advisory lock under which tables are made: "imgapi" in hexadecimal, as far as it fits, and what for. */
const CREATION_LOCK = [0x696d_6761, 1] as const;

// Text is ordered by its bytes, as the embedded database does, whatever the collation of the database.
const TEXT = 'text COLLATE "C" NOT NULL';

const SCHEMA = [
    `CREATE TABLE imgapi_server_meta (name ${TEXT} PRIMARY KEY, value ${TEXT})`,

    `CREATE TABLE imgapi_server_pending (
        id ${TEXT} PRIMARY KEY,
        image ${TEXT},
        storage ${TEXT},
        key ${TEXT},
        beat bigint NOT NULL,
        condemned boolean NOT NULL
    )`,
    'CREATE INDEX imgapi_server_pending_key_idx ON imgapi_server_pending (storage, key)',
    'CREATE INDEX imgapi_server_pending_beat_idx ON imgapi_server_pending (condemned, beat, id)',

    `CREATE TABLE imgapi_server_leases (name ${TEXT} PRIMARY KEY, holder ${TEXT}, expires bigint NOT NULL)`,

    `CREATE TABLE imgapi_server_tasks (name ${TEXT} PRIMARY KEY, done_at bigint NOT NULL)`,

    `CREATE TABLE imgapi_server_jobs (
        uuid ${TEXT} PRIMARY KEY,
        image_uuid ${TEXT},
        task ${TEXT},
        execution ${TEXT},
        created_at bigint NOT NULL,
        due_at bigint,
        finished_at bigint,
        etag ${TEXT},
        value ${TEXT}
    )`,
    'CREATE INDEX imgapi_server_jobs_created_at_idx ON imgapi_server_jobs (created_at, uuid)',
    'CREATE INDEX imgapi_server_jobs_image_uuid_idx ON imgapi_server_jobs (image_uuid, created_at, uuid)',
    'CREATE INDEX imgapi_server_jobs_task_idx ON imgapi_server_jobs (task, created_at, uuid)',
    'CREATE INDEX imgapi_server_jobs_execution_idx ON imgapi_server_jobs (execution, created_at, uuid)',
    'CREATE INDEX imgapi_server_jobs_due_at_idx ON imgapi_server_jobs (due_at, uuid) WHERE due_at IS NOT NULL',
    'CREATE INDEX imgapi_server_jobs_finished_at_idx ON imgapi_server_jobs (finished_at) ' +
        'WHERE finished_at IS NOT NULL AND due_at IS NULL',

    `CREATE TABLE imgapi_server_replay (value ${TEXT} PRIMARY KEY, expires bigint NOT NULL)`,
    'CREATE INDEX imgapi_server_replay_expires_idx ON imgapi_server_replay (expires)',
];

/** The first of the tables: if it is there, all are. */
export const META_TABLE = 'imgapi_server_meta';

/** What requests are told where there is a database that is not to be used; the log has the reason. */
export const REFUSED = 'This server may not use the image database; its log says why.';

/** The tables were made by a newer version of the program. */
export class MoraySchemaTooNew extends Error {
    override readonly name = 'MoraySchemaTooNew';
    constructor(readonly version: number) {
        super(
            `The tables imgapi_server_* of the database have schema version ${version}; this program knows versions up ` +
                `to ${SCHEMA_VERSION}. Run the program version that made them, or a later one.`,
        );
    }
}

/** A value of the meta table. */
export async function readMeta(session: Session, name: string): Promise<string | undefined> {
    const { rows } = await session.query({
        text: 'SELECT value FROM imgapi_server_meta WHERE name = $1',
        values: [name],
        name: 'imgapi-meta-read',
    });
    return rows[0] && String(rows[0].value);
}

export async function writeMeta(session: Session, name: string, value: string): Promise<void> {
    await session.query({
        text:
            'INSERT INTO imgapi_server_meta (name, value) VALUES ($1, $2) ' +
            'ON CONFLICT (name) DO UPDATE SET value = excluded.value',
        values: [name, value],
        name: 'imgapi-meta-write',
    });
}

export async function deleteMeta(session: Session, name: string): Promise<void> {
    await session.query({ text: 'DELETE FROM imgapi_server_meta WHERE name = $1', values: [name] });
}

/** Whether the table is there. Writes nothing. */
export async function hasTable(session: Session, table: string): Promise<boolean> {
    const { rows } = await session.query({
        // Not to_regclass: a connection remembers names that were not there, and hears of new ones late.
        text:
            'SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = ANY (current_schemas(false)) ' +
            'AND tablename = $1) AS is_there',
        values: [table],
    });
    return rows[0]?.is_there === true;
}

export interface SchemaOptions {
    /** Take a database that a copy has marked as not to be used (copy-side.ts). */
    readonly isMarkIgnored?: boolean;
    /** Make no tables where there are none. Then they must not be used, and the database has no lasting id. */
    readonly isReadOnly?: boolean;
}

/**
 * The id of the database. Writes nothing.
 *
 * @throws ApiError ServiceUnavailableError because of a MoraySchemaTooNew, UnfinishedCopy or DatabaseMoved, or because
 * the id is lost
 */
export async function readDatabaseId(
    session: Session,
    { isMarkIgnored = false }: SchemaOptions = {},
): Promise<string> {
    try {
        const version = Number(await readMeta(session, 'schema_version'));
        if (version > SCHEMA_VERSION) {
            throw new MoraySchemaTooNew(version);
        }
        if (!isMarkIgnored) {
            assertInUse('moray', parseMark(await readMeta(session, COPY_MARK)));
        }
        const id = await readMeta(session, 'id');
        if (id === undefined) {
            throw new Error('The database has lost its id (row "id" of table "imgapi_server_meta").');
        }
        return id;
    } catch (cause) {
        throw cause instanceof MorayError
            ? cause
            : new ApiError('ServiceUnavailableError', REFUSED, { cause });
    }
}

/**
 * Makes the tables where there are none; gives the database's id. `newId` is its id if it is new.
 *
 * @throws ApiError as {@link readDatabaseId} does, MorayError
 */
export async function prepareSchema(
    connections: Connections,
    newId: string,
    options?: SchemaOptions,
): Promise<string> {
    if (!(await hasTable(connections, META_TABLE))) {
        if (options?.isReadOnly === true) {
            return newId;
        }
        await connections.transaction(async (session) => {
            // Two processes that look at once both see nothing, and IF NOT EXISTS fails for the second one. A lock of
            // the transaction goes with it, however it ends.
            await session.query({ text: 'SELECT pg_advisory_xact_lock($1, $2)', values: CREATION_LOCK });
            if (await hasTable(session, META_TABLE)) {
                return;
            }
            for (const text of SCHEMA) {
                await session.query({ text });
            }
            await writeMeta(session, 'schema_version', String(SCHEMA_VERSION));
            await writeMeta(session, 'id', newId);
        });
    }
    return readDatabaseId(connections, options);
}
