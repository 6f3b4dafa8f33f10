/** Icons: upload, download, delete (endpoints.md §3 Icons). */
import { MAX_ICON_SIZE, MAX_ICON_SIZE_STR } from '../constants';
import { ApiError } from '../errors';
import type { Image } from '../images/image';
import { fetchIcon } from '../images/remote-objects';
import { requireSourceUrl } from '../images/remote-source';
import type { RawIcon, RawImage } from '../manifest';
import type { Call } from './call';
import { sendObject, type Download } from './download';
import { remoteImage } from './imports';
import { mutate, sendImage, subjectOf } from './mutate';
import { loadedImage } from './steps';
import { storageFor } from './storage-parameter';
import { receiveUpload, refuseTooLarge, type UploadKind } from './upload';

const ICON: UploadKind = {
    kind: 'icon',
    noun: 'icon',
    maxSize: MAX_ICON_SIZE,
    maxSizeText: MAX_ICON_SIZE_STR,
    mismatch: 'Upload',
};

/** What an icon may be. */
export const ICON_TYPES = ['image/jpeg', 'image/gif', 'image/png'];

function noIcon(image: Image): ApiError {
    return new ApiError('ResourceNotFound', `Image ${image.uuid} has no icon.`);
}

/** PUT /images/U/icon: the bytes are in the body, or with `source` in another repository, if the image has an icon there. */
export async function addImageIcon(call: Call): Promise<void> {
    const image = loadedImage(call);
    const repository = call.query.nonEmpty('source');
    if (repository !== undefined) {
        const storage = storageFor(call, image.raw);
        requireSourceUrl(repository);
        const remote = remoteImage(call, repository);
        const hasIcon = (await remote.manifest()).icon === true;
        sendImage(
            call,
            hasIcon ? await fetchIcon(call.services, subjectOf(call), { remote, storage }) : image,
        );
        return;
    }
    const contentType = call.headers['content-type'];
    if (contentType === undefined || !ICON_TYPES.includes(contentType)) {
        throw new ApiError(
            'Upload',
            `Content-Type is "${contentType ?? ''}"; an icon has one of ${ICON_TYPES.join(', ')}.`,
        );
    }
    const storage = storageFor(call, image.raw);
    refuseTooLarge(ICON, call.contentLength);
    const saved = await receiveUpload(call, ICON, storage, contentType, (current, { object, ...fields }) => {
        const icon: RawIcon = { ...fields, contentType, object };
        return { ...current.raw, icon };
    });
    sendImage(call, saved);
}

function locateIcon(image: Image): Download {
    const { icon } = image.raw;
    if (!icon) {
        throw noIcon(image);
    }
    return {
        object: icon.object ?? 'icon',
        storage: icon.stor ?? 'local',
        size: icon.size,
        sha1: icon.sha1,
        contentMD5: icon.contentMD5,
        mtime: icon.mtime,
        contentType: icon.contentType,
    };
}

export async function getImageIcon(call: Call): Promise<void> {
    return sendObject(call, loadedImage(call), locateIcon);
}

export async function deleteImageIcon(call: Call): Promise<void> {
    const { images } = call.services;
    const saved = await mutate(call, (current) => {
        if (!current.raw.icon) {
            throw noIcon(current);
        }
        const raw: RawImage = { ...current.raw };
        delete raw.icon;
        const deleted = { files: false, icon: true };
        images.objects.assertDeletable(current.raw, deleted);
        return images.save(current, raw, { drop: images.objects.referredBy(current.raw, deleted) });
    });
    sendImage(call, saved);
}
