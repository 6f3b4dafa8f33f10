/** Writes a stream of chunks to a file in few large writes, one under way while the next is gathered. */
import type { FileHandle } from 'node:fs/promises';
import { isPooled } from './buffer-pool';
import { storageError } from './local-errors';

/**
 * Bytes gathered for one write, and while it is under way for the next. Larger batches cost hardly less CPU, and each
 * upload that runs holds two.
 */
const BATCH = 256 * 1024;

/**
 * Chunks below this are copied together: holding very many tiny ones would cost far more memory than they have
 * bytes. It also keeps a batch below the 1024 parts that a system takes at once.
 */
const WORTH_HOLDING = 8 * 1024;
const SLAB_SIZE = 64 * 1024;

/** Chunks gathered for one write. Large ones are held as they are, without copying. */
class Batch {
    readonly #parts: Uint8Array[] = [];
    #slab = Buffer.alloc(0);
    #sealed = 0;
    #filled = 0;
    size = 0;

    add(chunk: Uint8Array): void {
        this.size += chunk.length;
        if (chunk.length >= WORTH_HOLDING && !isPooled(chunk)) {
            this.#seal();
            this.#parts.push(chunk);
        } else {
            this.#copy(chunk);
        }
    }

    /** The bytes gathered, in order. */
    parts(): Uint8Array[] {
        this.#seal();
        return this.#parts;
    }

    #copy(chunk: Uint8Array): void {
        for (let taken = 0; taken < chunk.length;) {
            if (this.#filled === this.#slab.length) {
                this.#seal();
                this.#slab = Buffer.allocUnsafeSlow(SLAB_SIZE);
                this.#sealed = this.#filled = 0;
            }
            const piece = chunk.subarray(taken, taken + this.#slab.length - this.#filled);
            this.#slab.set(piece, this.#filled);
            this.#filled += piece.length;
            taken += piece.length;
        }
    }

    #seal(): void {
        if (this.#filled > this.#sealed) {
            this.#parts.push(this.#slab.subarray(this.#sealed, this.#filled));
            this.#sealed = this.#filled;
        }
    }
}

/** Drops the first `count` bytes of the parts. */
function withoutFirst(parts: Uint8Array[], count: number): Uint8Array[] {
    let skip = count;
    const rest: Uint8Array[] = [];
    for (const part of parts) {
        if (skip < part.length) {
            rest.push(part.subarray(skip));
        }
        skip = Math.max(0, skip - part.length);
    }
    return rest;
}

/** Appends to a new file. Memory stays at about two batches, whatever the size and the speed of either side. */
export class BatchWriter {
    readonly #handle: FileHandle;
    readonly #onFailure: () => void;
    #batch = new Batch();
    #flight: Promise<void> | undefined;
    #failure: Error | undefined;
    #stopped = false;
    #position = 0;

    /** @param onFailure is called when a write has failed; {@link check} then throws why */
    constructor(handle: FileHandle, onFailure: () => void) {
        this.#handle = handle;
        this.#onFailure = onFailure;
    }

    /** Takes a chunk. Gives a promise to wait for before the next one if the disk is behind. */
    write(chunk: Uint8Array): Promise<void> | undefined {
        this.#batch.add(chunk);
        if (this.#batch.size >= BATCH && this.#flight === undefined) {
            this.#launch();
        }
        return this.#batch.size >= BATCH ? this.#flight : undefined;
    }

    /** Throws if a write has failed. */
    check(): void {
        if (this.#failure !== undefined) {
            throw this.#failure;
        }
    }

    /** Waits until all is written. */
    async finish(): Promise<void> {
        await this.#landed();
        if (this.#batch.size > 0) {
            this.#launch();
            await this.#landed();
        }
    }

    /** Writes nothing more; waits for the write under way. */
    async stop(): Promise<void> {
        this.#stopped = true;
        await this.#flight;
    }

    async #landed(): Promise<void> {
        while (this.#flight !== undefined) {
            await this.#flight;
        }
        this.check();
    }

    /** Starts to write what is gathered. When that is done, the next batch follows if it is large enough. */
    #launch(): void {
        if (this.#stopped) {
            return;
        }
        const parts = this.#batch.parts();
        this.#batch = new Batch();
        this.#flight = this.#writeAll(parts).then(
            () => {
                this.#flight = undefined;
                if (this.#batch.size >= BATCH) {
                    this.#launch();
                }
            },
            (error: unknown) => {
                this.#flight = undefined;
                this.#stopped = true;
                this.#failure = storageError(error);
                this.#onFailure();
            },
        );
    }

    async #writeAll(parts: Uint8Array[]): Promise<void> {
        let rest = parts;
        while (rest.length > 0) {
            const { bytesWritten } = await this.#handle.writev(rest, this.#position);
            this.#position += bytesWritten;
            rest = withoutFirst(rest, bytesWritten);
        }
    }
}
