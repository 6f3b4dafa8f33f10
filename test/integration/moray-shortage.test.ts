/** Servers whose PostgreSQL has no room on its disk, or no connection free. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { assertError, at, Client, MANIFEST, type Answer } from '../support/api';
import { fillDisk } from '../support/fill-disk';
import { Postgres } from '../support/postgresql';
import { TestServer } from '../support/server';
import { skip } from '../support/skip';

const run = promisify(execFile);

/** An empty database takes half of it. */
const DISK = '16m';
/** More than enough to need another page of the table. */
const CREATED = 100;

const POOL = { size: 2, connectTimeout: 1000, statementTimeout: 60_000 };
const LISTS = 8;

describe('Servers on a PostgreSQL that is short of something', function () {
    this.timeout(60_000);

    let postgres: Postgres;
    let server: TestServer | undefined;

    before(async function () {
        postgres = await Postgres.start(this);
    });
    after(() => postgres.stop());
    afterEach(async () => {
        await server?.stop();
        server = undefined;
    });

    async function start(moray: unknown): Promise<Client> {
        server = await TestServer.start({ config: { databaseType: 'moray', moray } });
        return new Client(server.url);
    }

    it('of connections: answer 503 to who waits too long for one, and serve the others once they have it', async () => {
        const { database = '' } = (await postgres.makeDatabase()).pg ?? {};
        const client = await start(postgres.configOf([postgres], { database, pool: POOL }));
        const { uuid } = await client.create();
        const release = await postgres.lock('imgapi_images', database);
        const answers: Answer[] = [];
        const lists = Array.from({ length: LISTS }, async (_, n) => {
            answers.push(await client.get(`/images?name=~${n}`));
        });
        try {
            // Those that have a connection wait for the lock, for as long as a statement may take.
            while (answers.length < LISTS - POOL.size) {
                await sleep(20);
            }
            answers.forEach((answer) => assertError(answer, 503, 'ServiceUnavailableError'));
            assert.equal((await client.get('/ping')).status, 200);
        } finally {
            await release();
        }
        await Promise.all(lists);
        assert.ok(answers.slice(LISTS - POOL.size).every(({ status }) => [200, 503].includes(status)));
        const again = await Promise.all(lists.map((_, n) => client.get(`/images?name=~${n}`)));
        assert.deepEqual([...new Set(again.map(({ status }) => status))], [200]);
        assert.equal((await client.action(uuid, 'update', { name: 'again' })).manifest.name, 'again');
    });

    describe('room on its disk', () => {
        let place = '';
        let isMounted = false;

        before(async function () {
            place = await mkdtemp(join(tmpdir(), 'imgapi-small-'));
            try {
                await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', place]);
            } catch (err) {
                skip(this, `no small file system can be mounted, run the tests as root: ${String(err)}`);
            }
            isMounted = true;
            await chmod(place, 0o755);
            await mkdir(join(place, 'space'));
            await run('chown', ['postgres:', join(place, 'space')]);
            await postgres.sql(`CREATE TABLESPACE small LOCATION '${join(place, 'space')}'`);
        });
        after(async () => {
            // It has files open there.
            await postgres.kill();
            if (isMounted) {
                await run('umount', [place]);
            }
            await rm(place, { recursive: true });
        });

        it('refuse what needs some with 507, keep and serve what there is, and go on once there is some', async () => {
            const client = await start(await postgres.makeDatabase('TABLESPACE small'));
            const listed = [(await client.createActive()).uuid];
            const kept = [...listed];
            const filler = join(place, 'filler');
            await fillDisk(filler);
            let refused: Answer | undefined;
            for (let n = 0; n < CREATED && !refused; n++) {
                // Random, for what can be made smaller is.
                const description = randomBytes(250).toString('hex');
                const answer = await client.post('/images', { ...MANIFEST, description });
                if (answer.status === 200) {
                    kept.push(answer.manifest.uuid);
                } else {
                    refused = answer;
                }
            }
            assert.ok(refused, 'no image was refused');
            assertError(refused, 507, 'InsufficientStorage');
            assert.deepEqual((await client.get('/images')).uuids, listed);
            for (const uuid of kept) {
                assert.equal((await client.get(at(uuid))).status, 200);
            }
            await rm(filler);
            listed.push((await client.createActive()).uuid);
            assert.deepEqual((await client.get('/images')).uuids, listed);
        });
    });
});
