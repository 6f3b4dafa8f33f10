import type { Config } from '../config/types';
import { isUuid, type RawImage, type StorageType } from '../manifest';
import { selectStorage } from '../storage/select';

/**
 * The storage a new file or icon of an image goes to (storage.md §2).
 * @param requested what the operator asks for, one of the storage types
 */
export function chooseStorage(
    { adminUuid, storageTypes, manta, s3 }: Config,
    image: Pick<RawImage, 'owner'>,
    requested?: StorageType,
): StorageType {
    return selectStorage({
        ownerIsAdmin: isUuid(adminUuid) && image.owner === adminUuid,
        requested,
        storageTypes,
        remote: { manta: manta?.remote === true, s3: s3?.remote === true },
    });
}
