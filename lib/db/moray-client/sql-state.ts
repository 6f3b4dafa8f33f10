/** What PostgreSQL says of a failed statement, and the names that Moray has for it (moray.md §3). */
import { MorayError, type MorayErrorName } from './errors';
import { sqlStateOf as ownSqlState } from './failures';

const UNIQUE_VIOLATION = '23505';
const UNDEFINED_COLUMN = '42703';
const UNDEFINED_TABLE = '42P01';
/** The text of a statement is not SQL, or names a column twice. */
const BAD_STATEMENTS = ['42601', '42701'];
const QUERY_CANCELED = '57014';
/** A value is too long for its index. */
const LIMIT_EXCEEDED = '54000';

/** What the database itself said: the error, or a cause of it. */
function reportOf(error: unknown): Error | undefined {
    for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
        if (ownSqlState(at) !== undefined) {
            return at;
        }
    }
    return undefined;
}

/** Of the error, or of what caused it. */
export function sqlStateOf(error: unknown): string | undefined {
    const known = error instanceof MorayError ? error.details.sqlState : undefined;
    return known ?? ownSqlState(reportOf(error));
}

/** A bucket is not as it was known to be. */
export function isUndefinedName(error: unknown): boolean {
    return [UNDEFINED_COLUMN, UNDEFINED_TABLE].includes(sqlStateOf(error) ?? '');
}

export function isUndefinedTable(error: unknown): boolean {
    return sqlStateOf(error) === UNDEFINED_TABLE;
}

export function isUniqueViolation(error: unknown): boolean {
    return sqlStateOf(error) === UNIQUE_VIOLATION;
}

/** Whether the database refused a value: it is not of the column's type, or too long for an index. */
export function isBadValue(error: unknown): boolean {
    const state = sqlStateOf(error);
    return state !== undefined && (state.startsWith('22') || state === LIMIT_EXCEEDED);
}

/** Whether a value is too long for its index; which one, the database says for some kinds of index only. */
export function isTooLong(error: unknown): boolean {
    return sqlStateOf(error) === LIMIT_EXCEEDED;
}

/** What a unique violation is about, in any language of the server: `… (column)=(value) …`. */
function violation(error: unknown): { attribute: string; value: string } {
    if (error instanceof MorayError && error.details.attribute !== undefined) {
        return { attribute: error.details.attribute, value: error.details.value ?? '' };
    }
    const report = reportOf(error);
    const detail = report && 'detail' in report ? report.detail : undefined;
    const [, attribute = '', value = ''] =
        /\((.+?)\)=\((.*)\)/s.exec(typeof detail === 'string' ? detail : '') ?? [];
    return { attribute: attribute.replaceAll('"', ''), value };
}

/**
 * A failure by Moray's name for it; errors that have one stay as they are.
 *
 * @param badValue what to call a value that the database refused, where that is known: searches and writes differ
 */
export function toMorayError(error: unknown, badValue?: MorayErrorName): MorayError {
    const isRefused = isBadValue(error);
    if (error instanceof MorayError && error.name !== 'InternalError' && !(isRefused && badValue)) {
        return error;
    }
    const sqlState = sqlStateOf(error);
    const said = error instanceof Error ? error.message : String(error);
    const details = { cause: error, ...(sqlState !== undefined && { sqlState }) };
    if (isUniqueViolation(error)) {
        const { attribute, value } = violation(error);
        const message = `"${attribute}" is a unique attribute; value "${value}" already exists`;
        return new MorayError('UniqueAttributeError', message, { ...details, attribute, value });
    }
    if (isRefused) {
        return new MorayError(
            badValue ?? 'InvalidQueryError',
            `PostgreSQL refused a value: ${said}`,
            details,
        );
    }
    if (sqlState === QUERY_CANCELED) {
        return new MorayError('QueryTimeoutError', `The query took too long: ${said}`, details);
    }
    if (sqlState !== undefined && BAD_STATEMENTS.includes(sqlState)) {
        return new MorayError('InternalError', `Invalid SQL: ${said}`, details);
    }
    return error instanceof MorayError ? error : new MorayError('InternalError', said, details);
}
