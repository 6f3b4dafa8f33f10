/** A connection to the database file: transactions, waiting for other processes, and errors in our own terms. */
import { ApiError } from '../errors';
import { WalIndex } from './wal-index';
import { openSqlite, sqliteCode, SQLITE, type Sqlite, type SqliteStatement } from './sqlite';

/** Statements kept prepared; list queries of unusual shapes push the least recently used one out. */
const STATEMENTS = 200;
/** ms the library itself may wait for a lock, which blocks the event loop: longer than most commits take. */
const NATIVE_WAIT = 10;
/** ms after which a lock held by another process is given up. */
const LOCK_WAIT = 5000;
/** ms between two tries for a lock, at least and at most. */
const RETRY_PAUSE = [5, 40] as const;
/** Page cache in KiB: holds the listing index of 100,000 images, so that a substring search stays in memory. */
const PAGE_CACHE_KIB = 32 * 1024;
/** Bytes the write-ahead log may keep on disk after it was folded into the database. */
const WAL_KEEP = 64 * 1024 * 1024;

const UNUSABLE: ReadonlySet<number> = new Set([
    SQLITE.PERM,
    SQLITE.NOMEM,
    SQLITE.READONLY,
    SQLITE.IOERR,
    SQLITE.CORRUPT,
    SQLITE.CANTOPEN,
    SQLITE.PROTOCOL,
    SQLITE.NOTADB,
]);

/**
 * How safe a write is when it has resolved. 'disk' survives a power failure; 'process' survives the end of every
 * process but not of the machine, and costs no fsync: for rows that mean nothing after a reboot.
 */
export type Durability = 'disk' | 'process';

export class Connection {
    private readonly statements = new Map<string, SqliteStatement>();
    private synchronous: Durability = 'disk';
    private closed = false;
    private index: WalIndex | undefined;

    private constructor(
        private readonly sqlite: Sqlite,
        readonly file: string,
    ) {}

    /** Opens the file in WAL mode. @throws ApiError ServiceUnavailableError, InsufficientStorage */
    static async open(file: string): Promise<Connection> {
        const sqlite = attempt(file, () => openSqlite(file));
        const connection = new Connection(sqlite, file);
        try {
            await connection.retry(() => {
                sqlite.exec(`PRAGMA busy_timeout = ${NATIVE_WAIT}`);
                sqlite.exec('PRAGMA journal_mode = WAL');
                sqlite.exec('PRAGMA synchronous = FULL');
                sqlite.exec(`PRAGMA cache_size = -${PAGE_CACHE_KIB}`);
                sqlite.exec(`PRAGMA journal_size_limit = ${WAL_KEEP}`);
                // The first read makes the shared memory file.
                sqlite.exec('SELECT count(*) FROM sqlite_schema');
            });
            connection.index = attempt(file, () => new WalIndex(file));
        } catch (error) {
            sqlite.close();
            throw error;
        }
        return connection;
    }

    close(): void {
        this.closed = true;
        this.statements.clear();
        this.sqlite.close();
        this.index = undefined;
    }

    /** The statement, prepared once. */
    prepare(sql: string): SqliteStatement {
        this.assertOpen();
        const known = this.statements.get(sql);
        // Taken out and put in again, the map's order is that of last use.
        this.statements.delete(sql);
        const statement = known ?? this.sqlite.prepare(sql);
        this.statements.set(sql, statement);
        if (this.statements.size > STATEMENTS) {
            const [oldest] = this.statements.keys();
            this.statements.delete(oldest ?? sql);
        }
        return statement;
    }

    exec(sql: string): void {
        this.assertOpen();
        this.sqlite.exec(sql);
    }

    /** Runs one reading statement. `work` may run again if another process holds the lock. */
    async read<T>(work: () => T): Promise<T> {
        return this.retry(work);
    }

    /** Like {@link read}, for several statements that have to see the same state. */
    async snapshot<T>(work: () => T): Promise<T> {
        return this.retry(() => this.transaction('BEGIN', work));
    }

