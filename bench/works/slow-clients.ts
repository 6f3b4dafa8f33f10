/** What clients that hardly send anything cost those that do: how long small requests take beside many of them. */
import type { Context } from '../context';
import { units, type Measure } from '../measure';
import { filePath } from '../registry';
import { measureInTurn, median, medianRatio } from '../rounds';
import { startSlowClients } from '../slow-clients';

const CONNECTIONS = 8;
/** Seconds within which a head that does not end has to be closed (limits.headerTimeout, and the look every 2 s). */
const MOST_HEAD = 20;

export async function slowClients(context: Context): Promise<Measure[]> {
    const { load, scale, workplace } = context;
    const dataDir = workplace.file('slow-clients');
    const registry = await context.startRegistry(dataDir, {
        config: { limits: { headerTimeout: scale.headerTimeout } },
    });
    const paths: string[] = [];
    while (paths.length < scale.slowBodies) {
        paths.push(filePath(await registry.createImage()));
    }
    const slow = startSlowClients(workplace);
    const { port } = registry;
    const begin = () => slow.call({ kind: 'start', port, heads: scale.slowHeads, paths });
    const ask = async (count: number) =>
        (await load.call({ method: 'GET', port, paths: ['/ping'], count, connections: CONNECTIONS })).slowest;

    await ask(scale.warmUp);
    const [beside, alone] = await measureInTurn(scale.rounds, [
        async () => {
            await begin();
            const slowest = await ask(scale.requests);
            await slow.call({ kind: 'stop' });
            return slowest;
        },
        () => ask(scale.requests),
    ]);
    await begin();
    const { lastHeadClosed } = await slow.call({ kind: 'await-heads' });
    await slow.call({ kind: 'stop' });
    await slow.stop();
    await registry.stop();

    const crowd = `${scale.slowHeads} slow heads and ${scale.slowBodies} slow bodies`;
    return [
        {
            work: `GET /ping beside ${crowd}: 99th percentile`,
            value: median(beside) * 1e3,
            floor: median(alone) * 1e3,
            ratio: medianRatio(beside, alone),
            unit: units.shortTime,
        },
        {
            work: `the last of ${scale.slowHeads} slow heads is closed`,
            value: lastHeadClosed,
            unit: units.seconds,
            target: { of: 'value', most: MOST_HEAD },
        },
    ];
}
