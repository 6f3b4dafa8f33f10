/**
 * THE error table: every code a client can meet, with its status and the reason for it (endpoints.md §1.4).
 *
 * The reference pages, the ping samples and the test matrix are made from these rows.
 */

/** One entry of the `errors` array of an answer: which field, and what is wrong with it. */
export interface FieldError {
    field: string;
    code: string;
    message?: string;
}

interface Sample {
    message: string;
    errors?: FieldError[];
}

interface ErrorRow {
    status: number;
    description: string;
    /** What `GET /ping?error=NAME` answers; a row without one has no sample. */
    sample?: Sample;
}

const SAMPLE_IMAGE = '82ce32a2-9cb4-9a4c-a303-7a63254bacf4';
const SAMPLE_ACTIVATED = 'ed8cd007-2065-0140-8d41-e32247b71748';

export const errorTable = {
    ValidationFailed: {
        status: 422,
        description: 'The image data or a required parameter breaks a rule; `errors` names each field.',
        sample: { message: 'boom', errors: [] },
    },
    InvalidParameter: {
        status: 422,
        description: 'A parameter has a value this endpoint does not take; `errors` names it.',
        sample: { message: 'invalid "foo"', errors: [{ field: 'foo', code: 'Invalid' }] },
    },
    ImageFilesImmutable: {
        status: 422,
        description: 'The files of an activated image cannot be replaced.',
        sample: { message: `The files of image ${SAMPLE_IMAGE} cannot be changed: it is activated.` },
    },
    ImageAlreadyActivated: {
        status: 422,
        description: 'The image is activated already.',
        sample: { message: `Image ${SAMPLE_ACTIVATED} is already activated.` },
    },
    NoActivationNoFile: {
        status: 422,
        description: 'An image needs a file before it can be activated.',
        sample: { message: `Image ${SAMPLE_ACTIVATED} cannot be activated: it has no file yet.` },
    },
    OperatorOnly: {
        status: 403,
        description: 'Only operators may call this; the request was made for an account.',
        sample: { message: 'Only an operator may call this endpoint: leave out the "account" parameter.' },
    },
    NotAuthorized: {
        status: 403,
        description: 'The caller is known, but its role does not permit this.',
    },
    ImageUuidAlreadyExists: {
        status: 409,
        description: 'An image with this uuid exists already.',
        sample: { message: 'An image with uuid "undefined" exists already.' },
    },
    Upload: {
        status: 400,
        description: 'The uploaded bytes were refused: too large, cut off, or of the wrong kind.',
    },
    Download: {
        status: 400,
        description: 'The bytes received are not the ones announced: empty, short, or of another hash.',
    },
    ImageFileTooBig: { status: 400, description: 'The image file is larger than this server takes.' },
    StorageIsDown: {
        status: 503,
        description: 'The storage that holds the file cannot be reached at the moment.',
        sample: { message: 'The storage cannot be reached at the moment; try again later.' },
    },
    StorageUnsupported: {
        status: 503,
        description: 'The file is kept in a storage this server is not configured for.',
        sample: { message: 'This server is not configured for the storage the file is kept in.' },
    },
    RemoteSourceError: {
        status: 503,
        description: 'The remote image repository did not give what was asked of it.',
        sample: { message: '' },
    },
    OwnerDoesNotExist: { status: 422, description: 'The owner named in the image does not exist.' },
    AccountDoesNotExist: { status: 422, description: 'The account named in the request does not exist.' },
    NotImageOwner: { status: 422, description: 'The account is not the owner of the image.' },
    ImageNotShared: { status: 422, description: 'The image is not shared with the account.' },
    NotMantaPathOwner: { status: 422, description: 'The account does not own the Manta path.' },
    OriginDoesNotExist: { status: 422, description: 'The origin image does not exist here.' },
    OriginIsNotActive: { status: 422, description: 'The origin image is not active.' },
    InsufficientServerVersion: {
        status: 422,
        description: 'The server the instance runs on is too old for this.',
    },
    ImageHasDependentImages: { status: 422, description: 'Other images are built on this one.' },
    NotAvailable: { status: 501, description: 'This server is not set up for the operation.' },
    NotImplemented: { status: 400, description: 'The operation does not cover this kind of image.' },
    InternalError: {
        status: 500,
        description: 'A fault of the server; the log has the details under the request id.',
        sample: { message: 'boom' },
    },
    ResourceNotFound: {
        status: 404,
        description: 'There is no such image, file, icon or path, or it is not visible to the caller.',
    },
    InvalidHeader: { status: 400, description: 'A request header cannot be understood.' },
    ServiceUnavailableError: {
        status: 503,
        description: 'A service this request depends on cannot be reached; try again later.',
    },
    UnauthorizedError: { status: 401, description: 'The request needs a valid signature.' },
    BadRequestError: {
        status: 400,
        description: 'The request is not well-formed HTTP, or its path cannot be decoded.',
    },
    MethodNotAllowedError: {
        status: 405,
        description: 'The path exists but not for this method; `Allow` lists the methods.',
    },
    NotAcceptable: {
        status: 406,
        description:
            'The Accept header excludes everything this endpoint can answer with; the body is empty.',
    },
    InvalidVersion: {
        status: 400,
        description: 'Accept-Version asks for an API version this server does not speak.',
    },
    InvalidContent: {
        status: 400,
        description: 'The request body is not valid JSON, or not validly compressed.',
    },
    BadDigest: { status: 400, description: 'The request body does not match its Content-MD5 header.' },
    PreconditionFailed: {
        status: 412,
        description: 'A condition given in a request header (If-Match and the like) does not hold.',
    },
    InvalidArgument: {
        status: 409,
        description:
            'POST /state was asked for an action it does not know; or the workflow service refuses a job, because there ' +
            'is one like it that has not ended.',
    },
    ConflictError: { status: 409, description: 'The workflow service refuses what was asked of it.' },
    MissingParameter: { status: 409, description: 'POST /state needs an action.' },
    RequestTimeout: { status: 408, description: 'The request stopped arriving for too long.' },
    RequestEntityTooLarge: {
        status: 413,
        description: 'The request body is larger than this endpoint takes.',
    },
    UnsupportedMediaType: {
        status: 415,
        description: 'The request body is in an encoding this endpoint does not take.',
    },
    RequestedRangeNotSatisfiable: { status: 416, description: 'The Range header lies outside the file.' },
    RequestHeaderFieldsTooLarge: {
        status: 431,
        description: 'The request line and headers are larger than this server takes.',
    },
    InsufficientStorage: { status: 507, description: 'The disk is full; nothing was changed.' },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

/** The row of a code, with the optional columns visible. */
export function errorRow(code: ErrorCode): ErrorRow {
    return errorTable[code];
}

export interface ApiErrorOptions {
    errors?: FieldError[];
    cause?: unknown;
    /** Extra response headers, such as `Allow` or `Content-Range`. */
    headers?: Record<string, string>;
}

/** An error a client may see: one row of the table and a sentence about this case. Thrown once, formatted once. */
export class ApiError extends Error {
    readonly code: ErrorCode;
    readonly status: number;
    readonly errors: FieldError[] | undefined;
    readonly headers: Record<string, string> | undefined;

    constructor(code: ErrorCode, message: string, options: ApiErrorOptions = {}) {
        super(message, { cause: options.cause });
        this.name = code.endsWith('Error') ? code : `${code}Error`;
        this.code = code;
        this.status = errorTable[code].status;
        this.errors = options.errors;
        this.headers = options.headers;
    }

    /** The body of the answer (endpoints.md §1.4). */
    toBody(): { code: string; message: string; errors?: FieldError[] } {
        return { code: this.code, message: this.message, ...(this.errors && { errors: this.errors }) };
    }
}

/** 422 ValidationFailed about one field. */
export function validationFailed(message: string, field: string, code = 'Invalid'): ApiError {
    return new ApiError('ValidationFailed', message, { errors: [{ field, code }] });
}

/** 422 ValidationFailed about a parameter of the query that was not given. @param takes completes "it takes …" */
export function missingParameter(name: string, takes: string): ApiError {
    return validationFailed(`Parameter "${name}" is missing; it takes ${takes}.`, name, 'MissingParameter');
}

/** 422 InvalidParameter about one field. */
export function invalidParameter(message: string, field: string, code = 'Invalid'): ApiError {
    return new ApiError('InvalidParameter', message, { errors: [{ field, code }] });
}
