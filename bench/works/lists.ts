/** The cost of lists that were asked for before, and whether it grows with what is stored. */
import { BareServer, listLength } from '../bare';
import type { Context } from '../context';
import { units, type Measure } from '../measure';
import { measureInTurn, median, medianRatio } from '../rounds';
import { cpuPerRequest } from './cpu-per-request';

const MOST = 2;
/** More than this is growth, not noise. */
const MOST_GROWTH = 1.15;

/** Manifests in the lists of a round, for each small read of one. */
const MANIFESTS = 20;

export async function lists(context: Context): Promise<Measure[]> {
    const { scale, workplace } = context;
    const { fewImages, manyImages } = scale;
    const few = await context.startRegistry(await context.seeded(fewImages));
    const many = await context.startRegistry(await context.seeded(manyImages));
    const bare = BareServer.start(workplace);
    const measures: Measure[] = [];
    for (const length of scale.lists) {
        const path = `/images?limit=${length}`;
        const share = (count: number) => Math.max(1, Math.round((count * MANIFESTS) / length));
        const requests = share(scale.requests);
        const port = await bare.imitate(few.port, path);
        const subjects = [few, many, { port, pid: bare.pid }] as const;
        for (const server of subjects) {
            const found = await listLength(server.port, path);
            if (found !== length) {
                throw new Error(`The list ${path} has ${found} manifests.`);
            }
            await cpuPerRequest(context, server, path, share(scale.warmUp));
        }
        const [small, large, floors] = await measureInTurn(scale.rounds, [
            () => cpuPerRequest(context, subjects[0], path, requests),
            () => cpuPerRequest(context, subjects[1], path, requests),
            () => cpuPerRequest(context, subjects[2], path, requests),
        ]);
        const work = `list of ${length.toLocaleString('en')}`;
        for (const [values, stored] of [
            [small, fewImages],
            [large, manyImages],
        ] as const) {
            measures.push({
                work: `${work}, ${stored.toLocaleString('en')} images stored`,
                value: median(values) * 1e6,
                floor: median(floors) * 1e6,
                ratio: medianRatio(values, floors),
                unit: units.microseconds,
                target: { of: 'ratio', most: MOST },
            });
        }
        measures.push({
            work: `${work}, many stored against few`,
            value: median(large) * 1e6,
            floor: median(small) * 1e6,
            ratio: medianRatio(large, small),
            unit: units.microseconds,
            target: { of: 'ratio', most: MOST_GROWTH },
        });
    }
    await Promise.all([few.stop(), many.stop(), bare.stop()]);
    return measures;
}
