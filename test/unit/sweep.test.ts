import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Logger from 'bunyan';
import type { LocalDatabase } from '../../lib/db/local';
import type { PendingObject } from '../../lib/db/driver';
import { ApiError } from '../../lib/errors';
import { Sweep } from '../../lib/images/sweep';
import { MARK_KEY } from '../../lib/images/unreferenced-sweep';
import type { RawImage, StorageType } from '../../lib/manifest';
import { archiveKey, imageKey, type StorageDriver, type StorageSet } from '../../lib/storage/driver';
import { Storages } from '../../lib/storage/index';
import { createLocalStorage } from '../../lib/storage/local';
import { inChunks, keysIn, put } from '../conformance/storage';
import { testImage, testUuid } from '../support/images';
import { localDatabase } from '../support/local-database';
import { recordingLog } from '../support/recording-log';

const SILENCE = 60_000;
const DAY = 24 * 3_600_000;

interface LogRecord {
    level: number;
    msg: string;
}

/** A real database and a real local storage, with the time held still. */
class World {
    now = Date.now();
    readonly records: LogRecord[] = [];
    readonly clock = { now: () => this.now, uuid: randomUUID };
    readonly log = recordingLog(this.records);
    readonly dataDir: string;
    readonly storage: StorageDriver;
    readonly database: LocalDatabase;
    readonly sweeps: Sweep[] = [];

    constructor(readonly place: string) {
        this.dataDir = join(place, 'data');
        this.storage = createLocalStorage({ dataDir: this.dataDir });
        this.database = localDatabase(place, { clock: this.clock });
    }

    static async make(): Promise<World> {
        const world = new World(await mkdtemp(join(tmpdir(), 'imgapi-sweep-')));
        await world.storage.open();
        await world.database.open();
        return world;
    }

    async remove(): Promise<void> {
        await Promise.all(this.sweeps.map((sweep) => sweep.stop()));
        await this.database.close();
        await rm(this.place, { recursive: true });
    }

    sweep(storages: StorageSet = new Storages([this.storage]), databaseId = this.database.id): Sweep {
        const { images, pending, leases, tasks } = this.database;
        const { clock, log } = this;
        const holder = randomUUID();
        const sweep = new Sweep({
            databaseId: () => databaseId,
            images,
            pending,
            leases,
            tasks,
            storages,
            clock,
            log,
            holder,
            silence: SILENCE,
        });
        this.sweeps.push(sweep);
        return sweep;
    }

    /** Writes an object with a pending row of its own, as an upload does. */
    async upload(image: string, options: { finished: boolean; silentFor?: number }): Promise<PendingObject> {
        const id = randomUUID();
        const object: PendingObject = { id, image, storage: 'local', key: imageKey(image, `file0-${id}`) };
        await this.database.pending.add(object, this.now - (options.silentFor ?? 0));
        const staged = await this.storage.stage(object.key, inChunks(Buffer.from('bytes'), 5));
        if (options.finished) {
            await staged.commit();
        }
        return object;
    }

    /** Writes a record that refers to the objects. */
    async save(
        n: number,
        files: string[],
        settle: string[] = [],
        fields: Partial<RawImage> = {},
    ): Promise<void> {
        const raw = testImage(n, {
            files: files.map((object) => ({
                sha1: 'x',
                size: 5,
                stor: 'local',
                compression: 'none',
                ...(object !== 'file0' && { object }),
            })),
            ...fields,
        });
        await this.database.images.commit({ put: [{ raw }], settle });
    }

    /** Puts a file below the data folder, last written `age` ms ago. */
    async lay(key: string, age: number): Promise<string> {
        const path = join(this.dataDir, key);
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, 'bytes');
        await utimes(path, new Date(this.now - age), new Date(this.now - age));
        return key;
    }

    async mark(id = this.database.id): Promise<void> {
        await put(this.storage, MARK_KEY, Buffer.from(id));
    }

    /** Keys of the stored objects, the mark aside. */
    async objects(): Promise<string[]> {
        const keys = [
            ...(await keysIn(this.storage, 'images/')),
            ...(await keysIn(this.storage, 'archive/')),
        ];
        return keys.filter((key) => key !== MARK_KEY);
    }

    warnings(): string[] {
        return this.records.filter(({ level }) => level >= Logger.WARN).map(({ msg }) => msg);
    }
}

