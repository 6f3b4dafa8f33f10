/** Copies of objects that S3 makes itself. */
import {
    CopyObjectCommand,
    CreateMultipartUploadCommand,
    UploadPartCopyCommand,
    type CompletedPart,
} from '@aws-sdk/client-s3';
import { ApiError } from '../errors';
import type { S3Service } from './s3-service';
import { abortUpload } from './s3-unfinished';
import { completeUpload } from './s3-upload';

/** Above this an object is copied in parts: a request for more than 5 GiB is refused, and large ones take long. */
export const MOST_AT_ONCE = 256 * 1024 * 1024;
const PART = 128 * 1024 * 1024;

/** Parts copied at once. */
const FLIGHTS = 4;

/** An object as S3 describes it. */
export interface CopySource {
    /** Key in the bucket. */
    readonly key: string;
    readonly size: number;
    /** As S3 writes it, with its quotes. */
    readonly etag: string | undefined;
    readonly contentType: string | undefined;
}

/** Sizes other than {@link MOST_AT_ONCE} and that of a part. */
export interface CopySizes {
    readonly mostAtOnce: number;
    readonly part: number;
}

export interface CopyOptions extends Partial<CopySizes> {
    /** Etag of the object that is replaced, if there is one. */
    readonly former: string | undefined;
    readonly signal?: AbortSignal | undefined;
}

/** @throws S3Refusal NoSuchKey or PreconditionFailed if the source is no longer what it was */
export async function copyObject(
    service: S3Service,
    source: CopySource,
    to: string,
    { former, mostAtOnce = MOST_AT_ONCE, part = PART, signal }: CopyOptions,
): Promise<void> {
    const from = {
        Bucket: service.bucket,
        Key: to,
        // Keys have letters, digits and ._-/ only.
        CopySource: `${service.bucket}/${source.key}`,
        CopySourceIfMatch: source.etag,
    };
    if (source.size <= mostAtOnce) {
        await service.call(new CopyObjectCommand(from), { signal });
        return;
    }
    const { UploadId: uploadId } = await service.call(
        new CreateMultipartUploadCommand({
            Bucket: service.bucket,
            Key: to,
            ContentType: source.contentType,
        }),
    );
    if (uploadId === undefined) {
        throw new ApiError('StorageIsDown', 'The object store did not say how it calls the upload.');
    }
    const stop = new AbortController();
    try {
        const parts = await copyParts(
            service,
            { ...from, UploadId: uploadId },
            source.size,
            part,
            signal ? AbortSignal.any([stop.signal, signal]) : stop.signal,
        );
        await completeUpload(service, to, uploadId, parts, source.size, undefined, former);
    } catch (error) {
        stop.abort(error);
        // What it keeps from being removed here is left to the sweep. The first failure is the one to tell.
        await abortUpload(service, to, uploadId).catch(() => undefined);
        throw error;
    }
}

async function copyParts(
    service: S3Service,
    from: {
        Bucket: string;
        Key: string;
        CopySource: string;
        CopySourceIfMatch: string | undefined;
        UploadId: string;
    },
    size: number,
    partSize: number,
    signal: AbortSignal,
): Promise<CompletedPart[]> {
    const parts: CompletedPart[] = [];
    const count = Math.ceil(size / partSize);
    let next = 0;
    const work = async (): Promise<void> => {
        while (next < count) {
            const index = next++;
            const start = index * partSize;
            const { CopyPartResult } = await service.call(
                new UploadPartCopyCommand({
                    ...from,
                    PartNumber: index + 1,
                    CopySourceRange: `bytes=${start}-${Math.min(start + partSize, size) - 1}`,
                }),
                { signal, patient: true },
            );
            parts[index] = { PartNumber: index + 1, ETag: CopyPartResult?.ETag };
        }
    };
    await Promise.all(Array.from({ length: FLIGHTS }, work));
    return parts;
}
