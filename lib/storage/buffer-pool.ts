/** Memory for reading objects, used again and again, so that a download allocates nothing once the server is warm. */

/** Large enough for the cost of a call to vanish beside that of its bytes: half of it costs a fifth more CPU. */
const BUFFER_SIZE = 1024 * 1024;

/** Most buffers kept while nobody reads: 16 MiB. */
const MOST_IDLE = 16;

const idle: Buffer[] = [];
const lent = new WeakSet<ArrayBufferLike>();

/** A buffer with arbitrary content, for the caller alone until it gives it back. */
export function takeBuffer(): Buffer {
    const kept = idle.pop();
    if (kept !== undefined) {
        return kept;
    }
    const made = Buffer.allocUnsafeSlow(BUFFER_SIZE);
    lent.add(made.buffer);
    return made;
}

/** Gives a buffer back; nobody may look at it any more. One that someone may still look at is dropped instead. */
export function giveBuffer(buffer: Buffer): void {
    if (idle.length < MOST_IDLE) {
        idle.push(buffer);
    }
}

/** Whether the chunk's memory is from here, and so will be used again: keep a copy of it, never the chunk. */
export function isPooled(chunk: Uint8Array): boolean {
    return lent.has(chunk.buffer);
}
