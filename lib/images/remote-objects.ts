/** Fetches the files and icons of images from other repositories (imports.md §3.1). */
import type { Clock } from '../clock';
import { MAX_ICON_SIZE, MAX_ICON_SIZE_STR, MAX_IMAGE_SIZE, MAX_IMAGE_SIZE_STR } from '../constants';
import { ApiError } from '../errors';
import type { RawFile, StorageType } from '../manifest';
import { attachObjects, only, within, type IncomingObject } from './attach';
import type { Subject } from './change';
import type { Image } from './image';
import type { Images } from './images';
import { remoteFiles, type RemoteFile, type RemoteImage } from './remote-source';

interface Parts {
    images: Images;
    clock: Clock;
}

/** What to fetch from, and the storage to put it in. */
export interface Fetch {
    remote: RemoteImage;
    storage: StorageType;
    /** Is told the bytes of all files received so far, and how many there will be. */
    progress?: ((done: number, total: number) => void) | undefined;
}

/** Files an image can have. */
const MOST_FILES = 2;

/** Icons as images have them. */
export const ICON_TYPES: readonly string[] = ['image/jpeg', 'image/gif', 'image/png'];

/** @throws ApiError ImageFilesImmutable about an activated image */
export function refuseActivated(image: Image): void {
    if (image.activated) {
        throw new ApiError(
            'ImageFilesImmutable',
            `The files of image ${image.uuid} cannot be changed: it is activated.`,
        );
    }
}

/** @throws ApiError ImageAlreadyActivated about an image that was activated while its file was on the way */
export function refuseLateFile(current: Image): void {
    if (current.activated) {
        throw new ApiError(
            'ImageAlreadyActivated',
            `Image ${current.uuid} was activated while its file was being received; the file was not taken.`,
        );
    }
}

/**
 * Gives an image all files that it has at the source, in place of those it has here.
 *
 * @throws ApiError RemoteSourceError, Download, ImageAlreadyActivated, StorageIsDown, InsufficientStorage
 */
export async function fetchFiles(parts: Parts, subject: Subject, fetch: Fetch): Promise<Image> {
    const { remote, storage, progress } = fetch;
    const files = remoteFiles(await remote.manifest(), remote.uuid);
    if (files.length > MOST_FILES) {
        throw new ApiError(
            'RemoteSourceError',
            `Image ${remote.uuid} has ${files.length} files at the source; images have at most ${MOST_FILES}.`,
        );
    }
    const total = files.reduce((sum, { size }) => sum + size, 0);
    return within(remote.context.signal, (signal) => {
        let started = 0;
        const incoming = files.map((file, index) => async () => {
            const before = started;
            started += file.size;
            return {
                ...expected(file, index, (size) => progress?.(before + size, total)),
                kind: index === 0 ? ('file0' as const) : ('file1' as const),
                storage,
                contentType: 'application/octet-stream',
                source: await remote.file(index, signal),
                signal,
            };
        });
        return attachObjects(parts, subject, {
            incoming,
            replaces: { files: true, icon: false },
            attach: (current, stored) => {
                refuseLateFile(current);
                const records = stored.map(({ object, ...fields }, index): RawFile => {
                    const { compression = 'none', dataset_guid: guid } = files[index] ?? {};
                    const dataset = guid === undefined ? {} : { dataset_guid: guid };
                    return { ...fields, compression, ...dataset, object };
                });
                return { ...current.raw, files: records };
            },
        });
    });
}

/** What a file has to be, as the manifest at the source says. */
function expected(
    file: RemoteFile,
    index: number,
    progress: (size: number) => void,
): Pick<IncomingObject, 'checkSize' | 'check'> {
    const said = `The manifest at the source says that file ${index} has`;
    if (file.size > MAX_IMAGE_SIZE) {
        throw new ApiError(
            'Download',
            `${said} ${file.size} bytes; the largest this server takes is ${MAX_IMAGE_SIZE_STR}.`,
        );
    }
    return {
        checkSize: (size) => {
            if (size > file.size) {
                throw new ApiError('Download', `${said} ${file.size} bytes, but more came.`);
            }
            progress(size);
        },
        check: ({ size, sha1 }) => {
            if (size === 0 || size !== file.size) {
                throw new ApiError('Download', `${said} ${file.size} bytes, and ${size} came.`);
            }
            if (sha1 !== file.sha1) {
                throw new ApiError('Download', `${said} the SHA-1 ${file.sha1}, but what came has ${sha1}.`);
            }
        },
    };
}

/**
 * Gives an image the icon that it has at the source, in place of the one it has here.
 *
 * @throws ApiError RemoteSourceError, Download, StorageIsDown, InsufficientStorage
 */
export async function fetchIcon(parts: Parts, subject: Subject, { remote, storage }: Fetch): Promise<Image> {
    return within(remote.context.signal, async (signal) => {
        const { contentType, body } = await remote.icon(signal);
        if (contentType === undefined || !ICON_TYPES.includes(contentType)) {
            throw new ApiError(
                'RemoteSourceError',
                `The icon of image ${remote.uuid} at the source is none of ${ICON_TYPES.join(', ')}.`,
            );
        }
        const incoming: IncomingObject = {
            kind: 'icon',
            storage,
            contentType,
            source: body,
            signal,
            checkSize: (size) => {
                if (size > MAX_ICON_SIZE) {
                    throw new ApiError(
                        'Download',
                        `The icon at the source is larger than ${MAX_ICON_SIZE_STR}.`,
                    );
                }
            },
            check: ({ size }) => {
                if (size === 0) {
                    throw new ApiError('Download', 'The icon at the source is empty.');
                }
            },
        };
        return attachObjects(parts, subject, {
            incoming: [() => Promise.resolve(incoming)],
            replaces: { files: false, icon: true },
            attach: (current, stored) => {
                const { object, ...fields } = only(stored);
                return { ...current.raw, icon: { ...fields, contentType, object } };
            },
        });
    });
}
