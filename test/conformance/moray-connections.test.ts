import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MorayConfig } from '../../lib/config/types';
import type { Session } from '../../lib/db/moray-client/types';
import { CertificateAuthority } from '../support/certificates';
import { gate as makeGate } from '../support/gate';
import { failure, TestConnections, until } from '../support/moray-connections';
import { Postgres } from '../support/postgresql';

describe('connections to the database of Moray', () => {
    let server: Postgres;
    let config: MorayConfig;
    let connections: TestConnections;
    const opened: TestConnections[] = [];

    const open = (changes: Parameters<typeof TestConnections.open>[1] = {}): TestConnections => {
        const others = TestConnections.open(config, changes);
        opened.push(others);
        return others;
    };
    const pool = (changes: object) => ({ pool: { ...config.pg!.pool, ...changes } });
    /** Connections of ours in the database. */
    const backends = async (): Promise<number> => {
        const [row] = await server.sql(
            "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'imgapi'",
        );
        return Number(row?.n);
    };

    before(async function () {
        server = await Postgres.start(this);
        config = await server.makeDatabase();
        connections = TestConnections.open(config);
        await connections.query({ text: 'CREATE TABLE t (k int PRIMARY KEY, v text)' });
    });
    beforeEach(() => connections.query({ text: "INSERT INTO t VALUES (1, 'a'), (2, 'b')" }));
    afterEach(async () => {
        await Promise.all(opened.splice(0).map((others) => others.close()));
        await connections.query({ text: 'DELETE FROM t' });
    });
    after(async () => {
        await (connections as TestConnections | undefined)?.close();
        await (server as Postgres | undefined)?.stop();
    });

    describe('values', () => {
        it('are numbers, booleans, arrays and times, and else text', async () => {
            const now = '2015-01-02T03:04:05.678Z';
            const row = await connections.row(
                `SELECT 5::int8 AS id, 9007199254740993::int8 AS big, 1.50::numeric AS number, true AS yes,
                    '{"a": 1}'::json AS json, '{"a": 1}'::jsonb AS jsonb, 'ABCDEF00-0000-0000-0000-000000000000'::uuid AS uuid,
                    $1::timestamptz AS time, $1::timestamptz::timestamp AS local, '10.0.0.1'::inet AS ip,
                    '[1,2)'::numrange AS range, 'infinity'::timestamptz AS ever, null::text AS nothing,
                    ARRAY['a', null, '', 'NULL', '"{,}\\'] AS texts, ARRAY[1.5, null]::numeric[] AS numbers,
                    ARRAY[true, false] AS flags, ARRAY[7]::int8[] AS ids, '{}'::text[] AS none,
                    ARRAY['2015-01-02']::timestamp[] AS times, ARRAY['10.0.0.0/8']::cidr[] AS subnets`,
                [now],
            );
            assert.deepEqual(row, {
                id: 5,
                big: '9007199254740993',
                number: 1.5,
                yes: true,
                json: '{"a": 1}',
                jsonb: '{"a": 1}',
                uuid: 'abcdef00-0000-0000-0000-000000000000',
                time: new Date(now),
                local: new Date(now),
                ip: '10.0.0.1',
                range: '[1,2)',
                ever: Infinity,
                nothing: null,
                texts: ['a', null, '', 'NULL', '"{,}\\'],
                numbers: [1.5, null],
                flags: [true, false],
                ids: [7],
                none: [],
                times: [new Date('2015-01-02T00:00:00Z')],
                subnets: ['10.0.0.0/8'],
            });
        });

        it('do not depend on what is set for the role, and what is to depend on it does', async () => {
            await server.sql("ALTER ROLE moray SET datestyle = 'German, DMY'");
            await server.sql("ALTER ROLE moray SET timezone = 'Asia/Tokyo'");
            await server.sql("ALTER ROLE moray SET default_transaction_isolation = 'serializable'");
            await server.sql("ALTER ROLE moray SET standard_conforming_strings = 'off'");
            await server.sql("ALTER ROLE moray SET synchronous_commit = 'remote_apply'");
            try {
                const row = await open().row(
                    `SELECT '2015-02-01T00:00:00Z'::timestamptz AS time, '\\' AS backslash, 'ö' AS utf8,
                        current_setting('transaction_isolation') AS isolation,
                        current_setting('synchronous_commit') AS durability`,
                );
                assert.deepEqual(row, {
                    time: new Date('2015-02-01T00:00:00Z'),
                    backslash: '\\',
                    utf8: 'ö',
                    isolation: 'read committed',
                    durability: 'remote_apply',
                });
            } finally {
                await server.sql('ALTER ROLE moray RESET ALL');
            }
        });
    });

    describe('statements', () => {
        it('are one each, whatever their text holds', async () => {
            const { details } = await failure(
                connections.query({ text: "SELECT 1; INSERT INTO t VALUES (3, 'c')" }),
                'InternalError',
            );
            assert.equal(details.sqlState, '42601');
            assert.equal((await connections.query({ text: 'SELECT FROM t' })).count, 2);
        });

        it('say how many rows they changed', async () => {
            assert.equal((await connections.query({ text: "UPDATE t SET v = 'x'" })).count, 2);
        });

        it('that are prepared go on when the table gets another column', async () => {
            const statement = { name: 'all of t', text: 'SELECT * FROM t WHERE k = $1', values: [1] };
            const one = open(pool({ size: 2 }));
            await one.query(statement);
            await connections.query({ text: 'ALTER TABLE t ADD COLUMN w text' });
            try {
                assert.deepEqual((await one.query(statement)).rows, [{ k: 1, v: 'a', w: null }]);
                await connections.query({ text: 'ALTER TABLE t ADD COLUMN x text' });
                const { rows } = await one.transaction((session) => session.query(statement));
                assert.deepEqual(rows, [{ k: 1, v: 'a', w: null, x: null }]);
            } finally {
                await connections.query({
                    text: 'ALTER TABLE t DROP COLUMN IF EXISTS w, DROP COLUMN IF EXISTS x',
                });
            }
        });

        it('that take too long are ended, and their connection is used again', async () => {
            const hasty = open(pool({ size: 2, statementTimeout: 200 }));
            const { details } = await failure(
                hasty.query({ text: 'SELECT pg_sleep(10)' }),
                'QueryTimeoutError',
            );
            assert.equal(details.sqlState, '57014');
            const [first, second] = [
                await hasty.row('SELECT pg_backend_pid()'),
                await hasty.row('SELECT pg_backend_pid()'),
            ];
            assert.deepEqual(first, second);
        });

        it('with a mistake of ours fail as such, and harm nothing', async () => {
            const loop: unknown[] = [{}];
            (loop[0] as { self?: unknown }).self = loop[0];
            await assert.rejects(connections.query({ text: 'SELECT $1', values: loop }), TypeError);
            assert.deepEqual(await connections.row('SELECT 1 AS one'), { one: 1 });
        });
    });

    describe('transactions', () => {
        it('are committed when the work resolves, and undone when it rejects', async () => {
            const put = (key: number) => async (session: Session) => {
                await session.query({ text: 'INSERT INTO t VALUES ($1)', values: [key] });
                return key;
            };
            assert.equal(await connections.transaction(put(3)), 3);
            const reason = new Error('of the work');
            await assert.rejects(
                connections.transaction(async (session) => {
                    await put(4)(session);
                    throw reason;
                }),
                reason,
            );
            assert.deepEqual(await connections.row('SELECT array_agg(k ORDER BY k) AS keys FROM t'), {
                keys: [1, 2, 3],
            });
        });

        it('do not count as committed if a failure in them was overlooked', async () => {
            const { details } = await failure(
                connections.transaction(async (session) => {
                    await session.query({ text: 'INSERT INTO t VALUES (3)' });
                    await session.query({ text: 'INSERT INTO t VALUES (1)' }).catch(() => undefined);
                }),
                'InternalError',
            );
            assert.equal(details.sqlState, '23505');
            assert.equal((await connections.query({ text: 'SELECT FROM t' })).count, 2);
        });

        it('run statements in the order they were given, and none after their end', async () => {
            let kept: Session | undefined;
            const order: number[] = [];
            await connections.transaction(async (session) => {
                kept = session;
                const wait = async (seconds: number, at: number) => {
                    await session.query({ text: 'SELECT pg_sleep($1)', values: [seconds] });
                    order.push(at);
                };
                await Promise.all([wait(0.1, 1), wait(0, 2)]);
            });
            assert.deepEqual(order, [1, 2]);
            await assert.rejects(kept!.query({ text: 'SELECT 1' }), /has ended/);
        });

        it('can be read-only, and of one view', async () => {
            const { details } = await failure(
                connections.transaction((session) => session.query({ text: 'DELETE FROM t' }), {
                    readOnly: true,
                }),
                'InternalError',
            );
            assert.equal(details.sqlState, '25006');
            await connections.transaction(
                async (session) => {
                    const count = async () => (await session.query({ text: 'SELECT FROM t' })).count;
                    assert.equal(await count(), 2);
                    await connections.query({ text: 'INSERT INTO t VALUES (3)' });
                    assert.equal(await count(), 2);
                },
                { isolation: 'REPEATABLE READ' },
            );
        });

        it('that the database ends for the sake of another one are tried again', async () => {
            const both = makeGate();
            let holding = 0;
            const lockBoth = (first: number, second: number) =>
                connections.transaction(async (session) => {
                    const lock = (key: number) =>
                        session.query({
                            text: 'UPDATE t SET v = v || $1 WHERE k = $2',
                            values: [first, key],
                        });
                    await lock(first);
                    if (++holding === 2) {
                        both.open();
                    }
                    await both.opened;
                    await lock(second);
                });
            await Promise.all([lockBoth(1, 2), lockBoth(2, 1)]);
            assert.ok(holding > 2);
            const { v } = await connections.row('SELECT v FROM t WHERE k = 1');
            assert.match(String(v), /^a(12|21)$/);
        });

        it('that read and then write what others write are tried again', async () => {
            await connections.query({ text: "UPDATE t SET v = '0'" });
            const increment = () =>
                connections.transaction(
                    async (session) => {
                        const { rows } = await session.query({ text: 'SELECT v FROM t WHERE k = 1' });
                        const next = String(Number(rows[0]?.v) + 1);
                        await session.query({ text: 'UPDATE t SET v = $1 WHERE k = 1', values: [next] });
                    },
                    { isolation: 'REPEATABLE READ' },
                );
            await Promise.all([increment(), increment(), increment()]);
            assert.deepEqual(await connections.row('SELECT v FROM t WHERE k = 1'), { v: '3' });
        });

        it('that do nothing for too long are given up, so that rows do not stay locked', async () => {
            const hasty = open(pool({ size: 2, statementTimeout: 200 }));
            let runs = 0;
            const { details } = await failure(
                hasty.transaction(async (session) => {
                    runs++;
                    await session.query({ text: "UPDATE t SET v = 'locked'" });
                    await until(
                        async () =>
                            (
                                await server.sql(
                                    "SELECT FROM pg_stat_activity WHERE state = 'idle in transaction'",
                                )
                            ).length === 0,
                    );
                    await session.query({ text: 'SELECT 1' });
                }),
                'NoDatabasePeersError',
            );
            assert.equal(details.sqlState, '25P03');
            assert.equal(runs, 1);
            assert.deepEqual(await hasty.row('SELECT v FROM t WHERE k = 1'), { v: 'a' });
        });
    });

    describe('many requests at once', () => {
        it('share the connections of the pool', async () => {
            const others = await backends();
            const small = open(pool({ size: 3 }));
            const answers = await Promise.all(
                Array.from({ length: 300 }, (_, at) => small.row('SELECT $1::int AS at', [at])),
            );
            assert.deepEqual(
                answers,
                Array.from({ length: 300 }, (_, at) => ({ at })),
            );
            assert.equal(await backends(), others + 3);
        });

        it('fail soon when none comes free, and what runs goes on', async () => {
            const small = open(pool({ size: 2, connectTimeout: 200 }));
            const gate = makeGate();
            const busy = [1, 2].map((k) =>
                small.transaction(async (session) => {
                    await session.query({ text: 'UPDATE t SET v = $1 WHERE k = $2', values: ['c', k] });
                    await gate.opened;
                }),
            );
            const refused = await failure(small.query({ text: 'SELECT 1' }), 'NoDatabasePeersError');
            assert.match(refused.message, /none of the 2 connections to .* came free within 200 ms/);
            gate.open();
            await Promise.all(busy);
            assert.deepEqual(await small.row('SELECT count(*) AS n FROM t WHERE v = $1', ['c']), { n: 2 });
        });

        it('make do with the connections that the server has left', async () => {
            const others = open(pool({ size: 10 }));
            await others.untilReached();
            const used = await backends();
            await server.sql(`ALTER ROLE moray CONNECTION LIMIT ${used + 1}`);
            try {
                await Promise.all(
                    Array.from({ length: 50 }, () => others.query({ text: 'SELECT pg_sleep(0.001)' })),
                );
            } finally {
                await server.sql('ALTER ROLE moray CONNECTION LIMIT -1');
            }
        });
    });

    describe('a connection that is lost', () => {
        const terminate = (session: Session) => async () => {
            const { rows } = await session.query({ text: 'SELECT pg_backend_pid() AS pid' });
            await server.sql('SELECT pg_terminate_backend($1, 5000)', [rows[0]?.pid]);
        };

        it('ends neither the others nor what read on it', async () => {
            const others = open(pool({ size: 2 }));
            let runs = 0;
            const reading = others.transaction(
                async (session) => {
                    if (runs++ === 0) {
                        await terminate(session)();
                    }
                    return (await session.query({ text: 'SELECT v FROM t WHERE k = 1' })).rows;
                },
                { readOnly: true },
            );
            const gate = makeGate();
            const writing = others.transaction(async (session) => {
                await session.query({ text: "UPDATE t SET v = 'kept' WHERE k = 2" });
                await gate.opened;
            });
            assert.deepEqual(await reading, [{ v: 'a' }]);
            assert.equal(runs, 2);
            gate.open();
            await writing;
            assert.deepEqual(await others.row('SELECT v FROM t WHERE k = 2'), { v: 'kept' });
        });

        it('has a write done again that cannot have been committed', async () => {
            let runs = 0;
            await connections.transaction(async (session) => {
                await session.query({ text: 'INSERT INTO t VALUES (3)' });
                if (runs++ === 0) {
                    await terminate(session)();
                }
                await session.query({ text: 'INSERT INTO t VALUES (4)' });
            });
            assert.equal(runs, 2);
            assert.equal((await connections.query({ text: 'SELECT FROM t' })).count, 4);
        });

        it('leaves open what became of a write that may have been committed', async () => {
            const text = 'INSERT INTO t SELECT 3 FROM pg_sleep(10)';
            const writing = failure(connections.query({ text }), 'NoDatabasePeersError');
            await until(
                async () =>
                    (
                        await server.sql(
                            'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1',
                            [text],
                        )
                    ).length > 0,
            );
            const { details } = await writing;
            assert.equal(details.outcomeUnknown, true);
            assert.deepEqual(await connections.row('SELECT 1 AS one'), { one: 1 });
        });
    });

    describe('a server that does not answer', () => {
        const silent: Server[] = [];
        const listen = async (): Promise<string> => {
            const one = createServer((socket) => void socket.on('error', () => undefined).resume());
            silent.push(one);
            one.listen(0, '127.0.0.1');
            await once(one, 'listening');
            return `127.0.0.1:${(one.address() as AddressInfo).port}`;
        };
        after(() => silent.forEach((one) => one.close()));

        it('does not stand before one that does', async () => {
            const hosts = [await listen(), '127.0.0.1:1', server.host];
            const others = open({ ...pool({ connectTimeout: 2000 }), hosts });
            assert.deepEqual(await others.row('SELECT 1 AS one'), { one: 1 });
        });

        it('is not waited for by each request', async () => {
            const others = open({ ...pool({ connectTimeout: 300 }), hosts: [await listen()] });
            const first = await failure(others.query({ text: 'SELECT 1' }), 'NoDatabasePeersError');
            assert.match(first.message, /no server takes writes/);
            await until(() => others.records.length > 0);
            const { message } = await failure(others.query({ text: 'SELECT 1' }), 'NoDatabasePeersError');
            assert.match(message, /did not answer within 300 ms/);
        });

        it('is given up while it is stopped, and used again when it goes on', async () => {
            const others = open(pool({ size: 2, connectTimeout: 500, statementTimeout: 2000 }));
            await others.untilReached();
            await server.pause();
            try {
                const { details } = await failure(
                    others.query({ text: 'INSERT INTO t VALUES (3)' }),
                    'NoDatabasePeersError',
                );
                assert.equal(details.outcomeUnknown, true);
                await failure(others.query({ text: 'SELECT 1' }), 'NoDatabasePeersError');
            } finally {
                await server.resume();
            }
            await others.untilReached();
        });

        it('is used once it is started', async () => {
            const others = open();
            await others.untilReached();
            await server.shutDown();
            const early = open();
            try {
                for (const one of [others, early]) {
                    const { message } = await failure(
                        one.query({ text: 'SELECT 1' }),
                        'NoDatabasePeersError',
                    );
                    assert.match(message, /ECONNREFUSED|shutting down/);
                }
            } finally {
                await server.restart();
            }
            await others.untilReached();
            await early.untilReached();
            await connections.untilReached();
        });
    });

    describe('a server that refuses', () => {
        const refusal = async (changes: Parameters<typeof open>[0]): Promise<string> => {
            const others = open(changes);
            const { message } = await failure(others.query({ text: 'SELECT 1' }), 'NoDatabasePeersError');
            const told = JSON.stringify(others.records);
            assert.ok(told.includes('no PostgreSQL server takes writes'));
            assert.ok(!told.includes('geheim') && !message.includes('geheim'));
            return message;
        };

        it('a password is named in the log, without the password', async () => {
            assert.match(
                await refusal({ password: 'geheim' }),
                /password authentication failed for user "moray"/,
            );
        });

        it('has its reason told for each host', async () => {
            assert.match(
                await refusal({ database: 'none' }),
                /127\.0\.0\.1:\d+: .*database "none" does not exist/,
            );
        });

        it('is not let in by what lies in the environment', async () => {
            process.env.PGPASSWORD = config.pg!.password;
            try {
                const { user, database, hosts, pool } = config.pg!;
                const others = TestConnections.open({ pg: { user, database, hosts, pool } });
                opened.push(others);
                await failure(others.query({ text: 'SELECT 1' }), 'NoDatabasePeersError');
            } finally {
                delete process.env.PGPASSWORD;
            }
        });

        it('writes only is used for reads', async () => {
            await server.sql('ALTER ROLE moray SET default_transaction_read_only = on');
            try {
                const others = open();
                const { details } = await failure(
                    others.query({ text: 'DELETE FROM t' }),
                    'NoDatabasePeersError',
                );
                assert.equal(details.sqlState, '25006');
                assert.equal((await others.query({ text: 'SELECT FROM t' })).count, 2);
            } finally {
                await server.sql('ALTER ROLE moray RESET ALL');
            }
        });
    });

    describe('TLS', () => {
        let folder: string;
        let authority: CertificateAuthority;

        before(async () => {
            folder = await mkdtemp(join(tmpdir(), 'imgapi-tls-'));
            authority = new CertificateAuthority(folder);
        });
        after(async () => {
            await server.setTls(undefined);
            await rm(folder, { recursive: true });
        });

        const isEncrypted = async (changes: Parameters<typeof open>[0]): Promise<unknown> => {
            const { ssl } = await open(changes).row(
                'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
            );
            return ssl;
        };
        const refusal = async (changes: Parameters<typeof open>[0]): Promise<string> =>
            (await failure(open(changes).query({ text: 'SELECT 1' }), 'NoDatabasePeersError')).message;

        it('is spoken if it is configured, with a certificate that is verified', async () => {
            await server.setTls(authority.issue('postgresql', 'IP:127.0.0.1'));
            assert.equal(await isEncrypted({}), false);
            assert.equal(await isEncrypted({ ssl: { ca: authority.certFile } }), true);
            assert.equal(await isEncrypted({ ssl: { rejectUnauthorized: false } }), true);
            assert.match(await refusal({ ssl: true }), /certificate/);
        });

        it('is not spoken with a server of another name', async () => {
            await server.setTls(authority.issue('other', 'DNS:other.example.com'));
            assert.match(
                await refusal({ ssl: { ca: authority.certFile } }),
                /127\.0\.0\.1 is not in the cert/,
            );
        });

        it('fails in words where only one side wants it', async () => {
            await server.setTls(authority.issue('strict', 'IP:127.0.0.1'), true);
            assert.match(await refusal({}), /no encryption/);
            await server.setTls(undefined);
            assert.match(await refusal({ ssl: { ca: authority.certFile } }), /does not support SSL/);
        });
    });

    describe('the end', () => {
        it('comes when what is under way has ended; nothing is begun later', async () => {
            const others = open();
            const gate = makeGate();
            let isClosed = false;
            const writing = others.transaction(async (session) => {
                await session.query({ text: 'INSERT INTO t VALUES (3)' });
                await gate.opened;
                assert.equal(isClosed, false);
                await session.query({ text: 'INSERT INTO t VALUES (4)' });
            });
            await until(
                async () =>
                    (await server.sql("SELECT FROM pg_stat_activity WHERE state = 'idle in transaction'"))
                        .length === 1,
            );
            const closing = others.close().then(() => (isClosed = true));
            await failure(others.query({ text: 'SELECT 1' }), 'NoDatabasePeersError');
            gate.open();
            await writing;
            await closing;
            assert.equal((await connections.query({ text: 'SELECT FROM t' })).count, 4);
        });
    });
});