    /** Runs `work` in one write transaction; whatever it throws undoes all of it. */
    async write<T>(work: () => T, durability: Durability = 'disk'): Promise<T> {
        return this.retry(() => {
            this.assertOpen();
            this.setDurability(durability);
            return this.transaction('BEGIN IMMEDIATE', work);
        });
    }

    /** Whether any process may have committed since this was last asked. Reads no database page and takes no lock. */
    changed(): boolean {
        this.assertOpen();
        return this.index?.changed() ?? true;
    }

    /** For callers that cannot wait: throws at once if another process holds the lock. */
    readNow<T>(work: () => T): T {
        return attempt(this.file, work);
    }

    private assertOpen(): void {
        if (this.closed) {
            throw new ApiError('ServiceUnavailableError', 'The image database has been closed.');
        }
    }

    private transaction<T>(begin: string, work: () => T): T {
        // Not prepared: a prepared BEGIN or COMMIT that met a lock would stay in progress and hinder the next one.
        this.exec(begin);
        try {
            const result = work();
            this.exec('COMMIT');
            return result;
        } catch (error) {
            // SQLite itself rolls back after some errors, a full disk among them.
            if (this.sqlite.inTransaction) {
                this.exec('ROLLBACK');
            }
            throw error;
        }
    }

    private setDurability(durability: Durability): void {
        if (this.synchronous !== durability) {
            this.sqlite.exec(`PRAGMA synchronous = ${durability === 'disk' ? 'FULL' : 'NORMAL'}`);
            this.synchronous = durability;
        }
    }

    private async retry<T>(work: () => T): Promise<T> {
        const deadline = performance.now() + LOCK_WAIT;
        for (;;) {
            try {
                return work();
            } catch (error) {
                const code = sqliteCode(error);
                const busy = code === SQLITE.BUSY || code === SQLITE.LOCKED;
                if (!busy || performance.now() >= deadline) {
                    throw inOurTerms(error, this.file);
                }
            }
            const [least, most] = RETRY_PAUSE;
            await new Promise((resolve) => setTimeout(resolve, least + Math.random() * (most - least)));
        }
    }
}

/**
 * Whether another process has the database file open. This one must not: SQLite folds the write-ahead log away only
 * for a process that is alone. Whoever opens the file next makes a new one.
 *
 * @throws ApiError if the file cannot be used
 */
export function isUsedElsewhere(file: string): boolean {
    const sqlite = attempt(file, () => openSqlite(file));
    try {
        sqlite.exec(`PRAGMA busy_timeout = ${NATIVE_WAIT}`);
        sqlite.exec('PRAGMA journal_mode = DELETE');
        return false;
    } catch (error) {
        const code = sqliteCode(error);
        if (code === SQLITE.BUSY || code === SQLITE.LOCKED) {
            return true;
        }
        throw inOurTerms(error, file);
    } finally {
        sqlite.close();
    }
}

function attempt<T>(file: string, work: () => T): T {
    try {
        return work();
    } catch (error) {
        throw inOurTerms(error, file);
    }
}

/** What the rest of the server sees of a failure of SQLite; any other error stays as it is. */
function inOurTerms(error: unknown, file: string): unknown {
    const code = sqliteCode(error);
    if (code === SQLITE.FULL) {
        return new ApiError(
            'InsufficientStorage',
            'The disk that holds the image database is full; nothing was changed.',
            { cause: error },
        );
    }
    if (code === SQLITE.BUSY || code === SQLITE.LOCKED) {
        return new ApiError(
            'ServiceUnavailableError',
            'The image database is kept busy by another process; try again later.',
            { cause: error },
        );
    }
    if (code !== undefined && UNUSABLE.has(code)) {
        const detail = new Error(`The database file ${file} cannot be used.`, { cause: error });
        return new ApiError('ServiceUnavailableError', 'The image database cannot be used at the moment.', {
            cause: detail,
        });
    }
    return error;
}
