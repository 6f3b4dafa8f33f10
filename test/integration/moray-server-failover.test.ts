/** A server whose database in PostgreSQL fails, moves, or is not there yet. */
import assert from 'node:assert/strict';
import { at, Client, MANIFEST, newUuid, type Answer } from '../support/api';
import { until } from '../support/moray-connections';
import { Postgres } from '../support/postgresql';
import { assertTableHonest } from '../support/registry';
import { TestServer } from '../support/server';

const WRITES = 500;
const WRITERS = 8;
/** How soon writes have to be taken again once there is a primary, in ms. */
const RECOVERY = 10_000;

describe('a server on PostgreSQL', () => {
    let primary: Postgres;
    let standby: Postgres;
    let server: TestServer | undefined;
    let client: Client;

    before(async function () {
        primary = await Postgres.start(this);
        standby = await primary.startStandby(this);
        await primary.waitForStandby();
    });
    afterEach(async () => {
        const stopping = server;
        server = undefined;
        if (stopping) {
            assert.equal(await stopping.stop(), 0);
            assertTableHonest(stopping.log);
            const faults = stopping.log.filter(
                ({ msg }) => msg === 'a request failed in a way it should not',
            );
            assert.deepEqual(faults, []);
        }
    });
    after(async () => {
        await (standby as Postgres | undefined)?.stop();
        await (primary as Postgres | undefined)?.stop();
    });

    const start = async () => {
        const config = { databaseType: 'moray', moray: primary.configOf([primary, standby], {}) };
        server = await TestServer.start({ config });
        client = new Client(server.url);
    };
    const create = (name: string): Promise<Answer> => client.post('/images', { ...MANIFEST, name });
    const assertUnavailable = (answer: Answer): void => {
        assert.deepEqual([answer.status, answer.error.code], [503, 'ServiceUnavailableError'], answer.text);
    };

    it('starts while that is down, says so to who asks, and works once it is up', async () => {
        await primary.shutDown();
        await start();
        assert.equal((await client.get('/ping')).status, 200);
        assertUnavailable(await client.get('/images'));
        assertUnavailable(await client.get(at(newUuid())));
        assertUnavailable(await create('early'));
        await primary.restart();
        await until(async () => (await client.get('/images')).status === 200);
        assert.equal((await create('late')).status, 200);
    });

    it('loses none of the images it has acknowledged when the primary is killed, and goes on with the next', async function () {
        this.timeout(120_000);
        await start();
        await until(async () => (await client.get('/images')).status === 200);
        const acknowledged: string[] = [];
        let sent = 0;
        let refusals = 0;
        let promotedAt = Infinity;
        let backAt: number | undefined;
        const failOver = async () => {
            await primary.kill();
            await until(() => refusals > 0);
            assert.equal((await client.get('/ping')).status, 200);
            assertUnavailable(await client.get(at(acknowledged[0] ?? '')));
            await standby.promote();
            promotedAt = performance.now();
        };
        let failing: Promise<void> | undefined;
        const writer = async () => {
            while (sent < WRITES) {
                if (sent++ === WRITES / 5) {
                    failing = failOver();
                }
                if (sent > (4 * WRITES) / 5) {
                    await failing;
                }
                const answer = await create(`image-${sent}`);
                if (answer.status === 200) {
                    acknowledged.push(answer.manifest.uuid);
                    backAt ??= performance.now() > promotedAt ? performance.now() : undefined;
                } else {
                    assertUnavailable(answer);
                    refusals++;
                    // They come at once: none would be left for the next primary.
                    await until(async () => (await client.get('/images')).status === 200);
                }
            }
        };
        await Promise.all(Array.from({ length: WRITERS }, writer));
        await failing;

        assert.ok(backAt !== undefined && backAt - promotedAt < RECOVERY, 'works again in time');
        const rows = await standby.sql('SELECT _key FROM imgapi_images');
        const stored = new Set(rows.map(({ _key }) => _key));
        assert.deepEqual(
            acknowledged.filter((uuid) => !stored.has(uuid)),
            [],
        );
        assert.equal((await client.get(at(acknowledged[0] ?? ''))).status, 200);
    });
});
