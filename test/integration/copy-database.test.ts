/** `imgapiadm db copy`: from the embedded database to PostgreSQL and back, with what may go wrong on the way. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import type { MorayConfig } from '../../lib/config/types';
import { DatabaseMoved, UnfinishedCopy } from '../../lib/db/copy-side';
import type { Database } from '../../lib/db/driver';
import { openDatabase } from '../../lib/db/index';
import { databaseFile } from '../../lib/db/local';
import { storedPages } from '../../lib/images/lists';
import type { RawImage } from '../../lib/manifest';
import { seeded, testImage, testUuid } from '../support/images';
import { Imgapiadm, type Outcome } from '../support/imgapiadm';
import { localDatabase, quietLog } from '../support/local-database';
import { Postgres } from '../support/postgresql';
import { untilReleased } from '../support/released-database';

const AT_QUERY = require.resolve('../support/at-query');
const BIN = resolve(__dirname, '../../bin/imgapiadm');

/** How often it is killed on each way. */
const KILLS = Number(process.env.COPY_KILLS ?? 2);

const clock = { now: () => Date.now(), uuid: randomUUID };

const job = (n: number, fields: object = {}) => ({
    uuid: testUuid(5000 + n),
    imageUuid: testUuid(n),
    task: 'import',
    execution: 'succeeded',
    createdAt: 1000 + n,
    dueAt: undefined,
    finishedAt: 2000 + n,
    value: { n, deep: ['é'] },
    ...fields,
});

/** Records such as the original server, this one and operators write them. */
function image(n: number): RawImage {
    return testImage(n, {
        description: `#${n} é日 \u2028 "quoted" \\ \ud800 \0`,
        // Written long ago.
        ...(n % 7 === 0 && { disabled: 'false' as never, public: 'true' as never }),
        ...(n % 5 === 0 && { acl: [testUuid(901), ''], tags: ['role=db', 'empty='], channels: ['dev'] }),
        ...(n % 3 === 0 && {
            files: [
                {
                    sha1: 'a'.repeat(40),
                    size: n,
                    stor: 'local' as const,
                    compression: 'gzip' as const,
                    object: `file0-${testUuid(n)}`,
                },
            ],
        }),
        ...(n % 11 === 0 && { state: 'creating', activated: false, expires_at: '2030-01-01T00:00:00.000Z' }),
        // What nobody knows.
        ...({ 'x-site': { z: 1, a: [null, 1.5, 'ü'] }, 7: 'seven' } as object),
    });
}

interface Contents {
    id: string;
    /** The JSON text and the etag of each record. */
    images: Map<string, string>;
    jobs: unknown[];
    tasks: unknown[];
}

async function contents(database: Database): Promise<Contents> {
    const images = new Map<string, string>();
    for await (const page of storedPages(database.images, { anyOf: [{}], order: 'asc' })) {
        for (const { uuid, raw, etag } of page) {
            images.set(uuid, `${etag} ${JSON.stringify(raw)}`);
        }
    }
    return {
        id: database.id,
        images,
        jobs: await database.jobs.list({}, { limit: 1000 }),
        tasks: [await database.tasks.doneAt('sweep-unreferenced'), await database.tasks.doneAt('other')],
    };
}

