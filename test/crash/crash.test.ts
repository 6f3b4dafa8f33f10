/**
 * A server killed with SIGKILL between any two steps of an operation (storage.md §4): the record and its bytes agree,
 * the operation can be done again, and what it left is removed.
 *
 * In short each fault point is met once, and both sides of every commit; with CRASH_FULL=1 (`npm run crash`) every
 * operation is killed at every one of its steps, and one crash is waited for with the silence as shipped.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { faultPoints, type FaultPoint } from '../../lib/fault';
import { at, sha1, type Client } from '../support/api';
import { makeFolder, type TestServer } from '../support/server';
import { withServer } from '../support/signed';
import { SlowUpload, untilStaged } from '../support/slow-upload';
import { leftovers, seenImages, untilClean, type SeenImage } from '../support/stored-images';
import {
    CLEAN_WITHIN,
    faulty,
    FULL,
    inParallel,
    notedPoints,
    untilNothingPending,
    withDatabase,
} from './killing';
import { operations, type Operation } from './operations';

/** The shortest that can be configured; what is left may stay for that long, and a little more for the sweep. */
const SILENCE = 1000;
const config = { limits: { uploadSilence: SILENCE } };

/** An operation with the folder it starts from, the steps it takes and what clients see before and after it. */
interface Rehearsal {
    operation: Operation;
    folder: string;
    uuid: string;
    steps: readonly FaultPoint[];
    before: readonly SeenImage[];
    after: readonly SeenImage[];
}

/** Uuids that the server makes up are the only thing in which two runs differ. */
function comparable(
    images: readonly SeenImage[],
    { operation, before }: Pick<Rehearsal, 'operation' | 'before'>,
): unknown[] {
    const isNew = ({ uuid }: SeenImage) =>
        operation.makesImages === true && !before.some((image) => image.uuid === uuid);
    const key = ({ uuid, name }: SeenImage) => `${uuid} ${name}`;
    return images
        .map((image) => (isNew(image) ? { ...image, uuid: 'new' } : image))
        .sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

async function rehearse(operation: Operation, folder: string): Promise<Rehearsal> {
    const dataDir = join(folder, 'template');
    const { uuid, before } = await withServer({ config, dataDir }, async (client) => ({
        uuid: await operation.prepare(client),
        before: await seenImages(client),
    }));
    const rehearsed = join(folder, 'rehearsed');
    await cp(dataDir, rehearsed, { recursive: true });
    const log = join(folder, 'rehearsed.log');
    const options = { ...faulty(log), config: { ...config, ...operation.config }, dataDir: rehearsed };
    const after = await withServer(options, async (client) => {
        assert.equal((await operation.run(client, uuid)).status, operation.status);
        const seen = await seenImages(client);
        await untilClean(rehearsed, seen, CLEAN_WITHIN);
        return seen;
    });
    return { operation, folder: dataDir, uuid, steps: await notedPoints(log), before, after };
}

/** Kills the operation at its step `number` (from 1), starts a server on what is left, and looks. */
async function crashAt(rehearsal: Rehearsal, number: number): Promise<void> {
    const { operation, folder, uuid, steps, before, after } = rehearsal;
    const server = { config: { ...config, ...operation.config } };
    const place = await makeFolder();
    const dataDir = join(place.path, 'data');
    try {
        await cp(folder, dataDir, { recursive: true });
        const log = join(place.path, 'faults.log');
        await withServer({ ...server, ...faulty(log, number), dataDir }, async (client, victim) => {
            await assert.rejects(operation.run(client, uuid), 'the process dies before it can answer');
            assert.equal(await victim.ended(), 'SIGKILL');
        });
        assert.deepEqual(await notedPoints(log), steps.slice(0, number));

        const isDone = operation.committed !== undefined && number > steps.indexOf(operation.committed);
        await withServer({ ...server, dataDir }, async (client) => {
            const seen = await seenImages(client);
            const expected = comparable(isDone ? after : before, rehearsal);
            assert.deepEqual(comparable(seen, rehearsal), expected, 'all of it or nothing');
            await untilClean(dataDir, seen, CLEAN_WITHIN);
            assert.deepEqual(await seenImages(client), seen, 'what is referred to stays');

            const again = await operation.run(client, uuid);
            assert.equal(again.status, isDone ? operation.repeated : operation.status, again.text);
            const final = await seenImages(client);
            if (operation.makesImages !== true || !isDone) {
                const wanted = comparable(after, rehearsal);
                assert.deepEqual(comparable(final, rehearsal), wanted, 'done in the end');
            }
            await untilClean(dataDir, final, CLEAN_WITHIN);
            await untilNothingPending(dataDir);
        });
    } finally {
        await place.remove();
    }
}

const PURGE = { name: 'purge-placeholders', done: 'deleted an image that was never finished' };
const purging = { config: { limits: { uploadSilence: SILENCE, purgeInterval: 100 } } };

/** A folder with a placeholder that has expired, and has a file and an icon. */
async function preparePurge(folder: string): Promise<string> {
    const dataDir = join(folder, 'template');
    await withServer({ config, dataDir }, async (client) => {
        const { uuid } = await client.create();
        await client.upload(uuid);
        await client.uploadIcon(uuid);
    });
    await withDatabase(dataDir, async ({ images }) => {
        const [image] = await images.query({ anyOf: [{}], order: 'asc', limit: 1 });
        const expired = { state: 'creating', expires_at: '2020-01-01T00:00:00.000Z' };
        await images.commit({ put: [{ raw: { ...image!.raw, ...expired } }] });
    });
    return dataDir;
}

/** Copies a folder whose database this process has closed: SQLite lets go of its files when the memory is cleaned up. */
async function copyAsItStands(from: string, to: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
        try {
            await cp(from, to, { recursive: true });
            return;
        } catch (err) {
            const vanished = (err as NodeJS.ErrnoException).code === 'ENOENT';
            assert.ok(vanished && attempt < 5, String(err));
            await rm(to, { recursive: true, force: true });
        }
    }
}

