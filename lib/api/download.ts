import { ApiError } from '../errors';
import type { Image } from '../images/image';
import { imageKey, type ObjectReader } from '../storage/driver';
import type { StorageType } from '../manifest';
import type { Call, Headers } from './call';
import { evaluateConditions } from './conditional';
import { reload } from './mutate';
import { requestedRange, type ByteRange } from './range';

/** What a record says about one of its objects. */
export interface Download {
    /** Name within the image's folder. */
    object: string;
    storage: StorageType;
    size: number;
    sha1: string | undefined;
    contentMD5: string | undefined;
    mtime: string | undefined;
    contentType: string;
}

/** How often a download looks for its object again when it was replaced between looking it up and opening it. */
const ATTEMPTS = 5;

function lastModified({ mtime }: Download): Date | undefined {
    const date = mtime === undefined ? undefined : new Date(mtime);
    return date && !Number.isNaN(date.getTime()) ? date : undefined;
}

/** Opens the object, or undefined if the storage does not have it. */
async function open(
    call: Call,
    download: Download,
    range: ByteRange | undefined,
): Promise<ObjectReader | undefined> {
    const storage = call.services.storages.get(download.storage);
    const key = imageKey(call.uuid, download.object);
    if (call.method !== 'HEAD') {
        return storage.read(key, { ...range, signal: call.signal });
    }
    const info = await storage.stat(key);
    return info && { info, body: noBytes() };
}

/** How long a URL that a client is sent to is good for, in seconds: within this a download has to begin. */
const REDIRECT_FOR = 15 * 60;

/** They mean the ETag and date of our answer, and would go along to a storage that knows others. */
const OWN_CONDITIONS = ['if-match', 'if-unmodified-since', 'if-range'];

/**
 * Where the storage itself gives the object to whoever asks; undefined if it has no such place for it, and if it does
 * not have the object as the record says. What is then to be told is found out where it is served.
 */
async function placeOf(call: Call, { storage: type, object, size, contentType }: Download) {
    const storage = call.services.storages.get(type);
    // The URL is good for GET only.
    if (call.method !== 'GET' || OWN_CONDITIONS.some((name) => call.headers[name] !== undefined)) {
        return undefined;
    }
    const key = imageKey(call.uuid, object);
    const isWhole = storage.presign !== undefined && (await storage.stat(key))?.size === size;
    return isWhole ? storage.presign?.(key, { expiresIn: REDIRECT_FOR, contentType }) : undefined;
}

async function* noBytes(): AsyncGenerator<Buffer> {
    // The answer to a HEAD request has none.
}

/**
 * Answers with one of the image's objects, or the part of it that the request asks for (endpoints.md §3 GetImageFile).
 *
 * @param locate finds the object in a version of the image; it throws ResourceNotFound if there is none
 * @param mayRedirect the client may be sent to where the storage itself gives the object
 */
export async function sendObject(
    call: Call,
    image: Image,
    locate: (image: Image) => Download,
    { mayRedirect = false } = {},
): Promise<void> {
    let current = image;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const download = locate(current);
        const modified = lastModified(download);
        const manifestTag = current.render({ channels: call.version2, adminFields: false }).etag;
        const etag = download.sha1 ?? manifestTag;
        const headers: Headers = {
            Etag: etag,
            ...(modified && { 'Last-Modified': modified.toUTCString() }),
        };
        const validators = { etags: [etag, manifestTag], lastModified: modified };
        if (evaluateConditions(call.method, call.headers, validators).notModified) {
            call.sendEmpty(304, headers);
            return;
        }
        const place = mayRedirect ? await placeOf(call, download) : undefined;
        if (place !== undefined) {
            // Whoever keeps it would be sent to a URL that has expired.
            const about = { 'Cache-Control': 'no-store', 'Content-Length': 0 };
            call.sendEmpty(302, { ...headers, ...about, Location: place });
            return;
        }
        const { size } = download;
        const range = requestedRange(call.headers, { size, etag, lastModified: modified });
        const reader = await open(call, download, range);
        if (reader?.info.size === size) {
            await call.sendStream(
                range ? 206 : 200,
                { ...headers, ...contentHeaders(download, range) },
                reader.body,
            );
            return;
        }
        if (reader) {
            await reader.body[Symbol.asyncIterator]().return?.();
            throw damaged(call, `has ${reader.info.size} bytes instead of ${size}`);
        }
        // It may have been replaced since its name was read: look again.
        current = await reload(call);
    }
    throw damaged(call, 'is missing');
}

function contentHeaders(download: Download, range: ByteRange | undefined): Headers {
    const { size, contentType, contentMD5 } = download;
    if (range) {
        return {
            'Content-Type': contentType,
            'Accept-Ranges': 'bytes',
            'Content-Length': range.end - range.start + 1,
            'Content-Range': `bytes ${range.start}-${range.end}/${size}`,
        };
    }
    return {
        'Content-Type': contentType,
        'Accept-Ranges': 'bytes',
        'Content-Length': size,
        ...(contentMD5 !== undefined && { 'Content-MD5': contentMD5 }),
    };
}

function damaged(call: Call, what: string): ApiError {
    call.log.error({ image_uuid: call.uuid, route: call.route.name }, `the stored object ${what}`);
    return new ApiError('InternalError', `The stored object of image ${call.uuid} ${what}.`);
}
