/** AdminChangeImageStor: POST /images/U?action=change-stor (endpoints.md §3, imports.md §9). */
import { ApiError, validationFailed } from '../errors';
import type { Image } from '../images/image';
import { show } from '../images/json';
import { relocateFile } from '../images/relocate';
import { STORAGE_TYPES, type RawFile, type StorageType } from '../manifest';
import type { Call } from './call';
import { subjectOf } from './mutate';
import { operatorOnly } from './steps';

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

/** Moves the file of an image into another storage; it is in the answer when the former one is gone. */
export async function changeImageStorage(call: Call): Promise<void> {
    operatorOnly(call);
    const to = wantedStorage(call);
    const { services, signal, log } = call;
    const relocation = { to, fileOf: movableFile, signal };
    const image = await relocateFile({ ...services, log }, subjectOf(call), relocation);
    call.sendJson(200, image.render(ANSWER_FORM).body);
}
