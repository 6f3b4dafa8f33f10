/** Errors about images that more than one operation answers with. */
import { ApiError } from '../errors';

export function existsAlready(uuid: string, cause?: unknown): ApiError {
    return new ApiError('ImageUuidAlreadyExists', `An image with uuid "${uuid}" exists already.`, { cause });
}

export function noOrigin(uuid: string): ApiError {
    return new ApiError('OriginDoesNotExist', `The origin image "${uuid}" does not exist here.`);
}

export function originNotActive(uuid: string): ApiError {
    return new ApiError('OriginIsNotActive', `The origin image "${uuid}" is not active.`);
}
