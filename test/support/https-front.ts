/** hitch and HAProxy before a server, with the configurations of etc: deps/hitch and deps/haproxy. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { skip } from './skip';

const DEPS = resolve(__dirname, '../../deps');

/** The scripts say so if a program is missing. */
const NOT_INSTALLED = 127;

/** Runs a script that starts something, and gives what it printed; skips the test or suite where it cannot be started. */
function run(context: Mocha.Context, script: string, ...args: string[]): string[] {
    // What lives on keeps no pipe of this process.
    const { status, stdout, stderr } = spawnSync(join(DEPS, script), args, { encoding: 'utf8' });
    if (status === NOT_INSTALLED) {
        skip(context, stderr.trim());
    }
    if (status !== 0) {
        throw new Error(`deps/${script} ended with ${String(status)}: ${stderr}`);
    }
    return stdout.trim().split(' ');
}

export class HttpsFront {
    private constructor(
        private readonly folder: string,
        readonly port: number,
        /** The page with statistics. */
        readonly statsUrl: string,
        /** To trust. */
        readonly certificate: string,
    ) {}

    /**
     * Starts both before the server at this URL.
     *
     * @param seconds how long the server may be silent, if not as long as in the configuration
     */
    static async start(context: Mocha.Context, server: string, seconds?: number): Promise<HttpsFront> {
        const folder = await mkdtemp(join(tmpdir(), 'imgapi-front-'));
        const [haproxy, hitch] = [join(folder, 'haproxy'), join(folder, 'hitch')];
        await mkdir(haproxy);
        await mkdir(hitch);
        try {
            const limits = seconds === undefined ? [] : [String(seconds)];
            const { port } = new URL(server);
            const [front = '', stats = ''] = run(context, 'haproxy/front', haproxy, port, ...limits);
            const [https] = run(context, 'hitch/start', hitch, front);
            const certificate = readFileSync(join(hitch, 'cert.pem'), 'utf8');
            return new HttpsFront(folder, Number(https), `http://127.0.0.1:${stats}/`, certificate);
        } catch (err) {
            await HttpsFront.#end(folder);
            throw err;
        }
    }

    stop(): Promise<void> {
        return HttpsFront.#end(this.folder);
    }

    static async #end(folder: string): Promise<void> {
        for (const name of ['hitch', 'haproxy']) {
            spawnSync(join(DEPS, name, 'stop'), [join(folder, name)]);
        }
        await rm(folder, { recursive: true });
    }
}
