/** A real PostgreSQL server for tests: deps/postgresql, with databases for each test, and the ways in which it can fail. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { MorayConfig, PgConfig } from '../../lib/config/types';
import { skip } from './skip';

const DEPS = resolve(__dirname, '../../deps/postgresql');

/** `start` says so if a program is missing. */
const NOT_INSTALLED = 127;

/** How long a start may take, in ms: some seconds on a busy machine. */
const START_WITHIN = 60_000;

type Pool = PgConfig['pool'];

/** Shorter than by default, so that failures are seen soon; long enough for a busy machine. */
const POOL: Pool = {
    size: 4,
    connectTimeout: 3000,
    statementTimeout: 10_000,
    idleTimeout: 60_000,
    recheckInterval: 100,
};

interface Address {
    readonly user: string;
    readonly password: string;
    readonly host: string;
    readonly database: string;
}

export class Postgres {
    #databases = 0;

    private constructor(
        private readonly folder: string,
        private readonly moray: Address,
        private readonly superuser: Address,
    ) {}

    /** Starts one, which takes some seconds; skips the test or suite of `context` where it cannot be started. */
    static start(context: Mocha.Context): Promise<Postgres> {
        return Postgres.#start(context);
    }

    /** Starts another one that follows this one and can take its place. */
    startStandby(context: Mocha.Context): Promise<Postgres> {
        return Postgres.#start(context, this.folder);
    }

