import type { Context } from '../context';
import { cpuSecondsOf } from '../process-usage';

/** Kept connections that small requests come on. */
const CONNECTIONS = 8;

/** Seconds of processor time of a server for one request, over many of the same. */
export async function cpuPerRequest(
    { load }: Context,
    { port, pid }: { port: number; pid: number },
    path: string,
    count: number,
): Promise<number> {
    const job = { method: 'GET', port, paths: [path], count, connections: CONNECTIONS } as const;
    return (await cpuSecondsOf(pid, () => load.call(job))) / count;
}
