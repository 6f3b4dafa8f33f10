/** hitch and HAProxy before the server, with the configurations of etc (ops.md §7). */
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { at, Client } from '../support/api';
import { HttpsFront } from '../support/https-front';
import { TestServer } from '../support/server';

const MIB = 1 << 20;

/** What `npm run front` makes larger. */
const TRANSFER = Number(process.env.FRONT_MIB ?? 64) * MIB;
const SECONDS = Number(process.env.FRONT_SECONDS ?? 6);

/** How long the server waits for a client that takes nothing. */
const WRITE_TIMEOUT = 3;

/** More than all the buffers between server and client hold. */
const BUFFERED = 32 * MIB;

/** Bytes of a client that is slow, each second. */
const RATE = MIB;

describe('hitch and HAProxy before the server', function () {
    this.timeout(120_000 + SECONDS * 4000 + (TRANSFER / MIB) * 200);

    let server: TestServer;
    let front: HttpsFront;
    let client: Client;

    before(async function () {
        server = await TestServer.start({ config: { limits: { writeTimeout: `${WRITE_TIMEOUT}s` } } });
        client = new Client(server.url);
        front = await HttpsFront.start(this, server.url);
    });
    after(async () => {
        await (front as HttpsFront | undefined)?.stop();
        await (server as TestServer | undefined)?.stop();
    });

    /** A request by HTTPS, whose answer is awaited elsewhere. */
    const request = (path: string, options: https.RequestOptions = {}): http.ClientRequest =>
        https.request({
            host: '127.0.0.1',
            port: front.port,
            path,
            ca: front.certificate,
            servername: 'localhost',
            agent: false,
            ...options,
        });

    async function answer(sent: http.ClientRequest): Promise<http.IncomingMessage> {
        const [res] = (await once(sent, 'response')) as [http.IncomingMessage];
        return res;
    }

    async function get(path: string, options: https.RequestOptions = {}) {
        const sent = request(path, options);
        sent.end();
        const res = await answer(sent);
        return { status: res.statusCode, headers: res.headers, body: await text(res) };
    }

    /** Sends that many bytes as the file of a new image, when the server wants them. */
    async function upload(
        bytes: number,
    ): Promise<{ uuid: string; sha1: string; sentBeforeContinue: boolean }> {
        const { uuid } = await client.create();
        const hash = createHash('sha1');
        const sent = request(at(uuid, '/file?compression=none'), {
            method: 'PUT',
            headers: { 'content-length': bytes, expect: '100-continue' },
        });
        const answered = answer(sent);
        sent.flushHeaders();
        const first = await Promise.race([
            once(sent, 'continue').then(() => 'continue'),
            answered.then((res) => `status ${String(res.statusCode)}`),
        ]);
        const block = randomBytes(MIB);
        for (let left = bytes; left > 0; left -= block.length) {
            block.writeDoubleBE(left);
            const piece = Buffer.from(block.subarray(0, Math.min(left, block.length)));
            hash.update(piece);
            if (!sent.write(piece)) {
                await once(sent, 'drain');
            }
        }
        sent.end();
        const res = await answered;
        assert.equal(res.statusCode, 200, await text(res));
        return { uuid, sha1: hash.digest('hex'), sentBeforeContinue: first !== 'continue' };
    }

    /** The SHA-1 of the file of an image. @param rate how many bytes of it are read each second */
    async function download(uuid: string, rate = Infinity): Promise<string> {
        const sent = request(at(uuid, '/file'));
        sent.end();
        const res = await answer(sent);
        assert.equal(res.statusCode, 200);
        const hash = createHash('sha1');
        const started = performance.now();
        let bytes = 0;
        for await (const piece of res as AsyncIterable<Buffer>) {
            hash.update(piece);
            bytes += piece.length;
            const ahead = (bytes / rate) * 1000 - (performance.now() - started);
            if (ahead > 0) {
                await wait(ahead);
            }
        }
        return hash.digest('hex');
    }

    it(`takes ${TRANSFER / MIB} MiB that wait for 100 Continue, and gives them back`, async () => {
        const { uuid, sha1, sentBeforeContinue } = await upload(TRANSFER);
        assert.equal(sentBeforeContinue, false);
        const [file] = (await client.get(at(uuid))).manifest.files;
        assert.deepEqual([file?.sha1, file?.size], [sha1, TRANSFER]);
        assert.equal((await client.post(at(uuid, '?action=activate'))).status, 200);
        assert.equal(await download(uuid), sha1);
    });

    it(`does not cut off a client that is slow for ${SECONDS} s, beyond the write timeout of ${WRITE_TIMEOUT} s`, async () => {
        const { uuid, sha1 } = await upload(BUFFERED + SECONDS * RATE);
        assert.equal((await client.post(at(uuid, '?action=activate'))).status, 200);
        const started = performance.now();
        assert.equal(await download(uuid, (BUFFERED + SECONDS * RATE) / SECONDS), sha1);
        const seconds = (performance.now() - started) / 1000;
        assert.ok(seconds > SECONDS * 0.9, `it took ${seconds} s`);
    });

    it('tells the server who the client is, whatever the client says', async () => {
        const id = randomUUID();
        const { status } = await get('/images?limit=1', {
            // Any address of this network is this machine.
            localAddress: '127.0.0.2',
            headers: { 'x-request-id': id, 'x-forwarded-for': '192.0.2.7' },
        });
        assert.equal(status, 200);
        const record = await server.logged((entry) => entry.audit === true && entry.req_id === id);
        assert.equal(record.remoteAddress, '127.0.0.2');
        assert.equal(record.remotePort, undefined);
        const { headers } = record.req as { headers: Record<string, string> };
        assert.equal(headers['x-forwarded-proto'], 'https');
    });

    it('shows whether the server is healthy', async () => {
        let page = '';
        while (!page.includes('L7OK')) {
            page = await (await fetch(`${front.statsUrl};csv`)).text();
        }
        assert.match(page, /^api,be0,.*,UP,/m);
    });

    it('refuses requests whose length is open to opinion', async () => {
        const { uuid } = await client.create();
        const sent = request(at(uuid, '/file?compression=none'), {
            method: 'PUT',
            headers: ['Host', 'localhost', 'Content-Length', '4', 'Content-Length', '3'] as never,
        });
        sent.on('error', () => undefined).end('four');
        assert.equal((await answer(sent)).statusCode, 400);
        assert.deepEqual((await client.get(at(uuid))).manifest.files, []);
    });

    it('waits longer for the answers that take long', async function () {
        const silent = 1;
        const stand = http.createServer((req, res) => {
            req.resume();
            setTimeout(() => res.end('done'), req.url === '/ping' ? 0 : silent * 2500);
        });
        stand.listen(0, '127.0.0.1');
        await once(stand, 'listening');
        const { port } = stand.address() as AddressInfo;
        const short = await HttpsFront.start(this, `http://127.0.0.1:${port}`, silent);
        const path = at(randomUUID());
        const status = async (method: string, target: string) =>
            (await get(target, { method, port: short.port, ca: short.certificate })).status;
        try {
            assert.deepEqual(
                await Promise.all([
                    status('POST', `${path}?action=export&manta_path=/x`),
                    status('POST', `${path}?stor=s3&action=change-stor`),
                    status('POST', `${path}/file/from-url`),
                    status('PUT', `${path}/file?source=https%3A%2F%2Fimages.example.com`),
                    status('POST', `${path}?action=update`),
                    status('GET', `${path}/file`),
                ]),
                [200, 200, 200, 200, 504, 504],
            );
        } finally {
            await short.stop();
            stand.closeAllConnections();
            stand.close();
        }
    });
});
