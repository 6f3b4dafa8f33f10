/**
 * Clients that work with a server whose object store fails in every way by chance, and whose process is killed now and
 * then. Afterwards everything that was acknowledged is there, and nothing else.
 */
import assert from 'node:assert/strict';
import { randomUUID as uuid } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type Logger from 'bunyan';
import { LocalDatabase } from '../../lib/db/local';
import { UnreferencedSweep } from '../../lib/images/unreferenced-sweep';
import type { RawImage, StorageType } from '../../lib/manifest';
import { archiveKey, imageKey, type StorageDriver } from '../../lib/storage/driver';
import { contentOf, keysIn } from '../conformance/storage';
import type { Manifest } from './api';
import type { Backends, ObjectStore } from './backends';
import { CampaignClient } from './campaign-client';
import { CampaignServer } from './campaign-server';
import { ChanceFaults } from './chance-faults';
import { seeded } from './images';
import { recordingLog } from './recording-log';
import { Registry } from './registry';
import { seenImages, type SeenImage } from './stored-images';

const CLIENTS = 5;
/** How long the driver waits for a store that says nothing, in ms. */
const PATIENCE = 700;
/** What nobody refers to may stay for about that long, in ms. */
const SILENCE = 2000;
const CLEAN_WITHIN = 30_000;
const DAY = 24 * 3_600_000;

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const ARCHIVED = new RegExp(`^archive/.../${UUID}\\.json$`);
const LOG: Logger = recordingLog([]);
const MARK = 'images/database-id';

export interface CampaignOptions {
    readonly backends: Backends;
    readonly store: ObjectStore;
    readonly seed: number;
    /** How many requests to the object store are to be met by faults. */
    readonly faults: number;
    /** How often the server is killed meanwhile. */
    readonly kills: number;
}

export interface CampaignResult {
    readonly faults: ReadonlyMap<string, number>;
    readonly actions: ReadonlyMap<string, readonly [done: number, refused: number, unanswered: number]>;
    /** Those that are there at the end. */
    readonly images: number;
}

/** @throws AssertionError if anything was lost or left, or was answered as it may not be */
export async function campaign(options: CampaignOptions): Promise<CampaignResult> {
    const { backends, store, seed } = options;
    const proxy = backends.proxies[store];
    assert.ok(proxy);
    const faults = new ChanceFaults(proxy, store, seeded(seed));
    const calmly = {
        storageTypes: ['local', store],
        [store]: backends.config[store],
        limits: { uploadSilence: SILENCE, archiveInterval: 500 },
    };
    const config = {
        ...calmly,
        [store]: {
            ...(backends.config[store] as object),
            idleTimeout: PATIENCE,
            ...(store === 'manta' && { answerTimeout: PATIENCE }),
        },
    };
    const { dataDir } = backends;
    const server = new CampaignServer({ config, dataDir });
    // One that is there from the start is what an operator has.
    await server.client();
    const clients = Array.from(
        { length: CLIENTS },
        (_, n) => new CampaignClient({ server, store, faults, random: seeded(seed + n + 1) }),
    );
    faults.start();
    await work(options, { server, faults, clients });
    faults.stop();
    await server.stop();
    await freeLeases(dataDir);

    const calm = await Registry.start(calmly, { dataDir });
    try {
        const seen = await seenImages(calm.client);
        assertKept(seen, clients);
        const records = await recordsOf(calm, seen);
        await untilNoOrphans(backends, store, records);
        await untilArchived(backends.driver('local'));
        await sweepLater(backends, store);
        assert.deepEqual(await misplaced(backends, store, records), []);
        await assertArchive(backends.driver(store), seen);
        assert.deepEqual(await seenImages(calm.client), seen, 'what is referred to stays');
        return { faults: faults.tally, actions: sum(clients), images: seen.length };
    } finally {
        await calm.stop();
    }
}

interface Parts {
    server: CampaignServer;
    faults: ChanceFaults;
    clients: CampaignClient[];
}

