/** Which storage a new file or icon goes to (storage.md §2, manta.md §5). */
import type { StorageType } from '../manifest';

export interface StorageChoice {
    /** The image belongs to the account `adminUuid` of the configuration. */
    ownerIsAdmin: boolean;
    /** What the operator asked for with `storage=`. */
    requested?: StorageType;
    /** The configured storages; of two object stores the earlier one is meant. */
    storageTypes: readonly StorageType[];
    /** The object stores that are far away (`manta.remote`, `s3.remote`); an absent one is near. */
    remote: Partial<Record<StorageType, boolean>>;
}

/** The object store that is meant where one is; undefined if only the local disk is configured. */
export function preferredObjectStore(storageTypes: readonly StorageType[]): StorageType | undefined {
    return storageTypes.find((type) => type !== 'local');
}

/**
 * An operator's wish counts if that storage is configured. Otherwise an object store is preferred to the local disk,
 * except that images of the administrator stay local when the object store is remote: a datacenter must be able to
 * provision them without it.
 */
export function selectStorage({ ownerIsAdmin, requested, storageTypes, remote }: StorageChoice): StorageType {
    if (requested !== undefined) {
        return storageTypes.includes(requested) ? requested : 'local';
    }
    const objectStore = preferredObjectStore(storageTypes);
    if (objectStore === undefined || (ownerIsAdmin && remote[objectStore] === true)) {
        return 'local';
    }
    return objectStore;
}
