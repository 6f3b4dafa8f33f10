/** Failures of Moray's client in our own terms (moray.md §3). */
import { ApiError } from '../errors';
import { MorayError } from './moray-client/errors';
import { remedyFor } from './moray-client/failures';
import { sqlStateOf } from './moray-client/sql-state';

const DISK_FULL = '53100';
const INSUFFICIENT_PRIVILEGE = '42501';

/** Classes of SQLSTATE that tell of the database's state, not of a fault in what it was asked. */
const STATE_CLASSES: ReadonlySet<string> = new Set([
    '08',
    '25',
    '28',
    '3D',
    '40',
    '53',
    '55',
    '57',
    '58',
    'F0',
    'XX',
]);

/** What the rest of the server sees of a failure; any error that is no such failure stays as it is. */
export function inOurTerms(error: unknown): unknown {
    if (!(error instanceof MorayError)) {
        return error;
    }
    const { outcomeUnknown } = error.details;
    const sqlState = sqlStateOf(error);
    if (sqlState === DISK_FULL) {
        return new ApiError(
            'InsufficientStorage',
            'The disk that holds the image database is full; nothing was changed.',
            { cause: error },
        );
    }
    if (error.name === 'NoDatabasePeersError') {
        return unavailable('The image database cannot be reached at the moment; try again later.', error);
    }
    if (error.name === 'QueryTimeoutError') {
        return unavailable('The image database took too long to answer; try again later.', error);
    }
    const isState =
        sqlState === INSUFFICIENT_PRIVILEGE ||
        (sqlState !== undefined && STATE_CLASSES.has(sqlState.slice(0, 2)));
    return isState || outcomeUnknown === true
        ? unavailable('The image database cannot be used at the moment; try again later.', error)
        : error;
}

export function unavailable(message: string, cause?: unknown): ApiError {
    return new ApiError('ServiceUnavailableError', message, { cause });
}

/** What can be done about a failure; undefined if nothing is known. */
export function remedyOf(error: unknown): string | undefined {
    return remedyFor(sqlStateOf(error));
}
