/** Takes an upload's bytes into a file. */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { ApiError } from '../errors';
import type { StageOptions } from './driver';
import { BatchWriter } from './local-writer';

/** Ends the wait for a source that may never give another chunk, without a listener for every chunk. */
class Alarm {
    #wake: (() => void) | undefined;

    readonly ring = (): void => this.#wake?.();

    /** What the promise gives; undefined if the alarm rings before. */
    hear<T>(promise: Promise<T>): Promise<T | undefined> {
        return new Promise((resolve, reject) => {
            this.#wake = () => resolve(undefined);
            promise.then(resolve, reject);
        });
    }
}

function wrongSize(expected: number, received: number, complete: boolean): ApiError {
    return new ApiError(
        'Download',
        `The file was to have ${expected} bytes but ${received} ${complete ? 'came' : 'or more came'}.`,
    );
}

/**
 * Writes all bytes of the source to the empty file and makes them durable; gives how many there were. The handle
 * stays open, and nothing uses it any more when this ends.
 *
 * @throws the source's own error, the signal's reason, Download if size or MD5 are not the ones announced,
 * InsufficientStorage, StorageIsDown. The source is closed in every case.
 */
export async function receive(
    handle: FileHandle,
    source: AsyncIterable<Uint8Array>,
    { size: expected, contentMD5, signal }: StageOptions,
): Promise<number> {
    signal?.throwIfAborted();
    const md5 = contentMD5 === undefined ? undefined : createHash('md5');
    const alarm = new Alarm();
    const writer = new BatchWriter(handle, alarm.ring);
    signal?.addEventListener('abort', alarm.ring, { once: true });
    const chunks = source[Symbol.asyncIterator]();
    let size = 0;
    try {
        for (;;) {
            // The alarm may have rung while nobody listened.
            signal?.throwIfAborted();
            const step = await alarm.hear(chunks.next());
            signal?.throwIfAborted();
            writer.check();
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
            await writer.write(chunk);
        }
        await writer.finish();
        signal?.throwIfAborted();
    } catch (error) {
        // Not awaited: a source that hangs would keep the failure from being told. What it has to say about being
        // closed changes nothing any more.
        chunks.return?.().catch(() => undefined);
        await writer.stop();
        throw error;
    } finally {
        signal?.removeEventListener('abort', alarm.ring);
    }
    if (expected !== undefined && size !== expected) {
        throw wrongSize(expected, size, true);
    }
    const received = md5?.digest('base64');
    if (received !== contentMD5) {
        throw new ApiError(
            'Download',
            `The file was to have the Content-MD5 "${contentMD5 ?? ''}" but the bytes that came have "${received ?? ''}".`,
        );
    }
    return size;
}