/** The same storage with another way to delete. */
function deleting(dataDir: string, remove: (key: string) => Promise<void>): Storages {
    return new Storages([Object.assign(createLocalStorage({ dataDir }), { delete: remove })]);
}

describe('sweep', () => {
    let world: World;
    const image = testUuid(1);
    const named = (n: number): string => `file0-${testUuid(n)}`;

    beforeEach(async () => {
        world = await World.make();
    });
    afterEach(() => world.remove());

    describe('of pending objects', () => {
        it('removes uploads that were silent for 60 s, finished or not, and leaves the others alone', async () => {
            await world.upload(image, { finished: false, silentFor: SILENCE });
            await world.upload(testUuid(2), { finished: true, silentFor: SILENCE + 1 });
            const alive = await world.upload(testUuid(3), { finished: true, silentFor: SILENCE - 1 });
            await world.sweep().sweepPending();
            assert.deepEqual(await world.objects(), [alive.key]);
            assert.deepEqual(await readdir(join(world.dataDir, 'images', image.slice(0, 3))), [testUuid(3)]);
            assert.deepEqual(await world.database.pending.condemn(0, 10), []);
            assert.ok(await world.database.pending.has('local', alive.key));
        });

        it('only forgets the row of an object that a record refers to', async () => {
            const object = await world.upload(image, { finished: true, silentFor: SILENCE });
            await world.save(1, [`file0-${object.id}`]);
            await world.sweep().sweepPending();
            assert.deepEqual(await world.objects(), [object.key]);
            assert.equal(await world.database.pending.has('local', object.key), false);
        });

        it('keeps the row while its storage is down, and asks it only a few times', async () => {
            const objects: PendingObject[] = [];
            for (let n = 0; n < 8; n++) {
                objects.push(await world.upload(image, { finished: true, silentFor: SILENCE }));
            }
            const deletes: string[] = [];
            const down = deleting(world.dataDir, async (key) => {
                deletes.push(key);
                throw new ApiError('StorageIsDown', 'The storage is down.');
            });
            await world.sweep(down).sweepPending();
            assert.equal(deletes.length, 3);
            assert.equal((await world.database.pending.condemn(0, 10)).length, objects.length);
            assert.equal((await world.objects()).length, objects.length);
            await world.sweep().sweepPending();
            assert.deepEqual(await world.objects(), []);
            assert.deepEqual(await world.database.pending.condemn(0, 10), []);
        });

        it('keeps the row of a storage that is not configured, without holding up the rest', async () => {
            const lost = {
                id: randomUUID(),
                image,
                storage: 'manta' as StorageType,
                key: imageKey(image, named(7)),
            };
            await world.database.pending.add(lost, world.now - SILENCE - 5);
            await world.upload(image, { finished: true, silentFor: SILENCE });
            await world.sweep().sweepPending();
            assert.deepEqual(await world.objects(), []);
            assert.deepEqual(await world.database.pending.condemn(0, 10), [lost]);
        });

        it('is not kept from its work by many rows that have to stay', async () => {
            for (let n = 0; n < 600; n++) {
                const key = imageKey(image, `file0-${testUuid(n)}`);
                await world.database.pending.add({ id: testUuid(n), image, storage: 's3', key }, 1);
            }
            for (let n = 0; n < 3; n++) {
                await world.upload(image, { finished: true, silentFor: SILENCE });
            }
            await world.sweep().sweepPending();
            assert.deepEqual(await world.objects(), []);
        });

        it('says when the next upload will have been silent too long', async () => {
            const sweep = world.sweep();
            assert.equal(await sweep.pendingDueIn(), 5 * 60_000);
            await world.upload(image, { finished: false, silentFor: 20_000 });
            assert.equal(await sweep.pendingDueIn(), SILENCE - 20_000);
            await world.upload(image, { finished: false, silentFor: 59_000 });
            assert.equal(await sweep.pendingDueIn(), 1000);
        });
    });

    describe('of unreferenced objects', () => {
        it('deletes old objects of our own naming that nothing knows, and nothing else', async () => {
            await world.mark();
            const kept = await Promise.all([
                world.lay(imageKey(image, 'file0'), 9 * DAY),
                world.lay(imageKey(image, 'icon'), 9 * DAY),
                world.lay(imageKey(image, named(1)), 9 * DAY),
                world.lay(imageKey(image, `icon-${testUuid(2)}`), 9 * DAY),
                world.lay(imageKey(image, named(3)), DAY - 1000),
                world.lay(imageKey(image, `file0.${testUuid(4)}`), DAY - 1000),
                world.lay(imageKey(image, 'file0-backup'), 9 * DAY),
                world.lay(imageKey(image, `backup-${testUuid(5)}`), 9 * DAY),
                world.lay(imageKey(image, `backup.${testUuid(5)}`), 9 * DAY),
                world.lay(`images/xyz/${image}/${named(6)}`, 9 * DAY),
                world.lay(`images/${named(7)}`, 9 * DAY),
                world.lay(archiveKey(image), 9 * DAY),
                world.lay(`${archiveKey(image)}.${testUuid(8)}`, DAY - 1000),
            ]);
            await Promise.all([
                world.lay(imageKey(image, named(11)), DAY),
                world.lay(imageKey(image, `icon-${testUuid(12)}`), DAY),
                world.lay(imageKey(image, `file1-${testUuid(13)}`), DAY),
                world.lay(imageKey(image, `file0.${testUuid(14)}`), DAY),
                world.lay(imageKey(testUuid(2), named(15)), DAY),
                world.lay(`${archiveKey(image)}.${testUuid(16)}`, DAY),
            ]);
            await world.save(1, [named(1)], [], {
                icon: { size: 5, contentType: 'image/png', contentMD5: 'x', object: `icon-${testUuid(2)}` },
            });
            await world.sweep().sweepUnreferenced();
            assert.deepEqual((await world.objects()).sort(), kept.sort());
            assert.deepEqual(world.warnings(), []);
        });

        it('leaves objects alone that have a pending row, finished or not', async () => {
            await world.mark();
            const objects = [
                await world.upload(image, { finished: true }),
                await world.upload(image, { finished: false }),
            ];
            world.now += 2 * DAY;
            await world.sweep().sweepUnreferenced();
            assert.equal((await world.objects()).length, objects.length);
        });

        it('leaves an object alone whose upload ends while it is looked at', async () => {
            await world.mark();
            const object = await world.upload(image, { finished: true });
            world.now += 2 * DAY;
            const { pending } = world.database;
            const has = pending.has.bind(pending);
            pending.has = async (storage, key) => {
                const known = await has(storage, key);
                await world.save(1, [`file0-${object.id}`], [object.id]);
                return known;
            };
            await world.sweep().sweepUnreferenced();
            assert.deepEqual(await world.objects(), [object.key]);
        });

        it('leaves an object alone whose upload ended just after its record was read', async () => {
            await world.mark();
            const object = await world.upload(image, { finished: true });
            world.now += 2 * DAY;
            const { pending } = world.database;
            const has = pending.has.bind(pending);
            pending.has = async (storage, key) => {
                await world.save(1, [`file0-${object.id}`], [object.id]);
                return has(storage, key);
            };
            await world.sweep().sweepUnreferenced();
            assert.deepEqual(await world.objects(), [object.key]);
        });

        it('counts a reference to another storage as none', async () => {
            await world.mark();
            await world.lay(imageKey(image, named(1)), DAY);
            const file = {
                sha1: 'x',
                size: 5,
                stor: 'manta' as const,
                compression: 'none',
                object: named(1),
            };
            await world.save(1, [], [], { files: [file] });
            await world.sweep().sweepUnreferenced();
            assert.deepEqual(await world.objects(), []);
        });

        it('keeps an unfinished object that may be all there is of a missing one, and says so', async () => {
            await world.mark();
            const last = await world.lay(imageKey(image, `file0.${testUuid(4)}`), 9 * DAY);
            await world.lay(imageKey(image, named(5)), 9 * DAY);
            await world.save(1, ['file0']);
            await world.sweep().sweepUnreferenced();
            assert.deepEqual(await world.objects(), [last]);
            assert.equal(world.warnings().length, 1);
        });

        it('stops when it is told to', async () => {
            await world.mark();
            const key = await world.lay(imageKey(image, named(1)), DAY);
            await world.sweep().sweepUnreferenced(AbortSignal.abort());
            assert.deepEqual(await world.objects(), [key]);
        });
    });

    describe('and the mark of the database', () => {
        const markOf = async (): Promise<string | undefined> => {
            const reader = await world.storage.read(MARK_KEY);
            let text = '';
            for await (const chunk of reader?.body ?? []) {
                text += chunk.toString();
            }
            return reader && text;
        };

        it('is set in an empty storage, and beside the files of the original', async () => {
            await world.lay(imageKey(image, 'file0'), 9 * DAY);
            await world.lay(imageKey(image, `file0.${testUuid(4)}`), 9 * DAY);
            await world.sweep().sweepUnreferenced();
            assert.equal(await markOf(), world.database.id);
            assert.equal((await world.objects()).length, 2);
        });

        it('is set if this database knows all there is', async () => {
            await world.upload(image, { finished: true });
            await world.lay(imageKey(testUuid(2), named(1)), 0);
            await world.save(2, [named(1)]);
            await world.sweep().sweepUnreferenced();
            assert.equal(await markOf(), world.database.id);
        });

        it('is not set, and nothing deleted, if there are objects this database does not know', async () => {
            const key = await world.lay(imageKey(image, named(1)), 9 * DAY);
            await world.sweep().sweepUnreferenced();
            assert.equal(await markOf(), undefined);
            assert.deepEqual(await world.objects(), [key]);
            assert.equal(world.warnings().length, 1);
            assert.match(
                world.warnings()[0]!,
                new RegExp(`1 objects .* put ${world.database.id} into the object`),
            );
        });

        it('keeps everything if it is that of another database', async () => {
            await world.mark(testUuid(99));
            const key = await world.lay(imageKey(image, named(1)), 9 * DAY);
            await world.sweep().sweepUnreferenced();
            assert.deepEqual(await world.objects(), [key]);
            assert.equal(await markOf(), testUuid(99));
            assert.match(world.warnings()[0]!, /belong to another database/);
        });

        it('may end with a newline, as an editor leaves it', async () => {
            await world.mark(`${world.database.id}\n`);
            await world.lay(imageKey(image, named(1)), 9 * DAY);
            await world.sweep().sweepUnreferenced();
            assert.deepEqual(await world.objects(), []);
        });
    });

    describe('of unreferenced objects, once a day', () => {
        beforeEach(() => world.mark());

        /** What the search by some process leaves of an object that nothing refers to. */
        async function searched(sweep: Sweep): Promise<boolean> {
            await world.lay(imageKey(image, named(1)), 9 * DAY);
            await sweep.now();
            return (await world.objects()).length === 0;
        }

        it('is due a day after any process has done it, and remembered over a restart', async () => {
            const first = world.sweep();
            assert.equal(await first.unreferencedDueIn(), 0);
            assert.ok(await searched(first));
            assert.equal(await first.unreferencedDueIn(), DAY);
            world.now += DAY - 1000;
            const second = world.sweep();
            assert.equal(await second.unreferencedDueIn(), 1000);
            world.now += 1000;
            assert.equal(await second.unreferencedDueIn(), 0);
        });

        it('is due at once if it was done in the future', async () => {
            await world.sweep().now();
            world.now -= 60_000;
            assert.equal(await world.sweep().unreferencedDueIn(), 0);
        });

        it('is done on request although it is not due, and tells what it found', async () => {
            await world.sweep().now();
            await world.lay(imageKey(image, named(1)), 9 * DAY);
            await world.lay(`${archiveKey(image)}.${testUuid(16)}`, DAY);
            await world.upload(image, { finished: false, silentFor: SILENCE });
            assert.deepEqual(await world.sweep().now(), {
                pending: { removed: 1, kept: 0 },
                unreferenced: { deleted: 2, bytes: 10, left: [] },
            });
            assert.deepEqual(await world.objects(), []);
        });

        it('tells of storages that it could not search', async () => {
            await world.lay(imageKey(image, named(1)), 9 * DAY);
            const down = deleting(world.dataDir, async () => {
                throw new ApiError('StorageIsDown', 'The storage is down.');
            });
            const { unreferenced } = await world.sweep(down).now();
            assert.deepEqual(unreferenced, { deleted: 0, bytes: 0, left: ['local'] });
            await world.mark(testUuid(99));
            assert.deepEqual((await world.sweep().now()).unreferenced.left, ['local']);
        });

        it('is left to tomorrow by a process that starts after another has done it', async () => {
            await world.sweep().now();
            await world.lay(imageKey(image, named(1)), 9 * DAY);
            const { tasks } = world.database;
            const asked: number[] = [];
            const doneAt = tasks.doneAt.bind(tasks);
            const twice = new Promise<void>((resolve) => {
                tasks.doneAt = async (name) => {
                    if (asked.push(1) === 2) {
                        resolve();
                    }
                    return doneAt(name);
                };
            });
            const sweep = world.sweep();
            sweep.start({ unreferenced: 0 });
            // Once before the search it does not make, once for when to look again.
            await twice;
            await sweep.stop();
            assert.equal((await world.objects()).length, 1);
        });
    });

    describe('on its own', () => {
        /** A storage set that tells when an object was deleted. */
        function watched(): { storages: Storages; deleted: Promise<string> } {
            let tell: (key: string) => void;
            const deleted = new Promise<string>((resolve) => (tell = resolve));
            const storages = deleting(world.dataDir, async (key) => {
                await world.storage.delete(key);
                tell(key);
            });
            return { storages, deleted };
        }

        it('removes what a crash left at once if it is old enough', async () => {
            const object = await world.upload(image, { finished: false, silentFor: SILENCE });
            const { storages, deleted } = watched();
            world.sweep(storages).start();
            assert.equal(await deleted, object.key);
        });

        it('removes what a crash left as soon as it is old enough', async () => {
            const begun = Date.now();
            world.clock.now = () => Date.now();
            await world.database.pending.add(
                { id: testUuid(1), image, storage: 'local', key: imageKey(image, named(1)) },
                begun - SILENCE + 300,
            );
            const { storages, deleted } = watched();
            world.sweep(storages).start();
            await deleted;
            const took = Date.now() - begun;
            assert.ok(took >= 299 && took < 5000, `${took} ms`);
        });

        it('leaves the work to whoever has the lease', async () => {
            await world.upload(image, { finished: false, silentFor: SILENCE });
            const { leases } = world.database;
            await leases.acquire('sweep-pending', 'somebody else', 60_000, world.now);
            const refused = new Promise<boolean>((resolve) => {
                const acquire = leases.acquire.bind(leases);
                leases.acquire = async (...request) => {
                    const taken = await acquire(...request);
                    resolve(taken);
                    return taken;
                };
            });
            const sweep = world.sweep();
            sweep.start();
            assert.equal(await refused, false);
            await sweep.stop();
            assert.equal((await world.objects()).length, 1);
        });

        it('waits for the running step when it is stopped, and gives the lease back', async () => {
            await world.upload(image, { finished: true, silentFor: SILENCE });
            const { storages, deleted } = watched();
            const sweep = world.sweep(storages);
            sweep.start();
            const key = await deleted;
            await sweep.stop();
            assert.equal(await world.database.pending.has('local', key), false);
            assert.ok(await world.database.leases.acquire('sweep-pending', 'the next', 1000, world.now));
        });
    });
});
