/** Image files: upload and download (endpoints.md §3 AddImageFile, GetImageFile). */
import { MAX_IMAGE_SIZE, MAX_IMAGE_SIZE_STR } from '../constants';
import { ApiError, invalidParameter } from '../errors';
import type { Image } from '../images/image';
import { COMPRESSIONS, type RawFile } from '../manifest';
import type { Call } from './call';
import { sendObject, type Download } from './download';
import { sendImage } from './mutate';
import { loadedImage } from './steps';
import { storageFor } from './storage-parameter';
import { receiveUpload, refuseTooLarge, type UploadKind } from './upload';

const IMAGE_FILE: UploadKind = {
    kind: 'file0',
    noun: 'image file',
    maxSize: MAX_IMAGE_SIZE,
    maxSizeText: MAX_IMAGE_SIZE_STR,
    mismatch: 'Download',
};

function refuseActivated(image: Image): void {
    if (image.activated) {
        throw new ApiError(
            'ImageFilesImmutable',
            `The files of image ${image.uuid} cannot be changed: it is activated.`,
        );
    }
}

function compressionOf(call: Call): string {
    const value = call.query.nonEmpty('compression');
    const choice = `it takes one of ${COMPRESSIONS.join(', ')}`;
    if (value === undefined) {
        throw invalidParameter(`Parameter "compression" is missing; ${choice}.`, 'compression', 'Missing');
    }
    if (!COMPRESSIONS.some((known) => known === value)) {
        throw invalidParameter(`Parameter "compression" is "${value}"; ${choice}.`, 'compression');
    }
    return value;
}

export async function addImageFile(call: Call): Promise<void> {
    const image = loadedImage(call);
    refuseActivated(image);
    const compression = compressionOf(call);
    const storage = storageFor(call, image.raw);
    refuseTooLarge(IMAGE_FILE, call.contentLength);
    const datasetGuid = call.query.nonEmpty('dataset_guid');

    const saved = await receiveUpload(
        call,
        IMAGE_FILE,
        storage,
        'application/octet-stream',
        (current, stored) => {
            if (current.activated) {
                throw new ApiError(
                    'ImageAlreadyActivated',
                    `Image ${image.uuid} was activated while its file was being uploaded; the file was not taken.`,
                );
            }
            const { object, ...fields } = stored;
            const file: RawFile = {
                ...fields,
                compression,
                ...(datasetGuid !== undefined && { dataset_guid: datasetGuid }),
                object,
            };
            return { ...current.raw, files: [file] };
        },
    );
    sendImage(call, saved);
}

/** The file's place in the image; what is not a number counts as 0 (endpoints.md §3 GetImageFile). */
function fileIndex(call: Call): number {
    return Number.parseInt(call.query.one('index') ?? '', 10) || 0;
}

function locateFile(image: Image, index: number): Download {
    const files = image.raw.files ?? [];
    if (files.length === 0) {
        throw new ApiError('ResourceNotFound', `Image ${image.uuid} has no file.`);
    }
    const file = files[index];
    if (!file) {
        throw new ApiError('ResourceNotFound', `Image ${image.uuid} has no file at index ${index}.`);
    }
    return {
        object: file.object ?? `file${index}`,
        storage: file.stor,
        size: file.size,
        sha1: file.sha1,
        contentMD5: file.contentMD5,
        mtime: file.mtime,
        contentType: 'application/octet-stream',
    };
}

export async function getImageFile(call: Call): Promise<void> {
    const index = fileIndex(call);
    return sendObject(call, loadedImage(call), (image) => locateFile(image, index));
}

/** `/images/U/file1`, which one client asks for (clients.md 24). */
export async function getSecondImageFile(call: Call): Promise<void> {
    return sendObject(call, loadedImage(call), (image) => locateFile(image, 1));
}