/** Has the clients act until there were enough faults, or one of them sees what may not be. */
async function work(options: CampaignOptions, { server, faults, clients }: Parts): Promise<void> {
    const every = options.faults / (options.kills + 1);
    let failed = false;
    let killed = 0;
    const run = async (client: CampaignClient): Promise<void> => {
        while (faults.count < options.faults && !failed) {
            if (killed < options.kills && faults.count > (killed + 1) * every) {
                killed++;
                // The others, and what this one does next, are in the middle of something.
                await Promise.all([client.act(), server.kill()]);
            } else {
                await client.act();
            }
        }
    };
    const ended = await Promise.allSettled(
        clients.map((client) =>
            run(client).catch((err: unknown) => {
                failed = true;
                throw err;
            }),
        ),
    );
    const reasons = ended.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
    if (reasons.length > 0) {
        faults.stop();
        await server.stop().catch((err: unknown) => reasons.push(err));
        throw new AggregateError(reasons, reasons.map(String).join('\n'));
    }
}

/** Every image is what its client knows it to be, and there are no others. */
function assertKept(seen: readonly SeenImage[], clients: readonly CampaignClient[]): void {
    const byUuid = new Map(seen.map((image) => [image.uuid, image]));
    for (const { uuid, exists, files, icons } of clients.flatMap(({ images }) => images)) {
        const image = byUuid.get(uuid);
        byUuid.delete(uuid);
        if (image === undefined) {
            assert.notEqual(exists, 'yes', `image ${uuid} is lost`);
            continue;
        }
        assert.notEqual(exists, 'no', `image ${uuid} was deleted`);
        assert.ok(files.has(image.file), `image ${uuid} has another file: ${String(image.file)}`);
        assert.ok(icons.has(image.icon), `image ${uuid} has another icon: ${String(image.icon)}`);
    }
    const unknown = clients.reduce((total, client) => total + client.unknown, 0);
    assert.ok(byUuid.size <= unknown, `images that nobody has made: ${[...byUuid.keys()].join(', ')}`);
}

/** The keys of the objects of a storage that a record refers to. */
function referredKeys(records: readonly RawImage[], type: StorageType): string[] {
    return records.flatMap(({ uuid, files = [], icon }) =>
        [...files, ...(icon ? [icon] : [])]
            .filter(({ stor, object }) => stor === type && object !== undefined)
            .map(({ object = '' }) => imageKey(uuid, object)),
    );
}

/** The raw records of images. */
async function recordsOf(registry: Registry, seen: readonly SeenImage[]): Promise<RawImage[]> {
    const records: RawImage[] = [];
    for (const { uuid: image } of seen) {
        const record = await registry.record(image);
        assert.ok(record);
        records.push(record);
    }
    return records;
}

/** What the storages hold that no record refers to, and what they lack; for each, where and under which key. */
async function misplaced(
    backends: Backends,
    store: ObjectStore,
    records: readonly RawImage[],
): Promise<{ type: StorageType; key: string; is: 'unreferenced' | 'missing' | 'begun twice' }[]> {
    const found: Awaited<ReturnType<typeof misplaced>> = [];
    for (const type of ['local', store] as const) {
        const wanted = new Set(referredKeys(records, type));
        const missing = new Set(wanted);
        for await (const { key } of backends.driver(type).list('images/')) {
            if (!missing.delete(key) && key !== MARK) {
                // S3 began an upload twice if its answer was lost; the other one became the object.
                const twin = key.replace(/\.(?=[^./]+$)/, '-');
                found.push({
                    type,
                    key,
                    is: key !== twin && wanted.has(twin) ? 'begun twice' : 'unreferenced',
                });
            }
        }
        found.push(...[...missing].map((key) => ({ type, key, is: 'missing' }) as const));
    }
    return found;
}

