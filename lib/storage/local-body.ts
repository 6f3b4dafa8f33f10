/** The bytes of a local object, read ahead of their consumer. */
import type { FileHandle } from 'node:fs/promises';
import { ApiError } from '../errors';
import { giveBuffer, takeBuffer } from './buffer-pool';
import { storageError } from './local-errors';

interface Filled {
    readonly buffer: Buffer;
    readonly chunk: Buffer;
}

/**
 * Reads `length` bytes from `start` on, out of two pooled buffers: while the consumer has the one, the other is
 * filled. Owns the handle, and closes it when the bytes are through, the iteration is ended early, or the signal
 * aborts, even if the iteration never began.
 */
export class FileBody implements AsyncIterableIterator<Buffer> {
    readonly #handle: FileHandle;
    readonly #signal: AbortSignal | undefined;
    readonly #onAbort = (): void => void this.#end();
    #position: number;
    /** Bytes not read from the file yet. */
    #left: number;
    /** The buffer whose chunk the consumer has. */
    #lent: Buffer | undefined;
    /** A buffer the consumer is done with. */
    #spare: Buffer | undefined;
    #ahead: Promise<Filled> | undefined;
    #ended: Promise<void> | undefined;

    constructor(handle: FileHandle, start: number, length: number, signal?: AbortSignal) {
        this.#handle = handle;
        this.#position = start;
        this.#left = length;
        this.#signal = signal;
        signal?.addEventListener('abort', this.#onAbort, { once: true });
        if (signal?.aborted) {
            this.#onAbort();
        }
    }

    [Symbol.asyncIterator](): this {
        return this;
    }

    async next(): Promise<IteratorResult<Buffer, undefined>> {
        this.#signal?.throwIfAborted();
        this.#recycle();
        if (this.#ended === undefined && (this.#ahead !== undefined || this.#left > 0)) {
            const filled = await this.#fetch();
            this.#signal?.throwIfAborted();
            if (!this.#hasEnded()) {
                this.#lent = filled.buffer;
                this.#ahead = this.#left > 0 ? this.#fill() : undefined;
                return { done: false, value: filled.chunk };
            }
        }
        await this.#end();
        return { done: true, value: undefined };
    }

    async return(): Promise<IteratorResult<Buffer, undefined>> {
        await this.#end();
        return { done: true, value: undefined };
    }

    /** The consumer asks for the next chunk, so the memory of the last one is free. */
    #recycle(): void {
        if (this.#lent !== undefined && this.#spare !== undefined) {
            giveBuffer(this.#spare);
        }
        this.#spare = this.#lent ?? this.#spare;
        this.#lent = undefined;
    }

    async #fetch(): Promise<Filled> {
        try {
            this.#ahead ??= this.#fill();
            return await this.#ahead;
        } catch (error) {
            this.#ahead = undefined;
            await this.#end();
            throw storageError(error);
        }
    }

    #fill(): Promise<Filled> {
        const buffer = this.#spare ?? takeBuffer();
        this.#spare = undefined;
        const filling = this.#readInto(buffer);
        // A failure is met where the chunk is asked for; if it never is, nobody needs to know.
        filling.catch(() => undefined);
        return filling;
    }

    async #readInto(buffer: Buffer): Promise<Filled> {
        const length = Math.min(buffer.length, this.#left);
        const { bytesRead } = await this.#handle.read(buffer, 0, length, this.#position);
        if (bytesRead === 0) {
            throw new ApiError(
                'StorageIsDown',
                'A file of the local storage is shorter than it was when opened.',
            );
        }
        this.#position += bytesRead;
        this.#left -= bytesRead;
        return { buffer, chunk: buffer.subarray(0, bytesRead) };
    }

    #hasEnded(): boolean {
        return this.#ended !== undefined;
    }

    #end(): Promise<void> {
        this.#ended ??= this.#release();
        return this.#ended;
    }

    async #release(): Promise<void> {
        this.#signal?.removeEventListener('abort', this.#onAbort);
        if (this.#spare !== undefined) {
            giveBuffer(this.#spare);
            this.#spare = undefined;
        }
        // A chunk that is out when the iteration is cut short may still be on its way to a socket: its buffer is
        // left to the garbage collector.
        this.#lent = undefined;
        const ahead = this.#ahead;
        this.#ahead = undefined;
        await ahead?.then(
            ({ buffer }) => giveBuffer(buffer),
            () => undefined,
        );
        // Closing a file that was only read cannot lose anything.
        await this.#handle.close().catch(() => undefined);
    }
}
