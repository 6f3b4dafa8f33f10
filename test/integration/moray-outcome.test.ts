/** Commits whose answer was lost: what came of them is found out, never guessed. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { ImageChange } from '../../lib/db/driver';
import { MorayDatabase } from '../../lib/db/moray';
import { PgConnections } from '../../lib/db/moray-client/connections';
import { MorayError } from '../../lib/db/moray-client/errors';
import type { Connections, Session } from '../../lib/db/moray-client/types';
import { ApiError } from '../../lib/errors';
import { testImage, testUuid } from '../support/images';
import { quietLog } from '../support/local-database';
import { emptyTables, open } from '../support/moray-database';
import { Postgres } from '../support/postgresql';

/** Loses the answer of the next commit, which happens or does not; then somebody may be faster than who looks. */
class LosingConnections extends PgConnections implements Connections {
    next: 'happens' | 'does not' | undefined;
    meanwhile: () => Promise<unknown> = () => Promise.resolve();

    override async transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
        const { next } = this;
        if (!next) {
            return super.transaction(work);
        }
        this.next = undefined;
        await super
            .transaction(async (session) => {
                await work(session);
                if (next === 'does not') {
                    throw new RangeError('undone');
                }
            })
            .catch((error: unknown) => {
                if (!(error instanceof RangeError)) {
                    throw error;
                }
            });
        await this.meanwhile();
        throw new MorayError('NoDatabasePeersError', 'the connection was lost', { outcomeUnknown: true });
    }
}

describe('PostgreSQL: a commit without an answer', () => {
    let postgres: Postgres;
    let connections: LosingConnections;
    let database: MorayDatabase;

    before(async function () {
        postgres = await Postgres.start(this);
    });
    after(() => postgres.stop());
    beforeEach(async () => {
        const { pg } = postgres.config;
        assert.ok(pg);
        connections = new LosingConnections(pg, quietLog);
        database = new MorayDatabase({
            connections,
            log: quietLog,
            clock: { now: () => Date.now(), uuid: randomUUID },
        });
        await database.open();
        await database.images.commit({ put: [1, 2].map((n) => ({ raw: testImage(n) })) });
    });
    afterEach(async () => {
        await database.close();
        await emptyTables(postgres);
    });

    const pending = {
        id: testUuid(70),
        image: testUuid(1),
        storage: 'local',
        key: 'images/x/file0',
    } as const;
    const changes: Record<string, ImageChange> = {
        'a new record': { put: [{ raw: testImage(3), etag: null }] },
        'another version': { put: [{ raw: testImage(1, { name: 'changed' }) }] },
        'a deletion': { delete: [{ uuid: testUuid(1) }], drop: [pending] },
        'a move': { delete: [{ uuid: testUuid(1) }], put: [{ raw: testImage(4), etag: null }] },
        'an upload that is settled': {
            put: [{ raw: testImage(2, { name: 'with-a-file' }) }],
            settle: [pending.id],
        },
    };
    const isUnavailable = (error: unknown) =>
        error instanceof ApiError && error.code === 'ServiceUnavailableError';

    for (const [name, change] of Object.entries(changes)) {
        it(`that happened is a success: ${name}`, async () => {
            await database.pending.add(pending, 5);
            connections.next = 'happens';
            const written = await database.images.commit(change);
            for (const image of written) {
                assert.deepEqual((await database.images.get(image.uuid))?.etag, image.etag);
            }
        });

        it(`that did not happen is 503: ${name}`, async () => {
            await database.pending.add(pending, 5);
            connections.next = 'does not';
            await assert.rejects(database.images.commit(change), isUnavailable);
            assert.equal((await database.images.get(testUuid(1)))?.raw.name, 'image-1');
            // Nothing of the look at it stays either.
            assert.deepEqual(await database.images.countByState(), { active: 2 });
        });
    }

    it('is 503 if somebody has changed the record since, so that nothing can tell', async () => {
        const other = await open(JSON.stringify(postgres.config));
        try {
            connections.next = 'happens';
            connections.meanwhile = () =>
                other.images.commit({ put: [{ raw: testImage(1, { name: 'by-another' }) }] });
            await assert.rejects(
                database.images.commit({ put: [{ raw: testImage(1, { name: 'mine' }) }] }),
                isUnavailable,
            );
            assert.equal((await database.images.get(testUuid(1)))?.raw.name, 'by-another');
        } finally {
            await other.close();
        }
    });
});
