import type { RawFile, RawImage, StorageType } from '../manifest';
import { isObject } from './json';

/** The files of a record with their places: a damaged one may have anything there, which counts for nothing. */
export function filesOf(raw: RawImage | undefined): [index: number, file: RawFile][] {
    const files: unknown = raw?.files;
    return [...(Array.isArray(files) ? (files as RawFile[]) : []).entries()].filter(([, file]) =>
        isObject(file),
    );
}

/** Very old records have files and icons without a storage: those count for every storage. */
function mayBeIn(storage: StorageType, stored: StorageType | undefined): boolean {
    return stored === undefined || stored === storage;
}

/** Names of the objects in the image's folder that the record refers to in this storage; none without a record. */
export function referredNames(raw: RawImage | undefined, storage: StorageType): Set<string> {
    const names = new Set<string>();
    for (const [index, { stor, object }] of filesOf(raw)) {
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
