/** Objects of buckets (moray.md §2): read, written and deleted in one transaction of the caller's. */
import { morayEtag } from '../etag';
import type { Buckets } from './buckets';
import { fromColumn, type ColumnValue } from './columns';
import { MorayError } from './errors';
import { columnsFor, fieldsOf, writesVersion } from './fields';
import { quoted } from './names';
import { isUniqueViolation, toMorayError } from './sql-state';
import type { Bucket, MorayObject, Row, Session, Value, WriteOptions, Written } from './types';

export type Lock = 'FOR UPDATE' | 'FOR SHARE';

const INSERT_TRIES = 5;

/** Objects as one transaction sees and changes them. After an error other than a conflict the transaction is over. */
export class Objects {
    constructor(
        readonly session: Session,
        private readonly buckets: Buckets,
        private readonly now: () => number,
    ) {}

    /** @throws MorayError BucketNotFoundError */
    async bucket(name: string): Promise<Bucket> {
        return this.buckets.get(this.session, name);
    }

    /**
     * The object of a key, undefined if there is none.
     *
     * @param lock keeps others from changing it until the end of the transaction
     * @throws MorayError BucketNotFoundError, InvocationError
     */
    async find(bucket: string, key: string, lock?: Lock): Promise<MorayObject | undefined> {
        const row = await this.row(await this.bucket(bucket), key, lock);
        return row && objectOf(row, await this.asOf(bucket, row));
    }

    /** As {@link find}. @throws MorayError ObjectNotFoundError too */
    async get(bucket: string, key: string, lock?: Lock): Promise<MorayObject> {
        const object = await this.find(bucket, key, lock);
        if (!object) {
            throw objectNotFound(bucket, key);
        }
        return object;
    }

    /**
     * Writes an object and its columns.
     *
     * @throws MorayError BucketNotFoundError, EtagConflictError, InvalidIndexTypeError, InvocationError,
     *   UniqueAttributeError
     */
    async put(bucketName: string, key: string, value: Value, options: WriteOptions = {}): Promise<Written> {
        const { text, plain } = encode(value);
        let bucket = await this.bucket(bucketName);
        for (let tries = 1; ; tries++) {
            const former = await this.row(bucket, key, 'FOR UPDATE');
            bucket = former ? await this.asOf(bucketName, former) : bucket;
            checkEtag(bucketName, key, former, options.etag);
            const row: NewRow = {
                key,
                written: { text, etag: morayEtag(text), mtime: this.now() },
                vnode: Number.isSafeInteger(plain.vnode) ? String(plain.vnode) : null,
                columns: columnsFor(bucket, plain),
                order: await this.nextInOrder(bucket),
            };
            try {
                await (former ? this.update(bucket, row) : this.insert(bucket, row));
                return row.written;
            } catch (error) {
                const failure = toMorayError(error, 'InvalidIndexTypeError');
                // Somebody else was the first to insert it: it is to be seen now, unless this is a snapshot of before.
                if (former || !isUniqueViolation(error) || tries === INSERT_TRIES) {
                    throw failure;
                }
                if (failure.details.attribute !== '_key' && !(await this.row(bucket, key))) {
                    throw failure;
                }
            }
        }
    }

    /** Deletes an object. @throws MorayError BucketNotFoundError, EtagConflictError, ObjectNotFoundError */
    async delete(bucketName: string, key: string, { etag }: WriteOptions = {}): Promise<void> {
        const bucket = await this.bucket(bucketName);
        if (etag !== undefined) {
            const row = await this.row(bucket, key, 'FOR UPDATE');
            if (row) {
                checkEtag(bucketName, key, row, etag);
            }
        }
        const { count } = await this.session.query({
            text: `DELETE FROM ${quoted(bucketName)} WHERE _key = $1`,
            values: [checkedKey(key)],
        });
        if (count === 0) {
            throw objectNotFound(bucketName, key);
        }
    }

    /** The bucket as whoever wrote the row knew it, at least: a newer version brings other columns. */
    async asOf(bucket: string, row: Row): Promise<Bucket> {
        const known = await this.bucket(bucket);
        return Number(row._rver ?? 0) > known.options.version
            ? this.buckets.reload(this.session, bucket)
            : known;
    }

    private async row({ name }: Bucket, key: string, lock?: Lock): Promise<Row | undefined> {
        const { rows } = await this.session.query({
            text: `SELECT * FROM ${quoted(name)} WHERE _key = $1${lock ? ` ${lock}` : ''}`,
            values: [checkedKey(key)],
        });
        return rows[0];
    }

    /** The value of `_txn_snap` for a write to a bucket that guarantees its order; it locks the whole bucket. */
    private async nextInOrder({ name, options }: Bucket): Promise<string | undefined> {
        if (options.guaranteeOrder !== true) {
            return undefined;
        }
        const { rows } = await this.session.query({
            text: `UPDATE ${quoted(`${name}_locking_serial`)} SET id = id + 1 RETURNING id`,
        });
        return rows[0] && String(rows[0].id);
    }

    private async insert(bucket: Bucket, row: NewRow): Promise<void> {
        const present = storedColumns(bucket, row).filter(([, content]) => content !== undefined);
        const contents = [['_key', row.key] as const, ...present];
        const names = contents.map(([column]) => quoted(column));
        // What goes wrong here must not end the transaction: it may be that there is something to update instead.
        await this.session.query({ text: 'SAVEPOINT moray_insert' });
        try {
            await this.session.query({
                text:
                    `INSERT INTO ${quoted(bucket.name)} (${names.join(', ')}) ` +
                    `VALUES (${names.map((_, at) => `$${at + 1}`).join(', ')})`,
                values: contents.map(([, content]) => content),
            });
        } catch (error) {
            if (isUniqueViolation(error)) {
                await this.session.query({ text: 'ROLLBACK TO SAVEPOINT moray_insert' });
            }
            throw error;
        }
        await this.session.query({ text: 'RELEASE SAVEPOINT moray_insert' });
    }

