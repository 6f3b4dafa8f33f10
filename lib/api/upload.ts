import { ApiError } from '../errors';
import type { Image } from '../images/image';
import type { RawImage, StorageType } from '../manifest';
import type { Call } from './call';
import { mutate, reload } from './mutate';
import { loadedImage } from './steps';

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

/** The fields that every stored object has in the record. */
export interface StoredFields {
    sha1: string;
    size: number;
    contentMD5: string;
    mtime: string;
    stor: StorageType;
    object: string;
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
 * Stores the request's body as a new object of the call's image and makes the record refer to it; the object it
 * replaces is deleted. On any failure the record and its former object are as they were.
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
    const { images, clock } = call.services;
    const expected = call.query.nonEmpty('sha1');
    return images.objects.receive(
        {
            image: loadedImage(call).uuid,
            kind: upload.kind,
            storage,
            source: call.bodyStream(),
            contentType,
            checkSize: (size) => refuseTooLarge(upload, size),
            signal: call.signal,
        },
        (received) => checkReceived(call, upload, received, expected),
        async ({ id, object, storage: stor, sha1, size, contentMD5 }) => {
            const mtime = new Date(clock.now()).toISOString();
            await reload(call);
            return mutate(call, (current) =>
                images.save(current, attach(current, { sha1, size, contentMD5, mtime, stor, object }), {
                    settle: [id],
                    drop: images.objects.referredBy(current.raw, {
                        files: upload.kind === 'file0',
                        icon: upload.kind === 'icon',
                    }),
                }),
            );
        },
    );
}
