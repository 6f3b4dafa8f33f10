/** Takes the bytes of an upload to where a driver stores them, and holds them to what was announced. */
import { createHash } from 'node:crypto';
import { ApiError } from '../errors';
import type { StageOptions } from './driver';

/** Where the bytes go. */
export interface Sink {
    /** Takes a chunk. Gives a promise to wait for before the next one if it is behind. */
    write(chunk: Uint8Array): Promise<void> | undefined;
    /** Throws if it has failed. It then wakes the intake, which may be waiting for a source that hangs. */
    check(): void;
}

/** What came; the MD5 (base64) if it was asked for or had to be checked. */
export interface Taken {
    readonly size: number;
    readonly contentMD5: string | undefined;
}

function wrongSize(expected: number, received: number, complete: boolean): ApiError {
    return new ApiError(
        'Download',
        `The file was to have ${expected} bytes but ${received} ${complete ? 'came' : 'or more came'}.`,
    );
}

/** One upload on its way from its source to a sink. */
export class Intake {
    #ring: (() => void) | undefined;

    /** Ends the wait for the source: the signal is aborted, or the sink has failed. */
    readonly wake = (): void => this.#ring?.();

    /**
     * Takes all bytes of the source to the sink. What the sink does with them need not be done when this ends.
     *
     * @param hashed whether the MD5 is wanted although none was announced
     * @throws the source's own error, the signal's reason, what the sink throws, and Download if size or MD5 are not
     *   the ones announced; of a size that is announced no byte more is taken. The source is closed in every case.
     */
    async run(
        source: AsyncIterable<Uint8Array>,
        sink: Sink,
        { size: expected, contentMD5, signal }: StageOptions,
        hashed = false,
    ): Promise<Taken> {
        signal?.throwIfAborted();
        const md5 = hashed || contentMD5 !== undefined ? createHash('md5') : undefined;
        const chunks = source[Symbol.asyncIterator]();
        let size = 0;
        signal?.addEventListener('abort', this.wake, { once: true });
        try {
            for (;;) {
                // It may have been woken while it did not sleep.
                signal?.throwIfAborted();
                sink.check();
                const step = await this.#unlessWoken(chunks.next());
                signal?.throwIfAborted();
                sink.check();
                if (step === undefined) {
                    throw new Error('The wait for an upload ended without a reason.');
                }
                if (step.done === true) {
                    break;
                }
                const chunk = step.value;
                size += chunk.length;
                if (expected !== undefined && size > expected) {
                    throw wrongSize(expected, size, false);
                }
                md5?.update(chunk);
                await sink.write(chunk);
            }
        } catch (error) {
            // Not awaited: a source that hangs would keep the failure from being told. What it has to say about being
            // closed changes nothing any more.
            chunks.return?.().catch(() => undefined);
            throw error;
        } finally {
            signal?.removeEventListener('abort', this.wake);
        }
        if (expected !== undefined && size !== expected) {
            throw wrongSize(expected, size, true);
        }
        const received = md5?.digest('base64');
        if (contentMD5 !== undefined && received !== contentMD5) {
            throw new ApiError(
                'Download',
                `The file was to have the Content-MD5 "${contentMD5}" but the bytes that came have "${received ?? ''}".`,
            );
        }
        return { size, contentMD5: received };
    }

    /** What the promise gives; undefined if woken before. There is no listener for every chunk. */
    #unlessWoken<T>(promise: Promise<T>): Promise<T | undefined> {
        return new Promise((resolve, reject) => {
            this.#ring = () => resolve(undefined);
            promise.then(resolve, reject);
        });
    }
}
