/** The errors of Manta that its stand-in answers with (manta.md §3). */

const STATUSES = {
    AccountDoesNotExist: 403,
    AuthorizationFailed: 403,
    AuthorizationRequired: 401,
    AuthorizationSchemeNotAllowed: 403,
    BadRequest: 400,
    ConcurrentRequest: 409,
    ContentLengthRequired: 411,
    ContentMD5Mismatch: 400,
    DirectoryDoesNotExist: 404,
    DirectoryLimitExceeded: 409,
    DirectoryNotEmpty: 400,
    InternalError: 500,
    InvalidAlgorithm: 401,
    InvalidArgumentError: 400,
    InvalidDurabilityLevel: 400,
    InvalidHeader: 400,
    InvalidKeyId: 403,
    InvalidMaxContentLength: 400,
    InvalidResource: 400,
    InvalidSignature: 403,
    KeyDoesNotExist: 403,
    MaxContentLengthExceeded: 413,
    MethodNotAllowedError: 405,
    NotEnoughSpace: 507,
    NotImplemented: 501,
    OperationNotAllowedOnDirectory: 400,
    OperationNotAllowedOnRootDirectory: 400,
    ParentNotDirectory: 400,
    PreconditionFailed: 412,
    RangeNotSatisfiable: 416,
    ResourceNotFound: 404,
    ServiceUnavailable: 503,
    SnaplinksDisabledError: 403,
    ThrottledError: 503,
} as const;

export type MantaErrorCode = keyof typeof STATUSES;

/** Answered as `{"code", "message"}`. */
export class MantaError extends Error {
    override readonly name = 'MantaError';
    readonly status: number;

    constructor(
        readonly code: MantaErrorCode,
        message: string,
        readonly headers: Record<string, string> = {},
    ) {
        super(message);
        this.status = STATUSES[code];
    }
}
