/** The client of a datacenter's services (vm-images.md §2.1), and what VMAPI and CNAPI answer, read with their types. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Compute } from '../../lib/dc/compute';
import { ServiceFailure, type ServiceContext } from '../../lib/dc/driver';
import { ServiceClient, type ServiceRequest } from '../../lib/dc/service-client';
import { ApiError } from '../../lib/errors';
import * as lies from '../support/lying-server';
import { json, LyingServer, type Behaviour } from '../support/lying-server';
import { configOf } from '../support/remotes';

const NAME = 'IMGAPI/test';
const VM = '5bd3ed6b-2f3a-4a60-9c45-8f5d1f6e0a11';
const SERVER = '44454c4c-5000-104d-8037-b7c04f5a5131';
const ACCOUNT = '930896af-bf8c-48d4-885c-6573a94b1853';
const GET: ServiceRequest = { method: 'GET', path: '/vms/x' };

/** Times short enough for a test. */
const HASTY = { services: { connectTimeout: '200ms', answerTimeout: '200ms' } };

const asked = (signal = new AbortController().signal): ServiceContext => ({ requestId: 'a-request', signal });

describe('the client of a service', () => {
    let server: LyingServer;
    let clients: ServiceClient[];
    beforeEach(async () => {
        clients = [];
        server = await LyingServer.start(json({ ok: true }));
    });
    afterEach(async () => {
        await Promise.all(clients.map((client) => client.close()));
        await server.idle();
        await server.stop();
    });

    function client(
        settings: Record<string, unknown> = {},
        options: { url?: string; acceptVersion?: string } = {},
    ): ServiceClient {
        const made = new ServiceClient({
            name: 'VMAPI',
            url: server.url(),
            config: configOf(settings),
            serverName: NAME,
            ...options,
        });
        clients.push(made);
        return made;
    }

    /** The failure that a request ends with where the server behaves so. */
    async function failure(behave: Behaviour, settings: object = {}): Promise<ServiceFailure> {
        server.behave = behave;
        try {
            await client({ ...settings }).request(GET, asked());
        } catch (err) {
            assert(err instanceof ServiceFailure, `a ServiceFailure, not: ${String(err)}`);
            return err;
        }
        return assert.fail('it succeeded');
    }

    it('says who asks, when, and in which request', async () => {
        assert.deepEqual(await client().request(GET, asked()), { status: 200, body: { ok: true } });
        const { date, host, connection, ...headers } = server.headers;
        assert.deepEqual(headers, {
            accept: 'application/json',
            'user-agent': NAME,
            'x-request-id': 'a-request',
            'request-id': 'a-request',
        });
        assert.ok(Math.abs(Date.parse(date ?? '') - Date.now()) < 60_000, date);
        assert.deepEqual([host, connection], [`127.0.0.1:${server.port}`, 'keep-alive']);
    });

    it('sends JSON with its digest, and an empty object for none', async () => {
        let received = '';
        server.behave = (request: IncomingMessage, response) => {
            received = '';
            request
                .on('data', (chunk: Buffer) => (received += chunk.toString()))
                .on('end', () => json({})(request, response));
        };
        const bodies: [body: unknown, text: string][] = [
            [{ name: 'grün' }, '{"name":"grün"}'],
            [undefined, '{}'],
        ];
        for (const method of ['POST', 'PUT'] as const) {
            for (const [body, text] of bodies) {
                await client({}, { acceptVersion: '*' }).request({ method, path: '/jobs', body }, asked());
                assert.equal(received, text);
                const { headers } = server;
                assert.equal(headers['content-type'], 'application/json');
                assert.equal(headers['content-length'], String(Buffer.byteLength(text)));
                assert.equal(headers['content-md5'], createHash('md5').update(text).digest('base64'));
                assert.equal(headers['accept-version'], '*');
            }
        }
        await client().request({ method: 'DELETE', path: '/workflows/x' }, asked());
        assert.equal(server.headers['content-type'], undefined);
    });

    it('keeps the path of its URL, and leaves out parameters that are not given', async () => {
        const request = { ...GET, query: { owner_uuid: 'a b&c', other: undefined } };
        await client({}, { url: `${server.url()}/base/` }).request(request, asked());
        await client().request({ ...GET, query: { other: undefined } }, asked());
        assert.deepEqual(server.requests, ['GET /base/vms/x?owner_uuid=a+b%26c', 'GET /vms/x']);
    });

    it('leaves out a request id that no header can hold', async () => {
        for (const requestId of ['a\r\nb: c', 'ü', '', ' ']) {
            await client().request(GET, { ...asked(), requestId });
            assert.equal(server.headers['x-request-id'], undefined);
            assert.equal(server.headers['request-id'], undefined);
        }
    });

    it('takes any 2xx, with a body or without', async () => {
        server.behave = json({ uuid: VM }, 201);
        assert.deepEqual(await client().request(GET, asked()), { status: 201, body: { uuid: VM } });
        server.behave = (_request, response) => void response.writeHead(204).end();
        assert.deepEqual(await client().request(GET, asked()), { status: 204, body: undefined });
    });

    it('uses a connection again, and no more of them than maxSockets', async () => {
        const one = client({ maxSockets: 2 });
        await Promise.all(Array.from({ length: 12 }, () => one.request(GET, asked())));
        assert.equal(server.requests.length, 12);
        assert.ok(server.connections <= 2, String(server.connections));
    });

    it('tells the status and the error of an answer that is none', async () => {
        const refused = await failure(json({ code: 'ResourceNotFound', message: 'VM not found' }, 404));
        assert.equal(refused.status, 404);
        assert.deepEqual(refused.body, { code: 'ResourceNotFound', message: 'VM not found' });
        assert.match(refused.message, /VMAPI answered 404 ResourceNotFound: VM not found \(GET \/vms\/x\)/);
        const html: Behaviour = (_request, response) => {
            response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad Gateway</h1>');
        };
        const gateway = await failure(html);
        assert.deepEqual([gateway.status, gateway.body], [502, undefined]);
        for (const body of [[], 'text', { code: 5, message: 'x' }, { message: 'x' }, null]) {
            assert.equal((await failure(json(body, 500))).body, undefined);
        }
    });

    it('follows no redirect', async () => {
        const elsewhere = await LyingServer.start(json({}));
        try {
            const refused = await failure(lies.redirect(elsewhere.url(), 302));
            assert.equal(refused.status, 302);
            assert.deepEqual(elsewhere.requests, []);
        } finally {
            await elsewhere.stop();
        }
    });

    const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
    const bad: Record<string, Behaviour> = {
        HTML: lies.bytes('<html>it works</html>', { 'content-type': 'application/json' }),
        'half of a JSON text': lies.bytes('{"uuid": '),
        'what overflows a stack': lies.bytes(deep(200_000)),
        'what is compressed although nobody asked': lies.compressed,
    };
    for (const [what, behave] of Object.entries(bad)) {
        it(`refuses ${what}`, async () => {
            const refused = await failure(behave);
            assert.equal(refused.status, 200);
            assert.match(refused.message, /no JSON/);
        });
    }

    const broken: Record<string, Behaviour> = {
        'hangs up': lies.hangUp,
        'cuts its head off': lies.cutHead,
        'sends less than it said': lies.short,
        'cuts a chunk': lies.cutChunk,
        'speaks another protocol': lies.noHttp,
        'sends huge headers': lies.hugeHeaders,
        'never stops': lies.endless('x'.repeat(1024 * 1024)),
        'never stops failing': lies.endless('x'.repeat(1024 * 1024), { status: 500 }),
    };
    for (const [what, behave] of Object.entries(broken)) {
        it(`fails where the service ${what}`, async () => {
            assert.match((await failure(behave)).message, /could not be asked \(GET \/vms\/x\)/);
        });
    }

    const late: Record<string, Behaviour> = {
        'says nothing': lies.silent,
        'stops in the middle': lies.stalled,
        'announces for ever': lies.announcing,
        'sends a little at a time': lies.endless(' ', { pause: 20 }),
    };
    for (const [what, behave] of Object.entries(late)) {
        it(`gives up where the service ${what}`, async () => {
            const refused = await failure(behave, HASTY);
            assert.match(refused.message, /did not answer in time \(GET \/vms\/x\)/);
        });
    }

    it('fails where nobody listens', async () => {
        const gone = await LyingServer.start(json({}));
        const url = gone.url();
        await gone.stop();
        await assert.rejects(client({}, { url }).request(GET, asked()), ServiceFailure);
    });

    it('ends at once when whoever asks goes away', async () => {
        const reason = new Error('gone');
        for (const behave of [lies.silent, lies.stalled]) {
            const controller = new AbortController();
            const cut = new Promise((resolve) => {
                server.behave = (request, response) => {
                    request.socket.once('close', resolve);
                    behave(request, response);
                    setImmediate(() => controller.abort(reason));
                };
            });
            const request = client().request(GET, asked(controller.signal));
            await assert.rejects(request, (err) => err === reason);
            await cut;
        }
    });

    it('does not even connect for somebody who has gone already', async () => {
        const reason = new Error('gone');
        const request = client().request(GET, asked(AbortSignal.abort(reason)));
        await assert.rejects(request, (err) => err === reason);
        await client().request(GET, asked());
        assert.equal(server.connections, 1);
    });

    it('cuts what is under way when it is closed', async () => {
        const one = client();
        const reached = new Promise<void>((resolve) => {
            server.behave = () => resolve();
        });
        const request = assert.rejects(one.request(GET, asked()), ServiceFailure);
        await reached;
        await one.close();
        await request;
        await server.idle();
        assert.equal(server.open, 0);
    });
});

