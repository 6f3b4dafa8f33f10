/**
 * Around the whole run: a folder for everything temporary, and a look at what the tests left behind.
 *
 * The folder is handed on as TMPDIR. Whatever tests and the processes they start put into the temporary directory lies
 * in it, and a process that has it in its environment was started by this run.
 */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stopTestDatabase } from './test-database';

/** What tests and the server call their temporary folders. */
const OURS = 'imgapi-';

/** How long processes that were told to end may take, in ms. */
const PATIENCE = 3000;
const POLL = 50;

/** How long the removal of the databases of many servers may take, with what comes after it, in ms. */
const STOP_DATABASE = 60_000;

/** How long the process may live on after the last test, in ms. */
const LINGER = 15_000;

const runFolder = mkdtempSync(join(tmpdir(), 'imgapi-run-'));
// Services that tests start as another user work in it, too.
chmodSync(runFolder, 0o755);
process.env.TMPDIR = runFolder;
process.once('exit', () => rmSync(runFolder, { recursive: true, force: true }));

/** The texts in a file of /proc; none if the process is gone or not ours to look at. */
function readProc(pid: string, name: string): string[] {
    try {
        return readFileSync(join('/proc', pid, name), 'utf8').split('\0');
    } catch (err) {
        if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((err as NodeJS.ErrnoException).code ?? '')) {
            return [];
        }
        throw err;
    }
}

/** The processes that this run has started, beside itself; none where there is no /proc to see them in. */
function processesOfRun(): { pid: number; command: string }[] {
    if (process.platform !== 'linux') {
        return [];
    }
    return readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
        .filter((pid) => readProc(pid, 'environ').includes(`TMPDIR=${runFolder}`))
        .map((pid) => ({ pid: Number(pid), command: readProc(pid, 'cmdline').join(' ').trim() }));
}

async function leftProcesses(): Promise<{ pid: number; command: string }[]> {
    const deadline = performance.now() + PATIENCE;
    let left = processesOfRun();
    while (left.length > 0 && performance.now() < deadline) {
        // There is no event for the end of a process that is not our child.
        await sleep(POLL);
        left = processesOfRun();
    }
    return left;
}

export const mochaHooks = {
    async afterAll(this: Mocha.Context): Promise<void> {
        this.timeout(STOP_DATABASE);
        await stopTestDatabase();
        // Does not keep the process alive; fires if something else does.
        setTimeout(() => {
            const resources = process.getActiveResourcesInfo().join(', ');
            console.error(`Something still runs ${LINGER / 1000} s after the last test: ${resources}`);
            process.exit(1);
        }, LINGER).unref();

        const processes = await leftProcesses();
        const folders = readdirSync(runFolder).filter((name) => name.startsWith(OURS));
        processes.forEach(({ pid }) => process.kill(pid, 'SIGKILL'));
        const left = [
            ...processes.map(({ pid, command }) => `process ${pid}: ${command}`),
            ...folders.map((name) => `folder ${join(runFolder, name)}`),
        ];
        if (left.length > 0) {
            throw new Error(`The tests left behind:\n${left.join('\n')}`);
        }
    },
};
