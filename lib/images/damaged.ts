import type Logger from 'bunyan';
import { ApiError } from '../errors';
import type { RawFile } from '../manifest';
import { DamagedObject } from '../storage/driver';

/** The error for a stored file that is not what its record says, after the log was told. @param what completes "it …" */
export function damagedFile(
    log: Logger,
    uuid: string,
    { stor, object }: Pick<RawFile, 'stor' | 'object'>,
    what: string,
    cause?: unknown,
): ApiError {
    log.error({ err: cause, image_uuid: uuid, stor, object }, `the stored file of an image ${what}`);
    return new ApiError('InternalError', `The stored file of image ${uuid} ${what}.`, { cause });
}

/**
 * What becomes of the error of a driver that was told what bytes to expect, or that knows itself: of others, the stored
 * ones are to blame.
 */
export function isOtherBytes(err: unknown): boolean {
    return err instanceof DamagedObject || (err instanceof ApiError && err.code === 'Download');
}
