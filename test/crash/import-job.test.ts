/**
 * A server killed with SIGKILL in the middle of an import: the job goes on where it was, and nothing is left over.
 *
 * In short it is killed at the first of each kind of step; with CRASH_FULL=1 (`npm run crash`) at every one.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { faultPoints, type FaultPoint } from '../../lib/fault';
import { at, type Client } from '../support/api';
import { startedJob, untilEnded, untilJob, type ShownJob } from '../support/jobs';
import { LyingServer, passing, type Spoiler } from '../support/lying-server';
import { Registry } from '../support/registry';
import { makeFolder } from '../support/server';
import { withServer } from '../support/signed';
import { seenImages, untilClean, type SeenImage } from '../support/stored-images';

const FULL = process.env.CRASH_FULL === '1';
const CLEAN_WITHIN = 10_000;
const AT_ONCE = 3;

const config = {
    limits: { uploadSilence: 1000 },
    jobs: { leaseTime: '300ms', retryDelay: '50ms' },
    outbound: { allow: ['127.0.0.1'] },
};

const faulty = (log: string, point?: number | FaultPoint) => ({
    config,
    nodeArguments: ['-r', join(__dirname, '../support/arm-fault.js')],
    environment: {
        IMGAPI_TEST_FAULT_LOG: log,
        ...(point !== undefined && { IMGAPI_TEST_FAULT_AT: String(point) }),
    },
});

/** Begins to send a file and then goes silent. */
const stall: Spoiler = ({ url }, response) => {
    const isFile = url?.endsWith('/file') === true;
    if (isFile) {
        response.writeHead(200, { 'content-length': 300_000 }).write('the beginning');
    }
    return isFile;
};

describe('an import that is killed', function () {
    this.timeout(FULL ? 600_000 : 120_000);

    let source: Registry;
    let place: Awaited<ReturnType<typeof makeFolder>>;
    let top: string;
    let expected: SeenImage[];
    before(async () => {
        place = await makeFolder();
        source = await Registry.start();
        const base = await source.client.createActive({}, randomBytes(400_000));
        await source.client.uploadIcon(base.uuid);
        const image = await source.client.createActive({ origin: base.uuid }, randomBytes(500_000));
        await source.client.uploadIcon(image.uuid);
        top = image.uuid;
        expected = await seenImages(source.client);
    });
    after(async () => {
        await source.stop();
        await place.remove();
    });

    const importTop = (client: Client, url = source.url) =>
        client.post(at(top, `?action=import-remote&source=${encodeURIComponent(url)}`), {});

    async function steps(): Promise<string[]> {
        const log = join(place.path, 'rehearsal.log');
        await withServer({ ...faulty(log), dataDir: join(place.path, 'rehearsal') }, async (client) => {
            const job = await untilEnded(client, startedJob(await importTop(client)));
            assert.equal(job.execution, 'succeeded', JSON.stringify(job));
            assert.deepEqual(await seenImages(client), expected);
        });
        return (await readFile(log, 'utf8')).trimEnd().split('\n');
    }

    /** Kills the import at its step `number` (from 1) and has another process go on with it. */
    async function killAt(number: number): Promise<void> {
        const dataDir = join(place.path, String(number));
        const log = join(place.path, `${number}.log`);
        await withServer({ ...faulty(log, number), dataDir }, async (client, server) => {
            // It may die before it can answer: the job is in the database by then.
            await importTop(client).catch(() => undefined);
            assert.equal(await server.ended(), 'SIGKILL');
        });
        await withServer({ config, dataDir }, async (client) => {
            const [job] = (await client.get('/jobs')).json as ShownJob[];
            assert.ok(job, 'the job was not lost');
            const ended = await untilEnded(client, job.uuid, 30_000);
            assert.equal(ended.execution, 'succeeded', JSON.stringify(ended));
            const seen = await seenImages(client);
            assert.deepEqual(seen, expected);
            await untilClean(dataDir, seen, CLEAN_WITHIN);
        });
    }

    it('goes on where it was, at whichever step that happens', async () => {
        const points = await steps();
        const met = new Set<string>();
        const numbers = points.flatMap((point, index) => {
            const isNew = !met.has(point);
            met.add(point);
            return FULL || isNew ? [index + 1] : [];
        });
        assert.deepEqual(
            faultPoints.filter(
                (point) => point.startsWith('job:') && point !== 'job:canceled' && !met.has(point),
            ),
            [],
        );
        // The last ones: of the image itself, not of its origin.
        const queue = [...new Set([...numbers, points.length - 12, points.length - 3])];
        const worker = async () => {
            for (let number = queue.shift(); number !== undefined; number = queue.shift()) {
                try {
                    await killAt(number);
                } catch (err) {
                    throw new Error(`killed at step ${number}, ${String(points[number - 1])}`, {
                        cause: err,
                    });
                }
            }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, worker));
    });

    it('is undone after the next start if it was canceled', async () => {
        const stalling = await LyingServer.start(passing(source.url, stall));
        const dataDir = join(place.path, 'canceled');
        const log = join(place.path, 'canceled.log');
        try {
            await withServer({ ...faulty(log, 'job:canceled'), dataDir }, async (client, server) => {
                const uuid = startedJob(await importTop(client, stalling.url()));
                await untilJob(client, uuid, ({ progress }) => progress !== undefined);
                await client.post(`/jobs/${uuid}/cancel`, {}).catch(() => undefined);
                assert.equal(await server.ended(), 'SIGKILL');
            });
            await withServer({ config, dataDir }, async (client) => {
                const [job] = (await client.get('/jobs')).json as ShownJob[];
                assert.equal(job?.execution, 'canceled');
                const undone = await untilJob(
                    client,
                    job.uuid,
                    ({ oncancel_results: done }) => done?.length === 2,
                );
                assert.deepEqual(
                    undone.oncancel_results?.map(({ error }) => error),
                    ['', ''],
                );
                const seen = await seenImages(client);
                assert.deepEqual(seen, []);
                await untilClean(dataDir, seen, CLEAN_WITHIN);
            });
        } finally {
            await stalling.stop();
        }
    });
});
