/** Several workers behind one listener (`cluster.workers`; DESIGN "Several processes", daemon.md §1). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { at, FILE, sha1, type Client } from '../support/api';
import { TestServer } from '../support/server';
import { withServer } from '../support/signed';
import { SlowUpload, untilStaged } from '../support/slow-upload';
import { seenImages, untilClean } from '../support/stored-images';
import { answeringPids, ask, Load, openUploads, untilGone } from '../support/workers';

const FILE_QUERY = '/file?compression=none';
const CLEAN_WITHIN = 10_000;

describe('several workers', function () {
    this.timeout(60_000);

    const withWorkers = (
        config: Record<string, unknown>,
        work: (client: Client, server: TestServer) => Promise<void>,
    ) =>
        withServer({ config: { cluster: { workers: 2 }, ...config } }, async (client, server) => {
            await server.logged(({ msg }) => msg === 'startup complete');
            await work(client, server);
        });

    /** Changes keys of the configuration file, or puts a text in its place. */
    async function configure(server: TestServer, change: Record<string, unknown> | string): Promise<void> {
        const old = await readFile(server.configFile, 'utf8');
        await writeFile(
            server.configFile,
            typeof change === 'string'
                ? change
                : JSON.stringify({ ...(JSON.parse(old) as object), ...change }),
        );
    }

    async function uploadsUnderWay(client: Client, server: TestServer, count: number): Promise<SlowUpload[]> {
        const uploads: SlowUpload[] = [];
        for (let number = 0; number < count; number++) {
            const { uuid } = await client.create();
            const upload = new SlowUpload(server.url, at(uuid, FILE_QUERY));
            await upload.send(Buffer.alloc(1 << 16, FILE));
            await untilStaged(server.dataDir, uuid, 0);
            uploads.push(upload);
        }
        return uploads;
    }

    it('share the connections evenly, are asked together, and write one log, whole and in whole lines', async () => {
        interface State {
            cache: { ImageGet: { items: number } };
            processes: { pid: number; cache: { ImageGet: { items: number } } }[];
        }
        await withWorkers({}, async (client, server) => {
            const pids = await answeringPids(server.url);
            assert.deepEqual(pids.size, 2);
            assert.ok(
                [...pids.values()].every((count) => count >= 4),
                [...pids.values()].join(),
            );
            const { uuid } = await client.create({ description: 'long '.repeat(100) });
            const answers = await Promise.all(Array.from({ length: 200 }, () => ask(server.url + at(uuid))));
            assert.ok(answers.every(({ status }) => status === 200));

            const state = async () => (await client.get('/state')).json as State;
            const { cache, processes } = await state();
            assert.deepEqual(new Set(processes.map(({ pid }) => pid)), new Set(pids.keys()));
            const counts = processes.map((one) => one.cache.ImageGet.items);
            assert.ok(
                counts.every((count) => count > 0),
                counts.join(),
            );
            assert.equal(
                cache.ImageGet.items,
                counts.reduce((sum, count) => sum + count),
            );
            assert.equal((await client.post('/state?action=dropcaches')).status, 202);
            assert.equal((await state()).cache.ImageGet.items, 0);
            assert.equal((await client.post('/authkeys/reload')).status, 200);

            const closed = once(server.child, 'close');
            server.child.kill('SIGTERM');
            await closed;
            assert.equal(server.child.exitCode, 0);
            assert.deepEqual(
                server.log.filter(({ level }) => level === 0),
                [],
                'lines that are no records',
            );
            const audited = server.log.filter(({ route }) => route === 'GetImage');
            assert.equal(audited.length, answers.length);
            assert.deepEqual(new Set(audited.map(({ pid }) => pid)), new Set(pids.keys()));
            await untilGone(pids.keys());
        });
    });

    it('are replaced one by one on SIGHUP, and no request fails', async () => {
        await withWorkers({ limits: { gracefulStop: '30s' } }, async (client, server) => {
            const bytes = randomBytes(64 << 10);
            const image = await client.createActive({}, bytes);
            const big = await client.createActive({}, randomBytes(32 << 20));
            const target = await client.create();
            const before = await answeringPids(server.url);

            const [upload] = await uploadsUnderWay(client, server, 1);
            const download = http.get(server.url + at(big.uuid, '/file'), { agent: false });
            const [answer] = (await once(download, 'response')) as [http.IncomingMessage];
            const kept = new http.Agent({ keepAlive: true, maxSockets: 4 });
            const file = async (agent: http.Agent | false) => {
                const got = await ask(server.url + at(image.uuid, '/file'), { agent });
                assert.equal(sha1(got.body), sha1(bytes));
                return got;
            };
            const load = new Load([
                ...Array.from({ length: 4 }, () => () => file(kept)),
                () => file(false),
                () => ask(server.url + at(target.uuid, FILE_QUERY), { method: 'PUT', body: bytes }),
                () =>
                    ask(server.url + at(target.uuid, FILE_QUERY), {
                        method: 'PUT',
                        body: bytes,
                        agent: kept,
                    }),
            ]);
            await load.goesOn();
            server.child.kill('SIGHUP');
            await server.logged(({ msg }) => msg === 'the workers are replaced');
            await load.goesOn();
            await load.stop();
            kept.destroy();

            let size = 0;
            answer.on('data', (chunk: Buffer) => (size += chunk.length));
            await once(answer, 'end');
            assert.equal(size, 32 << 20, 'a download goes on to its end');
            await upload!.send(FILE);
            assert.equal((await upload!.finish()).status, 200, 'so does an upload');
            await untilGone(before.keys());
            const after = await answeringPids(server.url);
            assert.equal(after.size, 2);
            assert.ok([...after.keys()].every((pid) => !before.has(pid)));
        });
    });

    it('stay when the configuration is wrong or no worker can start with it, and are as many as it says', async () => {
        await withWorkers({}, async (client, server) => {
            const before = await answeringPids(server.url);
            const same = async () =>
                assert.deepEqual(new Set((await answeringPids(server.url)).keys()), new Set(before.keys()));
            const original = await readFile(server.configFile, 'utf8');

            await configure(server, { cluster: { workers: 'many' } });
            server.child.kill('SIGHUP');
            const { err } = await server.logged(({ msg }) =>
                msg.startsWith('the configuration cannot be used'),
            );
            assert.match(
                (err as Error).message,
                /config\.cluster\.workers is "many"; it must be a whole number from 1 to \d+, or "auto"/,
            );
            await same();

            const other = createServer().listen(0, '127.0.0.1');
            await once(other, 'listening');
            await configure(server, { cluster: { workers: 2 }, port: (other.address() as AddressInfo).port });
            server.child.kill('SIGHUP');
            await server.logged(({ msg }) => msg.startsWith('a new worker could not start'));
            other.close();
            await same();

            await configure(server, original);
            await configure(server, { cluster: { workers: 3 }, serverName: 'another' });
            server.child.kill('SIGHUP');
            await server.logged(({ msg }) => msg === 'the workers are replaced');
            await untilGone(before.keys());
            assert.equal((await answeringPids(server.url)).size, 3);
            assert.equal((await client.get('/ping')).headers.server, 'another');
        });
    });

    it('are started again when they die; what others were at goes on, and a limit holds for all together', async () => {
        const limits = { requests: 6, queue: 0, uploadSilence: 1000 };
        await withWorkers({ limits }, async (client, server) => {
            const uploads: SlowUpload[] = [];
            const pids = [...(await answeringPids(server.url)).keys()];
            while (!pids.every((pid) => openUploads(pid) > 0) || uploads.length < limits.requests) {
                assert.ok(uploads.length < limits.requests, 'one worker took all uploads');
                uploads.push(...(await uploadsUnderWay(client, server, 1)));
            }
            for (let count = 0; count < 8; count++) {
                assert.equal((await ask(`${server.url}/images`)).status, 503);
            }
            assert.equal((await answeringPids(server.url)).size, 2, 'signs of life are answered');

            const [victim, other] = pids as [number, number];
            const going = openUploads(other);
            process.kill(victim, 'SIGKILL');
            const { worker } = await server.logged(({ msg }) =>
                msg.startsWith('a worker has ended by itself'),
            );
            assert.equal(worker, victim);
            assert.equal((await ask(`${server.url}/images`)).status, 200, 'the permits of the dead are free');
            const ends = await Promise.allSettled(uploads.map((upload) => upload.finish()));
            const done = ends.filter((end) => end.status === 'fulfilled' && end.value.status === 200);
            assert.equal(done.length, going);
            while ((await answeringPids(server.url)).size < 2);
            const { uuid } = await client.create();
            await client.upload(uuid);
            await untilClean(server.dataDir, await seenImages(client), CLEAN_WITHIN);
        });
    });

    it('finish what is under way when their parent is killed, and leave the port to the next', async () => {
        await withWorkers({}, async (client, server) => {
            const [upload] = await uploadsUnderWay(client, server, 1);
            const pids = await answeringPids(server.url);
            server.child.kill('SIGKILL');
            await server.ended();
            const port = Number(new URL(server.url).port);
            const config = { port, authType: 'none', cluster: { workers: 2 } };
            const next = await TestServer.start({ config, dataDir: server.dataDir });
            try {
                assert.equal((await ask(`${next.url}/images`)).status, 200);
                await upload!.send(FILE);
                assert.equal((await upload!.finish()).status, 200);
                await untilGone(pids.keys());
            } finally {
                await next.stop();
            }
        });
    });

    it('end with the exit code of the signal; at the second one at once', async () => {
        for (const [signals, code] of [
            [['SIGINT'], 1],
            [['SIGINT', 'SIGTERM'], 0],
        ] as const) {
            await withWorkers({ limits: { gracefulStop: '1h' } }, async (client, server) => {
                const [first, second] = signals;
                const uploads = await uploadsUnderWay(client, server, second ? 1 : 0);
                const pids = await answeringPids(server.url);
                server.child.kill(first);
                if (second) {
                    await server.logged(({ msg }) => msg === 'stopping');
                    server.child.kill(second);
                }
                await server.ended();
                assert.equal(server.child.exitCode, code, signals.join());
                await untilGone(pids.keys());
                await Promise.allSettled(uploads.map(({ answered }) => answered));
            });
        }
    });

    it('that cannot start end the process with 2, and the reason is in the log', async () => {
        const other = createServer().listen(0, '127.0.0.1');
        await once(other, 'listening');
        const { port } = other.address() as AddressInfo;
        await assert.rejects(
            TestServer.start({ config: { cluster: { workers: 2 }, port } }),
            /ended with code 2: .*another program listens there/,
        );
        other.close();
    });
});