/** Waits until nothing is left but what only the daily search finds. */
async function untilNoOrphans(
    backends: Backends,
    store: ObjectStore,
    records: readonly RawImage[],
): Promise<void> {
    const end = Date.now() + CLEAN_WITHIN;
    for (;;) {
        const wrong = [
            ...(await misplaced(backends, store, records)).filter(({ is }) => is !== 'begun twice'),
            ...(await emptyFolders(backends, store)),
        ];
        if (wrong.length === 0) {
            return;
        }
        assert.ok(Date.now() < end, `after ${CLEAN_WITHIN} ms: ${JSON.stringify(wrong)}`);
        await wait(100);
    }
}

/** Folders of images that have nothing in them any more. */
async function emptyFolders({ dataDir, manta }: Backends, store: ObjectStore): Promise<string[]> {
    const local = (await readdir(join(dataDir, 'images'), { recursive: true })).map((path) => `/${path}`);
    const remote = store === 'manta' ? [...manta.directories, ...manta.objects] : [];
    const folder = new RegExp(`/.../${UUID}$`);
    return [...local, ...remote]
        .filter((path, _, all) => folder.test(path) && !all.some((other) => other.startsWith(`${path}/`)))
        .map((path) => `empty: ${path}`);
}

/** Waits until the object store has all manifests that were archived. */
async function untilArchived(local: StorageDriver): Promise<void> {
    const end = Date.now() + CLEAN_WITHIN;
    let left = await keysIn(local, 'archive/');
    while (left.length > 0) {
        assert.ok(Date.now() < end, `not moved within ${CLEAN_WITHIN} ms: ${left.join(', ')}`);
        await wait(100);
        left = await keysIn(local, 'archive/');
    }
}

/** Every image has its manifest in the archive, and nothing else is there. */
async function assertArchive(storage: StorageDriver, seen: readonly SeenImage[]): Promise<void> {
    const keys = await keysIn(storage, 'archive/');
    assert.deepEqual(
        keys.filter((key) => !ARCHIVED.test(key)),
        [],
    );
    for (const { uuid: image } of seen) {
        const manifest = JSON.parse((await contentOf(storage, archiveKey(image))).toString()) as Manifest;
        assert.equal(manifest.uuid, image);
    }
}

async function withDatabase(
    dataDir: string,
    now: () => number,
    use: (database: LocalDatabase) => Promise<void>,
): Promise<void> {
    const database = new LocalDatabase({ databaseDir: dataDir, dataDir, log: LOG, clock: { now, uuid } });
    await database.open();
    try {
        await use(database);
    } finally {
        await database.close();
    }
}

/** Lets the leases of processes that were killed run out at once. */
async function freeLeases(dataDir: string): Promise<void> {
    await withDatabase(dataDir, Date.now, async ({ leases }) => {
        for (const task of ['sweep-pending', 'ship-archive']) {
            await leases.acquire(task, 'test', 0, Date.now() + 60_000);
            await leases.release(task, 'test');
        }
    });
}

/** What the daily search of the server does in two days: first it marks the storages as its own. */
async function sweepLater(backends: Backends, store: ObjectStore): Promise<void> {
    const now = (): number => Date.now() + 2 * DAY;
    const drivers = [backends.driver('local'), backends.driver(store)];
    await withDatabase(backends.dataDir, now, async ({ id, images, pending }) => {
        const sweep = new UnreferencedSweep({
            databaseId: () => id,
            images,
            pending,
            storages: {
                get: (type) => backends.driver(type),
                has: (type) => drivers.some((driver) => driver.type === type),
                all: () => drivers,
            },
            clock: { now, uuid },
            log: LOG,
        });
        for (let day = 1; day <= 2; day++) {
            assert.deepEqual((await sweep.run()).left, []);
        }
    });
}

function sum(clients: readonly CampaignClient[]): CampaignResult['actions'] {
    const total = new Map<string, [number, number, number]>();
    for (const { tally } of clients) {
        for (const [action, counts] of tally) {
            const [done, refused, unanswered] = total.get(action) ?? [0, 0, 0];
            total.set(action, [done + counts[0], refused + counts[1], unanswered + counts[2]]);
        }
    }
    return total;
}
