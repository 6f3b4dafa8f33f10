import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Workplace } from './workplace';

const SCRIPTS = join(__dirname, '../deps/nginx');
/** What the start script ends with where there is no nginx. */
const NOT_INSTALLED = 127;

export interface Nginx {
    readonly port: number;
    readonly pid: number;
    stop(): Promise<void>;
}

/** Serves the files below `root`; undefined, said on stderr, if nginx is not installed. */
export async function startNginx(workplace: Workplace, root: string): Promise<Nginx | undefined> {
    const folder = workplace.file('nginx');
    mkdirSync(folder);
    const { started, end } = workplace.keep(
        () => spawnSync(join(SCRIPTS, 'start'), [folder, root], { encoding: 'utf8' }),
        async ({ status }) => {
            if (status === 0) {
                spawnSync(join(SCRIPTS, 'stop'), [folder], { stdio: 'inherit' });
            }
        },
    );
    const { status, stdout, stderr } = started;
    if (status === NOT_INSTALLED) {
        console.error(stderr.trim());
        return undefined;
    }
    if (status !== 0) {
        throw new Error(`nginx did not start: ${stderr}`);
    }
    const pid = Number(await readFile(join(folder, 'nginx.pid'), 'utf8'));
    return { port: Number(stdout), pid, stop: end };
}
