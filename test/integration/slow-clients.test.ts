/** Clients that take their time, and a stop amid transfers (daemon.md §1; the many of them with SLOW_CLIENTS=full). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { at, Client, FILE } from '../support/api';
import { credentials, withServer } from '../support/signed';
import { SlowUpload, untilStaged } from '../support/slow-upload';
import { seenImages, untilClean } from '../support/stored-images';
import { ask } from '../support/workers';
import { testKeys } from '../support/registry';
import { TestServer } from '../support/server';

const isFull = process.env.SLOW_CLIENTS === 'full';
const HEADS = isFull ? 500 : 50;
const BODIES = isFull ? 100 : 10;
/** In ms; that of the full form is the default of the server. */
const HEAD_TIME = isFull ? 15_000 : 1000;
/** How late the server may notice, in ms: it looks every 2 s, and machines may be busy. */
const LATE = 5000;

describe('slow clients', function () {
    this.timeout(120_000);

    it('that send their heads byte by byte are closed in time, and nobody else notices them', async () => {
        const config = { limits: { headerTimeout: HEAD_TIME, readTimeout: '2s' } };
        await withServer({ config }, async (client, server) => {
            const { hostname, port } = new URL(server.url);
            const begun = performance.now();
            const heads = Array.from({ length: HEADS }, async () => {
                const socket: Socket = connect(Number(port), hostname).on('error', () => undefined);
                let answer = '';
                socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
                socket.write('GET /ping HTTP/1.1\r\n');
                const drip = setInterval(() => socket.writable && socket.write('x: y\r\n'), 200);
                await once(socket, 'close');
                clearInterval(drip);
                return { answer, after: performance.now() - begun };
            });
            const { uuid } = await client.create();
            const bodies = Array.from({ length: BODIES }, async () => {
                const upload = new SlowUpload(server.url, at(uuid, '/file?compression=none'));
                await upload.send(FILE);
                return upload.answered;
            });
            let isOver = false;
            const all = Promise.all([...heads, ...bodies]).then(() => (isOver = true));
            const isGoingOn = () => !isOver;
            while (isGoingOn()) {
                assert.equal((await ask(`${server.url}/ping`)).status, 200);
                await wait(20);
            }
            await all;
            for (const { answer, after } of await Promise.all(heads)) {
                assert.match(answer, /^HTTP\/1\.1 408 /);
                assert.ok(after < HEAD_TIME + LATE, `closed after ${Math.round(after)} ms`);
            }
            for (const { status } of await Promise.all(bodies)) {
                assert.equal(status, 408);
            }
            await untilClean(server.dataDir, await seenImages(client), 10_000);
        });
    });

    it('whose transfers are whole within the grace of a stop have them, and the others leave nothing', async () => {
        const config = {
            limits: { gracefulStop: '3s' },
            authType: 'signature',
            authKeys: { alice: [testKeys()[0].publicLine] },
        };
        const server = await TestServer.start({ config });
        const next: { server?: TestServer } = {};
        try {
            const client = new Client(server.url, credentials);
            const uploads = await Promise.all(
                Array.from({ length: 20 }, async (_, number) => {
                    const { uuid } = await client.create();
                    const upload = new SlowUpload(server.url, at(uuid, '/file?compression=none'));
                    await upload.send(Buffer.alloc(1 << 16, FILE));
                    await untilStaged(server.dataDir, uuid, 0);
                    return { uuid, upload, finishes: number % 2 === 0 };
                }),
            );
            server.child.kill('SIGTERM');
            await server.logged(({ msg }) => msg === 'stopping');
            const ends = await Promise.allSettled(
                uploads.map(({ upload, finishes }) => (finishes ? upload.finish() : upload.answered)),
            );
            await server.ended();
            assert.equal(server.child.exitCode, 0);
            for (const [index, { finishes }] of uploads.entries()) {
                const end = ends[index];
                assert.equal(
                    end?.status === 'fulfilled' && end.value.status === 200,
                    finishes,
                    JSON.stringify(end),
                );
            }
            next.server = await TestServer.start({
                dataDir: server.dataDir,
                config: { ...config, ...server.database },
            });
            const seen = await seenImages(new Client(next.server.url, credentials));
            for (const { uuid, finishes } of uploads) {
                const image = seen.find((one) => one.uuid === uuid);
                assert.equal(image?.file !== undefined, finishes);
            }
            await untilClean(server.dataDir, seen, 10_000);
        } finally {
            await next.server?.stop();
            await server.stop();
        }
    });
});