/** Waits until the server's purge has ended: nothing of the placeholder is left. */
async function untilPurged(client: Client, server: TestServer): Promise<void> {
    await server.logged(({ msg }) => msg.startsWith(PURGE.done));
    assert.deepEqual(await seenImages(client), []);
    await untilClean(server.dataDir, [], CLEAN_WITHIN);
}

/** Kills a purge at its step `number` (from 1), and has another server end it. */
async function crashPurgeAt(template: string, steps: readonly FaultPoint[], number: number): Promise<void> {
    const place = await makeFolder();
    const dataDir = join(place.path, 'data');
    try {
        await copyAsItStands(template, dataDir);
        const log = join(place.path, 'faults.log');
        const victim = { ...purging, ...faulty(log, number), dataDir };
        await withServer(victim, async (_client, server) => {
            assert.equal(await server.ended(), 'SIGKILL');
        });
        assert.deepEqual(await notedPoints(log), steps.slice(0, number));
        // The dead process has the lease; what is left of its time is not waited for.
        await withDatabase(dataDir, async ({ leases }) => {
            assert.ok(await leases.acquire(PURGE.name, 'test', 1, Date.now() + 60_000));
            await leases.release(PURGE.name, 'test');
        });
        await withServer({ ...purging, dataDir }, async (client, server) => {
            if (number <= steps.indexOf('delete:committed')) {
                await untilPurged(client, server);
            } else {
                assert.deepEqual(await seenImages(client), []);
                await untilClean(dataDir, [], CLEAN_WITHIN);
            }
            await untilNothingPending(dataDir);
        });
    } finally {
        await place.remove();
    }
}

