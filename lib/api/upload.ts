import { ApiError } from '../errors';
import { attachObjects, only, type IncomingObject, type StoredFields } from '../images/attach';
import type { Image } from '../images/image';
import type { RawImage, StorageType } from '../manifest';
import type { Call } from './call';
import { subjectOf } from './mutate';

/** A kind of object that clients upload, and its rules. */
export interface UploadKind {
    kind: 'file0' | 'icon';
    /** What messages call it. */
    noun: string;
    /** Largest size in bytes, and as messages say it. */
    maxSize: number;
    maxSizeText: string;
    /** The code for bytes that are not the announced ones. */
    mismatch: 'Download' | 'Upload';
}

/** @throws ApiError Upload if the size, where it is known, is over the limit */
export function refuseTooLarge({ noun, maxSize, maxSizeText }: UploadKind, size: number | undefined): void {
    if (size !== undefined && size > maxSize) {
        throw new ApiError(
            'Upload',
            `The ${noun} has ${size} bytes or more; the largest this server takes is ${maxSizeText}.`,
        );
    }
}

/** @throws ApiError unless the bytes are as many, and have the hash, as the request said */
function checkReceived(
    call: Call,
    { noun, mismatch }: UploadKind,
    received: { size: number; sha1: string },
    sha1: string | undefined,
): void {
    const { contentLength } = call;
    if (received.size === 0) {
        throw new ApiError(mismatch, `The ${noun} is empty: no bytes were received.`);
    }
    if (contentLength !== undefined && contentLength !== received.size) {
        throw new ApiError(
            mismatch,
            `Content-Length announced ${contentLength} bytes, but ${received.size} were received.`,
        );
    }
    if (sha1 !== undefined && sha1 !== received.sha1) {
        throw new ApiError(
            mismatch,
            `Parameter "sha1" is "${sha1}", but the ${noun} received has the SHA-1 ${received.sha1}.`,
        );
    }
}

/**
 * Stores the request's body as a new object of the call's image; see {@link attachObjects}.
 *
 * @param attach gives the record with the new object; it throws what forbids it on the newest version
 */
export async function receiveUpload(
    call: Call,
    upload: UploadKind,
    storage: StorageType,
    contentType: string,
    attach: (current: Image, stored: StoredFields) => RawImage,
): Promise<Image> {
    const expected = call.query.nonEmpty('sha1');
    const incoming: IncomingObject = {
        kind: upload.kind,
        storage,
        contentType,
        source: call.bodyStream(),
        signal: call.signal,
        checkSize: (size) => refuseTooLarge(upload, size),
        check: (received) => checkReceived(call, upload, received, expected),
    };
    return attachObjects(call.services, subjectOf(call), {
        incoming: [() => Promise.resolve(incoming)],
        replaces: { files: upload.kind === 'file0', icon: upload.kind === 'icon' },
        attach: (current, stored) => attach(current, only(stored)),
    });
}
