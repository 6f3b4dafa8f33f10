/** A large file going out, beside nginx sending the very same file. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../context';
import { units, type Measure } from '../measure';
import { startNginx } from '../nginx';
import { cpuSecondsOf } from '../process-usage';
import { filePath, type Registry } from '../registry';
import { measureInTurn, median, medianRatio } from '../rounds';
import { GIB } from '../scale';
import { showSize } from './size';

const LEAST_THROUGHPUT = 0.8;
const MOST_CPU = 0.45;

async function upload({ load, scale }: Context, registry: Registry): Promise<string> {
    const uuid = await registry.createImage();
    await load.call({ method: 'PUT', port: registry.port, paths: [filePath(uuid)], bytes: scale.fileBytes });
    await registry.activateImage(uuid);
    return uuid;
}

/** Where the server keeps the one file that it has. */
async function storedFile(root: string): Promise<string> {
    const found = (await readdir(root, { recursive: true })).find((name) => /\/file0[^/]*$/.test(name));
    if (found === undefined) {
        throw new Error(`There is no stored file below ${root}.`);
    }
    return `/${found}`;
}

interface Sent {
    readonly gibPerSecond: number;
    readonly cpuPerGib: number;
}

async function get({ load, scale }: Context, port: number, pid: number, path: string): Promise<Sent> {
    const gib = scale.fileBytes / GIB;
    let seconds = NaN;
    const cpu = await cpuSecondsOf(pid, async () => {
        const result = await load.call({ method: 'GET', port, paths: [path], count: 1, connections: 1 });
        if (result.bytes !== scale.fileBytes) {
            throw new Error(`GET ${path} gave ${result.bytes} bytes, not ${scale.fileBytes}.`);
        }
        ({ seconds } = result);
    });
    return { gibPerSecond: gib / seconds, cpuPerGib: cpu / gib };
}

export async function download(context: Context): Promise<Measure[]> {
    const { scale, workplace } = context;
    const dataDir = workplace.file('download');
    const registry = await context.startRegistry(dataDir);
    const path = `/images/${await upload(context, registry)}/file`;
    const images = join(dataDir, 'images');
    const nginxPath = await storedFile(images);
    const nginx = await startNginx(workplace, images);

    const own: Sent[] = [];
    const floor: Sent[] = [];
    const subjects = [
        async () => own.push(await get(context, registry.port, registry.pid, path)),
        async () => (nginx ? floor.push(await get(context, nginx.port, nginx.pid, nginxPath)) : 0),
    ];
    // The first time of each warms the page cache, and counts for nothing.
    await measureInTurn(1, subjects);
    own.length = floor.length = 0;
    await measureInTurn(scale.rounds, subjects);
    await registry.stop();
    await nginx?.stop();

    const title = `GET file, ${showSize(scale.fileBytes)}`;
    const line = (quantity: keyof Sent) => {
        const values = own.map((sent) => sent[quantity]);
        const floors = floor.map((sent) => sent[quantity]);
        return {
            value: median(values),
            ...(floors.length > 0 && { floor: median(floors), ratio: medianRatio(values, floors) }),
        };
    };
    return [
        {
            work: `${title}: throughput`,
            ...line('gibPerSecond'),
            unit: units.throughput,
            target: { of: 'ratio', least: LEAST_THROUGHPUT },
        },
        {
            work: `${title}: processor`,
            ...line('cpuPerGib'),
            unit: units.secondsPerGib,
            target: { of: 'value', most: MOST_CPU },
        },
    ];
}
