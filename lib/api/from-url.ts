/** AddImageFileFromUrl (endpoints.md §3). */
import { MAX_IMAGE_SIZE, MAX_IMAGE_SIZE_STR } from '../constants';
import { ApiError, invalidParameter } from '../errors';
import { attachObjects, only, within } from '../images/attach';
import { isObject, show } from '../images/json';
import { refuseActivated } from '../images/remote-objects';
import { refusedUrl, telling } from '../images/remote-source';
import { OutboundRefused, RemoteFailure } from '../imports/driver';
import type { Call } from './call';
import { compressionOf, withFile } from './files';
import { sendImage, subjectOf } from './mutate';
import { loadedImage } from './steps';
import { storageFor } from './storage-parameter';

/** POST /images/U/file/from-url: fetches the file from anywhere, by https. */
export async function addImageFileFromUrl(call: Call): Promise<void> {
    const image = loadedImage(call);
    refuseActivated(image);
    const compression = compressionOf(call);
    const url = fileUrl(call.state.body);
    const storage = storageFor(call, image.raw);
    const expected = call.query.nonEmpty('sha1');
    const saved = await within(call.signal, (signal) =>
        attachObjects(call.services, subjectOf(call), {
            incoming: [
                async () => ({
                    kind: 'file0',
                    storage,
                    contentType: 'application/octet-stream',
                    source: await openUrl(call, url, signal),
                    signal,
                    checkSize: refuseLargeDownload,
                    check: (received) => checkDownload(received, expected),
                }),
            ],
            replaces: { files: true, icon: false },
            attach: (current, stored) => withFile(current, only(stored), compression),
        }),
    );
    sendImage(call, saved);
}

/** @throws ApiError InvalidParameter */
function fileUrl(body: unknown): string {
    const url: unknown = isObject(body) ? body.file_url : undefined;
    if (url === undefined) {
        throw invalidParameter(
            'The request body has no "file_url": a JSON object with the https URL of the file.',
            'file_url',
            'Missing',
        );
    }
    if (typeof url !== 'string' || !url.startsWith('https:') || !URL.canParse(url)) {
        throw invalidParameter('The "file_url" is not a URL that begins with https:.', 'file_url');
    }
    return url;
}

async function openUrl(call: Call, url: string, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    const told = (err: unknown): unknown => {
        if (err instanceof OutboundRefused) {
            return refusedUrl(err, 'file_url');
        }
        return err instanceof RemoteFailure
            ? new ApiError('Download', `The image file could not be downloaded: ${err.message}`, {
                  cause: err,
              })
            : err;
    };
    try {
        const { body, size } = await call.services.remotes.download(url, { requestId: call.id, signal });
        if (size !== undefined) {
            refuseLargeDownload(size);
        }
        return telling(body, told);
    } catch (err) {
        throw told(err);
    }
}

function refuseLargeDownload(size: number): void {
    if (size > MAX_IMAGE_SIZE) {
        throw new ApiError(
            'Download',
            `The image file has ${size} bytes or more; the largest this server takes is ${MAX_IMAGE_SIZE_STR}.`,
        );
    }
}

function checkDownload({ size, sha1 }: { size: number; sha1: string }, expected: string | undefined): void {
    if (size === 0) {
        throw new ApiError('Download', 'The image file is empty: the URL gave no bytes.');
    }
    if (expected !== undefined && expected !== sha1) {
        throw new ApiError(
            'Download',
            `Parameter "sha1" is ${show(expected)}, but the image file at the URL has the SHA-1 ${sha1}.`,
        );
    }
}
