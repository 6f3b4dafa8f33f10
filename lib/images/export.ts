/** ExportImage: an image and its manifest are copied to where their owner wants them (manta.md §6). */
import type Logger from 'bunyan';
import type { Mode } from '../config/types';
import { EtagConflict } from '../db/driver';
import { ApiError } from '../errors';
import type { RawFile, StorageType } from '../manifest';
import { ExportRefused, imageKey, type StorageSet } from '../storage/driver';
import { damagedFile, isOtherBytes } from './damaged';
import type { Image } from './image';
import type { Images } from './images';
import { serializeImage } from './serialize';

/** By the compression of a file: what its name ends in. */
const EXTENSIONS: Readonly<Record<string, string>> = { gzip: '.gz', bzip2: '.bz2', xz: '.xz' };

/** What of a name or a version is not taken into the name of an object: it might lead elsewhere. */
const UNSAFE = /[^A-Za-z0-9._+ -]/g;

export interface ExportTarget {
    /** The storage that has the file, and in which the path is. */
    readonly storage: StorageType;
    /** A folder, or what the names of the copies begin with. One that ends in `/` is meant as a folder. */
    readonly path: string;
}

/** Where the copies are. */
export interface ExportedPaths {
    readonly imagePath: string;
    readonly manifestPath: string;
}

interface ExportParts {
    readonly images: Images;
    readonly storages: StorageSet;
    readonly mode: Mode;
    readonly log: Logger;
    readonly signal: AbortSignal;
}

/**
 * The one file of an image, if it can be exported from the storage.
 * @throws ApiError StorageUnsupported, ResourceNotFound, NotImplemented
 */
export function exportableFile(storages: StorageSet, { uuid, raw }: Image, type: StorageType): RawFile {
    if (!storages.get(type).capabilities.export) {
        throw new ApiError(
            'StorageUnsupported',
            `Images cannot be exported from the storage "${type}" of this server.`,
        );
    }
    const [file, ...others] = raw.files ?? [];
    if (!file) {
        throw new ApiError('ResourceNotFound', `Image ${uuid} has no file.`);
    }
    if (file.stor !== type) {
        throw new ApiError(
            'StorageUnsupported',
            `The file of image ${uuid} is in the storage "${file.stor}": it can't be exported from "${type}".`,
        );
    }
    if (others.length > 0) {
        throw new ApiError('NotImplemented', `Image ${uuid} has several files; it cannot be exported.`);
    }
    return file;
}

/**
 * Copies the manifest and the file of an image to a path outside of what the storage keeps for this server. Of copies
 * that are there already, each is replaced as a whole.
 *
 * @param channels whether the manifest is to tell the channels of the image
 * @throws ApiError as of {@link exportableFile}, InternalError if the stored bytes are not those of the record;
 *   ExportRefused about the path; EtagConflict if the image has another file by now
 */
export async function exportImage(
    { images, storages, mode, log, signal }: ExportParts,
    image: Image,
    { storage: type, path }: ExportTarget,
    channels: boolean,
): Promise<ExportedPaths> {
    const file = exportableFile(storages, image, type);
    const { exports } = storages.get(type);
    if (!exports) {
        throw new TypeError(`The storage "${type}" says that it can export, and cannot.`);
    }
    const isFolder = await exports.isFolder(path, signal);
    if (!isFolder && path.endsWith('/')) {
        throw new ExportRefused(`There is no folder "${path}".`);
    }
    const { name, version } = image.raw;
    const own = `${name}-${version}`.replaceAll(UNSAFE, '_');
    const base = isFolder ? `${path.replace(/\/$/, '')}/${own}` : path;
    const manifestPath = `${base}.imgmanifest`;
    const imagePath = `${base}.zfs${EXTENSIONS[file.compression] ?? ''}`;

    const manifest = serializeImage(image.raw, { mode, channels, adminFields: false });
    await exports.exportBytes(manifestPath, Buffer.from(JSON.stringify(manifest, null, 4)), {
        contentType: 'application/json',
        signal,
    });
    const { size, contentMD5, object = 'file0' } = file;
    let found: boolean;
    try {
        found = await exports.exportObject(imageKey(image.uuid, object), imagePath, {
            contentType: 'application/octet-stream',
            size,
            ...(contentMD5 !== undefined && { contentMD5 }),
            signal,
        });
    } catch (err) {
        throw isOtherBytes(err) ? damagedFile(log, image.uuid, file, 'is damaged', err) : err;
    }
    if (!found) {
        if ((await images.get(image.uuid))?.version !== image.version) {
            throw new EtagConflict(image.uuid);
        }
        throw damagedFile(log, image.uuid, file, 'is missing');
    }
    return { imagePath, manifestPath };
}
