/** A real HAProxy for tests: deps/haproxy. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { skip } from './skip';

const DEPS = resolve(__dirname, '../../deps/haproxy');

/** `start` says so if it is missing. */
const NOT_INSTALLED = 127;

/** What the tests look at of its table of servers. */
export interface BalancedServer {
    readonly name: string;
    readonly up: boolean;
}

/** The columns of `show servers state` that are read, and the value of the state that means up. */
const NAME = 3;
const STATE = 5;
const RUNNING = '2';

export class HaProxy {
    private constructor(
        private readonly folder: string,
        readonly url: string,
    ) {}

    /** Balances requests among the servers at these URLs; skips the test or suite of `context` where it cannot be started. */
    static async start(context: Mocha.Context, servers: readonly string[]): Promise<HaProxy> {
        const folder = await mkdtemp(join(tmpdir(), 'imgapi-haproxy-'));
        const ports = servers.map((url) => new URL(url).port);
        const { status, stdout, stderr } = spawnSync(join(DEPS, 'start'), [folder, ...ports], {
            encoding: 'utf8',
        });
        if (status !== 0) {
            await rm(folder, { recursive: true });
            if (status === NOT_INSTALLED) {
                skip(context, stderr.trim());
            }
            throw new Error(`deps/haproxy/start ended with ${String(status)}: ${stderr}`);
        }
        return new HaProxy(folder, `http://127.0.0.1:${stdout.trim()}`);
    }

    /** What it knows of its servers, which are named be0, be1 and so on. */
    async servers(): Promise<BalancedServer[]> {
        const socket = connect(join(this.folder, 'haproxy.sock'));
        socket.end('show servers state\n');
        const rows = (await text(socket)).split('\n').map((line) => line.split(' '));
        return rows
            .filter((row) => row[NAME]?.startsWith('be'))
            .map((row) => ({ name: row[NAME] ?? '', up: row[STATE] === RUNNING }));
    }

    /** Waits until it has found out that a server is there, or is not. */
    async until(name: string, up: boolean): Promise<void> {
        while (!(await this.servers()).some((server) => server.name === name && server.up === up)) {
            await wait(20);
        }
    }

    /** What it has written about requests. */
    log(): string {
        return readFileSync(join(this.folder, 'haproxy.log'), 'utf8');
    }

    async stop(): Promise<void> {
        const { status, stderr } = spawnSync(join(DEPS, 'stop'), [this.folder], { encoding: 'utf8' });
        if (status !== 0) {
            throw new Error(`deps/haproxy/stop ended with ${String(status)}: ${stderr}`);
        }
        await rm(this.folder, { recursive: true });
    }
}
