/** The server's own tables in PostgreSQL: how they are made, and what several hosts do with them at once. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { MorayConfig } from '../../lib/config/types';
import { PendingObjectLost } from '../../lib/db/driver';
import { PgConnections } from '../../lib/db/moray-client/connections';
import { DatabaseClock } from '../../lib/db/moray-clock';
import { measureClock, MorayLeases } from '../../lib/db/moray-coordination';
import { MorayJobs } from '../../lib/db/moray-jobs';
import { MorayPending, Pending } from '../../lib/db/moray-pending';
import { MoraySchemaTooNew, prepareSchema } from '../../lib/db/moray-schema';
import { ApiError } from '../../lib/errors';
import { testUuid } from '../support/images';
import { Postgres } from '../support/postgresql';

const log = { info: () => undefined, warn: () => undefined };

/** A server on a host whose clock is ahead by so many ms. */
class Host {
    readonly connections: PgConnections;
    readonly clock: { now: () => number; uuid: () => string };
    readonly databaseClock: DatabaseClock;
    readonly leases: MorayLeases;
    readonly pending: MorayPending;
    readonly warnings: string[] = [];

    constructor(config: MorayConfig, ahead = 0) {
        this.connections = new PgConnections(config.pg!, log);
        this.clock = { now: () => Date.now() + ahead, uuid: randomUUID };
        this.databaseClock = new DatabaseClock(this.clock, {
            warn: (_fields, message) => this.warnings.push(message),
        });
        this.leases = new MorayLeases(this.connections, this.databaseClock);
        this.pending = new MorayPending(this.connections, this.databaseClock);
    }

    /** Gives the id. */
    async open(): Promise<string> {
        const id = await prepareSchema(this.connections, randomUUID());
        await measureClock(this.connections, this.databaseClock);
        return id;
    }
}

