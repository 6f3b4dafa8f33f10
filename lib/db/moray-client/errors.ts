/** The errors of the Moray client, by the names that Moray gives them (moray.md §3). */

export const MORAY_ERRORS = [
    'BucketConflictError',
    'BucketNotFoundError',
    'BucketVersionError',
    'EtagConflictError',
    'FieldUpdateError',
    'InternalError',
    'InvalidBucketConfigError',
    'InvalidBucketNameError',
    'InvalidIndexTypeError',
    'InvalidQueryError',
    'InvocationError',
    // No host is reached that takes writes; or the client is closed.
    'NoDatabasePeersError',
    'NotFunctionError',
    'NotIndexedError',
    'NotNullableError',
    'ObjectNotFoundError',
    'QueryTimeoutError',
    'UniqueAttributeError',
] as const;
export type MorayErrorName = (typeof MORAY_ERRORS)[number];

export interface MorayErrorDetails {
    readonly cause?: unknown;
    /** Of a UniqueAttributeError: the column and its value. */
    readonly attribute?: string;
    readonly value?: string;
    /** SQLSTATE, if the database said something. */
    readonly sqlState?: string;
    /** The connection was lost after COMMIT was sent: it may have happened. */
    readonly outcomeUnknown?: boolean;
}

export class MorayError extends Error {
    override readonly name: MorayErrorName;

    constructor(
        name: MorayErrorName,
        message: string,
        readonly details: MorayErrorDetails = {},
    ) {
        super(message, details.cause === undefined ? undefined : { cause: details.cause });
        this.name = name;
    }
}

export function isMorayError(error: unknown, name: MorayErrorName): error is MorayError {
    return error instanceof MorayError && error.name === name;
}
