/** Archived manifests on their way from the local disk to an object store (storage.md §5, config.md §6). */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Logger from 'bunyan';
import { ApiError } from '../../lib/errors';
import { Archive } from '../../lib/images/archive';
import { ArchiveShipping } from '../../lib/images/archive-shipping';
import type { LocalDatabase } from '../../lib/db/local';
import { archiveKey, type StorageDriver } from '../../lib/storage/driver';
import { createLocalStorage } from '../../lib/storage/local';
import { createS3Storage } from '../../lib/storage/s3';
import { LocalSpool } from '../../lib/storage/local-spool';
import { contentOf, keysIn } from '../conformance/storage';
import { md5 } from '../support/api';
import { testUuid } from '../support/images';
import { localDatabase } from '../support/local-database';
import { MantaAccount } from '../support/manta-storage';
import { RadosGateway } from '../support/radosgw';
import { recordingLog } from '../support/recording-log';

interface LogRecord {
    level: number;
    msg: string;
    path?: string;
}

const manifest = (n: number, name = 'image'): string =>
    JSON.stringify({ v: 2, uuid: testUuid(n), name }, null, 2);

describe('archived manifests are moved to the object store', () => {
    let place: string;
    let dataDir: string;
    let local: StorageDriver;
    let target: StorageDriver;
    let database: LocalDatabase;
    let archive: Archive;
    let records: LogRecord[];
    const clock = { now: () => Date.now(), uuid: () => randomUUID() as string };

    beforeEach(async () => {
        place = await mkdtemp(join(tmpdir(), 'imgapi-shipping-'));
        dataDir = join(place, 'data');
        local = createLocalStorage({ dataDir });
        // Stands for an object store; what the real ones do is the concern of their own tests.
        target = createLocalStorage({ dataDir: join(place, 'far') });
        database = localDatabase(place);
        records = [];
        await local.open();
        await target.open();
        await database.open();
        archive = new Archive(local, database.pending, clock);
    });
    afterEach(async () => {
        await database.close();
        await rm(place, { recursive: true });
    });

    function shipping(to = target): ArchiveShipping {
        return new ArchiveShipping({
            spool: new LocalSpool({ dataDir }),
            target: to,
            leases: database.leases,
            clock,
            log: recordingLog(records),
            holder: randomUUID(),
            interval: 10,
        });
    }

    const write = (n: number, text = manifest(n)) => archive.rewrite(testUuid(n), Buffer.from(text));

    async function lay(path: string, text = 'x'): Promise<void> {
        await mkdir(dirname(join(dataDir, path)), { recursive: true });
        await writeFile(join(dataDir, path), text);
    }

    /** Names below the local folder of the archive, folders among them. */
    const spooled = async (): Promise<string[]> =>
        (await readdir(join(dataDir, 'archive'), { recursive: true })).sort();

    const stored = async (n: number, storage = target): Promise<string> =>
        (await contentOf(storage, archiveKey(testUuid(n)))).toString();

    const warnings = () => records.filter(({ level }) => level >= Logger.WARN);

    /** The target with another way to receive objects. */
    function staging(stage: StorageDriver['stage']): StorageDriver {
        return Object.assign(createLocalStorage({ dataDir: join(place, 'far') }), { stage });
    }

    it('byte for byte, under the key of their image, and are gone from the disk with their folders', async () => {
        for (const n of [1, 2, 0x5000001]) {
            await write(n);
        }
        assert.equal((await spooled()).length, 5);
        assert.equal(await shipping().run(), 3);
        for (const n of [1, 2, 0x5000001]) {
            assert.equal(await stored(n), manifest(n));
        }
        assert.deepEqual(await spooled(), []);
        assert.equal(await shipping().run(), 0);
        assert.deepEqual(warnings(), []);
    });

    it('into Manta, with their type and their MD5 verified', async () => {
        const account = new MantaAccount();
        const manta = await account.serve();
        try {
            const storage = account.storage(manta.url);
            await storage.open();
            await write(1);
            assert.equal(await shipping(storage).run(), 1);
            const path = `/imgapi/stor/imgapi/${archiveKey(testUuid(1))}`;
            assert.deepEqual(manta.objects, [path]);
            assert.equal(await stored(1, storage), manifest(1));
            assert.deepEqual(await spooled(), []);
            await storage.close();
        } finally {
            await manta.stop();
            account.remove();
        }
    });

    it('into S3', async function () {
        const server = await RadosGateway.start(this);
        try {
            const { config } = server;
            const storage = createS3Storage({ config, maxSockets: 10, log: recordingLog(records) });
            await storage.open();
            for (const name of ['old', 'new']) {
                await write(1, manifest(1, name));
                assert.equal(await shipping(storage).run(), 1);
                assert.equal(await stored(1, storage), manifest(1, name));
            }
            assert.deepEqual(await server.contents(), [archiveKey(testUuid(1))]);
            assert.deepEqual(await spooled(), []);
            await storage.close();
        } finally {
            await server.stop();
        }
    });

    it('announced by size and MD5, as JSON', async () => {
        await write(1);
        const seen: unknown[] = [];
        const to = staging(async (key, source, options) => {
            seen.push({ key, ...options });
            return target.stage(key, source, options);
        });
        await shipping(to).run();
        const { length } = manifest(1);
        assert.deepEqual(seen, [
            {
                key: archiveKey(testUuid(1)),
                size: length,
                contentMD5: md5(Buffer.from(manifest(1))),
                contentType: 'application/json',
            },
        ]);
    });

    it('but not a version that is archived while the one before it is sent', async () => {
        await write(1, manifest(1, 'old'));
        const to = staging(async (key, source, options) => {
            await write(1, manifest(1, 'new'));
            return target.stage(key, source, options);
        });
        assert.equal(await shipping(to).run(), 1);
        assert.equal(await stored(1), manifest(1, 'old'));
        assert.equal(
            await readFile(join(dataDir, archiveKey(testUuid(1))), 'utf8'),
            manifest(1, 'new'),
            'the new version waits',
        );
        assert.equal(await shipping().run(), 1);
        assert.equal(await stored(1), manifest(1, 'new'));
        assert.deepEqual(await spooled(), []);
    });

    it('in the order in which they were written, if a run died with one of them', async () => {
        const [first, second] = [randomUUID(), randomUUID()].sort().reverse();
        const folder = dirname(archiveKey(testUuid(1)));
        for (const [id, name, age] of [
            [first, 'oldest', 3],
            [second, 'old', 2],
        ] as const) {
            const path = `${folder}/${String(id)}.${testUuid(1)}.json`;
            await lay(path, manifest(1, name));
            await utimes(join(dataDir, path), 1e9 - age, 1e9 - age);
        }
        await write(1, manifest(1, 'new'));
        const sent: string[] = [];
        const to = staging(async (key, source, options) => {
            const staged = await target.stage(key, source, options);
            return {
                ...staged,
                commit: async () => {
                    const info = await staged.commit();
                    sent.push((JSON.parse(await stored(1)) as { name: string }).name);
                    return info;
                },
            };
        });
        assert.equal(await shipping(to).run(), 3);
        assert.deepEqual(sent, ['oldest', 'old', 'new']);
        assert.deepEqual(await spooled(), []);
    });

    it('again when it works again, if it does not: nothing is lost and one failure ends the run', async () => {
        for (const n of [1, 2, 3]) {
            await write(n, manifest(n, 'old'));
        }
        let attempts = 0;
        const broken = staging(async () => {
            attempts++;
            throw new ApiError('StorageIsDown', 'down');
        });
        await assert.rejects(shipping(broken).run(), /down/);
        assert.equal(attempts, 1);
        await write(1, manifest(1, 'new'));
        assert.equal(await shipping().run(), 4);
        assert.deepEqual(
            [await stored(1), await stored(2), await stored(3)],
            [manifest(1, 'new'), manifest(2, 'old'), manifest(3, 'old')],
        );
        assert.deepEqual(await spooled(), []);
    });

    it('and keep their names while it is known to be down', async () => {
        await write(1);
        const before = await spooled();
        const down = Object.assign(createLocalStorage({ dataDir: join(place, 'far') }), {
            check: () => Promise.reject(new ApiError('StorageIsDown', 'down')),
        });
        await assert.rejects(shipping(down).run(), /down/);
        assert.deepEqual(await spooled(), before);
    });

    it('but stay where the object store has stored something else', async () => {
        await write(1);
        const short = staging(async (key, source, options) => {
            const staged = await target.stage(key, source, options);
            return { ...staged, commit: async () => ({ ...(await staged.commit()), size: 1 }) };
        });
        await assert.rejects(shipping(short).run(), /has 1 bytes/);
        assert.equal(await shipping().run(), 1);
        assert.equal(await stored(1), manifest(1));
    });

    it('past what is none of them: it stays, and the log names each once', async () => {
        const foreign = [
            'archive/note.txt',
            `archive/abc/${testUuid(1)}.json.bak`,
            'archive/abc/abc.json',
            `archive/abc/${testUuid(2)}.json/inside`,
        ];
        const broken = archiveKey(testUuid(3));
        const unfinished = `${archiveKey(testUuid(4))}.${randomUUID()}`;
        for (const path of [...foreign, unfinished]) {
            await lay(path);
        }
        await lay(broken, '{"v":2,');
        await lay(archiveKey(testUuid(5)), '"text"');
        await write(6);
        const ships = shipping();
        assert.equal(await ships.run(), 1);
        await lay(archiveKey(testUuid(6)), manifest(6, 'next'));
        assert.equal(await ships.run(), 1);
        assert.equal(await stored(6), manifest(6, 'next'));
        for (const path of [...foreign, unfinished, broken]) {
            await readFile(join(dataDir, path));
        }
        const named = [
            'archive/note.txt',
            ...[`${testUuid(1)}.json.bak`, `${testUuid(2)}.json`, 'abc.json'].map(
                (name) => `archive/abc/${name}`,
            ),
            broken,
            archiveKey(testUuid(5)),
        ];
        assert.deepEqual(
            warnings()
                .map(({ path }) => path)
                .sort(),
            named.map((path) => join(dataDir, path)).sort(),
        );
    });

    it('and folders that are empty already are removed', async () => {
        await mkdir(join(dataDir, 'archive', 'abc'));
        assert.equal(await shipping().run(), 0);
        assert.deepEqual(await spooled(), []);
    });

    it('no further than the one at hand when the task is stopped', async () => {
        for (const n of [1, 2, 3]) {
            await write(n);
        }
        const controller = new AbortController();
        const to = staging(async (key, source, options) => {
            const staged = await target.stage(key, source, options);
            return {
                ...staged,
                commit: async () => {
                    controller.abort();
                    return staged.commit();
                },
            };
        });
        assert.equal(await shipping(to).run(controller.signal), 1);
        assert.equal((await keysIn(target, 'archive/')).length, 1);
        assert.equal(await shipping().run(), 2);
    });
});
