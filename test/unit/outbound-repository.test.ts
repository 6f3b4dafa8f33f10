import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import * as lies from '../support/lying-server';
import { bytes, json, LyingServer, raw, type Behaviour } from '../support/lying-server';
import { call, closeRemotes, drain, failure, refusal, SERVER_NAME, testRemotes } from '../support/remotes';

const UUID = '0c5e3a9e-3f1a-4f0f-9a53-5d1c0b1c5a10';
const MANIFEST = { uuid: UUID, name: 'image', tags: { a: 1 } };

const OPEN = { allow: ['127.0.0.1', '::1'] };
/** Times short enough for a test. */
const HASTY = { ...OPEN, connectTimeout: '300ms', answerTimeout: '300ms', idleTimeout: '300ms' };

describe('the client of remote repositories (imports.md §1)', () => {
    let server: LyingServer;

    beforeEach(async () => {
        server = await LyingServer.start(json(MANIFEST));
    });
    afterEach(async () => {
        await closeRemotes();
        await server.stop();
    });

    describe('what it sends', () => {
        const requests: [source: string, run: Run, target: string][] = [
            ['', getImage, `/images/${UUID}`],
            ['/', getImage, `/images/${UUID}`],
            ['/base/path', getImage, `/base/path/images/${UUID}`],
            ['/base//', getImage, `/base/images/${UUID}`],
            ['/base#fragment', getImage, `/base/images/${UUID}`],
            ['?channel=dev', getImage, `/images/${UUID}?channel=dev`],
            ['/base/?channel=*', getImage, `/base/images/${UUID}?channel=*`],
            ['?channel=%2A', getImage, `/images/${UUID}?channel=*`],
            ['?channel=a%26account%3Dx', getImage, `/images/${UUID}?channel=a%26account%3Dx`],
            ['?channel=', getImage, `/images/${UUID}`],
            ['?other=1&channel=dev', getImage, `/images/${UUID}?channel=dev`],
            [
                '?channel=dev',
                (repository) => repository.getImage(UUID, call(), 'an-account'),
                `/images/${UUID}?account=an-account&channel=dev`,
            ],
            ['', (repository) => repository.getFile(UUID, 0, call()), `/images/${UUID}/file`],
            ['/b', (repository) => repository.getFile(UUID, 2, call()), `/b/images/${UUID}/file?index=2`],
            [
                '?channel=*',
                (repository) => repository.getFile(UUID, 1, call()),
                `/images/${UUID}/file?index=1&channel=*`,
            ],
            [
                '/b?channel=dev',
                (repository) => repository.getIcon(UUID, call()),
                `/b/images/${UUID}/icon?channel=dev`,
            ],
            ['', (repository) => repository.getImage('../x?y', call()), '/images/..%2Fx%3Fy'],
        ];
        for (const [source, run, target] of requests) {
            it(`asks "${source}" for ${target}`, async () => {
                const repository = testRemotes({ outbound: OPEN }).repository(`${server.url()}${source}`);
                await run(repository).catch(() => undefined);
                assert.deepEqual(server.requests, [`GET ${target}`]);
            });
        }

        it('says who asks, for what, and in which request', async () => {
            await testRemotes({ outbound: OPEN }).repository(server.url()).getImage(UUID, call());
            const { accept, 'accept-version': version, 'user-agent': agent } = server.headers;
            assert.deepEqual(
                { accept, version, agent },
                { accept: 'application/json', version: '*', agent: SERVER_NAME },
            );
            assert.equal(server.headers['request-id'], 'a-request');
            assert.equal(server.headers['accept-encoding'], 'identity');
            assert.equal(server.headers.host, `127.0.0.1:${server.port}`);
        });

        it('leaves out a request id that no header can hold', async () => {
            const repository = testRemotes({ outbound: OPEN }).repository(server.url());
            for (const requestId of ['a\r\nb: c', 'ü', '', ' ']) {
                await repository.getImage(UUID, { ...call(), requestId });
                assert.equal(server.headers['request-id'], undefined);
            }
        });

        it('sends no credentials of the URL, and does not repeat them', async () => {
            const url = server.url('user:s3cret@127.0.0.1');
            const { message } = await refusal(() => testRemotes({ outbound: OPEN }).repository(url));
            assert(!message.includes('s3cret') && !message.includes('user'), message);
            assert.equal(server.connections, 0);
        });
    });

    describe('what it gives', () => {
        it('the manifest as it is served', async () => {
            const repository = testRemotes({ outbound: OPEN }).repository(server.url());
            assert.deepEqual(await repository.getImage(UUID, call()), MANIFEST);
        });

        it('the bytes of a file with their announced size and type', async () => {
            const file = Buffer.alloc(3 * 1024 * 1024, 'imgapi');
            server.behave = bytes(file, { 'content-type': 'application/octet-stream' });
            const repository = testRemotes({ outbound: OPEN }).repository(server.url());
            const { size, contentType, body } = await repository.getFile(UUID, 0, call());
            assert.deepEqual([size, contentType], [file.length, 'application/octet-stream']);
            assert.deepEqual(await drain(body), file);
        });

        it('no size where none was announced', async () => {
            server.behave = (_request, response) => {
                response.write('one');
                response.end('two');
            };
            const repository = testRemotes({ outbound: OPEN }).repository(server.url());
            const { size, contentType, body } = await repository.getIcon(UUID, call());
            assert.deepEqual([size, contentType], [undefined, undefined]);
            assert.equal((await drain(body)).toString(), 'onetwo');
        });

        it('an empty file as one', async () => {
            server.behave = bytes('');
            const repository = testRemotes({ outbound: OPEN }).repository(server.url());
            const { size, body } = await repository.getFile(UUID, 0, call());
            assert.equal(size, 0);
            assert.equal((await drain(body)).length, 0);
        });

        it('a file at the pace of who takes it, however slow that is', async () => {
            server.behave = bytes(Buffer.alloc(8 * 1024 * 1024));
            const repository = testRemotes({ outbound: HASTY }).repository(server.url());
            const { body } = await repository.getFile(UUID, 0, call());
            let pieces = 0;
            let size = 0;
            for await (const piece of body) {
                size += piece.length;
                if (++pieces === 3) {
                    // Longer than a pause of the server may be.
                    await sleep(700);
                }
            }
            assert.equal(size, 8 * 1024 * 1024);
        });

        it('a manifest of IPv6 hosts', async function () {
            const other = await LyingServer.start(json(MANIFEST), { host: '::1' }).catch(() => undefined);
            if (!other) {
                return;
            }
            try {
                const repository = testRemotes({ outbound: OPEN }).repository(other.url('[::1]'));
                assert.deepEqual(await repository.getImage(UUID, call()), MANIFEST);
            } finally {
                await other.stop();
            }
        });
    });

    describe('errors that a repository tells of', () => {
        async function told(body: unknown, status: number) {
            server.behave = typeof body === 'string' ? raw(body) : json(body, status);
            return failure(() => getImage(testRemotes({ outbound: OPEN }).repository(server.url())));
        }

        it('come with their status, code and message', async () => {
            const err = await told({ code: 'ResourceNotFound', message: 'image not found' }, 404);
            assert.equal(err.status, 404);
            assert.deepEqual(err.remote, { code: 'ResourceNotFound', message: 'image not found' });
            assert.match(err.message, /404 ResourceNotFound: image not found/);
        });

        it('have their code for a message if they have no other', async () => {
            const err = await told({ code: 'InternalError' }, 500);
            assert.deepEqual(err.remote, { code: 'InternalError', message: 'InternalError' });
        });

        it('are shown cut and clean', async () => {
            const err = await told(
                { code: 'C'.repeat(5000), message: `a\r\n\u001b[31m\u202eb${'m'.repeat(5000)}` },
                500,
            );
            assert.equal(err.remote?.code.length, 65);
            assert.equal(err.remote.message.length, 513);
            assert.match(err.remote.message, /^a \[31m bm/);
            assert(err.message.length < 700);
        });

        for (const [what, body] of Object.entries({
            'no object': [1],
            null: null,
            'without a code': { message: 'boom' },
            'with a code of another type': { code: 7, message: 'boom' },
            'of another form': 'HTTP/1.1 500 Oh No\r\nContent-Length: 13\r\n\r\n<h1>500</h1>\n',
            'cut short': 'HTTP/1.1 500 Oh No\r\nContent-Length: 1300\r\n\r\n{"code": "x"}',
            'without a body': 'HTTP/1.1 500 Oh No\r\nContent-Length: 0\r\n\r\n',
        })) {
            it(`are told by their status when ${what}`, async () => {
                const err = await told(body, 500);
                assert.equal(err.status, 500);
                assert.equal(err.remote, undefined);
                assert.match(err.message, /answered with status 500/);
            });
        }

        it('do not keep it waiting for their body', async () => {
            server.behave = lies.endless('x', { pause: 20, status: 503 });
            const err = await failure(() =>
                getImage(testRemotes({ outbound: HASTY }).repository(server.url())),
            );
            assert.equal(err.status, 503);
        });
    });

    describe('servers that lie', () => {
        type Lie = [what: string, behave: Behaviour, manifest: RegExp, file: RegExp | 'fine'];
        const of = (text: string): Behaviour => bytes(text);
        const table: Lie[] = [
            [
                'send less than announced',
                lies.short,
                /cut the connection/,
                /cut the connection after 9 of 1000 bytes/,
            ],
            [
                'stop in the middle',
                lies.stalled,
                /no byte came for 300ms|took too long/,
                /no byte came for 300ms/,
            ],
            ['cut a chunk', lies.cutChunk, /cut the connection|no HTTP/, /cut the connection|no HTTP/],
            ['cut the head', lies.cutHead, /cut the connection|no HTTP/, /cut the connection|no HTTP/],
            ['hang up', lies.hangUp, /cut the connection/, /cut the connection/],
            ['say nothing', lies.silent, /did not answer within 300ms/, /did not answer within 300ms/],
            ['speak another protocol', lies.noHttp, /no HTTP/, /no HTTP/],
            [
                'send huge headers',
                lies.hugeHeaders,
                /headers that are too large/,
                /headers that are too large/,
            ],
            ['announce an answer for ever', lies.announcing, /only announcements/, /only announcements/],
            [
                'switch protocols',
                lies.switching,
                /cut the connection|no HTTP|talked to/,
                /cut the connection|no HTTP|talked to/,
            ],
            ['compress unasked', lies.compressed, /compressed body/, /compressed body/],
            [
                'send a transfer encoding unasked',
                raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'),
                /transfer encoding/,
                /transfer encoding/,
            ],
            ['drip', lies.endless(' ', { pause: 40 }), /took too long/, /too slowly/],
            ['never end', lies.endless('x'.repeat(65_536)), /more than the 1048576 bytes/, 'fine'],
            ['send no JSON', of('<html>'), /no JSON/, 'fine'],
            ['send nothing', of(''), /no JSON/, 'fine'],
            ['send half of a manifest', of('{"uuid": "'), /no JSON/, 'fine'],
            ['send an array', of('[]'), /no object/, 'fine'],
            ['send null', of('null'), /no object/, 'fine'],
            ['send a text', of('"x"'), /no object/, 'fine'],
            [
                'nest without end',
                of(`{"a": ${'['.repeat(50_000)}${']'.repeat(50_000)}}`),
                /nested too deeply/,
                'fine',
            ],
            [
                'send another image',
                json({ uuid: '11111111-1111-4111-8111-111111111111' }),
                /sent another/,
                'fine',
            ],
            ['send an image without uuid', json({ name: 'x' }), /sent another/, 'fine'],
            [
                'announce a length twice',
                raw('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}'),
                /than it had announced/,
                /than it had announced/,
            ],
            [
                'announce a negative length',
                raw('HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}'),
                /no HTTP/,
                /no HTTP/,
            ],
            ['answer 204', raw('HTTP/1.1 204 No Content\r\n\r\n'), /status 204/, /status 204/],
            [
                'answer 206',
                raw('HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\n{}'),
                /status 206/,
                /status 206/,
            ],
            ['answer 304', raw('HTTP/1.1 304 Not Modified\r\n\r\n'), /answered 304/, /answered 304/],
            [
                'answer 500',
                json({ code: 'InternalError', message: 'boom' }, 500),
                /InternalError: boom/,
                /boom/,
            ],
        ];
        for (const [what, behave, manifest, file] of table) {
            it(`that ${what}`, async () => {
                server.behave = behave;
                const repository = testRemotes({ outbound: HASTY }).repository(server.url());
                const { message } = await failure(() => getImage(repository));
                assert.match(message, manifest);
                assert(message.startsWith(`127.0.0.1:${server.port} `), message);
                if (file !== 'fine') {
                    const failed = await failure(async () =>
                        drain((await repository.getFile(UUID, 0, call())).body),
                    );
                    assert.match(failed.message, file);
                }
                await closeRemotes();
                await server.idle();
            });
        }

        it('that send more than announced: the announced part counts, the connection is not used again', async () => {
            const text = JSON.stringify(MANIFEST);
            server.behave = raw(
                `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}HTTP/1.1 200 OK\r\n\r\nevil`,
                {
                    keep: true,
                },
            );
            const repository = testRemotes({ outbound: HASTY }).repository(server.url());
            assert.deepEqual(await getImage(repository), MANIFEST);
            await server.idle();
            server.behave = json(MANIFEST);
            assert.deepEqual(await getImage(repository), MANIFEST);
            assert.equal(server.connections, 2);
        });

        it('that are not there', async () => {
            const repository = testRemotes({ outbound: OPEN }).repository(server.url());
            await server.stop();
            const { message } = await failure(() => getImage(repository));
            assert.match(message, /refused the connection/);
        });

        it('whose name does not exist', async () => {
            const remotes = testRemotes({}, { hosts: { 'empty.example.com': [] } });
            for (const host of ['images.example.com', 'empty.example.com']) {
                const { message } = await failure(() => getImage(remotes.repository(`http://${host}`)));
                assert.match(message, /^\S+ could not be found/);
            }
        });

        it('whose name takes for ever to resolve', async () => {
            const hosts = { 'images.example.com': () => new Promise<string[]>(() => undefined) };
            const remotes = testRemotes({ outbound: HASTY }, { hosts });
            const { message } = await failure(() =>
                getImage(remotes.repository('http://images.example.com')),
            );
            assert.match(message, /did not accept the connection within 300ms/);
        });
    });

    describe('a signal', () => {
        const reason = new Error('changed my mind');

        async function aborted(run: (signal: AbortSignal) => Promise<unknown>, when: () => Promise<unknown>) {
            const controller = new AbortController();
            const running = assert.rejects(run(controller.signal), reason);
            await when();
            const since = performance.now();
            controller.abort(reason);
            await running;
            assert(performance.now() - since < 1000);
        }

        it('that was aborted before: nothing is sent', async () => {
            const repository = testRemotes({ outbound: OPEN }).repository(server.url());
            const gone = AbortSignal.abort(reason);
            await assert.rejects(repository.getImage(UUID, call(gone)), reason);
            await assert.rejects(testRemotes().download('https://example.com', call(gone)), reason);
            assert.equal(server.connections, 0);
        });

        it('ends the wait for a name', async () => {
            let asked: (() => void) | undefined;
            const asking = new Promise<void>((resolve) => (asked = resolve));
            const hosts = {
                'images.example.com': () => {
                    asked?.();
                    return new Promise<string[]>(() => undefined);
                },
            };
            const repository = testRemotes({}, { hosts }).repository('http://images.example.com');
            await aborted(
                (signal) => repository.getImage(UUID, call(signal)),
                () => asking,
            );
        });

        it('ends the wait for an answer, and the connection', async () => {
            const asked = new Promise<void>((resolve) => (server.behave = () => resolve()));
            const repository = testRemotes({ outbound: OPEN }).repository(server.url());
            await aborted(
                (signal) => repository.getImage(UUID, call(signal)),
                () => asked,
            );
            await server.idle();
        });

        it('ends the wait for a free connection', async () => {
            const asked = new Promise<void>((resolve) => (server.behave = () => resolve()));
            const repository = testRemotes({ maxSockets: 1, outbound: OPEN }).repository(server.url());
            const first = new AbortController();
            const holding = assert.rejects(repository.getImage(UUID, call(first.signal)), reason);
            await asked;
            await aborted(
                (signal) => repository.getImage(UUID, call(signal)),
                async () => undefined,
            );
            first.abort(reason);
            await holding;
        });

        it('ends a transfer, and the connection', async () => {
            server.behave = lies.endless('x'.repeat(65_536));
            const repository = testRemotes({ outbound: OPEN }).repository(server.url());
            const controller = new AbortController();
            const { body } = await repository.getFile(UUID, 0, call(controller.signal));
            let received = 0;
            await assert.rejects(async () => {
                for await (const piece of body) {
                    received += piece.length;
                    if (received > 1024 * 1024) {
                        controller.abort(reason);
                    }
                }
            }, reason);
            assert(received < 8 * 1024 * 1024, String(received));
            await server.idle();
        });

        it('ends a transfer that nobody has begun to take', async () => {
            server.behave = lies.endless('x'.repeat(65_536));
            const repository = testRemotes({ outbound: OPEN }).repository(server.url());
            const controller = new AbortController();
            const { body } = await repository.getFile(UUID, 0, call(controller.signal));
            controller.abort(reason);
            await server.idle();
            await assert.rejects(drain(body), reason);
        });

        it('is not needed to leave a transfer', async () => {
            server.behave = lies.endless('x'.repeat(65_536));
            const repository = testRemotes({ outbound: OPEN }).repository(server.url());
            const { body } = await repository.getFile(UUID, 0, call());
            const pieces = body[Symbol.asyncIterator]();
            await pieces.next();
            await pieces.return?.();
            await server.idle();
        });
    });

    it('ends every call when the server stops', async () => {
        const asked = new Promise<void>((resolve) => (server.behave = () => resolve()));
        const repository = testRemotes({ outbound: OPEN }).repository(server.url());
        const failed = failure(() => getImage(repository));
        await asked;
        await closeRemotes();
        await failed;
        await server.idle();
        await failure(() => getImage(repository));
    });
});

type Run = (repository: ReturnType<ReturnType<typeof testRemotes>['repository']>) => Promise<unknown>;

function getImage(repository: Parameters<Run>[0]): Promise<unknown> {
    return repository.getImage(UUID, call());
}
