/** What a failure of S3 means: to the driver, to a client, and to whoever runs the server. */
import { ApiError } from '../errors';

/** Answers that are no failure of the storage: the driver deals with them. */
export type RefusalCode =
    | 'NoSuchKey'
    | 'NoSuchUpload'
    | 'PreconditionFailed'
    | 'InvalidRange'
    /** To a request whose answers have no body: the object is not there, or the bucket. */
    | 'NotFound'
    /** To such a request: something is wrong with it, or with who sends it. */
    | 'Unexplained';

/** The server did what it was asked, and says that it cannot be had. */
export class S3Refusal extends Error {
    override readonly name = 'S3Refusal';
    constructor(
        readonly code: RefusalCode,
        cause: unknown,
    ) {
        super(`S3 answered ${code}.`, { cause });
    }
}

export function isRefusal(error: unknown, code: RefusalCode): boolean {
    return error instanceof S3Refusal && error.code === code;
}

/** The code of an error: that of S3, or else that of the system, or else its name. */
export function codeOf(error: unknown): string {
    if (!(error instanceof Error)) {
        return 'Unknown';
    }
    const { Code, code, name } = error as Error & { Code?: unknown; code?: unknown };
    return ([Code, code].find((one) => typeof one === 'string' && one !== '') as string | undefined) ?? name;
}

/** The HTTP status that came with an error; undefined if no answer came. */
function statusOf(error: unknown): number | undefined {
    return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}

const REFUSALS: ReadonlySet<string> = new Set<RefusalCode>([
    'NoSuchKey',
    'NoSuchUpload',
    'PreconditionFailed',
    'InvalidRange',
]);

/** The refusal that an error is; undefined if it is a failure. @param bodiless answers to the request have no body */
export function refusalOf(error: unknown, bodiless: boolean): S3Refusal | undefined {
    const code = codeOf(error);
    if (REFUSALS.has(code)) {
        return new S3Refusal(code as RefusalCode, error);
    }
    const status = statusOf(error) ?? 0;
    if (!bodiless || status < 300 || status >= 500) {
        return undefined;
    }
    return new S3Refusal(status === 404 ? 'NotFound' : 'Unexplained', error);
}

/** What an unexplained refusal would have said, had it a body, given that the bucket itself may be looked at. */
export class AccessDenied extends Error {
    readonly Code = 'AccessDenied';
    constructor(refusal: S3Refusal) {
        super('Access denied.', { cause: refusal });
    }
}

/** The bytes of an upload did not arrive as they were sent: worth another try, although the request was at fault. */
const DAMAGED = new Set(['XAmzContentSHA256Mismatch', 'BadDigest', 'IncompleteBody', 'RequestTimeout']);

export function isDamaged(error: unknown): boolean {
    return DAMAGED.has(codeOf(error));
}

const FULL = new Set(['QuotaExceeded', 'InsufficientStorage', 'XMinioStorageFull']);

function isFull(error: unknown): boolean {
    return FULL.has(codeOf(error)) || statusOf(error) === 507;
}

/** Statuses after which the same request may succeed, though they blame it. */
const PASSING_STATUSES = new Set([408, 409, 425, 429]);

/** The server answered that it does not do this for us, which does not pass by itself. */
function isTurnedDown(error: unknown): boolean {
    const status = statusOf(error) ?? 0;
    return (
        error instanceof AccessDenied ||
        (status >= 300 && status < 500 && !PASSING_STATUSES.has(status) && !isDamaged(error))
    );
}

/** Whether the same request may succeed soon. */
export function mayPass(error: unknown): boolean {
    return !isFull(error) && !isTurnedDown(error) && !ADVICE.has(codeOf(error));
}

/** Whether an error is about one kind of request, so that others may succeed all the same. */
export function isAboutRequest(code: string): boolean {
    return code === 'AccessDenied' || FULL.has(code);
}

/** How messages call what is configured. */
export interface S3Place {
    readonly bucket: string;
    readonly region: string;
    /** Absent: that of Amazon. */
    readonly endpoint: string | undefined;
}

