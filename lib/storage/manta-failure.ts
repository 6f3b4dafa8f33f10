/** What goes wrong with Manta, what it means to a client, and what an operator can do about it (manta.md §3). */
import { ApiError } from '../errors';

/** Statuses after which the same request may succeed. */
const PASSING_STATUSES = new Set([408, 429, 500, 502, 503, 504]);

/** What Manta says, with 403, of a path that somebody else has to permit; to HEAD it says nothing. */
const FOREIGN_REFUSALS = new Set([undefined, 'AuthorizationFailed', 'NoMatchingRoleTag']);

const CERTIFICATE_FAULT = /CERT|SELF_SIGNED|ISSUER|ALTNAME/;

/** Seconds by which a signed date may be off. */
export const MOST_SKEW = 300;

export interface MantaFailureOptions {
    /** Of the answer; absent if there was none. */
    status?: number;
    /** Manta's code, or the system's for a connection that failed. */
    code?: string | undefined;
    /** Seconds by which the clock of this machine is ahead of Manta's. */
    skew?: number | undefined;
    /** The request was about a path of somebody else's. */
    foreign?: boolean;
    cause?: unknown;
}

/** A request to Manta that did not get what it asked for. */
export class MantaFailure extends Error {
    override readonly name = 'MantaFailure';
    readonly status: number | undefined;
    readonly code: string | undefined;
    readonly skew: number | undefined;
    readonly #foreign: boolean;

    constructor(message: string, { status, code, skew, foreign = false, cause }: MantaFailureOptions = {}) {
        super(message, { cause });
        this.status = status;
        this.code = code;
        this.skew = skew;
        this.#foreign = foreign;
    }

    /** The same request may succeed when it is made again. */
    get passing(): boolean {
        return this.status === undefined
            ? !CERTIFICATE_FAULT.test(this.code ?? '')
            : PASSING_STATUSES.has(this.status) || this.code === 'ConcurrentRequest';
    }

    /** The path is one of somebody else's, and cannot be used so; nothing else is wrong. */
    get aboutPath(): boolean {
        return (
            this.#foreign &&
            this.status !== undefined &&
            this.status >= 400 &&
            this.status < 500 &&
            !this.passing &&
            !this.refused
        );
    }

    /** Manta does not let this server in. */
    get refused(): boolean {
        if (this.#foreign && this.status === 403 && FOREIGN_REFUSALS.has(this.code)) {
            return false;
        }
        return (
            this.status === 401 ||
            this.status === 403 ||
            (this.status === 400 && this.code === 'InvalidHeader') ||
            CERTIFICATE_FAULT.test(this.code ?? '')
        );
    }

    /** The objects of the whole storage are out of reach, rather than the one that was asked for. */
    get disabling(): boolean {
        return this.refused || this.status === undefined || this.status === 502 || this.status === 503;
    }

    /** What an operator can do about a refusal. */
    get advice(): string | undefined {
        if (CERTIFICATE_FAULT.test(this.code ?? '')) {
            return (
                'its certificate cannot be verified: have NODE_EXTRA_CA_CERTS name that of its authority, ' +
                'or set "manta.insecure" to true'
            );
        }
        if (!this.refused) {
            return undefined;
        }
        if (this.skew !== undefined && Math.abs(this.skew) > MOST_SKEW) {
            const direction = this.skew > 0 ? 'ahead of' : 'behind';
            return `the clock of this machine is ${Math.abs(this.skew)} s ${direction} that of Manta: set it right`;
        }
        switch (this.code) {
            case 'KeyDoesNotExist':
            case 'InvalidKeyId':
            case 'InvalidSignature':
                return 'the account "manta.user" does not have the key "manta.key": add its public half to the account';
            case 'AccountDoesNotExist':
                return 'there is no account "manta.user"';
            case 'AccountBlocked':
                return 'the account "manta.user" is blocked';
            case 'InvalidAlgorithm':
                return 'it does not take signatures of that kind of key: name another one as "manta.key"';
            default:
                return (
                    'the account "manta.user" may not do that: look whether it exists, has the key "manta.key", ' +
                    'and may use Manta'
                );
        }
    }
}

/** The failure of a connection as the system tells it. */
export function connectionFailure(cause: unknown): MantaFailure {
    if (cause instanceof MantaFailure) {
        return cause;
    }
    const { code, message } = cause as NodeJS.ErrnoException;
    return new MantaFailure(`The connection to Manta failed (${code ?? message}).`, { code, cause });
}

/**
 * The error to throw for a failure of Manta: StorageIsDown (503) if the same request may succeed later, and InternalError
 * (500) if Manta refuses this server until somebody acts (storage.md §4). Any other error stays what it is.
 */
export function storageError(error: unknown): unknown {
    if (!(error instanceof MantaFailure)) {
        return error;
    }
    if (error.status === 507) {
        return new ApiError('InsufficientStorage', 'Manta has no space left.', { cause: error });
    }
    if (error.refused && error.status !== undefined) {
        const message = 'Manta refuses what this server asks of it; the log of the server says why.';
        return new ApiError('InternalError', message, { cause: error });
    }
    return new ApiError('StorageIsDown', 'Manta cannot be used at the moment.', { cause: error });
}

/** Waits for what is done with Manta; a failure becomes what {@link storageError} makes of it. */
export async function onManta<T>(work: Promise<T>): Promise<T> {
    try {
        return await work;
    } catch (error) {
        throw storageError(error);
    }
}
