/** Several workers behind one listener (`cluster.workers`; DESIGN "Several processes", daemon.md §1). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { at, Client, FILE, sha1 } from '../support/api';
import { testKeys } from '../support/registry';
import { TestServer } from '../support/server';
import { credentials } from '../support/signed';
import { SlowUpload, untilStaged } from '../support/slow-upload';
import { seenImages, untilClean } from '../support/stored-images';
import { answeringPids, ask, Load, openUploads, untilGone } from '../support/workers';

const FILE_QUERY = '/file?compression=none';
const CLEAN_WITHIN = 10_000;

describe('several workers', function () {
    this.timeout(60_000);

    /** A server for the tests of a suite, which say in their order what becomes of it. */
    function useServer(config: Record<string, unknown>): { client: Client; server: TestServer } {
        const parts = {} as { client: Client; server: TestServer };
        before(async () => {
            parts.server = await TestServer.start({
                config: {
                    authType: 'signature',
                    authKeys: { alice: [testKeys()[0].publicLine] },
                    cluster: { workers: 2 },
                    ...config,
                },
            });
            parts.client = new Client(parts.server.url, credentials);
            await parts.server.logged(({ msg }) => msg === 'startup complete');
        });
        after(() => (parts.server as TestServer | undefined)?.stop());
        return parts;
    }

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

    describe('that stay together', () => {
        const parts = useServer({ limits: { gracefulStop: '30s' } });

        it('share the connections evenly, are asked together, and go on when nobody reads their log', async () => {
            interface State {
                cache: { ImageGet: { items: number } };
                processes: { pid: number; cache: { ImageGet: { items: number } } }[];
            }
            const { client, server } = parts;
            const pids = await answeringPids(server.url);
            assert.deepEqual(pids.size, 2);
            assert.ok(
                [...pids.values()].every((count) => count >= 4),
                [...pids.values()].join(),
            );
            const { uuid } = await client.create({ description: 'long '.repeat(100) });
            server.child.stdout?.pause();
            const query = `?unknown=${'x'.repeat(4000)}`;
            const answers = await Promise.all(
                Array.from({ length: 200 }, () => ask(server.url + at(uuid) + query)),
            );
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
            server.child.stdout?.resume();

            const audited = () => server.log.filter(({ route }) => route === 'GetImage');
            await server.logged(() => audited().length === answers.length);
            assert.deepEqual(new Set(audited().map(({ pid }) => pid)), new Set(pids.keys()));
        });

        it('stay when the configuration is wrong or no worker can start with it', async () => {
            const { server } = parts;
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
            await server.logged(
                ({ err }) =>
                    (err as Error | undefined)?.message.includes('another program listens there') === true,
            );
            other.close();
            await same();
            await configure(server, original);
        });

        it('are replaced one by one on SIGHUP by as many as it says, and no request fails', async () => {
            const { client, server } = parts;
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
            await configure(server, {
                cluster: { workers: 3 },
                serverName: 'another',
                limits: { requests: 12, queue: 0 },
            });
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
            assert.equal(after.size, 3);
            assert.ok([...after.keys()].every((pid) => !before.has(pid)));
            assert.equal((await client.get('/ping')).headers.server, 'another');
        });

        it('end on SIGTERM, also while they are replaced, and their log is whole and in whole lines', async () => {
            const { server } = parts;
            const pids = await answeringPids(server.url);
            const closed = once(server.child, 'close');
            const told = server.log.length;
            server.child.kill('SIGHUP');
            await server.logged(
                (record) => server.log.indexOf(record) >= told && record.msg === 'a worker is up',
            );
            server.child.kill('SIGTERM');
            await closed;
            assert.equal(server.child.exitCode, 0);
            await untilGone(pids.keys());
            assert.deepEqual(
                server.log.filter(({ level }) => level === 0),
                [],
                'lines that are no records',
            );
            const stopping = server.log.findIndex(
                ({ msg, signal }) => msg === 'stopping' && signal === 'SIGTERM',
            );
            const later = server.log.slice(stopping + 1).map(({ msg }) => msg);
            assert.ok(!later.includes('the workers are replaced') && later.length > 0, later.join());
            assert.ok(!later.some((msg) => msg.startsWith('a new worker could not start')), later.join());
        });
    });

    describe('that die', () => {
        const limits = { requests: 6, queue: 1, uploadSilence: 1000 };
        const parts = useServer({ limits });
        let port = 0;

        /** Begins one upload for each permit, at all workers, and one request that waits. */
        async function fill({ client, server }: typeof parts) {
            const uploads: SlowUpload[] = [];
            const pids = [...(await answeringPids(server.url)).keys()];
            while (!pids.every((pid) => openUploads(pid) > 0) || uploads.length < limits.requests) {
                assert.ok(uploads.length < limits.requests, 'one worker took all uploads');
                uploads.push(...(await uploadsUnderWay(client, server, 1)));
            }
            // One of two is refused; the other one waits.
            const two = [1, 2].map(() => ask(`${server.url}/images`));
            const [{ status }, refused] = await Promise.race(
                two.map(async (answer, index) => [await answer, index] as const),
            );
            assert.equal(status, 503);
            const waiting = two[1 - refused]!;
            waiting.catch(() => undefined);
            return { pids: pids as [number, number], uploads, waiting };
        }

        it('are started again; what others were at goes on, and a limit holds for all together', async () => {
            const { client, server } = parts;
            const { pids, uploads, waiting } = await fill(parts);
            for (let count = 0; count < 8; count++) {
                assert.equal((await ask(`${server.url}/images`)).status, 503);
            }
            assert.equal((await answeringPids(server.url)).size, 2, 'signs of life are answered');

            const [victim, other] = pids;
            const going = openUploads(other);
            process.kill(victim, 'SIGKILL');
            const { worker } = await server.logged(({ msg }) =>
                msg.startsWith('a worker has ended by itself'),
            );
            assert.equal(worker, victim);
            await Promise.allSettled([waiting]);
            assert.equal((await ask(`${server.url}/images`)).status, 200, 'the permits of the dead are free');
            const ends = await Promise.allSettled(uploads.map((upload) => upload.finish()));
            const done = ends.filter((end) => end.status === 'fulfilled' && end.value.status === 200);
            assert.equal(done.length, going);
            while ((await answeringPids(server.url)).size < 2);
            const { uuid } = await client.create();
            await client.upload(uuid);
            await untilClean(server.dataDir, await seenImages(client), CLEAN_WITHIN);
        });

        it('finish what is under way, and let in who waits, when their parent is killed; the port is free', async () => {
            const { server } = parts;
            port = Number(new URL(server.url).port);
            await assert.rejects(
                TestServer.start({ config: { cluster: { workers: 2 }, port } }),
                /ended with code 2: .*another program listens there/,
                'workers that cannot start end the process with 2, and the reason is in the log',
            );
            const { pids, uploads, waiting } = await fill(parts);
            server.child.kill('SIGKILL');
            await server.ended();
            assert.equal((await waiting).status, 200);
            const config = {
                port,
                authType: 'signature',
                authKeys: { alice: [testKeys()[0].publicLine] },
                cluster: { workers: 2 },
                limits: { gracefulStop: '1h' },
            };
            const next = await TestServer.start({ config, dataDir: server.dataDir });
            try {
                assert.equal((await ask(`${next.url}/images`)).status, 200);
                for (const upload of uploads) {
                    await upload.send(FILE);
                    assert.equal((await upload.finish()).status, 200);
                }
                await untilGone(pids);
                await next.logged(({ msg }) => msg === 'startup complete');
                await endsAtOnce(next);
            } finally {
                await next.stop();
            }
        });

        /** A second signal ends it in the middle of an upload; the exit code is that of the last one. */
        async function endsAtOnce(server: TestServer): Promise<void> {
            const client = new Client(server.url, credentials);
            const [upload] = await uploadsUnderWay(client, server, 1);
            const pids = await answeringPids(server.url);
            server.child.kill('SIGTERM');
            await server.logged(({ msg }) => msg === 'stopping');
            server.child.kill('SIGINT');
            await server.ended();
            assert.equal(server.child.exitCode, 1);
            await untilGone(pids.keys());
            await assert.rejects(upload!.answered);
        }
    });
});
