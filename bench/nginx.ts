import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startDependency } from './dependency';
import type { Workplace } from './workplace';

export interface Nginx {
    readonly port: number;
    readonly pid: number;
    stop(): Promise<void>;
}

/** Serves the files below `root`; undefined, said on stderr, if nginx is not installed. */
export async function startNginx(workplace: Workplace, root: string): Promise<Nginx | undefined> {
    const nginx = startDependency(workplace, 'nginx', root);
    if (!nginx) {
        return undefined;
    }
    const { folder, printed, stop } = nginx;
    const pid = Number(await readFile(join(folder, 'nginx.pid'), 'utf8'));
    return { port: Number(printed[0]), pid, stop };
}
