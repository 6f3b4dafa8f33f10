/** The cost of filtered lists that nobody has asked for before: the first one of a process, and later ones. */
import { listLength } from '../bare';
import type { Context } from '../context';
import { units, type Measure } from '../measure';
import { median } from '../rounds';
import { filterKinds, type FilterKind } from '../seed';

const MOST = 10;
/** Share of the results asked for that a list has to have. */
const FULL = 0.75;

interface Costs {
    /** Seconds of processor time of the first request, and of one of those that come when the code is warm. */
    readonly first: number;
    readonly later: number;
}

/** One round: a new process, one request, some more that warm the code, then those that count; no two alike. */
async function round(context: Context, dataDir: string, { query }: FilterKind): Promise<Costs> {
    const { filtered, filteredWarmUp, filteredLimit } = context.scale;
    const registry = await context.startRegistry(dataDir);
    await registry.atRest();
    const [first = '', ...others] = Array.from(
        { length: 1 + filteredWarmUp + filtered },
        (_, n) => `/images?limit=${filteredLimit}&${query(n)}`,
    );
    const cost = (paths: readonly string[]) =>
        registry.cpuSecondsOf(() =>
            context.load.call({
                method: 'GET',
                port: registry.port,
                paths,
                count: paths.length,
                connections: 1,
            }),
        );
    const firstCost = await cost([first]);
    await cost(others.slice(filtered));
    const laterCost = await cost(others.slice(0, filtered));
    const found = await listLength(registry.port, others[0] ?? '');
    if (found < filteredLimit * FULL) {
        throw new Error(`The list ${others[0] ?? ''} has only ${found} manifests.`);
    }
    await registry.stop();
    return { first: firstCost, later: laterCost / filtered };
}

export async function filters(context: Context): Promise<Measure[]> {
    const { scale } = context;
    const dataDir = await context.seeded(scale.manyImages);
    const measures: Measure[] = [];
    for (const kind of filterKinds(scale.manyImages)) {
        const rounds: Costs[] = [];
        while (rounds.length < scale.rounds) {
            rounds.push(await round(context, dataDir, kind));
        }
        for (const [when, costs] of [
            ['first of its process', rounds.map(({ first }) => first)],
            ['cold', rounds.map(({ later }) => later)],
        ] as const) {
            measures.push({
                work: `list by ${kind.name}, ${when}`,
                value: median(costs) * 1e3,
                unit: units.milliseconds,
                target: { of: 'value', most: MOST },
            });
        }
    }
    return measures;
}
