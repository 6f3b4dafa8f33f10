/** A client with the methods of node-moray, as promises, that talks to the PostgreSQL behind Moray (README.md). */
import { createBucket, deleteBucket, ensureBucket, putBucket, updateBucket } from './bucket-changes';
import { Buckets, listBuckets } from './buckets';
import { runRequest, type BatchRequest, type BatchResult } from './batch';
import { deleteMany, findObjects, updateObjects } from './find';
import { Objects } from './objects';
import { reindexObjects, type Reindexed } from './reindex';
import { Results } from './results';
import { isUndefinedName, sqlStateOf, toMorayError } from './sql-state';
import type {
    Bucket,
    BucketConfig,
    Connections,
    FindOptions,
    MorayObject,
    Row,
    Session,
    TransactionOptions,
    Value,
    WriteOptions,
} from './types';

export interface ClientOptions {
    /** In ms since the epoch. */
    readonly now?: () => number;
    /** How long the description of a bucket counts, in ms; 300 s as in Moray by default. */
    readonly bucketsKeptFor?: number;
}

export interface BucketOptions {
    /** New columns are not recorded as those that are to be filled. */
    readonly no_reindex?: boolean;
}

export class MorayClient {
    private readonly buckets: Buckets;
    private readonly now: () => number;

    /** @param connections are closed with the client */
    constructor(
        private readonly connections: Connections,
        { now = Date.now, bucketsKeptFor }: ClientOptions = {},
    ) {
        this.now = now;
        this.buckets = new Buckets(now, bucketsKeptFor);
    }

    /** @throws MorayError BucketConflictError, InvalidBucketConfigError, InvalidBucketNameError, NotFunctionError */
    async createBucket(bucket: string, config: BucketConfig = {}): Promise<void> {
        await named(() => createBucket(this.connections, bucket, config));
    }

    /** As it is stored. @throws MorayError BucketNotFoundError */
    async getBucket(bucket: string): Promise<Bucket> {
        return named(() => this.buckets.reload(this.connections, bucket));
    }

    async listBuckets(): Promise<Bucket[]> {
        return named(() => listBuckets(this.connections));
    }

    /** @throws MorayError BucketNotFoundError, BucketVersionError and those of {@link createBucket} */
    async updateBucket(bucket: string, config: BucketConfig, options: BucketOptions = {}): Promise<void> {
        await this.changingBucket(bucket, () =>
            updateBucket(this.connections, bucket, config, { noReindex: options.no_reindex === true }),
        );
    }

    /** Creates a bucket, or brings it to a newer version. @throws MorayError as {@link updateBucket} */
    async putBucket(bucket: string, config: BucketConfig = {}, options: BucketOptions = {}): Promise<void> {
        await this.changingBucket(bucket, () =>
            putBucket(this.connections, bucket, config, { noReindex: options.no_reindex === true }),
        );
    }

    /** Creates a bucket if there is none; one that exists stays as it is. @returns whether it was created */
    async ensureBucket(bucket: string, config: BucketConfig = {}): Promise<boolean> {
        return named(() => ensureBucket(this.connections, bucket, config));
    }

    /** Deletes a bucket and all that is in it. @throws MorayError BucketNotFoundError */
    async deleteBucket(bucket: string): Promise<void> {
        await this.changingBucket(bucket, () => deleteBucket(this.connections, bucket));
    }

    /**
     * Writes an object.
     *
     * @throws MorayError BucketNotFoundError, EtagConflictError, InvalidIndexTypeError, InvocationError,
     *   UniqueAttributeError
     */
    async putObject(
        bucket: string,
        key: string,
        value: Value,
        options: WriteOptions = {},
    ): Promise<{ etag: string }> {
        const { etag } = await this.transaction((objects) => objects.put(bucket, key, value, options));
        return { etag };
    }

    /** @throws MorayError BucketNotFoundError, ObjectNotFoundError */
    async getObject(bucket: string, key: string): Promise<MorayObject> {
        return this.reading((objects) => objects.get(bucket, key));
    }

    /** @throws MorayError BucketNotFoundError, EtagConflictError, ObjectNotFoundError */
    async deleteObject(bucket: string, key: string, options: WriteOptions = {}): Promise<void> {
        await this.transaction((objects) => objects.delete(bucket, key, options));
    }

