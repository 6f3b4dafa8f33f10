/** The descriptions of buckets (moray.md §1.1): read from the table `buckets_config`, kept for a while. */
import { isIndexType } from './columns';
import { MorayError } from './errors';
import { fieldNameFault } from './names';
import { isUndefinedTable } from './sql-state';
import type { Bucket, IndexDefinition, Row, Session } from './types';

/** How long Moray keeps a description, in ms. */
const KEPT_FOR = 300_000;

// The columns that the table really has, whether the index of the extended id is complete, and the order of texts.
const SELECT = `
    SELECT c.*,
        (SELECT array_agg(attname::text) FROM pg_attribute
            WHERE attrelid = to_regclass(quote_ident(lower(c.name))) AND attnum > 0 AND NOT attisdropped
        ) AS table_columns,
        EXISTS (SELECT 1 FROM pg_index
            WHERE indexrelid = to_regclass(quote_ident(lower(c.name) || '__idx_idx'))
            AND indrelid = to_regclass(quote_ident(lower(c.name))) AND indisvalid) AS has_extended_id,
        NOT ('a' < 'B') AS sorts_by_bytes
    FROM buckets_config c`;

export class Buckets {
    private readonly kept = new Map<string, { readonly bucket: Bucket; readonly until: number }>();

    /**
     * @param now in ms since the epoch
     * @param keptFor how long a description counts, in ms
     */
    constructor(
        private readonly now: () => number,
        private readonly keptFor = KEPT_FOR,
    ) {}

    /** @throws MorayError BucketNotFoundError */
    async get(session: Session, name: string): Promise<Bucket> {
        const kept = this.kept.get(name);
        return kept && this.now() < kept.until ? kept.bucket : this.reload(session, name);
    }

    /** As it is now. @throws MorayError BucketNotFoundError */
    async reload(session: Session, name: string): Promise<Bucket> {
        this.kept.delete(name);
        const until = this.now() + this.keptFor;
        const bucket = await readBucket(session, name);
        this.kept.set(name, { bucket, until });
        return bucket;
    }

    forget(...names: readonly string[]): void {
        names.forEach((name) => this.kept.delete(name));
    }

    forgetAll(): void {
        this.kept.clear();
    }
}

/** As it is stored. @throws MorayError BucketNotFoundError */
export async function readBucket(session: Session, name: string): Promise<Bucket> {
    const { rows } = await session
        .query({ text: `${SELECT} WHERE c.name = $1`, values: [name] })
        .catch((error: unknown) => {
            throw isUndefinedTable(error) ? notFound(name, error) : error;
        });
    const row = rows[0];
    if (!row) {
        throw notFound(name);
    }
    return toBucket(row);
}

/** All buckets, by name. */
export async function listBuckets(session: Session): Promise<Bucket[]> {
    const { rows } = await session
        .query({ text: `${SELECT} ORDER BY c.name COLLATE "C"` })
        .catch((error: unknown) => {
            if (isUndefinedTable(error)) {
                return { rows: [] };
            }
            throw error;
        });
    return rows.map(toBucket);
}

export function notFound(name: string, cause?: unknown): MorayError {
    return new MorayError('BucketNotFoundError', `${name} does not exist`, { cause });
}

function toBucket(row: Row): Bucket {
    const name = String(row.name);
    try {
        const parsed = (column: string): unknown =>
            typeof row[column] === 'string' ? JSON.parse(row[column]) : undefined;
        const options = (parsed('options') ?? {}) as { version?: unknown };
        const reindexActive = parsed('reindex_active') as Bucket['reindexActive'] | null;
        return {
            name,
            index: usable((parsed('index') ?? {}) as Record<string, IndexDefinition>),
            pre: (parsed('pre') ?? []) as string[],
            post: (parsed('post') ?? []) as string[],
            options: { ...options, version: Number(options.version ?? 0) },
            mtime: row.mtime instanceof Date ? row.mtime : new Date(String(row.mtime)),
            ...(reindexActive && { reindexActive }),
            columns: new Set((row.table_columns as string[] | null | undefined) ?? []),
            hasExtendedId: row.has_extended_id === true,
            sortsByBytes: row.sorts_by_bytes === true,
        };
    } catch (error) {
        throw new MorayError('InternalError', `buckets_config has a row for ${name} that cannot be read`, {
            cause: error,
        });
    }
}

/** The fields that can be columns: of a type that is known and under a name that may stand in a statement. */
function usable(index: Record<string, IndexDefinition>): Record<string, IndexDefinition> {
    return Object.fromEntries(
        Object.entries(index).filter(
            ([field, { type }]) => fieldNameFault(field) === undefined && isIndexType(type),
        ),
    );
}
