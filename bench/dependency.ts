/** A service of `deps/` for the benchmark. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Workplace } from './workplace';

const DEPS = join(__dirname, '../deps');
/** What a start script ends with where a program is missing. */
const NOT_INSTALLED = 127;

export interface Dependency {
    /** Holds all that it writes. */
    readonly folder: string;
    /** The lines that its start script has printed. */
    readonly printed: readonly string[];
    readonly stop: () => Promise<void>;
}

/**
 * Starts a service in a folder of its own; undefined, said on stderr, if it is not installed.
 *
 * @param name of its folder in `deps/`
 * @throws Error if it does not start
 */
export function startDependency(
    workplace: Workplace,
    name: string,
    ...args: string[]
): Dependency | undefined {
    // Some work in it as another user.
    chmodSync(workplace.path, 0o755);
    const folder = workplace.file(name);
    mkdirSync(folder);
    const { started, end } = workplace.keep(
        () => spawnSync(join(DEPS, name, 'start'), [folder, ...args], { encoding: 'utf8' }),
        async ({ status }) => {
            if (status === 0) {
                spawnSync(join(DEPS, name, 'stop'), [folder], { stdio: 'inherit' });
            }
        },
    );
    const { status, stdout, stderr } = started;
    if (status === NOT_INSTALLED) {
        console.error(stderr.trim());
        return undefined;
    }
    if (status !== 0) {
        throw new Error(`deps/${name}/start ended with ${String(status)}: ${stderr}`);
    }
    return { folder, printed: stdout.trim().split('\n'), stop: end };
}
