/** Buckets created, changed and deleted, each in one transaction (moray.md §1, §2.7). */
import { CREATE_BUCKETS_CONFIG, addedColumn, createIndex, createTable, dropTable } from './bucket-tables';
import { isIndexType } from './columns';
import { MorayError } from './errors';
import { checkBucketName, columnOf, fieldNameFault, quoted } from './names';
import { notFound, readBucket } from './buckets';
import { isUndefinedTable, isUniqueViolation, sqlStateOf } from './sql-state';
import type { Bucket, BucketConfig, Connections, IndexDefinition, Session } from './types';

/** Both tables of one name were made at the same time: one of the two fails with any of these. */
const MADE_MEANWHILE = ['23505', '42P07', '42710'];

/** A configuration as it is stored. */
interface Stored {
    readonly index: Readonly<Record<string, IndexDefinition>>;
    readonly pre: readonly string[];
    readonly post: readonly string[];
    readonly options: { readonly version: number; readonly guaranteeOrder?: boolean };
}

/**
 * @throws MorayError BucketConflictError if there is one of this name, InvalidBucketNameError, InvalidBucketConfigError,
 *   NotFunctionError
 */
export async function createBucket(
    connections: Connections,
    name: string,
    config: BucketConfig = {},
): Promise<void> {
    checkBucketName(name);
    const stored = checkedConfig(config);
    await ensureBucketsConfig(connections);
    await connections.transaction(async (session) => {
        // First of all: whoever comes second waits here, and then knows.
        await session
            .query({
                text: 'INSERT INTO buckets_config (name, index, pre, post, options) VALUES ($1, $2, $3, $4, $5)',
                values: [name, ...texts(stored)],
            })
            .catch((error: unknown) => {
                throw isUniqueViolation(error)
                    ? new MorayError('BucketConflictError', `${name} already exists`, { cause: error })
                    : error;
            });
        const guaranteeOrder = stored.options.guaranteeOrder === true;
        for (const text of createTable({ name, index: stored.index, guaranteeOrder })) {
            await session.query({ text });
        }
    });
}

async function ensureBucketsConfig(connections: Connections): Promise<void> {
    const { rows } = await connections.query({ text: "SELECT to_regclass('buckets_config') AS found" });
    if (rows[0]?.found != null) {
        return;
    }
    await connections.query({ text: CREATE_BUCKETS_CONFIG }).catch((error: unknown) => {
        if (!MADE_MEANWHILE.includes(sqlStateOf(error) ?? '')) {
            throw error;
        }
    });
}

/**
 * Changes the configuration, and the table with it: columns of fields that are gone are dropped, those of new ones
 * added, to be filled by `reindexObjects` unless `noReindex`. A changed definition of a field leaves its column alone.
 *
 * @throws MorayError BucketNotFoundError; BucketVersionError unless the version is newer or the stored one is 0
 */
export async function updateBucket(
    connections: Connections,
    name: string,
    config: BucketConfig,
    { noReindex = false }: { noReindex?: boolean } = {},
): Promise<void> {
    checkBucketName(name);
    const next = checkedConfig(config);
    await connections.transaction(async (session) => {
        const known = await lockedBucket(session, name);
        checkVersion(name, known.options.version, next.options.version);
        if (!known.hasReindexColumn) {
            await session.query({
                text: 'ALTER TABLE buckets_config ADD COLUMN IF NOT EXISTS reindex_active TEXT',
            });
        }
        const added = Object.keys(next.index).filter((field) => !known.index[field]);
        const removed = Object.keys(known.index).filter((field) => !next.index[field]);
        const reindexes = !noReindex && next.options.version > 0;
        if (reindexes) {
            await ensureRowVersion(session, known);
        }
        const active = reindexes
            ? merged(known.reindexActive ?? {}, next.options.version, added)
            : known.reindexActive;
        await session.query({
            text:
                'UPDATE buckets_config SET index = $2, pre = $3, post = $4, options = $5, reindex_active = $6 ' +
                'WHERE name = $1',
            values: [name, ...texts(next), active ? JSON.stringify(active) : null],
        });
        for (const text of changesOfTable(known, next.index, added, removed)) {
            await session.query({ text });
        }
    });
}

type LockedBucket = Bucket & { readonly hasReindexColumn: boolean };

async function lockedBucket(session: Session, name: string): Promise<LockedBucket> {
    const { rows } = await session
        .query({ text: 'SELECT * FROM buckets_config WHERE name = $1 FOR UPDATE', values: [name] })
        .catch((error: unknown) => {
            throw isUndefinedTable(error) ? notFound(name, error) : error;
        });
    if (!rows[0]) {
        throw notFound(name);
    }
    // Not the row of before: it may have been waited for.
    return { ...(await readBucket(session, name)), hasReindexColumn: 'reindex_active' in rows[0] };
}

