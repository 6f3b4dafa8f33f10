/** Sends the bytes of an upload to S3 while they come: one object at once, or in parts as soon as there is one. */
import {
    CompleteMultipartUploadCommand,
    CreateMultipartUploadCommand,
    HeadObjectCommand,
    PutObjectCommand,
    UploadPartCommand,
    type CompletedPart,
} from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { ApiError } from '../errors';
import type { Sink } from './intake';
import type { PartBuffers } from './part-buffers';
import { isRefusal } from './s3-errors';
import type { S3Service } from './s3-service';

/** Parts that an upload has in memory, those on their way included. */
const MOST_HELD = 3;

/** Most uploads are icons and manifests: they are not given the memory of a part at once. */
const FIRST_BUFFER = 64 * 1024;

/** Objects up to this size carry their MD5, for {@link MD5_KEY}. */
export const MOST_HASHED = 1024 * 1024;

/** The metadata of a small object that says the MD5 (hex) of its content. */
export const MD5_KEY = 'imgapi-md5';

export interface UploadTarget {
    /** Key in the bucket. */
    readonly key: string;
    readonly contentType: string | undefined;
    readonly signal: AbortSignal | undefined;
    /** Wakes who waits for the source, when sending has failed. */
    readonly onFailure: () => void;
}

export class S3Upload implements Sink {
    readonly #service: S3Service;
    readonly #buffers: PartBuffers;
    readonly #target: UploadTarget;
    readonly #stop = new AbortController();
    readonly #signal: AbortSignal;
    readonly #flights = new Set<Promise<void>>();
    readonly #parts: CompletedPart[] = [];
    /** The part that is being gathered. */
    #buffer: Buffer = Buffer.alloc(0);
    #filled = 0;
    /** Buffers of a whole part that this upload holds. */
    #held = 0;
    #size = 0;
    #uploadId: Promise<string> | undefined;
    #failure: Error | undefined;

