/**
 * The way to a database that may be out of reach: it is set up when it is first reached, and looked at again once its
 * tables turn out to be others than they were.
 */
import type { Clock } from '../clock';
import { ApiError } from '../errors';
import { createBucket } from './moray-client/bucket-changes';
import { readBucket } from './moray-client/buckets';
import { isMorayError } from './moray-client/errors';
import { isUndefinedName } from './moray-client/sql-state';
import type { Answer, Bucket, Connections, Session, Statement } from './moray-client/types';
import type { DatabaseClock } from './moray-clock';
import { measureClock } from './moray-coordination';
import { inOurTerms, remedyOf, unavailable } from './moray-errors';
import { IMAGES_BUCKET, IMAGES_CONFIG, ImagesLayout } from './moray-layout';
import { prepareSchema, REFUSED, type SchemaOptions } from './moray-schema';

/** Moray keeps what it knows of a bucket for 300 s; we look more often, in ms. */
const LAYOUT_KEPT = 60_000;
/** How soon after a failure to set the database up it is tried again, in ms: at first, and at most. */
const RETRY = [500, 5000] as const;

export interface ReachLog {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
}

/** What is known of a database that was reached. */
export interface Reached {
    readonly connections: Connections;
    /** The database's id. */
    readonly id: string;
    readonly layout: ImagesLayout;
}

/** A row was written by who knows more columns than we do. */
export class LayoutOutdated extends Error {
    override readonly name = 'LayoutOutdated';
}

export interface ReachParts extends SchemaOptions {
    connections: Connections;
    clock: Clock;
    databaseClock: DatabaseClock;
    log: ReachLog;
}

export class Reach {
    readonly #parts: ReachParts;
    #reached: Reached | undefined;
    /** When the layout is to be looked at again. */
    #outdatedAt = 0;
    #setup: Promise<Reached> | undefined;
    #failed: { readonly error: unknown; readonly until: number; readonly pause: number } | undefined;
    /** What the log was told last of why there is no database. */
    #complaint: string | undefined;
    #timer: NodeJS.Timeout | undefined;
    #isClosed = false;

    constructor(parts: ReachParts) {
        this.#parts = parts;
    }

    /** What is known of the database; undefined until it was reached for the first time. */
    get reached(): Reached | undefined {
        return this.#isClosed ? undefined : this.#reached;
    }

    /** Runs statements of others as {@link use} does. */
    readonly session: Session = {
        query: (statement: Statement): Promise<Answer> =>
            this.use(({ connections }) => connections.query(statement)),
    };

    /** Sets the database up if it can be reached, and else as soon as it can; never fails for that. */
    async open(): Promise<void> {
        await this.#ready().catch(() => undefined);
    }

    /** Works with a database that is set up. @throws ApiError ServiceUnavailableError, InsufficientStorage */
    async use<T>(work: (reached: Reached) => Promise<T>): Promise<T> {
        try {
            return await work(await this.#ready());
        } catch (error) {
            if (!isUndefinedName(error) && !(error instanceof LayoutOutdated)) {
                throw inOurTerms(error);
            }
        }
        // Another database took the place of this one, or somebody changed the bucket.
        this.#reached = undefined;
        try {
            return await work(await this.#ready());
        } catch (error) {
            throw isUndefinedName(error)
                ? unavailable('The tables of the image database are being changed; try again later.', error)
                : inOurTerms(error);
        }
    }

    async close(): Promise<void> {
        this.#isClosed = true;
        clearTimeout(this.#timer);
        await this.#parts.connections.close();
    }

    async #ready(): Promise<Reached> {
        if (this.#isClosed) {
            throw unavailable('The image database has been closed.');
        }
        const now = this.#parts.clock.now();
        if (this.#reached && now < this.#outdatedAt) {
            return this.#reached;
        }
        if (this.#failed && now < this.#failed.until) {
            throw this.#failed.error;
        }
        this.#setup ??= this.#setUpOrComplain().finally(() => {
            this.#setup = undefined;
        });
        return this.#setup;
    }

