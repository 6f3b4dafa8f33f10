import { ApiError } from '../errors';
import type { RawImage } from '../manifest';
import { computeState } from './access';
import type { Image } from './image';

/** The raw record with its state as it follows from the switches. */
export function withState(raw: RawImage): RawImage {
    return { ...raw, state: computeState(raw) };
}

/**
 * The record of an image once it is published.
 * @param now in ms, the date of publication of an image that has none
 * @throws ApiError ImageAlreadyActivated, NoActivationNoFile
 */
export function activate(current: Image, now: number): RawImage {
    if (current.activated) {
        throw new ApiError('ImageAlreadyActivated', `Image ${current.uuid} is already activated.`);
    }
    if ((current.raw.files ?? []).length === 0) {
        throw new ApiError(
            'NoActivationNoFile',
            `Image ${current.uuid} cannot be activated: it has no file yet.`,
        );
    }
    const raw: RawImage = {
        ...current.raw,
        published_at: current.raw.published_at ?? new Date(now).toISOString(),
        activated: true,
    };
    delete raw.expires_at;
    return withState(raw);
}
