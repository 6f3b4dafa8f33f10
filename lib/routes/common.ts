/** What rows of the route table have in common. */
import type { Route, Step } from '../api/route';
import {
    authenticate,
    channel,
    conditions,
    imageUuid,
    loadImage,
    ownedByAccount,
    readBody,
} from '../api/steps';

/** Steps of every route that changes an image, before and after the body. */
export const CHANGES: readonly Step[] = [authenticate, imageUuid, channel];
export const ACTS: readonly Step[] = [...CHANGES, readBody, loadImage, ownedByAccount, conditions];

/** Errors that the steps of such a route can end with. */
export const CHANGE_ERRORS = [
    'UnauthorizedError',
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
