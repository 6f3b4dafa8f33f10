/** What tests of several workers look at: processes, connections, and load while something happens. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { credentials } from './signed';

export interface FreshAnswer {
    readonly status: number;
    readonly body: Buffer;
}

/** One request; on a connection of its own unless an agent is given. Rejects if there is no whole answer. */
export function ask(
    url: string,
    {
        method = 'GET',
        agent = false,
        body,
        headers = {},
    }: { method?: string; agent?: http.Agent | false; body?: Buffer; headers?: Record<string, string> } = {},
): Promise<FreshAnswer> {
    return new Promise((resolve, reject) => {
        http.request(url, { method, agent, headers: { ...credentials(), ...headers } })
            .once('error', reject)
            .once('response', (res) => {
                const chunks: Buffer[] = [];
                res.on('data', (chunk: Buffer) => chunks.push(chunk))
                    .once('error', reject)
                    .once('end', () => resolve({ status: res.statusCode ?? 0, body: Buffer.concat(chunks) }));
            })
            .end(body);
    });
}

/** The process that answers a new connection. */
export async function answeringPid(url: string): Promise<number> {
    const { body } = await ask(`${url}/ping`);
    return (JSON.parse(body.toString()) as { pid: number }).pid;
}

/** The processes that answer, and how many of so many new connections each. */
export async function answeringPids(url: string, connections = 16): Promise<Map<number, number>> {
    const counts = new Map<number, number>();
    for (let count = 0; count < connections; count++) {
        const pid = await answeringPid(url);
        counts.set(pid, (counts.get(pid) ?? 0) + 1);
    }
    return counts;
}

/** How many unfinished files of images a process has open. */
export function openUploads(pid: number): number {
    return openFiles(pid, /\/file0\.[^/]+$/);
}

/** How many files with such a path a process has open. */
export function openFiles(pid: number, path: RegExp): number {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).filter((fd) => {
        try {
            return path.test(readlinkSync(`${folder}/${fd}`));
        } catch {
            // Closed since.
            return false;
        }
    }).length;
}

/** Whether a process is there; one that has ended and that nobody has taken note of is not. */
function isAlive(pid: number): boolean {
    try {
        return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
        return false;
    }
}

export async function untilGone(pids: Iterable<number>, within = 10_000): Promise<void> {
    const end = Date.now() + within;
    for (const pid of pids) {
        while (isAlive(pid)) {
            assert.ok(Date.now() < end, `process ${pid} is still there`);
            await wait(10);
        }
    }
}

/** Does one piece of work after the other, several at a time, until told to stop. */
export class Load {
    #done = 0;
    #stopped = false;
    readonly #failures: unknown[] = [];
    readonly #lanes: Promise<void>[];

    constructor(lanes: readonly (() => Promise<FreshAnswer>)[]) {
        this.#lanes = lanes.map(async (work) => {
            while (!this.#stopped) {
                try {
                    const { status, body } = await work();
                    assert.ok(status < 400, `${status} ${body.toString()}`);
                    this.#done++;
                } catch (err) {
                    this.#failures.push(err);
                }
            }
        });
    }

    /** Resolves when so many more pieces are done. */
    async goesOn(pieces = 20): Promise<void> {
        const enough = this.#done + pieces;
        while (this.#done < enough && this.#failures.length === 0) {
            await wait(5);
        }
    }

    /** Stops it; fails if a piece did. */
    async stop(): Promise<void> {
        this.#stopped = true;
        await Promise.all(this.#lanes);
        assert.deepEqual(this.#failures, []);
    }
}
