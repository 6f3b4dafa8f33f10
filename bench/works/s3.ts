/** Large files on their way to S3 and back, by the storage driver beside the SDK alone. */
import { randomUUID } from 'node:crypto';
import type { Context } from '../context';
import { Helper } from '../helper';
import { units, type Measure } from '../measure';
import { cpuSecondsOf, residentBytes } from '../process-usage';
import { measureInTurn, median, medianRatio } from '../rounds';
import { GIB } from '../scale';
import { startS3 } from '../s3-server';
import type { S3Work } from '../s3-worker';
import { showSize } from './size';

const MOST_RATIO = 1.3;
const MIB = 1 << 20;
const MOST_GROWTH = 256;
const STREAMS = 8;
/** ms between two looks at the memory. */
const SAMPLE = 10;

type Worker = Helper<S3Work, undefined>;

const newKey = (): string => `images/bench/file0-${randomUUID()}`;

/** Empty if there is no S3 server on this machine. */
export async function s3({ workplace, scale }: Context): Promise<Measure[]> {
    const server = startS3(workplace);
    if (!server) {
        return [];
    }
    const { config } = server;
    const start = (): Worker => Helper.start(workplace, 's3-worker.js');
    const workers = { driver: start(), sdk: start() };
    const gib = scale.fileBytes / GIB;

    const call = (
        by: S3Work['by'],
        what: S3Work['what'],
        keys: string[],
        bytes: number,
    ): Promise<undefined> => workers[by].call({ config, by, what, keys, bytes });
    const remove = (keys: string[]): Promise<undefined> => call('sdk', 'delete', keys, 0);

    const upload = (by: S3Work['by']) => async (): Promise<number> => {
        const key = newKey();
        const cpu = await cpuSecondsOf(workers[by].pid, () => call(by, 'upload', [key], scale.fileBytes));
        await remove([key]);
        return cpu / gib;
    };
    const stored = newKey();
    const download = (by: S3Work['by']) => async (): Promise<number> =>
        (await cpuSecondsOf(workers[by].pid, () => call(by, 'download', [stored], scale.fileBytes))) / gib;

    const measures: Measure[] = [];
    await call('driver', 'upload', [stored], scale.fileBytes);
    for (const [what, subject] of [
        ['upload to', upload],
        ['download from', download],
    ] as const) {
        const [values, floors] = await measureInTurn(scale.rounds, [subject('driver'), subject('sdk')]);
        measures.push({
            work: `${what} S3, ${showSize(scale.fileBytes)}: processor`,
            value: median(values),
            floor: median(floors),
            ratio: medianRatio(values, floors),
            unit: units.secondsPerGib,
            target: { of: 'ratio', most: MOST_RATIO },
        });
    }
    await remove([stored]);
    await workers.driver.stop();

    workers.driver = start();
    // Its code is loaded by a first small one.
    const [first, ...others] = Array.from({ length: STREAMS + 1 }, newKey);
    await call('driver', 'upload', [first ?? ''], 1);
    const grown = await growth(workers.driver.pid, () =>
        call('driver', 'upload', others, scale.s3StreamBytes / STREAMS),
    );
    await remove([first ?? '', ...others]);
    measures.push({
        work: `${STREAMS} uploads to S3 at once, ${showSize(scale.s3StreamBytes)} in all: memory`,
        value: grown / MIB,
        unit: units.mebibytes,
        target: { of: 'value', most: MOST_GROWTH },
    });
    await Promise.all([workers.driver.stop(), workers.sdk.stop()]);
    await server.stop();
    return measures;
}

/** By how much resident memory rises at most while some work lasts, in bytes. */
async function growth(pid: number, work: () => Promise<unknown>): Promise<number> {
    const before = residentBytes(pid);
    let peak = before;
    const timer = setInterval(() => {
        peak = Math.max(peak, residentBytes(pid));
    }, SAMPLE);
    try {
        await work();
    } finally {
        clearInterval(timer);
    }
    return peak - before;
}