describe('VMAPI and CNAPI', () => {
    let server: LyingServer;
    let compute: Compute;
    beforeEach(async () => {
        server = await LyingServer.start(json({}));
        const service = { url: server.url() };
        compute = new Compute({ config: configOf({ vmapi: service, cnapi: service }), serverName: NAME });
    });
    afterEach(async () => {
        await compute.close();
        await server.stop();
    });

    const VM_ANSWER = {
        uuid: VM,
        server_uuid: SERVER,
        brand: 'lx',
        docker: true,
        kernel_version: '4.3.0',
        image_uuid: ACCOUNT,
        disks: [{ size: 1 }, { image_uuid: VM }, { image_uuid: null }],
        owner_uuid: ACCOUNT,
    };

    it('give a machine, only of the account if one is given', async () => {
        server.behave = json(VM_ANSWER);
        assert.deepEqual(await compute.machine(VM, asked(), ACCOUNT), {
            uuid: VM,
            serverUuid: SERVER,
            brand: 'lx',
            docker: true,
            kernelVersion: '4.3.0',
            imageUuid: ACCOUNT,
            diskImages: [VM],
        });
        for (const none of [null, '']) {
            const answer = { uuid: VM, server_uuid: none, kernel_version: none, image_uuid: none };
            server.behave = json({ ...answer, docker: none, disks: none });
            assert.deepEqual(await compute.machine(VM, asked()), {
                uuid: VM,
                serverUuid: undefined,
                brand: undefined,
                docker: false,
                kernelVersion: undefined,
                imageUuid: undefined,
                diskImages: [],
            });
        }
        assert.deepEqual(server.requests.slice(0, 2), [
            `GET /vms/${VM}?owner_uuid=${ACCOUNT}`,
            `GET /vms/${VM}`,
        ]);
    });

    it('give a compute node', async () => {
        server.behave = json({ uuid: SERVER, sysinfo: { 'SDC Version': '7.0' }, current_platform: 'x' });
        assert.deepEqual(await compute.computeNode(SERVER, asked()), { sdcVersion: '7.0', platform: 'x' });
        for (const answer of [{}, { sysinfo: {} }, { sysinfo: null, current_platform: null }]) {
            server.behave = json(answer);
            assert.deepEqual(await compute.computeNode(SERVER, asked()), {
                sdcVersion: undefined,
                platform: undefined,
            });
        }
        assert.equal(server.requests[0], `GET /servers/${SERVER}`);
    });

    it('are not believed what has the wrong type', async () => {
        const machines: unknown[] = [
            null,
            [],
            'text',
            [VM_ANSWER],
            { ...VM_ANSWER, uuid: SERVER },
            { ...VM_ANSWER, uuid: 5 },
            { ...VM_ANSWER, server_uuid: '../../servers/x' },
            { ...VM_ANSWER, server_uuid: {} },
            { ...VM_ANSWER, brand: ['kvm'] },
            { ...VM_ANSWER, kernel_version: 4.3 },
            { ...VM_ANSWER, image_uuid: ACCOUNT.toUpperCase() },
            { ...VM_ANSWER, disks: {} },
            { ...VM_ANSWER, disks: [null] },
            { ...VM_ANSWER, disks: [{ image_uuid: 1 }] },
        ];
        for (const answer of machines) {
            server.behave = json(answer);
            await assert.rejects(compute.machine(VM, asked()), ServiceFailure, JSON.stringify(answer));
        }
        const nodes: unknown[] = [
            [],
            5,
            { uuid: VM },
            { sysinfo: 'x' },
            { sysinfo: { 'SDC Version': 7 } },
            { current_platform: {} },
        ];
        for (const answer of nodes) {
            server.behave = json(answer);
            await assert.rejects(
                compute.computeNode(SERVER, asked()),
                ServiceFailure,
                JSON.stringify(answer),
            );
        }
    });

    it('cannot be asked where the configuration does not name them', async () => {
        for (const service of [undefined, {}, { url: '' }]) {
            const config = configOf({ ...(service && { vmapi: service, cnapi: service }) });
            const none = new Compute({ config, serverName: NAME });
            for (const call of [none.machine(VM, asked()), none.computeNode(SERVER, asked())]) {
                await assert.rejects(
                    call,
                    (err) => err instanceof ApiError && err.code === 'ServiceUnavailableError',
                );
            }
            await none.close();
        }
    });
});