function checkVersion(name: string, stored: number, next: number): void {
    if (stored !== 0 && next <= stored) {
        throw new MorayError(
            'BucketVersionError',
            `${name} has version ${stored}; a change needs a higher one than ${next}`,
        );
    }
}

async function ensureRowVersion(session: Session, { name }: Bucket): Promise<void> {
    await session.query({ text: `ALTER TABLE ${quoted(name)} ADD COLUMN IF NOT EXISTS _rver INTEGER` });
    const index = createIndex(name, '_rver').replace('CREATE INDEX', 'CREATE INDEX IF NOT EXISTS');
    await session.query({ text: index });
}

function merged(
    active: NonNullable<Bucket['reindexActive']>,
    version: number,
    added: readonly string[],
): Record<string, readonly string[]> {
    return { ...active, [version]: [...new Set([...(active[version] ?? []), ...added])] };
}

function changesOfTable(
    { name, columns }: Bucket,
    index: Stored['index'],
    added: readonly string[],
    removed: readonly string[],
): string[] {
    const alter = `ALTER TABLE ${quoted(name)}`;
    return [
        ...removed
            .filter((field) => columns.has(columnOf(field)))
            .map((field) => `${alter} DROP COLUMN ${quoted(columnOf(field))}`),
        ...added.flatMap((field) => {
            const definition = index[field];
            return definition
                ? [
                      `${alter} ADD COLUMN ${addedColumn(field, definition)}`,
                      createIndex(name, field, definition, { unique: definition.unique === true }),
                  ]
                : [];
        }),
    ];
}

/**
 * Creates the bucket, or changes it where the version differs from that of the stored one; does nothing where it is the
 * same and not 0.
 */
export async function putBucket(
    connections: Connections,
    name: string,
    config: BucketConfig = {},
    options: { noReindex?: boolean } = {},
): Promise<void> {
    checkBucketName(name);
    const { version } = checkedConfig(config).options;
    const found = await findBucket(connections, name);
    if (!found) {
        await createBucket(connections, name, config).catch((error: unknown) => {
            if (!(error instanceof MorayError && error.name === 'BucketConflictError')) {
                throw error;
            }
        });
    } else if (found.options.version === 0 || found.options.version !== version) {
        await updateBucket(connections, name, config, options);
    }
}

/** Creates the bucket unless there is one of this name, which stays as it is. @returns whether it was created */
export async function ensureBucket(
    connections: Connections,
    name: string,
    config: BucketConfig,
): Promise<boolean> {
    if (await findBucket(connections, name)) {
        return false;
    }
    try {
        await createBucket(connections, name, config);
        return true;
    } catch (error) {
        if (error instanceof MorayError && error.name === 'BucketConflictError') {
            return false;
        }
        throw error;
    }
}

async function findBucket(session: Session, name: string): Promise<Bucket | undefined> {
    try {
        return await readBucket(session, name);
    } catch (error) {
        if (error instanceof MorayError && error.name === 'BucketNotFoundError') {
            return undefined;
        }
        throw error;
    }
}

/** Deletes a bucket with all that is in it. @throws MorayError BucketNotFoundError */
export async function deleteBucket(connections: Connections, name: string): Promise<void> {
    checkBucketName(name);
    await connections.transaction(async (session) => {
        const { options } = await lockedBucket(session, name);
        await session.query({ text: 'DELETE FROM buckets_config WHERE name = $1', values: [name] });
        for (const text of dropTable(name, options.guaranteeOrder === true)) {
            await session.query({ text });
        }
    });
}

/** The configuration with its defaults. @throws MorayError InvalidBucketConfigError, NotFunctionError */
function checkedConfig({ index = {}, pre = [], post = [], options = {} }: BucketConfig): Stored {
    for (const [field, definition] of Object.entries(index)) {
        const fault = fieldNameFault(field) ?? definitionFault(field, definition);
        if (fault !== undefined) {
            throw new MorayError('InvalidBucketConfigError', fault);
        }
    }
    const version = options.version ?? 0;
    if (!Number.isSafeInteger(version) || version < 0) {
        throw new MorayError(
            'InvalidBucketConfigError',
            `the version is ${version}, which is no whole number`,
        );
    }
    for (const [which, sources] of Object.entries({ pre, post })) {
        if (!Array.isArray(sources) || !sources.every((source) => typeof source === 'string')) {
            throw new MorayError('NotFunctionError', `${which} must be a list of the sources of functions`);
        }
    }
    return { index, pre, post, options: { ...options, version } };
}

function definitionFault(field: string, { type, unique }: IndexDefinition): string | undefined {
    if (!isIndexType(type)) {
        return `the index "${field}" is of type "${String(type)}", which is unknown`;
    }
    return unique === undefined || typeof (unique as unknown) === 'boolean'
        ? undefined
        : `"unique" of the index "${field}" must be true or false`;
}

function texts({ index, pre, post, options }: Stored): string[] {
    return [index, pre, post, options].map((part) => JSON.stringify(part));
}
