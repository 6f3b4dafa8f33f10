/**
 * What the promise gives, unless the signal is aborted first: then its reason is thrown at once, and nobody hears any
 * more of the promise.
 */
export function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
        const stop = () => reject(signal.reason as Error);
        if (signal.aborted) {
            stop();
        } else {
            signal.addEventListener('abort', stop);
        }
        const done = () => signal.removeEventListener('abort', stop);
        promise.then(resolve, reject).finally(done);
    });
}
