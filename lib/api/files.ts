/** Image files: upload and download (endpoints.md §3 AddImageFile, GetImageFile). */
import { MAX_IMAGE_SIZE, MAX_IMAGE_SIZE_STR } from '../constants';
import { ApiError, invalidParameter } from '../errors';
import type { StoredFields } from '../images/attach';
import type { Image } from '../images/image';
import { show } from '../images/json';
import { fetchFiles, refuseActivated, refuseLateFile } from '../images/remote-objects';
import { requireSourceUrl } from '../images/remote-source';
import { COMPRESSIONS, type RawFile, type RawImage } from '../manifest';
import type { Call } from './call';
import { sendObject, type Download } from './download';
import { remoteImage } from './imports';
import { sendImage, subjectOf } from './mutate';
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

/** How the file is said to be compressed. @throws ApiError InvalidParameter */
export function compressionOf(call: Call): string {
    const value = call.query.nonEmpty('compression');
    const choice = `it takes one of ${COMPRESSIONS.join(', ')}`;
    if (value === undefined) {
        throw invalidParameter(`Parameter "compression" is missing; ${choice}.`, 'compression', 'Missing');
    }
    if (!COMPRESSIONS.some((known) => known === value)) {
        throw invalidParameter(`Parameter "compression" is ${show(value)}; ${choice}.`, 'compression');
    }
    return value;
}

/** PUT /images/U/file: the bytes are in the body, or with `source` in another repository. */
export async function addImageFile(call: Call): Promise<void> {
    const image = loadedImage(call);
    refuseActivated(image);
    const repository = call.query.nonEmpty('source');
    if (repository !== undefined) {
        const storage = storageFor(call, image.raw);
        requireSourceUrl(repository);
        const remote = remoteImage(call, repository);
        sendImage(call, await fetchFiles(call.services, subjectOf(call), { remote, storage }));
        return;
    }
    const compression = compressionOf(call);
    const storage = storageFor(call, image.raw);
    refuseTooLarge(IMAGE_FILE, call.contentLength);
    const datasetGuid = call.query.nonEmpty('dataset_guid');

    const saved = await receiveUpload(
        call,
        IMAGE_FILE,
        storage,
        'application/octet-stream',
        (current, stored) => withFile(current, stored, compression, datasetGuid),
    );
    sendImage(call, saved);
}

/** The record with a file that was received. @throws ApiError ImageAlreadyActivated */
export function withFile(
    current: Image,
    { object, ...fields }: StoredFields,
    compression: string,
    datasetGuid?: string,
): RawImage {
    refuseLateFile(current);
    const file: RawFile = {
        ...fields,
        compression,
        ...(datasetGuid !== undefined && { dataset_guid: datasetGuid }),
        object,
    };
    return { ...current.raw, files: [file] };
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

/** Whether the client would rather fetch the bytes where they are. */
function wantsRedirect(call: Call): boolean {
    const value = call.query.nonEmpty('redirect') ?? '0';
    if (value !== '0' && value !== '1') {
        throw invalidParameter(`Parameter "redirect" is ${show(value)}; it takes 0 or 1.`, 'redirect');
    }
    return value === '1';
}

async function sendFile(call: Call, index: number): Promise<void> {
    const locate = (image: Image): Download => locateFile(image, index);
    return sendObject(call, loadedImage(call), locate, { mayRedirect: wantsRedirect(call) });
}

export async function getImageFile(call: Call): Promise<void> {
    return sendFile(call, fileIndex(call));
}

/** `/images/U/file1`, which one client asks for (clients.md 24). */
export async function getSecondImageFile(call: Call): Promise<void> {
    return sendFile(call, 1);
}
