/** The server that is measured: the real process, as an operator starts it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fetchWhole } from './bare';
import { atRest, cpuSecondsOf, residentBytes } from './process-usage';
import { endChild, type Workplace } from './workplace';

const ROOT = join(__dirname, '..');
/** ms within which the first answer has to come. */
const START_PATIENCE = 60_000;
/** ms between two attempts to reach a server that is starting. */
const POLL = 2;

const OWNER = '930896af-bf8c-48d4-885c-6573a94b1853';

export interface RegistryOptions {
    readonly dataDir: string;
    readonly cpuProf: string | undefined;
    /** What the first request asks for. */
    readonly firstPath?: string;
    /** Keys of the configuration beside those that every server here has. */
    readonly config?: object;
}

let count = 0;

export class Registry {
    private constructor(
        readonly port: number,
        readonly pid: number,
        /** ms from the start of the process to the first answer. */
        readonly startedWithin: number,
        readonly stop: () => Promise<void>,
    ) {}

    /** Starts a server; it has answered when this resolves. */
    static async start(
        workplace: Workplace,
        { dataDir, cpuProf, firstPath = '/ping', config = {} }: RegistryOptions,
    ): Promise<Registry> {
        const port = await freePort();
        const name = workplace.file(`server-${count++}`);
        const log = `${name}.log`;
        await mkdir(dataDir, { recursive: true });
        await writeFile(`${name}.json`, JSON.stringify({ ...configuration(dataDir, port), ...config }));
        const output = openSync(log, 'a');
        const profile = cpuProf === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${cpuProf}`];
        const begun = performance.now();
        const { started: child, end } = workplace.keep(
            () =>
                spawn(process.execPath, [...profile, join(ROOT, 'main.js'), '-f', `${name}.json`], {
                    stdio: ['ignore', output, output],
                    env: { ...process.env, HOST: '', PORT: '' },
                }),
            endChild,
        );
        closeSync(output);
        while (!(await answers(port, firstPath))) {
            if (child.exitCode !== null || performance.now() - begun > START_PATIENCE) {
                throw new Error(`The server did not start. Its log:\n${readFileSync(log, 'utf8')}`);
            }
            await sleep(POLL);
        }
        if (child.pid === undefined) {
            throw new Error('The server has no process id.');
        }
        return new Registry(port, child.pid, performance.now() - begun, end);
    }

    /** Seconds of processor time that the server uses for some work. */
    cpuSecondsOf(work: () => Promise<unknown>): Promise<number> {
        return cpuSecondsOf(this.pid, work);
    }

    /** Waits until the server has nothing left to do. */
    atRest(): Promise<void> {
        return atRest(this.pid);
    }

    residentBytes(): number {
        return residentBytes(this.pid);
    }

    /** Creates an image without a file; gives its uuid. */
    async createImage(): Promise<string> {
        const manifest = {
            name: 'bench',
            version: '1.0.0',
            type: 'other',
            os: 'other',
            public: true,
            owner: OWNER,
        };
        const { uuid } = (await this.#json('POST', '/images', manifest)) as { uuid: string };
        return uuid;
    }

    async activateImage(uuid: string): Promise<void> {
        await this.#json('POST', `/images/${uuid}?action=activate`);
    }

    async deleteImage(uuid: string): Promise<void> {
        await this.#json('DELETE', `/images/${uuid}`);
    }

    async #json(method: string, path: string, body?: object): Promise<unknown> {
        const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
            method,
            ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
        });
        const text = await response.text();
        if (!response.ok) {
            throw new Error(`${method} ${path} was answered with ${response.status}: ${text}`);
        }
        return text === '' ? undefined : JSON.parse(text);
    }
}

/** Where an image's file is sent to. */
export const filePath = (uuid: string): string => `/images/${uuid}/file?compression=none`;

/** What a busy public repository runs with, but for the authentication of the uploads. */
function configuration(dataDir: string, port: number): object {
    return { dataDir, port, address: '127.0.0.1', mode: 'public', authType: 'none', logLevel: 'info' };
}

/** Whether a server answers there. */
async function answers(port: number, path: string): Promise<boolean> {
    try {
        await fetchWhole(port, path);
        return true;
    } catch (err) {
        if ((err as NodeJS.ErrnoException).code === 'ECONNREFUSED') {
            return false;
        }
        throw err;
    }
}

async function freePort(): Promise<number> {
    const probe = createServer();
    probe.listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, 'close');
    return port;
}