/** Which steps of an operation to kill it at: all, or the first of each kind that `met` lacks and those at the commit. */
function chosenSteps({ operation, steps }: Rehearsal, met: Set<FaultPoint>): number[] {
    const commit = operation.committed === undefined ? NaN : steps.indexOf(operation.committed) + 1;
    return steps
        .map((_step, index) => index + 1)
        .filter((number) => {
            const step = steps[number - 1]!;
            const isNew = !met.has(step);
            met.add(step);
            return FULL || isNew || number === commit || number === commit - 1;
        });
}

describe('a server killed between two steps', function () {
    this.timeout(FULL ? 600_000 : 120_000);

    let place: Awaited<ReturnType<typeof makeFolder>>;
    const met = new Set<FaultPoint>();
    let killed = 0;

    before(async () => {
        place = await makeFolder();
    });
    after(() => place.remove());

    for (const [index, operation] of operations.entries()) {
        it(`of an operation leaves all of it or nothing: ${operation.name}`, async () => {
            const rehearsal = await rehearse(operation, join(place.path, String(index)));
            const numbers = chosenSteps(rehearsal, met);
            await inParallel(numbers, async (number) => {
                try {
                    await crashAt(rehearsal, number);
                } catch (err) {
                    const step = rehearsal.steps[number - 1]!;
                    throw new Error(`killed at step ${number}, ${step}`, { cause: err });
                }
            });
            killed += numbers.length;
        });
    }

    it('of the purge of placeholders leaves nothing of them', async () => {
        const folder = join(place.path, 'purge');
        const template = await preparePurge(folder);
        const dataDir = join(folder, 'rehearsed');
        await copyAsItStands(template, dataDir);
        const log = join(folder, 'rehearsed.log');
        await withServer({ ...purging, ...faulty(log), dataDir }, untilPurged);
        const steps = await notedPoints(log);
        const own: readonly FaultPoint[] = ['purge:judged', 'delete:committed'];
        const chosen = [...steps.keys()].filter((index) => FULL || own.includes(steps[index]!));
        await inParallel(chosen, async (index) => {
            met.add(steps[index]!);
            await crashPurgeAt(template, steps, index + 1);
        });
        killed += chosen.length;
    });

    it('was killed at every fault point there is', () => {
        assert.deepEqual(
            // The others: import-job.test.ts, archive-shipping.test.ts, change-stor.test.ts.
            faultPoints.filter((point) => !met.has(point) && !/^(job|ship|relocate):/.test(point)),
            [],
        );
        assert.ok(killed >= met.size);
    });
});

