import { once } from 'node:events';

/** What the iterable gives, or the signal's reason as soon as it is aborted, whatever is being waited for. */
export async function* abortable<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
    const stop = new AbortController();
    const aborted = once(signal, 'abort', { signal: stop.signal }).then(() => signal.throwIfAborted());
    // It is of no interest once the last item is there.
    aborted.catch(() => undefined);
    const iterator = items[Symbol.asyncIterator]();
    try {
        for (;;) {
            signal.throwIfAborted();
            const next = await Promise.race([iterator.next(), aborted]);
            if (!next || next.done === true) {
                return;
            }
            yield next.value;
        }
    } finally {
        stop.abort();
        // Not waited for: it ends when what hangs does.
        iterator.return?.().catch(() => undefined);
    }
}
