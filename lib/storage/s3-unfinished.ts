/**
 * Multipart uploads that were begun and not finished: S3 keeps their bytes for ever, and shows them nowhere but in a
 * list of their own. The driver shows them as unfinished objects.
 */
import {
    AbortMultipartUploadCommand,
    ListMultipartUploadsCommand,
    type MultipartUpload,
} from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { NAME_WITH_ID } from './key';
import { isRefusal } from './s3-errors';
import type { S3Service } from './s3-service';

/** A name that is itself that of something unfinished: `file0.<uuid>`. */
const UNFINISHED_NAME = /^(.+)\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface Unfinished {
    /** Key in the bucket of what it was to be. */
    readonly key: string;
    readonly uploadId: string;
    /** Key under which it is shown, and deleted. */
    readonly shownAs: string;
    readonly begun: Date;
}

/** An id for an upload that has none in its name. */
function idOf(uploadId: string): string {
    const digits = createHash('sha1').update(uploadId).digest('hex');
    return [
        digits.slice(0, 8),
        digits.slice(8, 12),
        digits.slice(12, 16),
        digits.slice(16, 20),
        digits.slice(20, 32),
    ].join('-');
}

/** `file0-<id>` is shown as `file0.<id>` while it is unfinished, and so is any other name, with an id of its own. */
function shownAs(key: string, uploadId: string): string {
    const [, stem, id] = NAME_WITH_ID.exec(key) ?? [];
    if (stem !== undefined && id !== undefined) {
        return `${stem}.${id}`;
    }
    return UNFINISHED_NAME.test(key) ? key : `${key}.${idOf(uploadId)}`;
}

function unfinished({ Key, UploadId, Initiated }: MultipartUpload): Unfinished | undefined {
    return Key === undefined || UploadId === undefined
        ? undefined
        : { key: Key, uploadId: UploadId, shownAs: shownAs(Key, UploadId), begun: Initiated ?? new Date(0) };
}

/** Those whose key in the bucket begins like this. @param pageSize how many to ask for at once */
export async function* listUnfinished(
    service: S3Service,
    prefix: string,
    pageSize?: number,
): AsyncGenerator<Unfinished> {
    let from: { KeyMarker: string | undefined; UploadIdMarker: string | undefined } | undefined;
    do {
        const page = await service.call(
            new ListMultipartUploadsCommand({
                Bucket: service.bucket,
                Prefix: prefix,
                MaxUploads: pageSize,
                ...from,
            }),
        );
        for (const upload of page.Uploads ?? []) {
            const found = unfinished(upload);
            if (found) {
                yield found;
            }
        }
        from =
            page.IsTruncated === true
                ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
                : undefined;
    } while (from);
}

export async function abortUpload(
    service: S3Service,
    key: string,
    uploadId: string,
    signal?: AbortSignal,
): Promise<void> {
    try {
        await service.call(
            new AbortMultipartUploadCommand({ Bucket: service.bucket, Key: key, UploadId: uploadId }),
            { signal },
        );
    } catch (error) {
        if (!isRefusal(error, 'NoSuchUpload')) {
            throw error;
        }
    }
}

/**
 * Ends the uploads that deleting a key ends: those of the same key if it has an id, and those that are shown as it. An
 * upload of any other key may be under way, and is not what was asked to be deleted.
 *
 * @param key in the bucket
 */
export async function abortUploadsOf(service: S3Service, key: string, signal?: AbortSignal): Promise<void> {
    const hasId = NAME_WITH_ID.test(key);
    const [, stem] = UNFINISHED_NAME.exec(key) ?? [];
    const prefix = hasId ? key : stem;
    if (prefix === undefined) {
        return;
    }
    for await (const upload of listUnfinished(service, prefix)) {
        if (upload.key === key ? hasId || upload.shownAs === key : upload.shownAs === key) {
            await abortUpload(service, upload.key, upload.uploadId, signal);
        }
    }
}