    async #setUpOrComplain(): Promise<Reached> {
        const { log, clock } = this.#parts;
        try {
            const begun = clock.now();
            const reached = await this.#setUp();
            this.#reached = reached;
            this.#outdatedAt = begun + LAYOUT_KEPT;
            this.#failed = undefined;
            if (this.#complaint !== undefined) {
                this.#complaint = undefined;
                log.info({ database: reached.id }, 'the image database is reached again and set up');
            }
            return reached;
        } catch (error) {
            const [least, most] = RETRY;
            const pause = Math.min((this.#failed?.pause ?? least / 2) * 2, most);
            this.#failed = { error, until: clock.now() + pause, pause };
            this.#complain(error);
            this.#tryAgainIn(pause);
            throw error;
        }
    }

    async #setUp(): Promise<Reached> {
        const { connections, clock, databaseClock, log } = this.#parts;
        const { isBytewise, encoding } = await textsOf(connections);
        if (encoding !== 'UTF8') {
            throw unavailable(
                REFUSED,
                new Error(
                    `the database keeps texts as ${encoding}, which lacks characters that images may have: make it anew ` +
                        "with ENCODING 'UTF8'",
                ),
            );
        }
        const id = this.#reached?.id ?? (await prepareSchema(connections, clock.uuid(), this.#parts));
        if (!this.#reached) {
            await measureClock(connections, databaseClock);
        }
        const bucket = await this.#bucket();
        const lacking = Object.keys(IMAGES_CONFIG.index).filter((field) => !bucket.columns.has(field));
        if (!this.#reached && lacking.length > 0) {
            log.info(
                { bucket: bucket.name, lacking },
                'the bucket of images is of an old make: it lacks columns',
            );
        }
        if (!this.#reached && !isBytewise) {
            log.warn(
                {},
                'the database does not order texts by their bytes (its locale is not C), so that its indexes do not ' +
                    'help with lists, which get slow with many images',
            );
        }
        return { connections, id, layout: new ImagesLayout(bucket, isBytewise) };
    }

    /** The bucket of images, made if there is none. One that is there is taken as it is (moray.md §1.3). */
    async #bucket(): Promise<Bucket> {
        const { connections, log } = this.#parts;
        try {
            return await readBucket(connections, IMAGES_BUCKET);
        } catch (error) {
            if (!isMorayError(error, 'BucketNotFoundError')) {
                throw error;
            }
        }
        try {
            await createBucket(connections, IMAGES_BUCKET, IMAGES_CONFIG);
            log.info({ bucket: IMAGES_BUCKET }, 'created the bucket of images');
        } catch (error) {
            if (!isMorayError(error, 'BucketConflictError')) {
                throw error;
            }
        }
        return readBucket(connections, IMAGES_BUCKET);
    }

    /** Tells the log once for each reason. */
    #complain(error: unknown): void {
        // What requests are told of it is less than what there is to know.
        const reason = error instanceof ApiError ? (error.cause ?? error) : error;
        const complaint = remedyOf(error) ?? (reason instanceof Error ? reason.message : String(reason));
        if (complaint !== this.#complaint && !this.#isClosed) {
            this.#complaint = complaint;
            this.#parts.log.warn(
                { err: error },
                `the image database cannot be set up: ${complaint}; it is tried again and again, and requests are refused ` +
                    'until it works',
            );
        }
    }

    #tryAgainIn(pause: number): void {
        clearTimeout(this.#timer);
        if (!this.#isClosed) {
            this.#timer = setTimeout(() => void this.open(), pause).unref();
        }
    }
}

interface Texts {
    /** Texts are ordered by their bytes, as in a database that Moray has had created. */
    readonly isBytewise: boolean;
    readonly encoding: string;
}

/** How the database keeps texts. */
async function textsOf(session: Session): Promise<Texts> {
    // As JSON: versions before 15 have no column that tells who provides the locale.
    const { rows } = await session.query({
        text:
            'SELECT to_jsonb(d)::text AS described, pg_encoding_to_char(encoding)::text AS encoding ' +
            'FROM pg_database AS d WHERE datname = current_database()',
    });
    const described = JSON.parse(rows[0]?.described as string) as Record<string, unknown>;
    const isOfSystem = described.datlocprovider === undefined || described.datlocprovider === 'c';
    return {
        isBytewise: isOfSystem && (described.datcollate === 'C' || described.datcollate === 'POSIX'),
        encoding: String(rows[0]?.encoding),
    };
}
