import { invalidParameter } from '../errors';
import { show } from '../images/json';
import { chooseStorage } from '../images/storage-choice';
import { STORAGE_TYPES, type RawImage, type StorageType } from '../manifest';
import type { Call } from './call';
import { account } from './steps';

/** The storage a new file or icon goes to: the `storage` parameter, or the server's rule (storage.md §2). */
export function storageFor(call: Call, image: RawImage): StorageType {
    const requested = call.query.nonEmpty('storage');
    if (requested !== undefined) {
        if (account(call) !== undefined) {
            throw invalidParameter(
                `Parameter "storage" is ${show(requested)}; only operators may choose the storage.`,
                'storage',
                'NotAllowed',
            );
        }
        if (!STORAGE_TYPES.some((type) => type === requested)) {
            throw invalidParameter(
                `Parameter "storage" is ${show(requested)}; it takes one of ${STORAGE_TYPES.join(', ')}.`,
                'storage',
            );
        }
    }
    return chooseStorage(call.services.config, image, requested as StorageType | undefined);
}
