import { topic, type Processes } from '../../workers/driver';

/** How often the time of the processor is looked at, in ms. */
const SAMPLE = 5000;

/** What a process tells of itself. */
export interface ProcessStatus {
    readonly pid: number;
    /** Seconds. */
    readonly uptime: number;
    /** Of one processor, lately: 1 is all of it. */
    readonly cpu: number;
    /** Bytes. */
    readonly memory: number;
}

const STATUS = topic<null, ProcessStatus>('process-status');

/** Has this process answer how it is. */
export function answerStatus(processes: Processes): void {
    let sample = { at: performance.now(), usage: process.cpuUsage() };
    let cpu: number | undefined;
    const measure = () => {
        const { user, system } = process.cpuUsage(sample.usage);
        return (user + system) / 1000 / Math.max(1, performance.now() - sample.at);
    };
    const timer = setInterval(() => {
        cpu = measure();
        sample = { at: performance.now(), usage: process.cpuUsage() };
    }, SAMPLE);
    timer.unref();
    processes.answer(STATUS, () => ({
        pid: process.pid,
        uptime: process.uptime(),
        cpu: cpu ?? measure(),
        memory: process.memoryUsage.rss(),
    }));
}

/** How the processes that answer are. */
export async function gatherStatus(processes: Processes): Promise<ProcessStatus[]> {
    const gathered = await processes.gather(STATUS, null);
    return gathered.flatMap((one) => ('answer' in one ? [one.answer] : []));
}
