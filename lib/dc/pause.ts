import { setTimeout as sleep } from 'node:timers/promises';

/** @param ms resolves after this, or as soon as `signal` is aborted */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
    try {
        await sleep(ms, undefined, { signal });
    } catch (err) {
        if (!signal.aborted) {
            throw err;
        }
    }
}
