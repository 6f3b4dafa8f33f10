/**
 * The thin binding over the SQLite library: the only file that knows which package it is.
 *
 * The interface is small on purpose, so that `node:sqlite` can take the place of `libsql` where that has no binary.
 */
import Libsql from 'libsql';

/** What can be bound and read. Booleans are left out: the library aborts the process when it is given one. */
export type SqlValue = string | number | null;
/** The columns of a result row in the order of the SELECT. */
export type SqlRow = readonly SqlValue[];

export interface SqliteStatement {
    /** The first row. */
    get(params?: readonly SqlValue[]): SqlRow | undefined;
    all(params?: readonly SqlValue[]): SqlRow[];
    /** Runs a statement that gives no rows; the number of rows it changed. */
    run(params?: readonly SqlValue[]): number;
}

export interface Sqlite {
    exec(sql: string): void;
    prepare(sql: string): SqliteStatement;
    readonly inTransaction: boolean;
    close(): void;
}

/** Primary result codes of SQLite that callers tell apart (sqlite.org/rescode.html). */
export const SQLITE = {
    PERM: 3,
    BUSY: 5,
    LOCKED: 6,
    NOMEM: 7,
    READONLY: 8,
    IOERR: 10,
    CORRUPT: 11,
    FULL: 13,
    CANTOPEN: 14,
    PROTOCOL: 15,
    NOTADB: 26,
} as const;

/** The primary result code of an error thrown by this binding; undefined if SQLite did not raise it. */
export function sqliteCode(error: unknown): number | undefined {
    if (error instanceof Libsql.SqliteError && typeof error.rawCode === 'number') {
        return error.rawCode & 0xff;
    }
    if (error instanceof OpenError) {
        return SQLITE.CANTOPEN;
    }
    return undefined;
}

class OpenError extends Error {
    override readonly name = 'OpenError';
}

/** @throws TypeError for what is no SqlValue, whatever its type says: the library would abort the process */
function bindable(params: readonly unknown[]): SqlValue[] {
    return params.map((value) => {
        if (typeof value === 'string') {
            return value.includes('\0') ? value.replaceAll('\0', '\ufffd') : value;
        }
        if (typeof value !== 'number' && value !== null) {
            throw new TypeError(`A value of type ${typeof value} cannot be given to the database.`);
        }
        return value;
    });
}

class LibsqlStatement implements SqliteStatement {
    constructor(private readonly statement: Libsql.Statement) {}

    get(params: readonly SqlValue[] = []): SqlRow | undefined {
        return this.statement.get(bindable(params)) as SqlRow | undefined;
    }

    all(params: readonly SqlValue[] = []): SqlRow[] {
        return this.statement.all(bindable(params)) as SqlRow[];
    }

    run(params: readonly SqlValue[] = []): number {
        return this.statement.run(bindable(params)).changes;
    }
}

class LibsqlDatabase implements Sqlite {
    constructor(private readonly database: Libsql.Database) {}

    get inTransaction(): boolean {
        return this.database.inTransaction;
    }

    exec(sql: string): void {
        this.database.exec(sql);
    }

    prepare(sql: string): SqliteStatement {
        const statement = this.database.prepare(sql);
        // Rows as arrays: objects would carry an extra `_metadata` member.
        return new LibsqlStatement(statement.reader ? statement.raw() : statement);
    }

    close(): void {
        this.database.close();
    }
}

/** Opens a database file, creating it if it is not there. */
export function openSqlite(file: string): Sqlite {
    try {
        return new LibsqlDatabase(new Libsql(file));
    } catch (error) {
        throw new OpenError(`The database file ${file} cannot be opened or created.`, { cause: error });
    }
}