describe('a server killed from outside', function () {
    this.timeout(FULL ? 180_000 : 60_000);

    const BYTES = randomBytes(3 << 20);

    let place: Awaited<ReturnType<typeof makeFolder>>;
    let dataDir: string;
    beforeEach(async () => {
        place = await makeFolder();
        dataDir = join(place.path, 'data');
    });
    afterEach(() => place.remove());

    /** Starts an upload and stops in the middle of its body. */
    async function halfUpload(server: TestServer, uuid: string): Promise<SlowUpload> {
        const upload = new SlowUpload(server.url, at(uuid, '/file?compression=none'));
        await upload.send(BYTES);
        await untilStaged(dataDir, uuid, BYTES.length / 2);
        return upload;
    }

    /** Kills a server in the middle of a body and gives how long the leftovers stay after the next one starts, in ms. */
    async function crashInBody(serverConfig: Record<string, unknown>, within: number): Promise<number> {
        const { uuid, seen } = await withServer({ config: serverConfig, dataDir }, async (client, server) => {
            const image = await client.create();
            await client.upload(image.uuid);
            const before = await seenImages(client);
            const upload = await halfUpload(server, image.uuid);
            server.child.kill('SIGKILL');
            await assert.rejects(upload.answered);
            return { uuid: image.uuid, seen: before };
        });
        // Between the servers: a new one removes it whenever it comes to it.
        assert.equal((await leftovers(dataDir, seen)).length, 1, 'the unfinished file is there');
        const restarted = Date.now();
        return withServer({ config: serverConfig, dataDir }, async (client) => {
            await untilClean(dataDir, seen, within);
            const took = Date.now() - restarted;
            const [image] = await seenImages(client);
            assert.deepEqual([image], seen, 'the former file is untouched');
            const retried = await client.upload(uuid, BYTES);
            assert.equal(retried.files[0]?.sha1, sha1(BYTES));
            await untilClean(dataDir, await seenImages(client), CLEAN_WITHIN);
            return took;
        });
    }

    it('in the middle of a body keeps the former file, and the unfinished one goes', async () => {
        await crashInBody(config, CLEAN_WITHIN);
    });

    it('loses nothing that it has acknowledged', async () => {
        const uuid = await withServer({ config, dataDir }, async (client, server) => {
            const image = await client.create();
            await client.upload(image.uuid, BYTES);
            server.child.kill('SIGKILL');
            await server.ended();
            return image.uuid;
        });
        await withServer({ config, dataDir }, async (client) => {
            const [image] = await seenImages(client);
            assert.deepEqual(image, { uuid, name: 'base', file: sha1(BYTES), icon: undefined });
        });
    });

    it('does not disturb the upload of another process on the same folder', async () => {
        await withServer({ config, dataDir }, async (client, survivor) => {
            const [theirs, ours] = [await client.create(), await client.create()];
            const upload = await halfUpload(survivor, theirs.uuid);
            await withServer({ config, dataDir }, async (_other, victim) => {
                const lost = await halfUpload(victim, ours.uuid);
                victim.child.kill('SIGKILL');
                await assert.rejects(lost.answered);
            });
            await withServer({ config, dataDir }, async (other, restarted) => {
                await restarted.logged(({ msg }) => msg === 'removed what interrupted operations had left');
                const left = await leftovers(dataDir, await seenImages(other));
                assert.equal(left.length, 2, `only the survivor's file and its folder: ${left.join(', ')}`);
                assert.ok(left.every((path) => path.includes(theirs.uuid)));
                await upload.send(BYTES);
                const answer = await upload.finish();
                assert.equal(answer.status, 200, answer.text);
                assert.equal((await other.upload(ours.uuid, BYTES)).files[0]?.sha1, sha1(BYTES));
                const seen = await seenImages(other);
                const expected = new Map([
                    [theirs.uuid, sha1(Buffer.concat([BYTES, BYTES]))],
                    [ours.uuid, sha1(BYTES)],
                ]);
                assert.deepEqual(new Map(seen.map(({ uuid, file }) => [uuid, file])), expected);
                await untilClean(dataDir, seen, CLEAN_WITHIN);
            });
        });
    });

    it('or only held up for too long, takes back an upload that was given up meanwhile', async () => {
        await withServer({ config, dataDir }, async (client, held) => {
            const { uuid } = await client.create();
            const { files } = await client.upload(uuid);
            const upload = await halfUpload(held, uuid);
            held.child.kill('SIGSTOP');
            try {
                await withServer({ config, dataDir }, async (_other, other) => {
                    await other.logged(({ msg }) => msg === 'removed what interrupted operations had left');
                });
            } finally {
                held.child.kill('SIGCONT');
            }
            const answer = await upload.finish();
            assert.equal(answer.status, 503, answer.text);
            assert.equal((JSON.parse(answer.text) as { code: string }).code, 'ServiceUnavailableError');
            assert.deepEqual((await client.get(at(uuid))).manifest.files, files);
            await untilClean(dataDir, await seenImages(client), CLEAN_WITHIN);
            assert.equal((await client.upload(uuid, BYTES)).files[0]?.sha1, sha1(BYTES));
        });
    });

    if (FULL) {
        it('leaves nothing for longer than 60 s after the restart, as shipped', async () => {
            const took = await crashInBody({}, 60_000);
            console.log(`        removed ${(took / 1000).toFixed(1)} s after the restart`);
            assert.ok(took <= 60_000, `${took} ms`);
        });
    }
});
