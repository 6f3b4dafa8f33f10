/** init.d/imgapi with a real server (daemon.md §3). */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { makeFolder } from '../support/server';

const ROOT = resolve(__dirname, '../..');
const SCRIPT = join(ROOT, 'init.d/imgapi');

/** Exit codes of the Linux Standard Base: the program is dead and its pid file is there, or it does not run. */
const NOT_RUNNING = 3;

describe('The init script', function () {
    this.timeout(60_000);

    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let log: string;

    const init = (command: string, environment: Record<string, string> = {}) => {
        const { status, stdout, stderr } = spawnSync('dash', [SCRIPT, command], {
            encoding: 'utf8',
            env: {
                ...process.env,
                PATH: `${join(process.execPath, '..')}:${process.env.PATH ?? ''}`,
                IMGAPI_DEFAULTS: join(folder.path, 'defaults'),
                HOST: '',
                PORT: '',
                ...environment,
            },
        });
        return { code: status, output: stdout + stderr };
    };

    const pidIn = (name: string): number =>
        Number(readFileSync(join(folder.path, 'run', `${name}.pid`), 'utf8'));

    function isRunning(pid: number): boolean {
        try {
            // A process that has ended and that nobody waits for is still there.
            return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
        } catch {
            return false;
        }
    }

    /** Waits for a server other than this one that answers; gives its pid. */
    async function answering(former = 0): Promise<number> {
        for (;;) {
            const lines = readFileSync(log, 'utf8').trim().split('\n');
            const record = lines
                .map(
                    (line) =>
                        JSON.parse(line.startsWith('{') ? line : '{}') as { msg?: string; pid?: number },
                )
                .findLast(({ msg }) => msg?.includes('listening on'));
            const url = /<(http:[^>]+)>/.exec(record?.msg ?? '')?.[1];
            if (url !== undefined && record?.pid !== undefined && record.pid !== former) {
                assert.equal((await fetch(`${url}/ping`)).status, 200);
                return record.pid;
            }
            // There is no event for what other processes write.
            await wait(50);
        }
    }

    beforeEach(async () => {
        folder = await makeFolder();
        log = join(folder.path, 'log/imgapi.log');
        const data = join(folder.path, 'data');
        await mkdir(data);
        await writeFile(
            join(folder.path, 'config.json'),
            JSON.stringify({
                port: 0,
                authType: 'none',
                logLevel: 'info',
                dataDir: join(folder.path, 'elsewhere'),
            }),
        );
        await writeFile(
            join(folder.path, 'defaults'),
            `CONFIG=${join(folder.path, 'config.json')}\nIMAGE_DIR=${data}\nDAEMON=${join(ROOT, 'bin/imgapi')}\n` +
                `LOG=${log}\nRUN_DIR=${join(folder.path, 'run')}\n`,
        );
    });
    afterEach(async () => {
        init('stop');
        await folder.remove();
    });

    it('starts a server, and another one when it is killed, until it is told to stop', async () => {
        assert.equal(init('status').code, NOT_RUNNING);
        const started = init('start');
        assert.equal(started.code, 0, started.output);
        const first = await answering();
        assert.equal(pidIn('server'), first);
        assert.deepEqual(init('status'), {
            code: 0,
            output: `imgapi runs: server ${first}, loop ${pidIn('loop')}\n`,
        });
        assert.ok(existsSync(join(folder.path, 'data/imgapi.db')), 'IMAGE_DIR is where images are');

        assert.equal(init('start').code, 0);
        assert.equal(pidIn('server'), first, 'a second start changes nothing');

        const killed = performance.now();
        process.kill(first, 'SIGKILL');
        const second = await answering(first);
        assert.ok(performance.now() - killed > 1000);
        assert.equal(pidIn('server'), second);
        assert.equal(isRunning(first), false);
        assert.match(readFileSync(log, 'utf8'), /ended with code 137 and is started again/);

        const loop = pidIn('loop');
        assert.equal(init('restart').code, 0);
        const third = await answering(second);
        assert.deepEqual([isRunning(second), isRunning(loop)], [false, false]);

        const lastLoop = pidIn('loop');
        assert.equal(init('stop').code, 0);
        assert.deepEqual([isRunning(third), isRunning(lastLoop)], [false, false]);
        assert.equal(init('status').code, NOT_RUNNING);
        assert.equal(init('stop').code, 0, 'what does not run is stopped');
    });

    it('takes the place of a loop that was killed', async () => {
        assert.equal(init('start').code, 0);
        const first = await answering();
        process.kill(pidIn('loop'), 'SIGKILL');
        while (isRunning(pidIn('loop'))) {
            await wait(20);
        }
        assert.equal(init('status').code, 4);
        assert.ok(isRunning(first));
        assert.equal(init('start').code, 0);
        const second = await answering(first);
        assert.deepEqual([isRunning(first), isRunning(second)], [false, true]);
        assert.equal(init('status').code, 0);
    });

    it('says at once that a server cannot be started', async () => {
        await writeFile(join(folder.path, 'config.json'), '{"port": "http"}');
        const { code, output } = init('start');
        assert.equal(code, 6);
        assert.match(output, /config\.port is "http"/);
        assert.equal(init('status').code, NOT_RUNNING);
    });

    it('explains itself', () => {
        const { code, output } = init('dance');
        assert.equal(code, 2);
        assert.match(output, /usage: .* start\|stop\|restart\|reload\|force-reload\|status/);
    });
});
