/** AdminChangeImageStor: POST /images/U?action=change-stor (endpoints.md §3, imports.md §9). */
import { ApiError, validationFailed } from '../errors';
import type { Image } from '../images/image';
import { show } from '../images/json';
import { STORAGE_TYPES, type RawFile, type StorageType } from '../manifest';
import type { Call } from './call';
import { loadedImage, operatorOnly } from './steps';

/** What clients know the endpoint's answer as: with the operator's fields, whatever version they accept. */
const ANSWER_FORM = { channels: true, adminFields: true };

/** The storage to move to. One that this server does not have is as unknown to it as one that there is not. */
function wantedStorage(call: Call): StorageType {
    const { storages } = call.services;
    const choice = `one of ${storages
        .all()
        .map(({ type }) => type)
        .join(', ')}`;
    const given = call.query.required('stor', choice);
    const type = STORAGE_TYPES.find((known) => known === given);
    if (type === undefined || !storages.has(type)) {
        throw validationFailed(`Parameter "stor" is ${show(given)}; it takes ${choice}.`, 'stor');
    }
    return type;
}

function movableFile({ uuid, raw }: Image): RawFile {
    if (raw.icon) {
        throw new ApiError('NotImplemented', `Image ${uuid} has an icon; its storage cannot be changed.`);
    }
    const [file, ...others] = raw.files ?? [];
    if (!file) {
        throw new ApiError('ResourceNotFound', `Image ${uuid} has no file.`);
    }
    if (others.length > 0) {
        throw new ApiError(
            'NotImplemented',
            `Image ${uuid} has several files; its storage cannot be changed.`,
        );
    }
    return file;
}

/**
 * Puts the file of an image into another storage. This version has one storage only, so that all there is to do is to
 * say that the file is there already, or why it cannot be moved.
 */
export function changeImageStorage(call: Call): void {
    operatorOnly(call);
    const wanted = wantedStorage(call);
    const image = loadedImage(call);
    const { stor } = movableFile(image);
    if (stor !== wanted) {
        throw new ApiError(
            'StorageUnsupported',
            `The file of image ${image.uuid} is in the storage "${stor}", which this server cannot move files from.`,
        );
    }
    call.sendJson(200, image.render(ANSWER_FORM).body);
}