describe('the tables of servers in PostgreSQL', function () {
    this.timeout(20_000);
    let postgres: Postgres;
    let config: MorayConfig;
    let hosts: Host[];

    before(async function () {
        postgres = await Postgres.start(this);
    });
    after(() => (postgres as Postgres | undefined)?.stop());
    beforeEach(async () => {
        config = await postgres.makeDatabase();
        hosts = [];
    });
    afterEach(() => Promise.all(hosts.map(({ connections }) => connections.close())));

    const sql = (text: string) => postgres.sql(text, [], config.pg!.database);

    function host(ahead = 0): Host {
        const made = new Host(config, ahead);
        hosts.push(made);
        return made;
    }

    async function opened(ahead = 0): Promise<Host> {
        const made = host(ahead);
        await made.open();
        return made;
    }

    const object = (n: number) => ({
        id: testUuid(n),
        image: testUuid(1),
        storage: 'local' as const,
        key: `images/aaa/file0-${n}`,
    });

    it('are made once, by however many servers that start together', async () => {
        const ids = await Promise.all(Array.from({ length: 8 }, () => host().open()));
        assert.equal(new Set(ids).size, 1);
        assert.equal(await host().open(), ids[0]);
    });

    it('are not reached without the certificates that are named, and the error names the key', () => {
        const pg = {
            ...config.pg!,
            connectionString: undefined,
            hosts: ['127.0.0.1:1'],
            ssl: { ca: '/nowhere.pem' },
        };
        assert.throws(() => new PgConnections(pg, log), /moray\.pg\.ssl\.ca/);
    });

    it('are refused when a newer version made them, and left as they are', async () => {
        await opened();
        await sql("UPDATE imgapi_server_meta SET value = '99' WHERE name = 'schema_version'");
        await assert.rejects(
            opened(),
            (error) =>
                error instanceof ApiError &&
                error.code === 'ServiceUnavailableError' &&
                error.cause instanceof MoraySchemaTooNew &&
                error.cause.message.includes('99'),
        );
        assert.deepEqual(await sql("SELECT value FROM imgapi_server_meta WHERE name = 'schema_version'"), [
            { value: '99' },
        ]);
    });

    it('are none of Moray’s buckets', async () => {
        await opened();
        const tables = await sql(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'imgapi%'",
        );
        assert.ok(tables.length > 0);
        assert.ok(tables.every(({ relname }) => String(relname).startsWith('imgapi_server_')));
        assert.deepEqual(await sql("SELECT 1 FROM pg_class WHERE relname = 'buckets_config'"), []);
    });

    it('keep uploads and leases alive across hosts whose clocks are minutes apart', async () => {
        const [slow, fast] = [await opened(-180_000), await opened(180_000)];
        assert.match(slow.warnings.join(), /differ by 180 s/);
        await slow.pending.add(object(1), slow.clock.now());
        assert.deepEqual(await fast.pending.condemn(fast.clock.now() - 60_000, 10), []);
        const oldest = (await fast.pending.oldestBeat()) ?? 0;
        assert.ok(Math.abs(fast.clock.now() - oldest) < 20_000);
        assert.equal(await slow.leases.acquire('purge', 'slow', 30_000, slow.clock.now()), true);
        assert.equal(await fast.leases.acquire('purge', 'fast', 30_000, fast.clock.now()), false);
        await slow.leases.release('purge', 'slow');
        assert.equal(await fast.leases.acquire('purge', 'fast', 30_000, fast.clock.now()), true);
        assert.equal(await slow.leases.acquire('purge', 'slow', 30_000, slow.clock.now()), false);
    });

    it('take times as they are where clocks hardly differ', async () => {
        const near = await opened(300);
        assert.equal(near.databaseClock.ahead, 0);
        assert.deepEqual(near.warnings, []);
    });

    it('settle an upload or condemn it, never both, with many at once', async () => {
        const [a, b] = [await opened(), await opened()];
        const parts = new Pending(a.databaseClock);
        const numbers = Array.from({ length: 40 }, (_, n) => n + 1);
        await Promise.all(numbers.map((n) => a.pending.add(object(n), 100)));
        const ids = numbers.map(testUuid);
        const settled: string[] = [];
        const lost: string[] = [];
        const settle = async (n: number) => {
            // Two each, in either order.
            const pair = n % 4 === 1 ? [testUuid(n), testUuid(n + 1)] : [testUuid(n + 1), testUuid(n)];
            try {
                await a.connections.transaction((session) => parts.settle(session, pair));
                settled.push(...pair);
            } catch (error) {
                assert.ok(error instanceof PendingObjectLost, String(error));
                lost.push(...pair);
            }
        };
        await Promise.all([
            ...numbers.filter((n) => n % 2 === 1).map(settle),
            b.pending.beat(ids, 200),
            b.pending.condemn(150, 100),
            b.pending.beat(ids.toReversed(), 300),
            b.pending.abandon([testUuid(3), testUuid(2)]),
        ]);
        const condemned = new Set((await b.pending.condemn(1000, 100)).map(({ id }) => id));
        assert.ok(settled.every((id) => !condemned.has(id)));
        assert.deepEqual([...condemned].sort(), lost.sort());
    });

    it('have jobs taken by one of several that write the same version', async () => {
        const [a, b] = [
            new MorayJobs((await opened()).connections),
            new MorayJobs((await opened()).connections),
        ];
        const job = {
            uuid: testUuid(1),
            imageUuid: testUuid(2),
            task: 'import',
            execution: 'queued',
            createdAt: 1,
            dueAt: 1,
            finishedAt: undefined,
            value: {},
        };
        const { etag } = await a.put(job, null);
        const writes = await Promise.allSettled(
            Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? a : b).put({ ...job, dueAt: n + 2 }, etag)),
        );
        assert.equal(writes.filter(({ status }) => status === 'fulfilled').length, 1);
        assert.deepEqual(await a.list({ task: 'a\0b' }, { limit: 9 }), []);
    });

    it('are searched by an index whatever is asked', async () => {
        const { connections } = await opened();
        await sql(
            'INSERT INTO imgapi_server_jobs SELECT n, n % 500, n % 900, n % 700, n, n, n, n, n FROM generate_series(1, 20000) AS n',
        );
        await sql(
            "INSERT INTO imgapi_server_pending SELECT n, n, 'local', n, n, n % 2 = 0 FROM generate_series(1, 20000) AS n",
        );
        await sql('ANALYZE');
        const statements: { text: string; values: readonly unknown[] }[] = [];
        const watched = {
            query: (statement: { text: string; values?: readonly unknown[] }) => {
                statements.push({ text: statement.text, values: statement.values ?? [] });
                return connections.query(statement);
            },
        };
        const jobs = new MorayJobs(watched);
        const pending = new MorayPending(
            watched,
            new DatabaseClock({ now: Date.now, uuid: randomUUID }, log),
        );
        for (const where of [{}, { imageUuid: '7' }, { task: '7' }, { execution: '7' }]) {
            await jobs.list(where, { limit: 10 });
        }
        await jobs.get('7');
        await jobs.due(50, { limit: 10 });
        await jobs.prune(50, 10);
        await pending.beat(['7'], 5);
        await pending.condemn(0, 10);
        await pending.has('local', '7');
        await pending.oldestBeat();
        assert.ok(statements.length > 10);
        for (const { text, values } of statements) {
            const { rows } = await connections.query({ text: `EXPLAIN ${text}`, values });
            const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
            assert.doesNotMatch(plan, /Seq Scan/, `${text}\n${plan}`);
        }
    });
});