    static async #start(context: Mocha.Context, primary?: string): Promise<Postgres> {
        context.timeout(START_WITHIN);
        const folder = await mkdtemp(join(tmpdir(), 'imgapi-postgresql-'));
        // It works in it as another user.
        await chmod(folder, 0o755);
        const { status, stdout, stderr } = await run(
            'start',
            folder,
            ...(primary === undefined ? [] : [primary]),
        );
        if (status !== 0) {
            await rm(folder, { recursive: true });
            if (status === NOT_INSTALLED) {
                skip(context, stderr.trim());
            }
            throw new Error(`deps/postgresql/start ended with ${String(status)}: ${stderr}`);
        }
        const [moray = '', superuser = ''] = stdout.trim().split('\n');
        return new Postgres(folder, address(moray), address(superuser));
    }

    /** `host:port` */
    get host(): string {
        return this.moray.host;
    }

    /** The block `moray` of a server that keeps its images there. */
    get config(): MorayConfig {
        return this.configOf([this], {});
    }

    /** That block for several servers, another database, or other limits. */
    configOf(
        servers: readonly Postgres[],
        options: { database?: string; pool?: Partial<Pool> },
    ): MorayConfig {
        const { user, password, database } = this.moray;
        return {
            pg: {
                hosts: servers.map(({ host }) => host),
                user,
                password,
                database: options.database ?? database,
                pool: { ...POOL, ...options.pool },
            },
        };
    }

    /**
     * Makes an empty database that belongs to the role `moray`, and gives the block `moray` for it.
     *
     * @param options further ones, as CREATE DATABASE has them
     */
    async makeDatabase(options = ''): Promise<MorayConfig> {
        const database = `test_${++this.#databases}`;
        await this.sql(
            `CREATE DATABASE ${database} OWNER ${this.moray.user} TEMPLATE template0 STRATEGY file_copy ${options}`,
        );
        return this.configOf([this], { database });
    }

    /** Runs a statement as superuser, and gives its rows. @param database by default that of `config` */
    async sql(
        text: string,
        values: readonly unknown[] = [],
        database = this.moray.database,
    ): Promise<Record<string, unknown>[]> {
        const client = await this.#connect(database);
        try {
            const { rows } = await client.query<Record<string, unknown>>(text, [...values]);
            return rows;
        } finally {
            await client.end();
        }
    }

    /** Locks a table, so that nobody can even read it until the function that this gives is called. */
    async lock(table: string, database: string): Promise<() => Promise<void>> {
        const client = await this.#connect(database);
        await client.query('BEGIN');
        await client.query(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
        return () => client.end();
    }

    async #connect(database: string): Promise<Client> {
        const { user, password, host } = this.superuser;
        const [name, port] = host.split(':');
        const client = new Client({ user, password, host: name!, port: Number(port), database, ssl: false });
        await client.connect();
        return client;
    }

    /**
     * With a certificate it speaks TLS as well as plain text, and with `only` the role `moray` is refused without TLS;
     * without one it speaks plain text.
     */
    async setTls(certificate: { key: string; cert: string } | undefined, only = false): Promise<void> {
        const data = join(this.folder, 'data');
        const { uid, gid } = await stat(data);
        const write = async (name: string, text: string): Promise<void> => {
            await writeFile(join(data, name), text, { mode: 0o600 });
            await chown(join(data, name), uid, gid);
        };
        if (certificate) {
            await write('server.key', certificate.key);
            await write('server.crt', certificate.cert);
        }
        const kind = only ? 'hostssl' : 'host';
        const { user } = this.moray;
        await write(
            'pg_hba.conf',
            ['host all postgres', `${kind} all ${user}`, 'host replication postgres']
                .map((who) => `${who} 127.0.0.1/32 scram-sha-256\n`)
                .join(''),
        );
        await this.sql(`ALTER SYSTEM SET ssl = ${certificate ? 'on' : 'off'}`);
        const [before] = await this.sql('SELECT pg_conf_load_time()::text AS time');
        await this.sql('SELECT pg_reload_conf()');
        for (;;) {
            const [now] = await this.sql('SELECT pg_conf_load_time()::text AS time');
            if (now?.time !== before?.time) {
                return;
            }
            await sleep(20);
        }
    }

    /** From now on, each commit waits for the standby, which has to follow already. */
    async waitForStandby(): Promise<void> {
        await this.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
        await this.sql('SELECT pg_reload_conf()');
        while ((await this.sql("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'")).length === 0) {
            await sleep(20);
        }
    }

    /** Makes this standby a primary; it takes writes when this resolves. */
    async promote(): Promise<void> {
        await must(run('promote', this.folder));
    }

    /** No longer answers, but keeps its connections, and new ones are taken by the system. */
    async pause(): Promise<void> {
        // First the one that makes new processes.
        const stopped = new Set<number>();
        for (;;) {
            const running = (await this.#processes()).filter((pid) => !stopped.has(pid));
            if (running.length === 0) {
                return;
            }
            for (const pid of running) {
                signal(pid, 'SIGSTOP');
                await untilStopped(pid);
                stopped.add(pid);
            }
        }
    }

    async resume(): Promise<void> {
        (await this.#processes()).forEach((pid) => signal(pid, 'SIGCONT'));
    }

    /** Ends at once, with all its processes, as if the power of its machine had gone. */
    async kill(): Promise<void> {
        const pids = await this.#processes();
        pids.forEach((pid) => signal(pid, 'SIGKILL'));
        for (const pid of pids) {
            while (await isAlive(pid)) {
                await sleep(5);
            }
        }
        // To the next start, one that has ended and that nobody has taken note of would still seem to run.
        await rm(this.#pidFile, { force: true });
    }

    /** Ends as its operator would end it: connections are cut. */
    async shutDown(): Promise<void> {
        await must(run('stop', this.folder));
    }

    /** After {@link kill} or {@link shutDown}: at the same port, with the same data. */
    async restart(): Promise<void> {
        await must(run('start', this.folder));
    }

    /** Ends and removes it. */
    async stop(): Promise<void> {
        await this.kill();
        await rm(this.folder, { recursive: true });
    }

    get #pidFile(): string {
        return join(this.folder, 'data/postmaster.pid');
    }

    /** Its process ids, that of the parent of all others first; none if it does not run. */
    async #processes(): Promise<number[]> {
        const parent = existsSync(this.#pidFile) ? parseInt(readFileSync(this.#pidFile, 'utf8'), 10) : NaN;
        // The pid of one that was killed may by now be somebody else's.
        const command = await readFile(`/proc/${parent}/cmdline`, 'utf8').catch(() => '');
        if (!command.includes(this.folder)) {
            return [];
        }
        const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
        const stats = await Promise.all(pids.map((pid) => stateOf(pid)));
        const children = pids.filter((_, at) => Number(stats[at]?.[1]) === parent).map(Number);
        return [parent, ...children];
    }
}

function address(url: string): Address {
    const { username, password, host, pathname } = new URL(url);
    return { user: username, password, host, database: pathname.slice(1) };
}

async function run(
    command: string,
    ...args: string[]
): Promise<{ status: number | null; stdout: string; stderr: string }> {
    const child = spawn(join(DEPS, command), args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
    // The server that it starts lives on, but writes to its log.
    const [status] = (await once(child, 'close')) as [number | null];
    return { status, ...output };
}

async function must(ran: ReturnType<typeof run>): Promise<void> {
    const { status, stderr } = await ran;
    if (status !== 0) {
        throw new Error(stderr);
    }
}

/** What /proc says of a process after its name: state, parent and so on; none if it is gone. */
async function stateOf(pid: number | string): Promise<string[]> {
    const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

async function untilStopped(pid: number): Promise<void> {
    // The signal is taken in its time.
    for (;;) {
        const [state = ''] = await stateOf(pid);
        if (state === '' || state === 'T' || state === 'Z') {
            return;
        }
        await sleep(1);
    }
}

function signal(pid: number, name: NodeJS.Signals): void {
    try {
        process.kill(pid, name);
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') {
            throw error;
        }
    }
}

/** Whether it runs; one that has ended and that nobody takes note of does not. */
async function isAlive(pid: number): Promise<boolean> {
    const [state = ''] = await stateOf(pid);
    return state !== '' && state !== 'Z';
}