    /**
     * The objects that meet an LDAP filter; the search runs when they are asked for, once.
     *
     * @throws MorayError BucketNotFoundError, InvalidQueryError, InvocationError, NotIndexedError, when asked for
     */
    findObjects(bucket: string, filter: string, options: FindOptions = {}): Results<MorayObject> {
        return new Results(() =>
            this.transaction((objects) => findObjects(objects, bucket, filter, options), {
                isolation: 'REPEATABLE READ',
                readOnly: true,
            }),
        );
    }

    /**
     * Sets index columns of all objects that meet the filter, at most 1,000 unless `limit` or `noLimit` says otherwise.
     *
     * @throws MorayError FieldUpdateError, NotNullableError and those of {@link findObjects}
     */
    async updateObjects(
        bucket: string,
        fields: Value,
        filter: string,
        options: FindOptions = {},
    ): Promise<{ count: number; etag: string }> {
        return this.transaction(async (objects) =>
            updateObjects(objects.session, await objects.bucket(bucket), fields, filter, {
                ...options,
                now: this.now(),
            }),
        );
    }

    /** Deletes all objects that meet the filter, at most 1,000 unless told otherwise. @throws as {@link findObjects} */
    async deleteMany(bucket: string, filter: string, options: FindOptions = {}): Promise<{ count: number }> {
        return this.transaction(async (objects) =>
            deleteMany(objects.session, await objects.bucket(bucket), filter, options),
        );
    }

    /** Makes all of the changes, one after the other, or none. @throws MorayError as the operations do */
    async batch(requests: readonly BatchRequest[]): Promise<{ etags: BatchResult[] }> {
        return this.transaction(async (objects) => {
            const etags: BatchResult[] = [];
            for (const request of requests) {
                etags.push(await runRequest(objects, request, this.now()));
            }
            return { etags };
        });
    }

    /**
     * Runs a statement of the caller's.
     *
     * @param values for $1 and so on; they are never to be part of the statement
     */
    sql(statement: string, values: readonly unknown[] = []): Results<Row> {
        return new Results(async () => {
            const { rows } = await named(() => this.connections.query({ text: statement, values }));
            return rows;
        });
    }

    /**
     * Fills new columns for up to `count` objects. When it says that none was processed, all are done.
     *
     * @throws MorayError BucketNotFoundError, InvocationError
     */
    async reindexObjects(bucket: string, count: number): Promise<Reindexed> {
        const done = await this.transaction(({ session }) => reindexObjects(session, bucket, count));
        if (done.processed === 0) {
            this.buckets.forget(bucket);
        }
        return done;
    }

    /**
     * Runs the work in one transaction, which is committed when it resolves and rolled back when it rejects. It may run
     * more than once: as `Connections.transaction` says, and again if a bucket turns out to have changed.
     */
    async transaction<T>(work: (objects: Objects) => Promise<T>, options?: TransactionOptions): Promise<T> {
        return this.withBuckets(() =>
            this.connections.transaction((session) => work(this.objectsOf(session)), options),
        );
    }

    /** Reads without a transaction: each statement sees what is committed then. */
    async reading<T>(work: (objects: Objects) => Promise<T>): Promise<T> {
        return this.withBuckets(() => work(this.objectsOf(this.connections)));
    }

    /** Resolves if the database answers. @throws MorayError NoDatabasePeersError, QueryTimeoutError */
    async ping(): Promise<void> {
        await named(() => this.connections.query({ text: 'SELECT 1' }));
    }

    async close(): Promise<void> {
        await this.connections.close();
    }

    private objectsOf(session: Session): Objects {
        return new Objects(session, this.buckets, this.now);
    }

    /** Tries a second time with fresh descriptions if a column or table is not there that should be. */
    private async withBuckets<T>(work: () => Promise<T>): Promise<T> {
        return named(async () => {
            try {
                return await work();
            } catch (error) {
                if (!isUndefinedName(error)) {
                    throw error;
                }
                this.buckets.forgetAll();
                return work();
            }
        });
    }

    private async changingBucket(name: string, work: () => Promise<void>): Promise<void> {
        try {
            await named(work);
        } finally {
            this.buckets.forget(name);
        }
    }
}

/** Gives errors Moray's names; those that the work threw for reasons of its own stay as they are. */
async function named<T>(work: () => Promise<T>): Promise<T> {
    try {
        return await work();
    } catch (error) {
        throw sqlStateOf(error) !== undefined ? toMorayError(error) : error;
    }
}
