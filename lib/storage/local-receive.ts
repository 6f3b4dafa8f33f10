/** Takes an upload's bytes into a file. */
import type { FileHandle } from 'node:fs/promises';
import type { StageOptions } from './driver';
import { Intake } from './intake';
import { BatchWriter } from './local-writer';

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
    options: StageOptions,
): Promise<number> {
    const intake = new Intake();
    const writer = new BatchWriter(handle, intake.wake);
    try {
        const { size } = await intake.run(source, writer, options);
        await writer.finish();
        options.signal?.throwIfAborted();
        return size;
    } catch (error) {
        await writer.stop();
        throw error;
    }
}