    private async update(bucket: Bucket, row: NewRow): Promise<void> {
        const contents = storedColumns(bucket, row);
        const set = contents.map(([column], at) => `${quoted(column)} = $${at + 2}`);
        await this.session.query({
            text: `UPDATE ${quoted(bucket.name)} SET ${set.join(', ')} WHERE _key = $1`,
            values: [row.key, ...contents.map(([, content]) => content ?? null)],
        });
    }
}

interface NewRow {
    readonly key: string;
    readonly written: Written;
    readonly vnode: string | null;
    readonly columns: ReadonlyMap<string, ColumnValue | undefined>;
    readonly order: string | undefined;
}

/** All that a write sets; what is undefined is left out of a new row, and NULL in an old one. */
function storedColumns(
    bucket: Bucket,
    { written, vnode, columns, order }: NewRow,
): (readonly [string, ColumnValue | undefined])[] {
    return [
        ['_value', written.text],
        ['_etag', written.etag],
        ['_mtime', String(written.mtime)],
        ['_vnode', vnode],
        ...(order === undefined ? [] : [['_txn_snap', order] as const]),
        ...(writesVersion(bucket) ? [['_rver', String(bucket.options.version)] as const] : []),
        ...columns,
    ];
}

/**
 * The object of a row: its value, overlaid with the index columns, which `updateObjects` changes alone (moray.md §2.1).
 *
 * @throws MorayError InternalError if `_value` is not the JSON text of an object
 */
export function objectOf(row: Row, bucket: Bucket): MorayObject {
    const key = String(row._key);
    return {
        bucket: bucket.name,
        key,
        value: overlaid(row, bucket),
        _id: idOf(row),
        _etag: String(row._etag),
        _mtime: Number(row._mtime),
        _txn_snap: row._txn_snap == null ? null : Number(row._txn_snap),
    };
}

/** The value of {@link objectOf}, for those who want no more. */
export function overlaid(row: Row, bucket: Bucket): Record<string, unknown> {
    const value = parsedValue(row, bucket);
    for (const { name, column, type, isReindexing } of fieldsOf(bucket).values()) {
        const content = row[column];
        if (isReindexing || content === undefined) {
            continue;
        }
        if (content === null) {
            if (value[name] !== null) {
                // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- the value is ours, just parsed
                delete value[name];
            }
        } else if (!Array.isArray(value[name]) || type.startsWith('[')) {
            value[name] = fromColumn(type, content);
        }
    }
    return value;
}

function parsedValue(row: Row, bucket: Bucket): Record<string, unknown> {
    let cause: unknown;
    try {
        const value: unknown = JSON.parse(String(row._value));
        if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
            return value as Record<string, unknown>;
        }
    } catch (error) {
        cause = error;
    }
    throw new MorayError(
        'InternalError',
        `${bucket.name}::${String(row._key)} has no JSON object as its value`,
        {
            cause,
        },
    );
}

function idOf(row: Row): number | null {
    const stored = row._id ?? row._idx;
    if (stored == null) {
        return null;
    }
    const id = Number(stored);
    if (!Number.isSafeInteger(id)) {
        throw new MorayError('InternalError', `${String(row._key)} has an id beyond 2^53: ${id}`);
    }
    return id;
}

/** @throws MorayError InvocationError */
export function encode(value: Value): { text: string; plain: Value } {
    let cause: unknown;
    try {
        // The declared type is no promise of callers in JavaScript.
        const text = JSON.stringify(value) as string | undefined;
        const plain: unknown = text === undefined ? undefined : JSON.parse(text);
        if (text !== undefined && typeof plain === 'object' && plain !== null && !Array.isArray(plain)) {
            return { text, plain: plain as Value };
        }
    } catch (error) {
        cause = error;
    }
    throw new MorayError('InvocationError', 'value must be an object that JSON can hold', { cause });
}

/** @throws MorayError EtagConflictError */
function checkEtag(bucket: string, key: string, row: Row | undefined, etag: string | null | undefined): void {
    const stored = row ? String(row._etag) : null;
    if (etag !== undefined && etag !== stored) {
        const said = (one: string | null): string => (one === null ? 'null' : `"${one}"`);
        throw new MorayError(
            'EtagConflictError',
            `${bucket}::${key} was expected to have etag ${said(etag)}, but was ${said(stored)}`,
        );
    }
}

function objectNotFound(bucket: string, key: string): MorayError {
    return new MorayError('ObjectNotFoundError', `${bucket}::${key} does not exist`);
}

/** @throws MorayError InvocationError for what cannot be a key */
function checkedKey(key: string): string {
    const fault =
        typeof (key as unknown) !== 'string'
            ? 'must be a string'
            : key.includes('\0')
              ? 'must not have the character U+0000, which PostgreSQL cannot store'
              : /\p{Surrogate}/u.test(key)
                ? 'must not have half a surrogate pair, which UTF-8 cannot encode'
                : undefined;
    if (fault !== undefined) {
        throw new MorayError('InvocationError', `key ${fault}`);
    }
    return key;
}
