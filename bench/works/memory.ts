/** How much a server grows while files come in, one or many at a time. */
import { rm } from 'node:fs/promises';
import type { Context } from '../context';
import { units, type Measure } from '../measure';
import { filePath, type Registry } from '../registry';
import { showSize } from './size';

const MIB = 1 << 20;
const MOST = 64;
/** ms between two looks at the memory. */
const SAMPLE = 10;
/** Servers that are tried; the one that grows most counts. */
const SERVERS = 3;

/** The highest resident memory while some work lasts, in bytes. */
async function peakOf(registry: Registry, work: () => Promise<unknown>): Promise<number> {
    let peak = registry.residentBytes();
    const timer = setInterval(() => {
        peak = Math.max(peak, registry.residentBytes());
    }, SAMPLE);
    try {
        await work();
    } finally {
        clearInterval(timer);
    }
    return Math.max(peak, registry.residentBytes());
}

/** Bytes by which a new server grows while it receives its first files. */
async function growth(context: Context, streams: number): Promise<number> {
    const { load, scale, workplace } = context;
    const dataDir = workplace.file('memory');
    const registry = await context.startRegistry(dataDir);
    const uuids: string[] = [];
    while (uuids.length < streams) {
        uuids.push(await registry.createImage());
    }
    await registry.atRest();
    const before = registry.residentBytes();
    const peak = await peakOf(registry, () =>
        load.call({
            method: 'PUT',
            port: registry.port,
            paths: uuids.map(filePath),
            bytes: Math.ceil(scale.streamBytes / streams),
        }),
    );
    await registry.stop();
    await rm(dataDir, { recursive: true });
    return peak - before;
}

export async function memory(context: Context): Promise<Measure[]> {
    const { scale } = context;
    const measures: Measure[] = [];
    for (const streams of scale.streams) {
        const grown: number[] = [];
        while (grown.length < Math.min(SERVERS, scale.rounds)) {
            grown.push(await growth(context, streams));
        }
        measures.push({
            work: `PUT of ${streams} file(s) at once, ${showSize(scale.streamBytes)} in all: memory`,
            value: Math.max(...grown) / MIB,
            unit: units.mebibytes,
            target: { of: 'value', most: MOST },
        });
    }
    return measures;
}
