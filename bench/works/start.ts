/** How soon a server with many images answers, and how large it is then. Its floor is the start of node itself. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Context } from '../context';
import { units, type Measure } from '../measure';
import { measureInTurn, median, medianRatio } from '../rounds';
import { imageUuid } from '../seed';
import { endChild } from '../workplace';

const MIB = 1 << 20;
const MOST_TIME = 1000;
const MOST_MEMORY = 200;

export async function start(context: Context): Promise<Measure[]> {
    const { scale, workplace } = context;
    const dataDir = await context.seeded(scale.manyImages);
    const resident: number[] = [];
    const server = async () => {
        const registry = await context.startRegistry(dataDir, { firstPath: `/images/${imageUuid(0)}` });
        await registry.atRest();
        resident.push(registry.residentBytes());
        await registry.stop();
        return registry.startedWithin;
    };
    const bareNode = async () => {
        const begun = performance.now();
        const { started: child, end } = workplace.keep(
            () => spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }),
            endChild,
        );
        await once(child, 'exit');
        await end();
        return performance.now() - begun;
    };
    const [values, floors] = await measureInTurn(scale.rounds, [server, bareNode]);
    const stored = `${scale.manyImages.toLocaleString('en')} images`;
    return [
        {
            work: `start with ${stored}: first answer`,
            value: median(values),
            floor: median(floors),
            ratio: medianRatio(values, floors),
            unit: units.time,
            target: { of: 'value', most: MOST_TIME },
        },
        {
            work: `start with ${stored}: memory`,
            value: Math.max(...resident) / MIB,
            unit: units.mebibytes,
            target: { of: 'value', most: MOST_MEMORY },
        },
    ];
}
