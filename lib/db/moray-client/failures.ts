/** What failed on the way to the database, by Moray's names. What the statements themselves did wrong is named elsewhere. */
import { MorayError, type MorayErrorDetails } from './errors';

const SQL_STATE = /^[0-9A-Z]{5}$/;
export const TOO_MANY_CONNECTIONS = '53300';
const DISK_FULL = '53100';
const QUERY_CANCELED = '57014';
const LOCK_NOT_AVAILABLE = '55P03';
/** The database has ended a transaction for the sake of another one. */
const CLASHES = ['40001', '40P01'];
/** A prepared statement does not fit the table any more, or is not there. */
const STALE_STATEMENTS = ['0A000', '26000'];

/** What the operator can do, by SQLSTATE; what is not among them ends by itself or is a matter of the network. */
const REMEDIES: Readonly<Record<string, string>> = {
    '28P01': 'the database refuses the password: see user and password in config.moray.pg',
    '28000': 'the database does not let this role in from here: see user in config.moray.pg, and pg_hba.conf',
    '3D000': 'there is no such database: create it, or see database in config.moray.pg',
    '42501':
        'the role may not read, write or create what it has to: make it the owner of the database and its tables, or ' +
        'grant it CREATE on the schema',
    [DISK_FULL]: 'the disk of the database is full',
    [TOO_MANY_CONNECTIONS]:
        'the database has no connection left: raise its max_connections, or lower config.moray.pg.pool.size',
};

/** What can be done about a failure of this SQLSTATE; undefined if nothing is known. */
export function remedyFor(sqlState: string | undefined): string | undefined {
    return sqlState === undefined ? undefined : REMEDIES[sqlState];
}

/** What the database calls an error; undefined if it is not the database's. */
export function sqlStateOf(error: unknown): string | undefined {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    // A failed system call has a name such as EPIPE.
    return typeof code === 'string' && SQL_STATE.test(code) && 'severity' in (error as object)
        ? code
        : undefined;
}

export function isClash(error: unknown): boolean {
    return CLASHES.includes(sqlStateOf(error) ?? '');
}

export function isStaleStatement(error: unknown): boolean {
    return STALE_STATEMENTS.includes(sqlStateOf(error) ?? '');
}

/** The database ended the connection. */
export function isFarewell(error: unknown): boolean {
    return /^(08|57P|25P03)/.test(sqlStateOf(error) ?? '');
}

/** The server is a standby, or was told to take no writes from us; or the transaction is one that only reads. */
export function takesNoWrites(error: unknown): boolean {
    return sqlStateOf(error) === '25006';
}

/** The transaction did nothing for so long that the database gave it up: the fault is ours. */
export function isIdleTooLong(error: unknown): boolean {
    return sqlStateOf(error) === '25P03';
}

/**
 * The error that users of the client see. `isReadOnly`: the work itself has said that it would change nothing. One that is neither the database's nor the connection's stays as it is, and
 * what is wrong with a statement becomes an InternalError with its SQLSTATE.
 */
export function toFailure(
    error: unknown,
    { isLost, isReadOnly = false }: { isLost: boolean; isReadOnly?: boolean },
): unknown {
    if (error instanceof MorayError) {
        return error;
    }
    const sqlState = sqlStateOf(error);
    const said = error instanceof Error ? error.message : String(error);
    const details: MorayErrorDetails = { cause: error, ...(sqlState !== undefined && { sqlState }) };
    if (isLost) {
        return new MorayError(
            'NoDatabasePeersError',
            `the connection to PostgreSQL was lost: ${said}`,
            details,
        );
    }
    if (sqlState === undefined) {
        return error;
    }
    if (sqlState === QUERY_CANCELED || sqlState === LOCK_NOT_AVAILABLE || isClash(error)) {
        return new MorayError('QueryTimeoutError', said, details);
    }
    if (takesNoWrites(error) && !isReadOnly) {
        return new MorayError('NoDatabasePeersError', `PostgreSQL takes no writes: ${said}`, details);
    }
    // Class 53: the machine lacks something that others may give back.
    if (sqlState.startsWith('53') && sqlState !== DISK_FULL) {
        return new MorayError('NoDatabasePeersError', said, details);
    }
    return new MorayError('InternalError', said, details);
}

/** The same, for what may have been committed before the connection was lost. */
export function uncertain(error: unknown): unknown {
    if (!(error instanceof MorayError)) {
        return error;
    }
    const { name, message, details } = error;
    return new MorayError(name, `${message}; it may have been committed`, {
        ...details,
        outcomeUnknown: true,
    });
}