describe('imgapiadm db copy', function () {
    this.timeout(120_000);
    let postgres: Postgres;
    let folder: string;
    let moray: MorayConfig;
    let program: Imgapiadm;

    before(async function () {
        postgres = await Postgres.start(this);
    });
    after(() => (postgres as Postgres | undefined)?.stop());

    beforeEach(async () => {
        folder = await mkdtemp(join(tmpdir(), 'imgapi-copy-'));
        moray = await postgres.makeDatabase();
        program = await Imgapiadm.with(folder, {
            databaseDir: join(folder, 'db'),
            dataDir: join(folder, 'data'),
            moray: { pg: { ...moray.pg, pool: undefined } },
        });
    });
    afterEach(() => rm(folder, { recursive: true }));

    const place = () => ({ databaseDir: join(folder, 'db'), dataDir: join(folder, 'data') });

    /** As a server opens it; with `check`, since one that is out of reach is opened later. */
    async function withServer<T>(
        type: Database['type'],
        work: (database: Database) => Promise<T>,
    ): Promise<T> {
        let database: Database | undefined;
        try {
            database = await openDatabase({ databaseType: type, moray, ...place() }, quietLog, clock);
            await database.check();
            return await work(database);
        } finally {
            await database?.close();
            await untilReleased(databaseFile(place()));
        }
    }

    const read = (type: Database['type']) => withServer(type, contents);

    async function fill(type: Database['type'], images: number): Promise<Contents> {
        return withServer(type, async (database) => {
            const put = Array.from({ length: images }, (_, n) => ({ raw: image(n + 1) }));
            await database.images.commit({ put });
            for (let n = 0; n < 20; n++) {
                await database.jobs.put(job(n), null);
            }
            await database.jobs.put(
                job(20, { execution: 'queued', dueAt: 4000, finishedAt: undefined }),
                null,
            );
            await database.tasks.done('sweep-unreferenced', 1_800_000_000_123);
            return contents(database);
        });
    }

    /** `imgapiadm db …`, after which the embedded database may be used by others. */
    async function db(...args: string[]): Promise<Outcome> {
        const outcome = await program.run('db', ...args);
        await untilReleased(databaseFile(place()));
        return outcome;
    }

    const copy = (from: string, ...more: string[]) =>
        db('copy', '--from', from, '--to', from === 'local' ? 'moray' : 'local', ...more);

    const done = ({ code, err }: Outcome) => assert.deepEqual({ code, err }, { code: 0, err: '' });

    const refused = (type: Database['type'], why: new (...args: never[]) => Error) =>
        assert.rejects(
            read(type),
            (error) => error instanceof why || (error instanceof Error && error.cause instanceof why),
        );

    it('takes all along, byte for byte, there and back, and the id of the database', async () => {
        const before = await fill('local', 520);
        done(await copy('local'));
        assert.deepEqual(await read('moray'), before);
        await refused('local', DatabaseMoved);
        // The copy of what is there already writes nothing, and needs no leave to replace anything.
        done(await copy('moray'));
        assert.deepEqual(await read('local'), before);
        await refused('moray', DatabaseMoved);
    });

    it('comes to the same in the end wherever it is killed, on both ways', async () => {
        const random = seeded(Number(process.env.COPY_SEED ?? 7));
        const before = await fill('local', 520);
        // The last step of each way is to give the id away, and to take it.
        for (const [from, to, most, lastStep] of [
            // What one run has written, the next one does not ask for again.
            ['local', 'moray', 500 / Math.max(KILLS, 1), 'DELETE FROM imgapi_server_meta'],
            ['moray', 'local', 30, 'LOCK TABLE'],
        ] as const) {
            if (from === 'moray') {
                await rm(join(folder, 'db'), { recursive: true });
            }
            const chances = Array.from({ length: KILLS }, () => 1 + Math.floor(random() * most));
            for (const point of [...chances, lastStep]) {
                const { code } = await program.runWith(
                    { NODE_OPTIONS: `-r ${AT_QUERY}`, IMGAPI_TEST_AT_QUERY: `SIGKILL:${point}` },
                    ...['db', 'copy', '--from', from, '--to', to],
                );
                assert.equal(code, null, `it has ended before ${point}`);
                // Nobody uses half a database, nor both; one of them is whole and may be used, or will be.
                const used: Contents[] = [];
                for (const type of [from, to]) {
                    const found = await read(type).catch(() => undefined);
                    // Before the first write, the target is an empty database like any other.
                    used.push(...(found && found.images.size > 0 ? [found] : []));
                }
                assert.ok(used.length <= 1, `both can be used after ${point}`);
                used.forEach((found) => assert.deepEqual(found, before));
            }
            done(await copy(from));
            assert.deepEqual(await read(to), before);
            await refused(from, DatabaseMoved);
            const again = await copy(from);
            assert.equal(again.code, 0);
            assert.match(again.out, /was copied to .* already/);
        }
    });

    it('changes nothing with --dry-run', async () => {
        await fill('local', 30);
        const tables = async () =>
            postgres.sql(
                "SELECT tablename FROM pg_tables WHERE tablename LIKE 'imgapi%' OR tablename = 'buckets_config' ORDER BY 1",
                [],
                moray.pg!.database,
            );
        const toNothing = await copy('local', '--dry-run');
        done(toNothing);
        assert.match(
            toNothing.out,
            /^30 image\(s\) would be added, 0 replaced, 0 deleted, 0 are there already/m,
        );
        assert.deepEqual(await tables(), []);

        await withServer('moray', ({ images }) =>
            images.commit({ put: [1, 2, 800].map((n) => ({ raw: image(n) })) }),
        );
        await withServer('moray', ({ images }) =>
            images.commit({ put: [{ raw: { ...image(2), name: 'other' } }] }),
        );
        const before = { local: await read('local'), moray: await read('moray') };
        const replacing = await copy('local', '-n', '--replace');
        done(replacing);
        assert.deepEqual(replacing.out.split('\n').slice(0, 3), [
            `${testUuid(2)}: would be replaced`,
            `${testUuid(800)}: would be deleted`,
            '28 image(s) would be added, 1 replaced, 1 deleted, 1 are there already; 21 job(s) would be added, ' +
                '0 replaced, 0 deleted.',
        ]);
        const refusing = await copy('local', '-n');
        assert.equal(refusing.code, 2);
        assert.match(refusing.err, /has 1 other image\(s\) .*give --replace/s);
        assert.deepEqual({ local: await read('local'), moray: await read('moray') }, before);

        // As a datacenter has it that this server was never used in.
        const names = (await tables()).map(({ tablename }) => String(tablename));
        const own = names.filter((name) => name.startsWith('imgapi_server_'));
        await postgres.sql(`DROP TABLE ${own.join(', ')}`, [], moray.pg!.database);
        const left = await tables();
        await rm(join(folder, 'db'), { recursive: true });
        const toLocal = await copy('moray', '-n');
        done(toLocal);
        assert.match(toLocal.out, /^3 image\(s\) would be added, .*; 0 job\(s\)/m);
        assert.equal(existsSync(databaseFile(place())), false);
        assert.deepEqual(await tables(), left);
    });

    it('does not mix two sets of images, and replaces one only when told to', async () => {
        const before = await fill('local', 20);
        await withServer('moray', async ({ images, jobs }) => {
            await images.commit({ put: [5, 700].map((n) => ({ raw: testImage(n, { name: 'other' }) })) });
            await jobs.put(job(70), null);
        });
        const other = await read('moray');
        const { code, err } = await copy('local');
        assert.equal(code, 2);
        assert.match(
            err,
            new RegExp(`1 other image.*${testUuid(700)}.*1 image.*${testUuid(5)}.*1 other job`),
        );
        assert.deepEqual(await read('moray'), other);
        assert.deepEqual(await read('local'), before);
        done(await copy('local', '--replace'));
        assert.deepEqual(await read('moray'), before);
        // What was changed there since is what comes back, into the database as it was left.
        await withServer('moray', ({ images }) =>
            images.commit({
                put: [{ raw: { ...image(3), name: 'newer' } }],
                delete: [{ uuid: testUuid(4) }],
            }),
        );
        const newer = await read('moray');
        assert.equal((await copy('moray')).code, 2);
        done(await copy('moray', '--replace'));
        assert.deepEqual(await read('local'), newer);
    });

    it('finds what is changed in the source while it is copied', async () => {
        await fill('local', 150);
        // It is held where the first records have been written.
        const child = spawn(
            process.execPath,
            ['-r', AT_QUERY, BIN, '-f', program.file, 'db', 'copy', '--from', 'local', '--to', 'moray'],
            {
                env: { ...process.env, IMGAPI_TEST_AT_QUERY: 'SIGSTOP:200' },
            },
        );
        const output = Promise.all([text(child.stderr), once(child, 'exit')]);
        await stopped(child.pid!);
        const local = localDatabase(folder);
        await local.connect();
        const changed = { ...image(1), name: 'changed-meanwhile' };
        await local.images.commit({ put: [{ raw: changed }, { raw: image(900) }] });
        await local.close();
        child.kill('SIGCONT');
        const [err, [code]] = (await output) as [string, [number]];
        assert.equal(code, 1, err);
        assert.match(err, new RegExp(`${testUuid(1)}: was changed`));
        assert.match(err, /something has changed it meanwhile/);
        await refused('moray', UnfinishedCopy);
        done(await copy('local'));
        await withServer('moray', async ({ images }) => {
            assert.deepEqual((await images.get(testUuid(1)))?.raw, changed);
            assert.equal((await images.get(testUuid(900)))?.uuid, testUuid(900));
        });
    });

    it('takes what is to be deleted along, and signatures that were used', async () => {
        await fill('local', 3);
        const object = {
            id: randomUUID(),
            image: testUuid(1),
            storage: 'local' as const,
            key: 'images/a/b/file0-x',
        };
        await withServer('local', async ({ pending, replay }) => {
            await pending.add(object, 5);
            await replay.remember('used', 4_000_000_000_000, Date.now());
        });
        done(await copy('local'));
        await withServer('moray', async ({ pending, replay }) => {
            assert.deepEqual(await pending.condemn(0, 10), [object]);
            assert.equal(await replay.remember('used', 4_000_000_000_001, Date.now()), false);
        });
    });

    it('wants nobody at work in either database', async () => {
        await fill('local', 3);
        const inUse = async (reason: RegExp) => {
            const { code, err } = await program.run('db', 'copy', '--from', 'local', '--to', 'moray');
            assert.equal(code, 2);
            assert.match(err, reason);
        };
        await withServer('local', () => inUse(/imgapi\.db is in use by another process: stop all servers/));
        await withServer('moray', () => inUse(/PostgreSQL database .* is in use by servers/));
        const id = randomUUID();
        const upload = { id, image: testUuid(1), storage: 'local' as const, key: 'k' };
        await withServer('moray', ({ leases }) => leases.acquire('purge', 'somebody', 60_000, Date.now()));
        await inUse(/the lease\(s\) purge/);
        await withServer('moray', ({ leases }) => leases.release('purge', 'somebody'));
        await withServer('local', ({ pending }) => pending.add(upload, Date.now()));
        await inUse(/imgapi\.db is in use: it has 1 upload\(s\) under way/);
        await withServer('local', ({ pending }) => pending.remove([id]));
        done(await copy('local'));
    });

    it('gives a database back that was copied elsewhere, if the operator says so', async () => {
        const before = await fill('local', 5);
        done(await copy('local'));
        assert.match((await db('reopen', 'moray')).out, /is in use already/);
        done(await db('reopen', 'local'));
        assert.deepEqual(await read('local'), before);
    });

    it('copies no records that it cannot read', async () => {
        await fill('moray', 5);
        await postgres.sql(
            "UPDATE imgapi_images SET _value = '{' WHERE _key = $1",
            [testUuid(2)],
            moray.pg!.database,
        );
        const { code, err } = await copy('moray');
        assert.equal(code, 2);
        assert.match(err, new RegExp(`${testUuid(2)}.*1 record\\(s\\).*cannot be read`, 's'));
        assert.equal(existsSync(databaseFile(place())) && (await countOf('local')) > 0, false);
    });

    const countOf = async (type: Database['type']): Promise<number> => {
        const local = localDatabase(folder);
        await local.connect();
        const states = await local.images.countByState();
        await local.close();
        await untilReleased(databaseFile(place()));
        return type === 'local' ? Object.values(states).reduce((sum, count) => sum + count, 0) : 0;
    };

    it('says what is wrong', async () => {
        const wrong = async (args: string[], code: number, reason: RegExp) => {
            const outcome = await db('copy', ...args);
            assert.equal(outcome.code, code);
            assert.match(outcome.err, reason);
        };
        await wrong([], 1, /Give --from TYPE and --to TYPE, each one of local, moray/);
        await wrong(
            ['--from', 'local', '--to', 'postgres'],
            1,
            /--to is "postgres"; it takes one of local, moray/,
        );
        await wrong(['--from', 'local', '--to', 'local'], 1, /both "local"/);
        await wrong(['--from', 'local', '--to', 'moray'], 2, /There is no database .*imgapi\.db/);
        await wrong(['--from', 'moray', '--to', 'local'], 2, /There is no database .*PostgreSQL/);
        await mkdir(join(folder, 'data/manifests'), { recursive: true });
        await fill('moray', 1);
        await writeFile(join(folder, 'data/manifests', `${testUuid(1)}.raw`), JSON.stringify(image(1)));
        await wrong(['--from', 'moray', '--to', 'local'], 2, /new or changed .*db import --ignore/s);
        program = await Imgapiadm.with(folder, place());
        await wrong(['--from', 'local', '--to', 'moray'], 2, /config\.moray is missing/);
    });
});

async function stopped(pid: number): Promise<void> {
    const { readFile } = await import('node:fs/promises');
    for (;;) {
        const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
        if (stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')) {
            return;
        }
        await new Promise((resume) => setTimeout(resume, 20));
    }
}