    constructor(service: S3Service, buffers: PartBuffers, target: UploadTarget) {
        this.#service = service;
        this.#buffers = buffers;
        this.#target = target;
        this.#signal = target.signal
            ? AbortSignal.any([this.#stop.signal, target.signal])
            : this.#stop.signal;
    }

    /** Whether the server may have anything of it. */
    get hasBegun(): boolean {
        return this.#uploadId !== undefined || this.#parts.length > 0;
    }

    write(chunk: Uint8Array): Promise<void> | undefined {
        if (chunk.length <= this.#buffer.length - this.#filled) {
            this.#copy(chunk);
            return undefined;
        }
        return this.#writeOn(chunk);
    }

    check(): void {
        if (this.#failure !== undefined) {
            throw this.#failure;
        }
    }

    /** Waits until the object is there. */
    async finish(): Promise<void> {
        if (this.#uploadId === undefined) {
            await this.#putWhole();
            return;
        }
        if (this.#filled > 0) {
            this.#launch();
        }
        await Promise.all(this.#flights);
        this.check();
        await this.#complete(await this.#uploadId);
    }

    /** Sends nothing more; resolves when nothing is on its way any more. */
    async stop(): Promise<void> {
        this.#stop.abort(new Error('The upload was given up.'));
        await Promise.all(this.#flights);
        await this.#uploadId?.catch(() => undefined);
        this.#giveBack();
    }

    #copy(chunk: Uint8Array): void {
        this.#buffer.set(chunk, this.#filled);
        this.#filled += chunk.length;
        this.#size += chunk.length;
    }

    async #writeOn(chunk: Uint8Array): Promise<void> {
        for (let taken = 0; taken < chunk.length;) {
            if (this.#filled === this.#buffer.length) {
                await this.#makeRoom(chunk.length - taken);
            }
            const piece = chunk.subarray(taken, taken + this.#buffer.length - this.#filled);
            this.#copy(piece);
            taken += piece.length;
        }
    }

    /** The buffer is full, or there is none yet: makes it larger while it is not that of a whole part, or sends it. */
    async #makeRoom(wanted: number): Promise<void> {
        const whole = this.#buffers.size;
        if (this.#buffer.length < whole && this.#uploadId === undefined) {
            const size = Math.max(FIRST_BUFFER, 4 * this.#buffer.length, this.#filled + wanted);
            const larger = size < whole ? Buffer.allocUnsafeSlow(size) : this.#takeBuffer();
            larger.set(this.#buffer.subarray(0, this.#filled));
            this.#buffer = larger;
            return;
        }
        if (this.#filled === whole) {
            this.#launch();
        }
        while (this.#held === MOST_HELD || (this.#held > 0 && !this.#buffers.hasSpare)) {
            await Promise.race(this.#flights);
            this.check();
        }
        this.#buffer = this.#takeBuffer();
    }

    #takeBuffer(): Buffer {
        const buffer = this.#buffers.take(this.#held > 0);
        this.#held++;
        return buffer;
    }

    /** Sends what was gathered as the next part. */
    #launch(): void {
        const buffer = this.#buffer;
        const body = buffer.subarray(0, this.#filled);
        this.#buffer = Buffer.alloc(0);
        this.#filled = 0;
        this.#uploadId ??= this.#create();
        const part: CompletedPart = { PartNumber: this.#parts.length + 1, ETag: undefined };
        this.#parts.push(part);
        const flight = this.#send(part, body).then(
            () => {
                this.#flights.delete(flight);
                this.#held--;
                this.#buffers.give(buffer, this.#held > 0);
            },
            (error: unknown) => {
                this.#flights.delete(flight);
                this.#held--;
                // What is left of the request may still look at it.
                this.#buffers.drop(this.#held > 0);
                this.#failure ??=
                    error instanceof Error ? error : this.#service.failure(error, UploadPartCommand.name);
                this.#stop.abort(this.#failure);
                this.#target.onFailure();
            },
        );
        this.#flights.add(flight);
    }

    async #create(): Promise<string> {
        const { key, contentType } = this.#target;
        const { UploadId } = await this.#service.call(
            new CreateMultipartUploadCommand({
                Bucket: this.#service.bucket,
                Key: key,
                ContentType: contentType,
            }),
            { signal: this.#signal },
        );
        if (UploadId === undefined) {
            throw new ApiError('StorageIsDown', 'The object store did not say how it calls the upload.');
        }
        return UploadId;
    }

    async #send(part: CompletedPart, body: Buffer): Promise<void> {
        const { ETag } = await this.#service.call(
            new UploadPartCommand({
                Bucket: this.#service.bucket,
                Key: this.#target.key,
                UploadId: await this.#uploadId,
                PartNumber: part.PartNumber,
                Body: body,
            }),
            { signal: this.#signal, patient: true },
        );
        part.ETag = ETag;
    }

    async #putWhole(): Promise<void> {
        const { key, contentType } = this.#target;
        const body = this.#buffer.subarray(0, this.#filled);
        // Marks it as begun: whether it has arrived may never be known.
        this.#parts.push({ PartNumber: 1 });
        await this.#service.call(
            new PutObjectCommand({
                Bucket: this.#service.bucket,
                Key: key,
                Body: body,
                ContentType: contentType,
                ...(body.length <= MOST_HASHED && {
                    Metadata: { [MD5_KEY]: createHash('md5').update(body).digest('hex') },
                }),
            }),
            { signal: this.#signal },
        );
        this.#giveBack();
    }

    async #complete(uploadId: string): Promise<void> {
        await completeUpload(
            this.#service,
            this.#target.key,
            uploadId,
            this.#parts,
            this.#size,
            this.#signal,
        );
    }

    #giveBack(): void {
        if (this.#held > 0) {
            this.#held--;
            this.#buffers.give(this.#buffer, this.#held > 0);
        }
        this.#buffer = Buffer.alloc(0);
        this.#filled = 0;
    }
}

/**
 * Makes the parts an object. If the answer to that is lost, it says the next time that there is no such upload: then
 * the object tells whether it is done.
 *
 * @param former etag of the object that is to be replaced
 */
export async function completeUpload(
    service: S3Service,
    key: string,
    uploadId: string,
    parts: CompletedPart[],
    size: number,
    signal?: AbortSignal,
    former?: string,
): Promise<void> {
    const object = { Bucket: service.bucket, Key: key };
    try {
        await service.call(
            new CompleteMultipartUploadCommand({
                ...object,
                UploadId: uploadId,
                MultipartUpload: { Parts: parts },
            }),
            { signal, patient: true },
        );
    } catch (error) {
        if (!isRefusal(error, 'NoSuchUpload')) {
            throw error;
        }
        const { ContentLength, ETag } = await service.call(new HeadObjectCommand(object), {
            signal,
            bodiless: true,
        });
        if (ContentLength !== size || ETag === former) {
            throw error;
        }
    }
}
