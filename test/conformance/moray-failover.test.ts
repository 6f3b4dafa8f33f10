import assert from 'node:assert/strict';
import type { MorayConfig } from '../../lib/config/types';
import { MorayError } from '../../lib/db/moray-client/errors';
import { failure, TestConnections, until } from '../support/moray-connections';
import { Postgres } from '../support/postgresql';

/** `FAILOVERS` is how often the primary is killed in the long form, with thousands of writes each time. */
const ROUNDS = Number(process.env.FAILOVERS ?? 1);
const WRITES = process.env.FAILOVERS === undefined ? 500 : 3000;
const WRITERS = 8;
/** How soon writes have to be taken again once there is a primary, in ms. */
const RECOVERY = 10_000;

/** What became of writes of the numbers from 0 on. */
interface Outcome {
    readonly acknowledged: Set<number>;
    readonly refused: Set<number>;
    readonly unknown: Set<number>;
    readonly errors: MorayError[];
}

describe('the primary of the database of Moray', () => {
    let primary: Postgres;
    let standby: Postgres;
    let config: MorayConfig;
    let connections: TestConnections;

    beforeEach(async function () {
        primary = await Postgres.start(this);
        standby = await primary.startStandby(this);
        await primary.waitForStandby();
        config = primary.configOf([primary, standby], {});
        connections = TestConnections.open(config);
        await connections.query({ text: 'CREATE TABLE t (n int PRIMARY KEY)' });
    });
    afterEach(async () => {
        await (connections as TestConnections | undefined)?.close();
        await (standby as Postgres | undefined)?.stop();
        await (primary as Postgres | undefined)?.stop();
    });

    const write = (n: number) =>
        connections.transaction(async (session) => {
            await session.query({ text: 'INSERT INTO t VALUES ($1)', values: [n], name: 'insert' });
        });

    const warnings = () =>
        connections.records.filter(({ level }) => level === 'warn').map(({ message }) => message);

    for (let round = 1; round <= ROUNDS; round++) {
        it(`can be killed while ${WRITES} writes go on: none that was acknowledged is lost (${round})`, async function () {
            this.timeout(120_000);
            const outcome: Outcome = {
                acknowledged: new Set(),
                refused: new Set(),
                unknown: new Set(),
                errors: [],
            };
            let next = 0;
            let killed: Promise<void> | undefined;
            let promotedAt = Infinity;
            let backAt: number | undefined;
            const failOver = async () => {
                await primary.kill();
                await until(() => outcome.errors.length > 0);
                await failure(connections.query({ text: 'SELECT 1' }), 'NoDatabasePeersError');
                await standby.promote();
                promotedAt = performance.now();
            };
            const writer = async () => {
                while (next < WRITES) {
                    const n = next++;
                    if (n === WRITES / 5) {
                        killed = failOver();
                    }
                    if (n >= (4 * WRITES) / 5) {
                        await killed;
                    }
                    try {
                        await write(n);
                        outcome.acknowledged.add(n);
                        if (performance.now() > promotedAt) {
                            backAt ??= performance.now();
                        }
                    } catch (error) {
                        assert.ok(error instanceof MorayError, String(error));
                        outcome.errors.push(error);
                        outcome[error.details.outcomeUnknown === true ? 'unknown' : 'refused'].add(n);
                        // Others would be refused at once, and none be left for the next primary.
                        await connections.untilReached();
                    }
                }
            };
            await Promise.all(Array.from({ length: WRITERS }, writer));
            await killed;
            await connections.untilReached();

            const { rows } = await connections.query({ text: 'SELECT n FROM t' });
            const stored = new Set(rows.map(({ n }) => n as number));
            assert.deepEqual(
                [...outcome.acknowledged].filter((n) => !stored.has(n)),
                [],
                'acknowledged, and not there',
            );
            assert.deepEqual(
                [...outcome.refused].filter((n) => stored.has(n)),
                [],
                'refused, and there',
            );
            assert.ok(backAt !== undefined && backAt - promotedAt < RECOVERY);
            assert.deepEqual([...new Set(outcome.errors.map(({ name }) => name))], ['NoDatabasePeersError']);
            assert.ok(
                warnings().includes('no PostgreSQL server takes writes; they are asked again and again'),
            );
        });
    }

    it('is not one whose place was taken, when that comes back', async () => {
        await write(1);
        await primary.kill();
        await standby.promote();
        await connections.untilReached();
        await write(2);

        await primary.restart();
        await standby.kill();
        const { message } = await failure(write(3), 'NoDatabasePeersError');
        assert.ok(message.includes(`${primary.host}: `));
        await until(() =>
            connections.records.some(({ fields }) => JSON.stringify(fields).includes('whose place')),
        );
        await standby.restart();
        await connections.untilReached();
        assert.equal((await connections.query({ text: 'SELECT FROM t' })).count, 2);

        const others = TestConnections.open(config);
        try {
            assert.equal((await others.query({ text: 'SELECT FROM t' })).count, 2);
        } finally {
            await others.close();
        }
    });

    it('has a commit that may get lost called that', async () => {
        await write(1);
        await standby.pause();
        try {
            const writing = failure(write(2), 'NoDatabasePeersError');
            await until(async () => {
                const waiting = await primary.sql(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'",
                );
                return waiting.length > 0;
            });
            const { details, message } = await writing;
            assert.equal(details.outcomeUnknown, true);
            assert.match(message, /synchronous replication/);
        } finally {
            await standby.resume();
        }
        await write(3);
    });
});
