/** Copies of images at keys outside of what the storage keeps for this server (manta.md §8). */
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { ApiError } from '../errors';
import { ExportRefused, type ExportCopyOptions, type ExportOptions, type StorageExports } from './driver';
import { copyObject, type CopySizes, type CopySource } from './s3-copy';
import { isRefusal } from './s3-errors';
import type { S3Service } from './s3-service';
import { abortUpload, listUnfinished } from './s3-unfinished';

/** S3 takes no longer key, in bytes. */
const LONGEST_KEY = 1024;

/** Whoever began a copy that long ago does not end it any more, in ms. */
const STALE_AFTER = 24 * 3_600_000;

export interface S3ExportsOptions {
    readonly service: S3Service;
    /** What all keys of exports begin with: ends in `/`. */
    readonly root: string;
    /** What the keys of the storage's own objects begin with. */
    readonly objects: string;
    /** What is under a key of the bucket; undefined if there is nothing. */
    readonly find: (key: string) => Promise<CopySource | undefined>;
    readonly sizes: CopySizes | undefined;
    /** ms since the epoch. */
    readonly now: () => number;
}

export class S3Exports implements StorageExports {
    constructor(private readonly options: S3ExportsOptions) {}

    async isFolder(path: string): Promise<boolean> {
        return path.endsWith('/');
    }

    async exportBytes(path: string, bytes: Buffer, { contentType, signal }: ExportOptions): Promise<void> {
        const { service } = this.options;
        const command = new PutObjectCommand({
            Bucket: service.bucket,
            Key: this.#key(path),
            Body: bytes,
            ContentType: contentType,
            ContentMD5: createHash('md5').update(bytes).digest('base64'),
        });
        await service.call(command, { signal });
    }

    async exportObject(key: string, path: string, options: ExportCopyOptions): Promise<boolean> {
        const { service, objects, find, sizes } = this.options;
        const { size, contentType, signal } = options;
        const to = this.#key(path);
        const source = await find(objects + key);
        if (source === undefined) {
            return false;
        }
        if (source.size !== size) {
            throw new ApiError('Download', `The object has ${source.size} bytes instead of ${size}.`);
        }
        await this.#endStale(signal);
        const former = (await find(to))?.etag;
        try {
            await copyObject(service, { ...source, contentType }, to, { former, ...sizes, signal });
        } catch (error) {
            // S3 says so of the source: it is gone, or is not what it was.
            if (isRefusal(error, 'NoSuchKey') || isRefusal(error, 'PreconditionFailed')) {
                return false;
            }
            throw error;
        }
        return true;
    }

    #key(path: string): string {
        const key = this.options.root + path;
        if (Buffer.byteLength(key) > LONGEST_KEY) {
            throw new ExportRefused(
                `The name "${path}" is too long: with what stands before it, it has more than ${LONGEST_KEY} bytes.`,
            );
        }
        return key;
    }

    /** Ends copies that crashed processes left unfinished: S3 keeps their bytes for ever, and nobody sees them. */
    async #endStale(signal: AbortSignal | undefined): Promise<void> {
        const { service, root, now } = this.options;
        for await (const { key, uploadId, begun } of listUnfinished(service, root)) {
            if (begun.getTime() <= now() - STALE_AFTER) {
                await abortUpload(service, key, uploadId, signal);
            }
        }
    }
}
