/** The cost of answering the smallest requests, beside bare `node:http` sending the same bytes. */
import { BareServer } from '../bare';
import type { Context } from '../context';
import { units, type Measure } from '../measure';
import { measureInTurn, median, medianRatio } from '../rounds';
import { imageUuid } from '../seed';
import { cpuPerRequest } from './cpu-per-request';

const MOST = 2.5;

export async function smallReads(context: Context): Promise<Measure[]> {
    const { scale, workplace } = context;
    const registry = await context.startRegistry(await context.seeded(scale.fewImages));
    const bare = BareServer.start(workplace);
    const measures: Measure[] = [];
    for (const { work, path } of [
        { work: 'GET /ping', path: '/ping' },
        { work: 'GET /images/UUID', path: `/images/${imageUuid(0)}` },
    ]) {
        const port = await bare.imitate(registry.port, path);
        const ask = (server: { port: number; pid: number }, requests: number) =>
            cpuPerRequest(context, server, path, requests);
        const subjects = [registry, { port, pid: bare.pid }] as const;
        for (const server of subjects) {
            await ask(server, scale.warmUp);
        }
        const [values, floors] = await measureInTurn(scale.rounds, [
            () => ask(subjects[0], scale.requests),
            () => ask(subjects[1], scale.requests),
        ]);
        measures.push({
            work,
            value: median(values) * 1e6,
            floor: median(floors) * 1e6,
            ratio: medianRatio(values, floors),
            unit: units.microseconds,
            target: { of: 'ratio', most: MOST },
        });
    }
    await registry.stop();
    await bare.stop();
    return measures;
}
