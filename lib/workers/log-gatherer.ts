import type { Readable } from 'node:stream';
import type { LogSink } from '../log';

const NEWLINE = 0x0a;

/** Characters that may wait in the parent for whoever reads its log, before it stops reading from the worker. */
const MOST_WAITING = 1 << 20;

/** ms between looks at whether they have gone. */
const LOOK = 20;

/**
 * Puts the log of a worker into that of its parent: whole lines, so that those of several workers do not mix.
 *
 * If nobody takes the parent's log the worker's is left in its pipe, until the worker has to wait as well. What a worker
 * that was killed has written of its last line becomes a line of its own.
 */
export function gatherLog(from: Readable, sink: LogSink): void {
    let begun: Buffer[] = [];
    from.on('data', (chunk: Buffer) => {
        const end = chunk.lastIndexOf(NEWLINE);
        if (end === -1) {
            begun.push(chunk);
            return;
        }
        sink.writeLine(Buffer.concat([...begun, chunk.subarray(0, end)]).toString());
        begun = end + 1 < chunk.length ? [chunk.subarray(end + 1)] : [];
        if (sink.waiting > MOST_WAITING) {
            from.pause();
            const timer = setInterval(() => {
                if (sink.waiting === 0) {
                    clearInterval(timer);
                    from.resume();
                }
            }, LOOK);
        }
    });
    from.once('end', () => {
        if (begun.length > 0) {
            sink.writeLine(Buffer.concat(begun).toString());
        }
    });
}