const REGION_ADVICE = ({ bucket, region }: S3Place): string =>
    `bucket "${bucket}" is not in region "${region}": correct "s3.region"`;

const FULL_ADVICE = ({ bucket }: S3Place): string =>
    `it has no room left for bucket "${bucket}": delete images, or raise the quota`;

const TOKEN_ADVICE = (): string =>
    'the credentials of the environment have expired or were taken back: see that they are renewed';

const CERTIFICATE_ADVICE = ({ endpoint }: S3Place): string =>
    `the certificate of ${endpoint ?? 'S3'} is not trusted: if it is signed by an authority of your own, name the file ` +
    'with its certificate in the environment variable NODE_EXTRA_CA_CERTS';

/** What somebody has to do about a failure, by its code. It will not pass by itself. */
const ADVICE: ReadonlyMap<string, (place: S3Place) => string> = new Map(
    Object.entries<(place: S3Place) => string>({
        NoSuchBucket: ({ bucket }) =>
            `there is no bucket "${bucket}": create it, or correct "s3.bucket" or "s3.endpoint"`,
        InvalidBucketName: ({ bucket }) => `"${bucket}" cannot be the name of a bucket: correct "s3.bucket"`,
        InvalidAccessKeyId: () => 'the server does not know the access key: correct "s3.accessKeyId"',
        SignatureDoesNotMatch: () =>
            'the secret is not the one of the access key: correct "s3.secretAccessKey" (a proxy that changes the Host ' +
            'header has the same effect)',
        AccessDenied: ({ bucket }) =>
            `the credentials do not permit what is needed in bucket "${bucket}": to list it and its multipart uploads, and ` +
            'to get, put and delete objects and to abort multipart uploads',
        RequestTimeTooSkewed: () =>
            'the clocks of this machine and of the server differ by more than S3 permits: set them right',
        CredentialsProviderError: () =>
            'there are no credentials: give "s3.accessKeyId" and "s3.secretAccessKey", or have them in the environment, ' +
            'in the shared configuration of AWS, or from the metadata service of the machine',
        ...Object.fromEntries([...FULL].map((code) => [code, FULL_ADVICE])),
        ExpiredToken: TOKEN_ADVICE,
        InvalidToken: TOKEN_ADVICE,
        ExpiredTokenException: TOKEN_ADVICE,
        AuthorizationHeaderMalformed: REGION_ADVICE,
        PermanentRedirect: REGION_ADVICE,
        DEPTH_ZERO_SELF_SIGNED_CERT: CERTIFICATE_ADVICE,
        SELF_SIGNED_CERT_IN_CHAIN: CERTIFICATE_ADVICE,
        UNABLE_TO_VERIFY_LEAF_SIGNATURE: CERTIFICATE_ADVICE,
        UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CERTIFICATE_ADVICE,
        CERT_HAS_EXPIRED: ({ endpoint }) =>
            `the certificate of ${endpoint ?? 'S3'} has expired: have it renewed`,
    }),
);

/** What has to be done about the failure; undefined if it may pass by itself. */
export function adviceFor(error: unknown, place: S3Place): string | undefined {
    return ADVICE.get(codeOf(error))?.(place);
}

/**
 * The error a client gets for a failure: StorageIsDown (503) if the same request may succeed later, and InternalError
 * (500) if the operator has to act first (storage.md §4, manta.md §8). What is wrong is told in the log only: it is not
 * the client's to know.
 */
export function clientError(error: unknown): ApiError {
    if (error instanceof ApiError) {
        return error;
    }
    if (isFull(error)) {
        return new ApiError('InsufficientStorage', 'The object store is full, or its quota is used up.', {
            cause: error,
        });
    }
    if (isTurnedDown(error)) {
        const message =
            'The object store refuses what this server asks of it; the log of the server says why.';
        return new ApiError('InternalError', message, { cause: error });
    }
    return new ApiError('StorageIsDown', 'The object store cannot be used at the moment; try again later.', {
        cause: error,
    });
}
