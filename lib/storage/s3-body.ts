/** The bytes of an object in S3, from as many requests as it takes. */
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../errors';
import { giveBuffer, takeBuffer } from './buffer-pool';
import { mayPass, S3Refusal } from './s3-errors';
import type { S3Service } from './s3-service';

/** Least bytes of a chunk, but the last. */
const CHUNK = 256 * 1024;

/** An answer that brings this much has done its part: the next that breaks is forgiven like the first. */
const PROGRESS = 1024 * 1024;

/** What is read, as the first answer told it. */
export interface ReadObject {
    /** Key in the bucket. */
    readonly key: string;
    /** As S3 writes it, with its quotes. */
    readonly etag: string | undefined;
    /** First byte, and the one after the last. */
    readonly start: number;
    readonly end: number;
    /** MD5 (hex) of these bytes, where it is known. They fit into one buffer then. */
    readonly md5: string | undefined;
    readonly signal: AbortSignal | undefined;
}

/**
 * The body of a read. An answer that breaks is followed by a request for the rest of the same object, a few times
 * without much progress; then, or if the object is no longer the same, the iteration ends with StorageIsDown.
 */
export class S3Body implements AsyncIterableIterator<Buffer> {
    readonly #service: S3Service;
    readonly #object: ReadObject;
    /** Pauses before the next tries, until there is progress. */
    #pauses: number[];
    #stream: Readable | undefined;
    #chunks: AsyncIterator<Buffer> | undefined;
    /** What came with the last of the stream's chunks and did not fit any more. */
    #rest: Buffer | undefined;
    #position: number;
    /** Where the answer began that is being read. */
    #began: number;
    /** Taken from the pool; the consumer has the chunk in it until it asks for the next. */
    #buffer: Buffer | undefined;
    #ended = false;
    readonly #onAbort = (): void => this.#end();
    /** Armed while a chunk is awaited. */
    readonly #silence: NodeJS.Timeout;
    #awaiting = false;

    constructor(service: S3Service, object: ReadObject, first: GetObjectCommandOutput) {
        this.#service = service;
        this.#object = object;
        this.#pauses = [...service.pauses];
        this.#position = this.#began = object.start;
        this.#silence = setTimeout(() => {
            if (this.#awaiting) {
                this.#stream?.destroy(new Error('No byte has come for too long.'));
            }
        }, service.idleTimeout);
        this.#silence.unref();
        this.#take(first);
        object.signal?.addEventListener('abort', this.#onAbort, { once: true });
        if (object.signal?.aborted === true) {
            this.#end();
        }
    }

    [Symbol.asyncIterator](): this {
        return this;
    }

    async next(): Promise<IteratorResult<Buffer, undefined>> {
        const { signal, end, md5 } = this.#object;
        signal?.throwIfAborted();
        if (this.#ended || this.#position === end) {
            this.#release();
            return { done: true, value: undefined };
        }
        try {
            const from = this.#position;
            const chunk = await this.#gather(md5 === undefined ? CHUNK : end - from);
            signal?.throwIfAborted();
            if (md5 !== undefined && createHash('md5').update(chunk).digest('hex') !== md5) {
                this.#position = from;
                await this.#resume(new Error('The bytes that came have another MD5.'));
                return await this.next();
            }
            return { done: false, value: chunk };
        } catch (error) {
            this.#release();
            signal?.throwIfAborted();
            throw error;
        }
    }

    async return(): Promise<IteratorResult<Buffer, undefined>> {
        // The last chunk may still be on its way to a socket: its buffer is left to the garbage collector.
        this.#end();
        return { done: true, value: undefined };
    }

    /** Reads on until there are this many bytes, or all. */
    async #gather(least: number): Promise<Buffer> {
        const buffer = (this.#buffer ??= takeBuffer());
        let filled = 0;
        while (filled < least && this.#position < this.#object.end) {
            const piece = await this.#piece(buffer.length - filled);
            buffer.set(piece, filled);
            filled += piece.length;
            this.#position += piece.length;
        }
        if (this.#position === this.#object.end) {
            // Sees the answer end, so that its connection can be used again.
            this.#chunks?.next().catch(() => undefined);
        }
        return buffer.subarray(0, filled);
    }

    /** The next bytes, at most so many. */
    async #piece(most: number): Promise<Buffer> {
        const chunk = this.#rest ?? (await this.#nextChunk());
        const piece = chunk.subarray(0, Math.min(most, this.#object.end - this.#position));
        this.#rest = piece.length < chunk.length ? chunk.subarray(piece.length) : undefined;
        return piece;
    }

    async #nextChunk(): Promise<Buffer> {
        for (;;) {
            try {
                this.#awaiting = true;
                this.#silence.refresh();
                const step = await this.#chunks?.next();
                if (step !== undefined && step.done !== true) {
                    return step.value;
                }
                throw new Error('The answer has ended too early.');
            } catch (error) {
                this.#object.signal?.throwIfAborted();
                await this.#resume(error);
            } finally {
                this.#awaiting = false;
            }
        }
    }

    /** Asks for the rest, after an answer broke; again, if that fails and may pass. */
    async #resume(broken: unknown): Promise<void> {
        this.#stream?.destroy();
        this.#rest = undefined;
        if (this.#position - this.#began >= PROGRESS) {
            this.#pauses = [...this.#service.pauses];
        }
        this.#began = this.#position;
        for (let reason = broken; ;) {
            const { signal } = this.#object;
            const pause = mayPass(reason) ? this.#pauses.shift() : undefined;
            if (pause === undefined) {
                throw this.#service.failure(reason, GetObjectCommand.name);
            }
            await sleep(pause, undefined, { ...(signal && { signal }) }).catch(() => undefined);
            signal?.throwIfAborted();
            try {
                await this.#askForRest();
                return;
            } catch (error) {
                signal?.throwIfAborted();
                if (error instanceof S3Refusal) {
                    throw new ApiError(
                        'StorageIsDown',
                        'An object was replaced or deleted while it was read.',
                        { cause: error },
                    );
                }
                // What S3 said is in the cause of what is for clients.
                reason = error instanceof ApiError ? error.cause : error;
            }
        }
    }

    async #askForRest(): Promise<void> {
        const { key, etag, end, signal } = this.#object;
        const range = `${this.#position}-${end - 1}`;
        const answer = await this.#service.open(
            new GetObjectCommand({
                Bucket: this.#service.bucket,
                Key: key,
                Range: `bytes=${range}`,
                IfMatch: etag,
            }),
            { signal },
        );
        this.#take(answer);
        if (answer.ETag !== etag || answer.ContentRange?.startsWith(`bytes ${range}/`) !== true) {
            this.#stream?.destroy();
            throw new Error('The answer is not about the rest of the same object.');
        }
    }

    #take({ Body }: GetObjectCommandOutput): void {
        this.#stream = Body as Readable;
        this.#stream.on('error', () => undefined);
        this.#chunks = this.#stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
        if (this.#ended) {
            this.#stream.destroy();
        }
    }

    /** Reads nothing more. */
    #end(): void {
        this.#ended = true;
        clearTimeout(this.#silence);
        this.#object.signal?.removeEventListener('abort', this.#onAbort);
        if (this.#position < this.#object.end || this.#rest !== undefined) {
            this.#stream?.destroy();
        }
    }

    /** Ends when the consumer has asked for a further chunk, so that it is done with the last. */
    #release(): void {
        this.#end();
        if (this.#buffer !== undefined) {
            giveBuffer(this.#buffer);
            this.#buffer = undefined;
        }
    }
}
