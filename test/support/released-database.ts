/** For tests that close an embedded database and have another process use it. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isUsedElsewhere } from '../../lib/db/local-connection';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const PATIENCE = 10_000;

/**
 * Resolves when nobody has the database file open: libsql gives up its locks on one that was closed when the last of
 * its statements has been collected as garbage.
 *
 * @throws Error if that does not happen
 */
export async function untilReleased(file: string): Promise<void> {
    const deadline = performance.now() + PATIENCE;
    while (existsSync(file) && isUsedElsewhere(file)) {
        if (performance.now() > deadline) {
            throw new Error(`${file} is still in use.`);
        }
        collectGarbage();
        await sleep(5);
    }
}
