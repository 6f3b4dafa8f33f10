/**
 * A server killed with SIGKILL in the middle of a job (imports.md §4): the next start goes on where the job stood, and
 * it ends as if nothing had been.
 *
 * In short each boundary of a job's own is met at its first time, and the last one of all; with CRASH_FULL=1 (`npm run crash`)
 * every step of the job and of the images it makes.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { faultPoints, type FaultPoint } from '../../lib/fault';
import { at, type Answer, type Client } from '../support/api';
import { startedJob, untilEnded, untilJob, type ShownJob } from '../support/jobs';
import { Registry } from '../support/registry';
import { makeFolder } from '../support/server';
import { withServer } from '../support/signed';
import { seenImages, untilClean } from '../support/stored-images';

const FULL = process.env.CRASH_FULL === '1';
const CLEAN_WITHIN = 10_000;
const AT_ONCE = 3;

const config = {
    limits: { uploadSilence: 1000 },
    jobs: { leaseTime: 300, retryDelay: 20 },
    outbound: { allow: ['127.0.0.1'] },
};

/** A source that begins to send a file and then goes silent. */
class StallingSource {
    readonly #server: http.Server;

    private constructor({ client }: Registry) {
        this.#server = http.createServer((req, res) => {
            const path = String(req.url);
            if (path.endsWith('/file')) {
                res.writeHead(200, { 'content-length': 300_000 }).write('the beginning');
            } else {
                void client.get(path).then(({ status, text }) => {
                    res.writeHead(status, { 'content-type': 'application/json' }).end(text);
                });
            }
        });
    }

    static async before(registry: Registry): Promise<StallingSource> {
        const stalling = new StallingSource(registry);
        stalling.#server.listen(0, '127.0.0.1');
        await once(stalling.#server, 'listening');
        return stalling;
    }

    get url(): string {
        return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    }

    async stop(): Promise<void> {
        this.#server.closeAllConnections();
        this.#server.close();
        await once(this.#server, 'close');
    }
}

const isOfJobs = (point: FaultPoint): boolean => point.startsWith('job:');

describe('a server killed in the middle of a job', function () {
    this.timeout(FULL ? 600_000 : 60_000);

    let source: Registry;
    let stalling: StallingSource;
    let subject: string;

    before(async () => {
        source = await Registry.start();
        const origin = await source.client.createActive({ name: 'origin' }, randomBytes(100_000));
        const { uuid } = await source.client.createActive(
            { name: 'subject', origin: origin.uuid },
            randomBytes(300_000),
        );
        await source.client.uploadIcon(uuid);
        subject = uuid;
        stalling = await StallingSource.before(source);
    });
    after(async () => {
        await stalling.stop();
        await source.stop();
    });

    const start = (client: Client, url = source.url): Promise<Answer> =>
        client.post(at(subject, `?action=import-remote&source=${encodeURIComponent(url)}`), {});

    /** What the job is for: the images are here, and as they are at the source. */
    async function assertImported(client: Client, dataDir: string): Promise<void> {
        const seen = await seenImages(client);
        assert.deepEqual(seen, await seenImages(source.client));
        await untilClean(dataDir, seen, CLEAN_WITHIN);
    }

    async function jobsOf(client: Client): Promise<ShownJob[]> {
        return (await client.get('/jobs')).json as ShownJob[];
    }

    /** Runs `work` on a server that notes its fault points, and dies at one of them if it is told to. */
    async function noting(
        place: string,
        dieAt: number | FaultPoint | undefined,
        work: (client: Client, ended: () => Promise<unknown>) => Promise<void>,
    ): Promise<FaultPoint[]> {
        const log = join(place, 'faults.log');
        const options = {
            config,
            dataDir: join(place, 'data'),
            nodeArguments: ['-r', join(__dirname, '../support/arm-fault.js')],
            environment: {
                IMGAPI_TEST_FAULT_LOG: log,
                ...(dieAt !== undefined && { IMGAPI_TEST_FAULT_AT: String(dieAt) }),
            },
        };
        await withServer(options, (client, server) => work(client, () => server.ended()));
        return (await readFile(log, 'utf8')).trimEnd().split('\n') as FaultPoint[];
    }

    async function inPlace(work: (place: string) => Promise<void>): Promise<void> {
        const place = await makeFolder();
        try {
            await work(place.path);
        } finally {
            await place.remove();
        }
    }

    async function crashAt(number: number): Promise<void> {
        await inPlace(async (place) => {
            await noting(place, number, async (client, ended) => {
                // It may die before it answers as well as later.
                await start(client).catch(() => undefined);
                assert.equal(await ended(), 'SIGKILL');
            });
            const dataDir = join(place, 'data');
            await withServer({ config, dataDir }, async (client) => {
                const [job, ...others] = await jobsOf(client);
                assert.deepEqual(others, []);
                const uuid = job?.uuid ?? startedJob(await start(client));
                const ended = await untilEnded(client, uuid);
                assert.equal(ended.execution, 'succeeded', JSON.stringify(ended));
                assert.equal(ended.chain_results.length, 5);
                await assertImported(client, dataDir);
            });
        });
    }

    /** The points to die at: all of them, or the first of each kind that jobs have and the very last. */
    function chosen(points: readonly FaultPoint[]): number[] {
        const last = points.findLastIndex(isOfJobs);
        return points.flatMap((point, index) => {
            const isChosen = isOfJobs(point) && (points.indexOf(point) === index || index === last);
            return FULL || isChosen ? [index + 1] : [];
        });
    }

    const met = new Set<FaultPoint>();

    it('goes on with it at the next start', async () => {
        let points: FaultPoint[] = [];
        await inPlace(async (place) => {
            points = await noting(place, undefined, async (client) => {
                await untilEnded(client, startedJob(await start(client)));
                await assertImported(client, join(place, 'data'));
            });
        });
        const numbers = chosen(points);
        const one = async (number: number) => {
            const point = points[number - 1]!;
            met.add(point);
            await crashAt(number).catch((err: unknown) => {
                throw new Error(`killed at point ${number}, ${point}`, { cause: err });
            });
        };
        while (numbers.length > 0) {
            await Promise.all(numbers.splice(0, AT_ONCE).map(one));
        }
    });

    it('undoes a canceled one at the next start', async () => {
        await inPlace(async (place) => {
            await noting(place, 'job:canceled', async (client, ended) => {
                const uuid = startedJob(await start(client, stalling.url));
                await untilJob(client, uuid, ({ progress }) => progress !== undefined);
                await client.post(`/jobs/${uuid}/cancel`, {}).catch(() => undefined);
                assert.equal(await ended(), 'SIGKILL');
            });
            met.add('job:canceled');
            const dataDir = join(place, 'data');
            await withServer({ config, dataDir }, async (client) => {
                const [job] = await jobsOf(client);
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
        });
    });

    it('was killed at every boundary that jobs have', () => {
        assert.deepEqual(
            faultPoints.filter((point) => isOfJobs(point) && !met.has(point)),
            [],
        );
    });
});
