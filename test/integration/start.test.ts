import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { basename, join, relative, resolve } from 'node:path';
import { makeFolder } from '../support/server';
import { skip } from '../support/skip';

const root = resolve(__dirname, '../..');

/** How long the first start may take, which installs and builds; on the registry's side, too. */
const FIRST_START = 300_000;
/** How long a start may take that finds everything in place. About 2 s on a quiet machine. */
const SECOND_START = 10_000;

/** What the working tree has beside the files of a clone (.gitignore). */
function isIgnored(file: string): boolean {
    const name = basename(file);
    const top = ['.git', 'data', 'coverage'].includes(relative(root, file));
    return top || name === 'node_modules' || /\.(js|js\.map|tsbuildinfo|tgz)$/.test(name);
}

async function freePort(): Promise<number> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    return port;
}

/** `npm start` as in a terminal: a process group of its own. */
class Start {
    output = '';
    readonly ended: Promise<unknown[]>;
    readonly #child: ChildProcess;

    constructor(clone: string, port: number) {
        this.#child = spawn('npm', ['start'], {
            cwd: clone,
            detached: true,
            stdio: ['ignore', 'pipe', 'pipe'],
            env: {
                ...process.env,
                HOST: '',
                PORT: String(port),
                // What was installed once is not asked for again.
                npm_config_prefer_offline: 'true',
            },
        });
        const take = (chunk: Buffer) => (this.output += chunk.toString());
        this.#child.stdout?.on('data', take);
        this.#child.stderr?.on('data', take);
        this.ended = once(this.#child, 'close');
    }

    /** Until it says that the server runs. @throws Error with what it said, if it ends before */
    async running(): Promise<void> {
        while (!this.output.includes('Ctrl-C stops it.')) {
            const ended = this.ended.then(() => true);
            if (
                await Promise.race([
                    ended,
                    once(this.#child.stdout ?? assert.fail(), 'data').then(() => false),
                ])
            ) {
                throw new Error(this.output);
            }
        }
    }

    /** As Ctrl-C does: the whole group gets the signal. */
    async interrupt(): Promise<void> {
        const { pid, exitCode, signalCode } = this.#child;
        if (pid !== undefined && exitCode === null && signalCode === null) {
            process.kill(-pid, 'SIGINT');
            await this.ended;
        }
    }
}

describe('npm start in a clone', () => {
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let clone: string;
    let port: number;
    let url: string;
    let current: Start | undefined;

    before(async function () {
        this.timeout(FIRST_START);
        folder = await makeFolder();
        clone = join(folder.path, 'clone');
        cpSync(root, clone, { recursive: true, filter: (file) => !isIgnored(file) });
        port = await freePort();
        url = `http://127.0.0.1:${port}`;
        current = new Start(clone, port);
        try {
            await current.running();
        } catch (err) {
            if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|ETIMEDOUT/.test(current.output)) {
                skip(this, 'the npm registry cannot be reached, which the first npm start needs');
            }
            throw err;
        }
    });
    after(async () => {
        await current?.interrupt();
        await folder.remove();
    });

    it('ends with a server that answers, its URL and what to do next', async () => {
        const ping = await fetch(`${url}/ping`);
        assert.equal(((await ping.json()) as { ping: string }).ping, 'pong');
        const output = current?.output ?? '';
        assert.ok(output.includes(`imgapi is running at ${url}\n`), output);
        assert.ok(output.includes(`curl ${url}/images\n`), output);
    });

    it('stops on Ctrl-C, and starts again at once with the config left as it is', async function () {
        this.timeout(SECOND_START * 3);
        await current?.interrupt();
        await assert.rejects(fetch(`${url}/ping`), 'nobody listens any more');

        const file = join(clone, 'data/etc/imgapi.config.json');
        const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
        const changed = JSON.stringify({ ...config, serverName: 'changed by hand' });
        writeFileSync(file, changed);

        const started = performance.now();
        current = new Start(clone, port);
        await current.running();
        const took = performance.now() - started;
        assert.ok(took < SECOND_START, `the second start took ${Math.round(took)} ms`);

        assert.equal(readFileSync(file, 'utf8'), changed);
        const { headers } = await fetch(`${url}/ping`);
        assert.equal(headers.get('server'), 'changed by hand');
        assert.doesNotMatch(current.output, /npm (ci|run)/);
    });
});
