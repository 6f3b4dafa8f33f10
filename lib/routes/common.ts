/** What rows of the route table have in common. */
import type { Route, Step } from '../api/route';
import {
    authenticate,
    changesAllChannels,
    channel,
    imageUuid,
    loadImage,
    ownedByAccount,
} from '../api/steps';

/** Steps of every route that changes an image, before and after the body. */
export const CHANGES: readonly Step[] = [authenticate, imageUuid, channel];
/** The image to change, in all of its channels. */
export const SUBJECT: readonly Step[] = [loadImage, changesAllChannels, ownedByAccount];

/** Errors that the steps of such a route can end with, beyond those about who asks. */
export const CHANGE_ERRORS = [
    'ResourceNotFound',
    'InvalidParameter',
    'NotImageOwner',
    'ValidationFailed',
] as const;
export const BODY_ERRORS = [
    'InvalidContent',
    'BadDigest',
    'RequestEntityTooLarge',
    'UnsupportedMediaType',
    'RequestTimeout',
] as const;
export const WRITE_ERRORS = ['ServiceUnavailableError', 'InsufficientStorage'] as const;
export const STORE_ERRORS = [...WRITE_ERRORS, 'StorageIsDown', 'StorageUnsupported'] as const;

/** A row that leads to another path, whatever is asked with it. */
export function redirect(row: Pick<Route, 'name' | 'path' | 'summary' | 'handler'>): Route {
    return {
        ...row,
        method: 'GET',
        auth: 'none',
        answers: 'nothing',
        status: 301,
        headers: ['Location'],
        parameters: [],
        errors: [],
        steps: [],
    };
}
