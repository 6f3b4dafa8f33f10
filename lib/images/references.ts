import type { RawImage, StorageType } from '../manifest';

/** Very old records have files and icons without a storage: those count for every storage. */
function mayBeIn(storage: StorageType, stored: StorageType | undefined): boolean {
    return stored === undefined || stored === storage;
}

/** Names of the objects in the image's folder that the record refers to in this storage; none without a record. */
export function referredNames(raw: RawImage | undefined, storage: StorageType): Set<string> {
    const names = new Set<string>();
    for (const [index, { stor, object }] of (raw?.files ?? []).entries()) {
        if (mayBeIn(storage, stor)) {
            names.add(object ?? `file${index}`);
        }
    }
    const icon = raw?.icon;
    if (icon !== undefined && mayBeIn(storage, icon.stor)) {
        names.add(icon.object ?? 'icon');
    }
    return names;
}
