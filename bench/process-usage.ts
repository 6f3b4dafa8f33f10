/** What a process has used, from /proc: the same way for the server and for what it is compared with. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const NANOSECONDS = 1e9;
/** A process that uses less than this share of a processor is at rest. */
const REST = 0.01;
const REST_WINDOW = 50;
/** ms after which a process that never rests is taken as it is. */
const REST_PATIENCE = 5000;
/** ms after which the work of requests is done, too: the server writes its last audit lines up to 20 ms later. */
const AFTERMATH = 30;

/** Seconds of processor time of all threads. From the scheduler's count in ns: the ticks of `stat` are 10 ms long. */
export function cpuSeconds(pid: number): number {
    const threads = readdirSync(`/proc/${pid}/task`);
    const used = threads.map((thread) =>
        Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
    );
    return used.reduce((sum, one) => sum + one, 0) / NANOSECONDS;
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
    const [, kib] = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kib) * 1024;
}

/** Seconds of processor time that a process uses from the start of `work` until its aftermath is over. */
export async function cpuSecondsOf(pid: number, work: () => Promise<unknown>): Promise<number> {
    const before = cpuSeconds(pid);
    await work();
    await sleep(AFTERMATH);
    return cpuSeconds(pid) - before;
}

/** Waits until a process has nothing left to do. */
export async function atRest(pid: number): Promise<void> {
    const deadline = performance.now() + REST_PATIENCE;
    let used = Infinity;
    while (used > (REST * REST_WINDOW) / 1000 && performance.now() < deadline) {
        const before = cpuSeconds(pid);
        await sleep(REST_WINDOW);
        used = cpuSeconds(pid) - before;
    }
}
