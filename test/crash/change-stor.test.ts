/**
 * A server killed with SIGKILL between any two steps of moving a file to another storage (storage.md §4): the image can
 * be downloaded, at most one object is too many, and that one is removed.
 *
 * In short between the local disk and Manta; with CRASH_FULL=1 (`npm run crash`) between all storages.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { FaultPoint } from '../../lib/fault';
import type { StorageType } from '../../lib/manifest';
import { imageFolder, imageKey, type StorageDriver } from '../../lib/storage/driver';
import { createLocalStorage } from '../../lib/storage/local';
import { createS3Storage } from '../../lib/storage/s3';
import { keysIn, put } from '../conformance/storage';
import { at, md5, newUuid, sha1, type Answer, type Client } from '../support/api';
import { testImage } from '../support/images';
import { MANTA_USER, MantaAccount } from '../support/manta-storage';
import type { MantaServer } from '../support/manta-server';
import { RadosGateway } from '../support/radosgw';
import { recordingLog } from '../support/recording-log';
import { makeFolder } from '../support/server';
import { withServer } from '../support/signed';
import {
    faulty,
    FULL,
    inParallel,
    notedPoints,
    CLEAN_WITHIN,
    untilNothingPending,
    withDatabase,
} from './killing';

const FILE = randomBytes(700_000);

type Pair = readonly [from: StorageType, to: StorageType];
const PAIRS: readonly Pair[] = [
    ['local', 'manta'],
    ['manta', 'local'],
    ...(FULL
        ? ([
              ['local', 's3'],
              ['s3', 'local'],
              ['manta', 's3'],
              ['s3', 'manta'],
          ] as const)
        : []),
];

describe('change-stor that is killed', function () {
    this.timeout(FULL ? 600_000 : 120_000);

    let account: MantaAccount;
    let manta: MantaServer;
    let s3: RadosGateway | undefined;

    before(async function () {
        account = new MantaAccount();
        manta = await account.serve();
        s3 = FULL ? await RadosGateway.start(this) : undefined;
    });
    after(async () => {
        await manta.stop();
        account.remove();
        await s3?.stop();
    });

    /** A registry with one image, in places of its own of all storages. */
    class Stage {
        readonly uuid = newUuid();
        readonly config: Record<string, unknown>;
        readonly #drivers: readonly StorageDriver[];

        private constructor(
            private readonly place: Awaited<ReturnType<typeof makeFolder>>,
            readonly from: StorageType,
        ) {
            const name = newUuid();
            this.config = {
                storageTypes: ['local', 'manta', ...(s3 ? ['s3'] : [])],
                limits: { uploadSilence: 1000 },
                manta: { ...account.config(manta.url), baseDir: name },
                ...(s3 && { s3: { ...s3.config, prefix: name } }),
            };
            this.#drivers = [
                createLocalStorage({ dataDir: this.dataDir }),
                account.storage(manta.url, { rootDir: `/${MANTA_USER}/stor/${name}` }),
                ...(s3
                    ? [
                          createS3Storage({
                              config: { ...s3.config, prefix: name },
                              maxSockets: 5,
                              log: recordingLog([]),
                          }),
                      ]
                    : []),
            ];
        }

        static async set(from: StorageType): Promise<Stage> {
            const stage = new Stage(await makeFolder(), from);
            for (const driver of stage.#drivers) {
                await driver.open();
            }
            const object = `file0-${newUuid()}`;
            const about = { sha1: sha1(FILE), size: FILE.length, contentMD5: md5(FILE) };
            const driver = stage.#drivers.find(({ type }) => type === from);
            await put(driver!, imageKey(stage.uuid, object), FILE);
            await withDatabase(stage.dataDir, async ({ images }) => {
                const files = [{ ...about, compression: 'none', stor: from, object }];
                await images.commit({ put: [{ raw: testImage(1, { uuid: stage.uuid, files }) }] });
            });
            return stage;
        }

        get dataDir(): string {
            return join(this.place.path, 'data');
        }

        get log(): string {
            return join(this.place.path, 'faults.log');
        }

        /** The image's objects in all storages: the storage and the key. */
        async objects(): Promise<string[]> {
            const keys = this.#drivers.map(async (driver) =>
                (await keysIn(driver, imageFolder(this.uuid))).map((key) => `${driver.type} ${key}`),
            );
            return (await Promise.all(keys)).flat();
        }

        /** Waits until no object is left but the one that the record refers to, which must be in this storage. */
        async untilClean(stor: StorageType): Promise<void> {
            const record = await withDatabase(this.dataDir, ({ images }) => images.get(this.uuid));
            const [file] = record?.raw.files ?? [];
            assert.equal(file?.stor, stor);
            const wanted = [`${stor} ${imageKey(this.uuid, file.object ?? '')}`];
            const end = Date.now() + CLEAN_WITHIN;
            let found = await this.objects();
            while (found.join() !== wanted.join() && Date.now() < end) {
                await new Promise((resolve) => setTimeout(resolve, 20));
                found = await this.objects();
            }
            assert.deepEqual(found, wanted);
        }

        async clear(): Promise<void> {
            for (const driver of this.#drivers) {
                await driver.close();
            }
            await this.place.remove();
        }
    }

    async function onStage(from: StorageType, work: (stage: Stage) => Promise<void>): Promise<void> {
        const stage = await Stage.set(from);
        try {
            await work(stage);
        } finally {
            await stage.clear();
        }
    }

    const change = (client: Client, { uuid }: Stage, to: StorageType): Promise<Answer> =>
        client.post(at(uuid, `?action=change-stor&stor=${to}`), {});

    async function assertReadable(client: Client, { uuid }: Stage): Promise<void> {
        const { status, body } = await client.get(at(uuid, '/file'));
        assert.deepEqual({ status, sha1: sha1(body) }, { status: 200, sha1: sha1(FILE) });
    }

    /** Kills it at its step `number` (from 1), starts a server on what is left, and looks. */
    async function crashAt([from, to]: Pair, steps: readonly FaultPoint[], number: number): Promise<void> {
        await onStage(from, async (stage) => {
            const { config, dataDir, log } = stage;
            await withServer({ config, dataDir, ...faulty(log, number) }, async (client, victim) => {
                await assert.rejects(change(client, stage, to), 'the process dies before it can answer');
                assert.equal(await victim.ended(), 'SIGKILL');
            });
            assert.deepEqual(await notedPoints(log), steps.slice(0, number));
            const left = await stage.objects();
            assert.ok(left.length <= 2, `more than one too many: ${left.join()}`);
            const isDone = number > steps.indexOf('relocate:committed');
            await withServer({ config, dataDir }, async (client) => {
                await assertReadable(client, stage);
                await stage.untilClean(isDone ? to : from);
                await assertReadable(client, stage);
                assert.equal((await change(client, stage, to)).status, 200);
                await assertReadable(client, stage);
                await stage.untilClean(to);
                await untilNothingPending(dataDir);
            });
        });
    }

    for (const [from, to] of PAIRS) {
        it(`from ${from} to ${to} leaves the image with its file`, async () => {
            let steps: FaultPoint[] = [];
            await onStage(from, async (stage) => {
                const { config, dataDir, log } = stage;
                await withServer({ config, dataDir, ...faulty(log) }, async (client) => {
                    assert.equal((await change(client, stage, to)).status, 200);
                    await stage.untilClean(to);
                });
                steps = await notedPoints(log);
            });
            assert.ok(steps.includes('relocate:committed'));
            await inParallel([...steps.keys()], async (index) => {
                try {
                    await crashAt([from, to], steps, index + 1);
                } catch (err) {
                    throw new Error(`killed at step ${index + 1}, ${String(steps[index])}`, { cause: err });
                }
            });
        });
    }
});
