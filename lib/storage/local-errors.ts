/** What a failure of the disk means to a client. */
import { ApiError } from '../errors';

const FULL = new Set(['ENOSPC', 'EDQUOT']);

/** The system's code of a failed call (`ENOENT` …); undefined for any other error. */
export function systemCode(error: unknown): string | undefined {
    return error instanceof Error && 'syscall' in error && 'code' in error && typeof error.code === 'string'
        ? error.code
        : undefined;
}

/** True if the error says that the file, or a folder on the way to it, is not there. */
export function isAbsent(error: unknown): boolean {
    const code = systemCode(error);
    return code === 'ENOENT' || code === 'ENOTDIR';
}

/**
 * The error to throw for a failed call to the file system: 507 InsufficientStorage if the disk or a quota is full,
 * 503 StorageIsDown for anything else the system reports. Errors that are not the system's stay what they are.
 */
export function storageError(error: unknown): Error {
    const code = systemCode(error);
    if (code === undefined) {
        return error instanceof Error ? error : new Error('The local storage failed.', { cause: error });
    }
    if (FULL.has(code)) {
        return new ApiError('InsufficientStorage', `The disk of the local storage is full (${code}).`, {
            cause: error,
        });
    }
    return new ApiError('StorageIsDown', `The local storage cannot be used at the moment (${code}).`, {
        cause: error,
    });
}

/** Waits for a call to the file system; a failure becomes what {@link storageError} makes of it. */
export async function onDisk<T>(call: Promise<T>): Promise<T> {
    try {
        return await call;
    } catch (error) {
        throw storageError(error);
    }
}
