/** A real server process for tests: started on a free port with a data folder of its own, ended with everything it left. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { databaseSettings, type DatabaseSettings } from './test-database';

const ROOT = resolve(__dirname, '../..');
const STOP_WITHIN = 20_000;

/** Where one or more servers keep their data. */
export async function makeFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
    const path = await mkdtemp(join(tmpdir(), 'imgapi-test-'));
    return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

export interface ServerOptions {
    /** Keys of the config file beside port, address, dataDir and logLevel. */
    config?: Record<string, unknown>;
    /** The data folder to use; by default a new one, removed when the server stops. */
    dataDir?: string;
    /** Arguments of the server beside `-f`. */
    arguments?: string[];
    /** What runs node, such as a program that passes sockets to it. */
    wrapper?: string[];
    /** Arguments for node itself, e.g. a preloaded module. */
    nodeArguments?: string[];
    environment?: Record<string, string>;
}

/** One record of the server's log. */
export type LogRecord = Record<string, unknown> & { level: number; msg: string };

/** A process that is killed may leave half a line. */
function parseRecord(line: string): LogRecord {
    try {
        return JSON.parse(line) as LogRecord;
    } catch {
        return { level: 0, msg: line };
    }
}

export class TestServer {
    readonly #waiting = new Set<() => void>();

    private constructor(
        /** The first place where it listens. */
        readonly url: string,
        readonly dataDir: string,
        /** Where its images are, as far as that was not left to the defaults. */
        readonly database: DatabaseSettings,
        readonly child: ChildProcess,
        /** What it was started with; to be changed before it loads it again. */
        readonly configFile: string,
        readonly log: readonly LogRecord[],
        private readonly cleanUp: () => Promise<void>,
    ) {}

    static async start(options: ServerOptions = {}): Promise<TestServer> {
        const folder = await makeFolder();
        const dataDir = options.dataDir ?? join(folder.path, 'data');
        const file = join(folder.path, 'imgapi.config.json');
        const isGiven = options.config?.databaseType !== undefined;
        const database: DatabaseSettings = isGiven ? { ...options.config } : await databaseSettings(dataDir);
        const config = {
            port: 0,
            address: '127.0.0.1',
            authType: 'none',
            logLevel: 'info',
            dataDir,
            ...database,
            ...options.config,
        };
        await writeFile(file, JSON.stringify(config));
        const [program = process.execPath, ...rest] = options.wrapper ?? [];
        const before = options.wrapper ? [...rest, process.execPath] : [];
        const child = spawn(
            program,
            [
                ...before,
                ...(options.nodeArguments ?? []),
                join(ROOT, 'main.js'),
                '-f',
                file,
                ...(options.arguments ?? []),
            ],
            {
                stdio: ['ignore', 'pipe', options.wrapper ? 'ignore' : 'inherit'],
                env: { ...process.env, HOST: '', PORT: '', ...options.environment },
            },
        );
        const lines = createInterface({ input: child.stdout });
        const log: LogRecord[] = [];
        try {
            const url = await new Promise<string>((found, failed) => {
                const onLine = (line: string) => {
                    const record = parseRecord(line);
                    log.push(record);
                    const match = /listening on <([^>]+)>/.exec(record.msg);
                    if (match?.[1] !== undefined) {
                        found(match[1]);
                    }
                };
                lines.on('line', onLine);
                child.once('exit', (code) =>
                    failed(
                        new Error(
                            `The server ended with code ${String(code)}: ${JSON.stringify(log.at(-1))}`,
                        ),
                    ),
                );
            });
            const server = new TestServer(url, dataDir, database, child, file, log, folder.remove);
            lines.on('line', () => server.#waiting.forEach((look) => look()));
            return server;
        } catch (err) {
            child.kill('SIGKILL');
            await folder.remove();
            throw err;
        }
    }

    /** The first log record, past or to come, for which the test is true. */
    async logged(test: (record: LogRecord) => boolean): Promise<LogRecord> {
        return new Promise((found) => {
            const look = () => {
                const record = this.log.find(test);
                if (record) {
                    this.#waiting.delete(look);
                    found(record);
                }
            };
            this.#waiting.add(look);
            look();
        });
    }

    fetch(path: string, init?: RequestInit): Promise<Response> {
        return fetch(this.url + path, init);
    }

    /** Every place where it listens, once it has started. */
    get urls(): string[] {
        return this.log.flatMap(({ msg }) => /listening on <([^>]+)>/.exec(msg)?.[1] ?? []);
    }

    get running(): boolean {
        return this.child.exitCode === null && this.child.signalCode === null;
    }

    /** Resolves when the process has ended, with the signal that killed it, if one did. */
    async ended(): Promise<NodeJS.Signals | null> {
        if (this.running) {
            await once(this.child, 'exit');
        }
        return this.child.signalCode;
    }

    /** Ends the process and removes its folder (a `dataDir` that was given is kept). Gives the exit code. */
    async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
        if (this.running) {
            const ended = once(this.child, 'exit');
            this.child.kill(signal);
            const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_WITHIN);
            await ended;
            clearTimeout(timer);
        }
        await this.cleanUp();
        return this.child.exitCode;
    }
}
