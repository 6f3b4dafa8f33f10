import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { FaultProxy, reset, type Fault } from '../support/fault-proxy';
import { LyingServer } from '../support/lying-server';

const BODY = Buffer.alloc(300_000, 'the quick brown fox ');

describe('the proxy that injects faults', () => {
    let server: LyingServer;
    let proxy: FaultProxy;
    let agent: http.Agent;
    /** Bodies that reached the server whole. */
    let received: Buffer[];

    before(async () => {
        // Gives back what it gets.
        server = await LyingServer.start((req, res) => {
            void collect(req).then(
                (body) => {
                    received.push(body);
                    res.writeHead(200, { 'X-Server': 'echo', 'Content-Length': body.length }).end(body);
                },
                () => undefined,
            );
        });
        proxy = await FaultProxy.start(server.url());
    });
    after(async () => {
        await proxy.stop();
        await server.stop();
    });
    beforeEach(() => {
        proxy.clear();
        received = [];
        agent = new http.Agent({ keepAlive: true });
    });
    afterEach(() => agent.destroy());

    async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
        const chunks: Buffer[] = [];
        for await (const chunk of stream) {
            chunks.push(chunk);
        }
        return Buffer.concat(chunks);
    }

    async function open(
        headers: http.OutgoingHttpHeaders = {},
        signal?: AbortSignal,
    ): Promise<IncomingMessage> {
        const request = http.request(`${proxy.url}/a/b?c=d`, { method: 'PUT', agent, headers, signal });
        const answered = once(request, 'response') as Promise<[IncomingMessage]>;
        if (headers.expect === undefined) {
            request.end(BODY);
        } else {
            request.once('continue', () => request.end(BODY));
        }
        return (await answered)[0];
    }

    function inject(fault: Fault): void {
        proxy.inject({ on: /^PUT \/a\/b\?c=d$/, fault });
    }

    async function succeeds(headers?: http.OutgoingHttpHeaders): Promise<void> {
        const answer = await open(headers);
        assert.equal(answer.statusCode, 200);
        assert.equal(answer.headers['x-server'], 'echo');
        assert.ok(BODY.equals(await collect(answer)));
        assert.ok(BODY.equals(received.at(-1)!));
    }

    for (const headers of [{}, { 'content-length': BODY.length }, { expect: '100-continue' }]) {
        it(`lets requests through: ${JSON.stringify(headers)}`, async () => {
            await succeeds(headers);
            await succeeds(headers);
            assert.equal(proxy.requests.length, 2);
        });
    }

    it('keeps the name of the host, which signatures cover', async () => {
        await succeeds();
        assert.equal(server.headers.host, new URL(proxy.url).host);
    });

    for (const kind of ['reset', 'lost-answer'] as const) {
        it(`resets the connection: ${kind}`, async () => {
            inject({ kind });
            await assert.rejects(open(), { code: 'ECONNRESET' });
            assert.equal(received.length, kind === 'reset' ? 0 : 1);
            await succeeds();
        });
    }

    it('cuts an upload on both sides', async () => {
        inject({ kind: 'cut-upload', after: 1000 });
        await assert.rejects(open());
        assert.equal(received.length, 0);
        await succeeds();
    });

    it('gives an answer of its own', async () => {
        inject({ kind: 'answer', status: 503, headers: { 'X-Reason': 'test' }, body: 'slow down' });
        const answer = await open();
        assert.equal(answer.statusCode, 503);
        assert.equal(answer.headers['x-reason'], 'test');
        assert.equal((await collect(answer)).toString(), 'slow down');
        assert.equal(received.length, 0);
    });

    it('is told for each request what to do to it', async () => {
        const seen: string[] = [];
        proxy.inject({
            on: /^PUT /,
            fault: ({ path }) => {
                seen.push(path);
                return { kind: 'answer', status: 500 + seen.length };
            },
            times: 2,
        });
        assert.equal((await open()).statusCode, 501);
        assert.equal((await open()).statusCode, 502);
        assert.deepEqual(seen, ['/a/b?c=d', '/a/b?c=d']);
        await succeeds();
    });

    it('answers instead of asking for the body', async () => {
        inject({ kind: 'answer', status: 503 });
        assert.equal((await open({ expect: '100-continue' })).statusCode, 503);
    });

    it('says nothing any more', async () => {
        const stall = proxy.inject({ on: () => true, fault: { kind: 'stall' } });
        const controller = new AbortController();
        const stalled = assert.rejects(open({}, controller.signal), { name: 'AbortError' });
        await stall.hit;
        controller.abort();
        await stalled;
        assert.equal(received.length, 0);
    });

    for (const by of ['reset', 'end'] as const) {
        it(`cuts an answer: ${by}`, async () => {
            inject({ kind: 'cut-answer', after: 1000, by });
            const answer = await open();
            await assert.rejects(collect(answer), { code: 'ECONNRESET' });
        });
    }

    it('stops in the middle of an answer', async () => {
        inject({ kind: 'stall-answer', after: 1000 });
        const answer = await open();
        let size = 0;
        for await (const chunk of answer) {
            size += (chunk as Buffer).length;
            if (size >= 1000) {
                break;
            }
        }
        assert.equal(size, 1000);
    });

    it('turns a byte over, in either direction', async () => {
        const wrong = Buffer.from(BODY);
        wrong[200_000] = wrong[200_000]! ^ 0xff;
        inject({ kind: 'corrupt-upload', at: 200_000 });
        assert.ok(wrong.equals(await collect(await open())));
        assert.ok(wrong.equals(received[0]!));
        inject({ kind: 'corrupt-answer', at: 200_000 });
        assert.ok(wrong.equals(await collect(await open())));
        assert.ok(BODY.equals(received[1]!));
    });

    it('changes the headers of an answer', async () => {
        inject({ kind: 'headers', headers: { 'x-server': undefined, 'X-Other': 'a' } });
        const answer = await open();
        assert.equal(answer.headers['x-server'], undefined);
        assert.equal(answer.headers['x-other'], 'a');
        await collect(answer);
    });

    it('does it to some of the requests that are meant', async () => {
        const fault = { kind: 'answer', status: 500 } as const;
        const injected = proxy.inject({ on: /^PUT /, fault, skip: 1, times: 2 });
        const statuses: (number | undefined)[] = [];
        for (let n = 0; n < 4; n++) {
            const answer = await open();
            statuses.push(answer.statusCode);
            await collect(answer);
        }
        assert.deepEqual(statuses, [200, 500, 500, 200]);
        assert.equal(injected.hits, 2);
    });

    it('resets a connection that is being shut down without losing its handle', async () => {
        const listener = net.createServer();
        await once(listener.listen(0, '127.0.0.1'), 'listening');
        const client = net.connect((listener.address() as AddressInfo).port, '127.0.0.1');
        client.on('error', () => undefined).resume();
        const [socket] = (await once(listener, 'connection')) as [Socket];
        let errors = 0;
        socket.on('error', () => errors++);
        const closed = once(socket, 'close');
        socket.end('x');
        // Written at once; now it is being shut down.
        reset(socket);
        await closed;
        client.destroy();
        await once(listener.close(), 'close');
        assert.equal(errors, 0, 'the system refused to reset it');
    });

    it('goes away and comes back', async () => {
        await proxy.goAway();
        await assert.rejects(open(), { code: 'ECONNREFUSED' });
        await proxy.comeBack();
        await succeeds();
    });
});
