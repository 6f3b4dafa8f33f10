/** The bytes of an object of Manta, whatever happens to the connections they come over. */
import { createHash, type Hash } from 'node:crypto';
import { giveBuffer, takeBuffer } from './buffer-pool';
import { DamagedObject } from './driver';
import type { MantaAnswer, MantaClient } from './manta-client';
import { MantaFailure, storageError } from './manta-failure';

/** Bytes that are gathered for a chunk, unless fewer are left. */
const CHUNK = 256 * 1024;
/** How often a broken download goes on without getting ahead in between. */
const MOST_RESUMED = 3;
/** What counts as getting ahead, in bytes. */
const PROGRESS = 64 * 1024;

export interface MantaBodyOptions {
    client: MantaClient;
    /** The answer that brings the first bytes. */
    answer: MantaAnswer;
    /** First byte, and how many. */
    start: number;
    length: number;
    /** MD5 (base64) of all the bytes, if it is known. */
    contentMD5: string | undefined;
    signal: AbortSignal | undefined;
    /** Asks for the rest from a byte on, of the same object. */
    reopen: (start: number) => Promise<MantaAnswer>;
    /** Is told of each break. */
    onBreak: (failure: MantaFailure, received: number) => void;
}

/**
 * A download. When its connection breaks it asks for the rest. The last chunk is given only if all bytes together have
 * the MD5 that Manta stores, so that a damaged object never looks complete.
 */
export class MantaBody implements AsyncIterableIterator<Buffer> {
    readonly #options: MantaBodyOptions;
    readonly #hash: Hash | undefined;
    #answer: MantaAnswer | undefined;
    #pieces: AsyncIterator<Buffer> | undefined;
    /** What of a piece did not fit into the last chunk. */
    #rest: Buffer | undefined;
    /** Bytes received, and given in chunks. */
    #received = 0;
    #given = 0;
    #breaks = 0;
    /** Bytes received when the connection last broke without effect. */
    #brokenAt = 0;
    #buffer: Buffer | undefined;
    #ended = false;
    readonly #onAbort = (): void => this.#answer?.exchange.destroy();

    constructor(options: MantaBodyOptions) {
        this.#options = options;
        this.#answer = options.answer;
        this.#hash = options.contentMD5 === undefined ? undefined : createHash('md5');
        // The exchange itself ends with the signal; one that is opened again must do so as well.
        options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    }

    [Symbol.asyncIterator](): this {
        return this;
    }

    async next(): Promise<IteratorResult<Buffer, undefined>> {
        const { signal, length } = this.#options;
        signal?.throwIfAborted();
        if (this.#ended || this.#given === length) {
            await this.#finish();
            return { done: true, value: undefined };
        }
        try {
            const chunk = await this.#fill();
            this.#given += chunk.length;
            this.#verify(chunk);
            return { done: false, value: chunk };
        } catch (error) {
            this.#end();
            signal?.throwIfAborted();
            throw storageError(error);
        }
    }

    async return(): Promise<IteratorResult<Buffer, undefined>> {
        this.#end();
        return { done: true, value: undefined };
    }

    /** The next chunk, in the memory of the last one. */
    async #fill(): Promise<Buffer> {
        const buffer = (this.#buffer ??= takeBuffer());
        const wanted = Math.min(CHUNK, this.#options.length - this.#given);
        let filled = 0;
        while (filled < wanted) {
            const piece = this.#rest ?? (await this.#nextPiece());
            const copied = piece.copy(buffer, filled, 0, Math.min(piece.length, buffer.length - filled));
            this.#rest = copied < piece.length ? piece.subarray(copied) : undefined;
            filled += copied;
        }
        return buffer.subarray(0, filled);
    }

    async #nextPiece(): Promise<Buffer> {
        for (;;) {
            try {
                this.#answer ??= await this.#options.reopen(this.#options.start + this.#received);
                const { exchange, message } = this.#answer;
                this.#pieces ??= exchange.pieces(message);
                const step = await this.#pieces.next();
                if (step.done === true) {
                    throw new MantaFailure('Manta sent less of an object than it has.');
                }
                this.#received += step.value.length;
                if (this.#received > this.#options.length) {
                    throw new MantaFailure('Manta sent more of an object than was asked for.', {
                        status: 200,
                    });
                }
                return step.value;
            } catch (error) {
                await this.#survive(error);
            }
        }
    }

    /** Makes ready to go on after a break. @throws the error if it is no use */
    async #survive(error: unknown): Promise<void> {
        const { client, signal, onBreak } = this.#options;
        signal?.throwIfAborted();
        // One that could not be opened was tried often enough.
        const { exchange } = this.#answer ?? {};
        if (!(error instanceof MantaFailure) || !error.passing || exchange === undefined) {
            throw error;
        }
        onBreak(error, this.#received);
        exchange.destroy();
        this.#answer = undefined;
        this.#pieces = undefined;
        if (this.#received - this.#brokenAt >= PROGRESS) {
            this.#breaks = 0;
            this.#brokenAt = this.#received;
        }
        if (++this.#breaks > MOST_RESUMED) {
            throw error;
        }
        await client.pause(this.#breaks, signal);
    }

    #verify(chunk: Buffer): void {
        const { contentMD5, length } = this.#options;
        this.#hash?.update(chunk);
        if (this.#given === length && this.#hash !== undefined) {
            const received = this.#hash.digest('base64');
            if (received !== contentMD5) {
                throw new DamagedObject(
                    `Manta sent other bytes than it has stored: their MD5 is ${received} instead of ${contentMD5 ?? ''}.`,
                );
            }
        }
    }

    /** After the last byte: takes the end of the answer, so that its connection can be used again. */
    async #finish(): Promise<void> {
        if (this.#ended) {
            return;
        }
        if (this.#answer !== undefined) {
            const { exchange, message } = this.#answer;
            // All that was wanted is here: how the answer ends makes no difference.
            await (this.#pieces ?? exchange.pieces(message)).next().catch(() => undefined);
        }
        if (this.#buffer !== undefined) {
            giveBuffer(this.#buffer);
        }
        this.#end();
    }

    /**
     * A chunk that is out when the iteration is cut short may still be on its way to a socket: its buffer is left to the
     * garbage collector.
     */
    #end(): void {
        this.#ended = true;
        this.#buffer = undefined;
        this.#options.signal?.removeEventListener('abort', this.#onAbort);
        this.#answer?.exchange.destroy();
    }
}
