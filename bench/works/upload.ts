/** A large file coming in: hashed twice, and on the disk before the answer. Its floor are the tools that do the same. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, rm } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import type { Context } from '../context';
import { units, type Measure } from '../measure';
import { filePath } from '../registry';
import { measureInTurn, median, medianRatio } from '../rounds';
import { GIB } from '../scale';
import { endChild, type Workplace } from '../workplace';
import { showSize } from './size';

const MOST_CPU = 2.9;

/** The last line of `times`: user and system time of the children, e.g. `0m1.250000s 0m0.310000s`. */
const CHILD_TIMES = /(\d+)m([\d.]+)s (\d+)m([\d.]+)s\s*$/;

/** Writes a file of random bytes, without keeping them in memory. */
async function makeFile(path: string, size: number): Promise<void> {
    const piece = randomBytes(1 << 20);
    const file = await open(path, 'w');
    try {
        for (let left = size; left > 0; left -= piece.length) {
            await file.write(piece.subarray(0, Math.min(left, piece.length)));
        }
    } finally {
        await file.close();
    }
}

/** Seconds of processor time of hashing a file twice and copying it durably. */
async function floorSeconds(workplace: Workplace, source: string, copy: string): Promise<number> {
    const script =
        'set -e; sha1sum "$0" >/dev/null; md5sum "$0" >/dev/null; dd if="$0" of="$1" bs=1M conv=fsync status=none; times';
    const { started: child, end } = workplace.keep(
        () => spawn('sh', ['-c', script, source, copy], { stdio: ['ignore', 'pipe', 'inherit'] }),
        endChild,
    );
    const [printed] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    await end();
    await rm(copy, { force: true });
    const times = CHILD_TIMES.exec(printed);
    if (!times) {
        throw new Error('sha1sum, md5sum or dd failed.');
    }
    const [userMinutes = NaN, user = NaN, systemMinutes = NaN, system = NaN] = times.slice(1).map(Number);
    return 60 * (userMinutes + systemMinutes) + user + system;
}

export async function upload(context: Context): Promise<Measure[]> {
    const { load, scale, workplace } = context;
    const gib = scale.fileBytes / GIB;
    const source = workplace.file('source');
    await makeFile(source, scale.fileBytes);
    const registry = await context.startRegistry(workplace.file('upload'));

    const put = async () => {
        const uuid = await registry.createImage();
        const job = {
            method: 'PUT',
            port: registry.port,
            paths: [filePath(uuid)],
            bytes: scale.fileBytes,
        } as const;
        const cpu = await registry.cpuSecondsOf(() => load.call(job));
        await registry.deleteImage(uuid);
        return cpu / gib;
    };
    const floor = async () => (await floorSeconds(workplace, source, workplace.file('copy'))) / gib;

    const [values, floors] = await measureInTurn(scale.rounds, [put, floor]);
    await registry.stop();
    await rm(source);
    return [
        {
            work: `PUT file, ${showSize(scale.fileBytes)}, durable: processor`,
            value: median(values),
            floor: median(floors),
            ratio: medianRatio(values, floors),
            unit: units.secondsPerGib,
            target: { of: 'value', most: MOST_CPU },
        },
    ];
}
