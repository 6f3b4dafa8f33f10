/** Connections: keep-alive, pipelining, 100-continue, answers in the middle of an upload (endpoints.md §1.5, clients.md). */
import assert from 'node:assert/strict';
import { at, FILE, type Manifest } from '../support/api';
import { signedHeaders } from '../support/keys';
import { RawConnection, type RawAnswer } from '../support/raw-connection';
import { Registry, testKeys } from '../support/registry';

describe('HTTP: connections', () => {
    let registry: Registry;
    let image: Manifest;
    let connection: RawConnection;

    before(async () => {
        registry = await Registry.start();
        image = await registry.client.createActive();
    });
    beforeEach(async () => {
        connection = await RawConnection.open(registry.url);
    });
    afterEach(() => connection.close());
    after(() => registry.stop());

    function request(line: string, headers: Record<string, string> = {}, body = '', version = '1.1'): string {
        const lines = Object.entries({ host: 'imgapi', ...headers }).map(
            ([name, value]) => `${name}: ${value}`,
        );
        return `${line} HTTP/${version}\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
    }
    const signed = () => signedHeaders('alice', testKeys()[0]);
    const first = async (): Promise<RawAnswer> => {
        const [answer] = await connection.answers(1);
        assert.ok(answer);
        return answer;
    };
    const code = ({ body }: RawAnswer) => (JSON.parse(body) as { code: string }).code;

    describe('keep-alive', () => {
        it('serves one request after another on a connection', async () => {
            for (let i = 1; i <= 3; i++) {
                connection.write(request('GET /ping'));
                const answers = await connection.answers(i);
                assert.equal(answers[i - 1]?.status, 200);
                assert.equal(answers[i - 1]?.headers.connection, 'keep-alive');
            }
        });

        it('goes on after errors, also those of routing', async () => {
            const paths = ['/nowhere', '/images/%zz', '/images?limit=x', '/ping'];
            for (const [index, path] of paths.entries()) {
                connection.write(request(`GET ${path}`));
                await connection.answers(index + 1);
            }
            const answers = await connection.answers(paths.length);
            assert.deepEqual(
                answers.map(({ status }) => status),
                [404, 400, 422, 200],
            );
        });

        it('ends when the client says Connection: close', async () => {
            connection.write(request('GET /ping', { connection: 'close' }));
            const answer = await first();
            assert.equal(answer.status, 200);
            assert.equal(answer.headers.connection, 'close');
            await connection.closed;
        });

        it('is not assumed of HTTP/1.0, nor is a Host', async () => {
            connection.write('GET /ping HTTP/1.0\r\n\r\n');
            assert.equal((await first()).status, 200);
            await connection.closed;
        });

        it('goes on after a small refused body', async () => {
            const body = 'x'.repeat(1000);
            connection.write(
                request('POST /images', { 'content-length': '1000' }, body) + request('GET /ping'),
            );
            const answers = await connection.answers(2);
            assert.deepEqual(
                answers.map(({ status }) => status),
                [401, 200],
            );
        });
    });

    describe('pipelining', () => {
        it('answers in the order of the requests', async () => {
            connection.write(
                [
                    request(`GET ${at(image.uuid, '/file')}`),
                    request('GET /nowhere'),
                    request('GET /images'),
                    request('GET /ping'),
                ].join(''),
            );
            const answers = await connection.answers(4);
            assert.deepEqual(
                answers.map(({ status }) => status),
                [200, 404, 200, 200],
            );
            assert.equal(answers[0]?.body, FILE.toString());
            assert.match(answers[3]?.body ?? '', /pong/);
        });

        it('does not take a body for the next request', async () => {
            const smuggled = request('GET /smuggled');
            connection.write(
                request(
                    'POST /images/x/acl',
                    { ...signed(), 'content-length': String(smuggled.length) },
                    smuggled,
                ) + request('GET /ping'),
            );
            const answers = await connection.answers(2);
            assert.doesNotMatch(connection.received, /smuggled/);
            assert.equal(answers[1]?.status, 200);
        });
    });

    describe('Expect: 100-continue', () => {
        it('is answered before the body and before the signature is judged', async () => {
            connection.write(
                request(`PUT ${at(image.uuid, '/file?compression=none')}`, {
                    expect: '100-continue',
                    'content-length': '5',
                }),
            );
            await connection.until(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
            connection.write('bytes');
            const [, answer] = await connection.answers(2);
            assert.equal(answer?.status, 401);
        });

        it('works for an upload', async () => {
            const { uuid } = await registry.client.create();
            connection.write(
                request(`PUT ${at(uuid, '/file?compression=none')}`, {
                    ...signed(),
                    expect: '100-continue',
                    'content-length': String(FILE.length),
                }),
            );
            await connection.until(/100 Continue/);
            connection.write(FILE);
            const [, answer] = await connection.answers(2);
            assert.equal(answer?.status, 200, answer?.body);
        });
    });

    describe('malformed requests', () => {
        for (const [name, text] of Object.entries({
            'garbage bytes': '\u0000\u0001\u0002\u0003\r\n\r\n',
            'a TLS hello': '\u0016\u0003\u0001\u0002\u0000\u0001\u0000',
            'an unknown method': 'FROBNICATE /ping HTTP/1.1\r\nhost: a\r\n\r\n',
            'a header without a colon': 'GET /ping HTTP/1.1\r\nhost: a\r\nbroken\r\n\r\n',
            'two different lengths':
                'POST /images HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab',
            'a length and chunks':
                'POST /images HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
            'a length that is no number': 'POST /images HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n',
            'another version of HTTP': 'GET /ping HTTP/9.9\r\nhost: a\r\n\r\n',
        })) {
            it(`${name}: 400, and the connection closes`, async () => {
                connection.write(text);
                const answer = await first();
                assert.equal(answer.status, 400);
                assert.equal(code(answer), 'BadRequestError');
                assert.equal(answer.headers.connection, 'close');
                await connection.closed;
            });
        }

        it('a chunk that is none: the upload is gone, and nothing of it stays', async () => {
            const { uuid } = await registry.client.create();
            connection.write(
                request(`PUT ${at(uuid, '/file?compression=none')}`, {
                    ...signed(),
                    'transfer-encoding': 'chunked',
                }) + '5\r\nhello\r\nnot a chunk\r\n',
            );
            await connection.closed;
            assert.doesNotMatch(connection.received, /^HTTP\/1\.1 200/);
            await registry.untilStored(uuid, []);
            assert.equal((await registry.record(uuid))?.files, undefined);
        });

        it('leave the server serving others', async () => {
            assert.equal((await registry.anonymous.get('/ping')).status, 200);
        });
    });

    describe('a refused upload', () => {
        const LARGE = 256 << 20;

        /** Sends an upload as fast as it is taken, reading answers meanwhile, until the connection closes. */
        async function pour(headers: Record<string, string>, path: string): Promise<RawAnswer> {
            connection.write(request(`PUT ${path}`, { ...headers, 'content-length': String(LARGE) }));
            const chunk = Buffer.alloc(1 << 20);
            let sent = 0;
            const more = () => {
                while (sent < LARGE && connection.socket.writable) {
                    sent += chunk.length;
                    if (!connection.socket.write(chunk)) {
                        return;
                    }
                }
            };
            connection.socket.on('drain', more);
            more();
            return first();
        }

        it('without a signature: the client that is still sending gets its 401', async () => {
            const answer = await pour({}, at(image.uuid, '/file?compression=none'));
            assert.equal(answer.status, 401);
            assert.equal(code(answer), 'UnauthorizedError');
            assert.equal(answer.headers.connection, 'close');
        });

        it('to an activated image: the client that is still sending gets its 422', async () => {
            const answer = await pour(signed(), at(image.uuid, '/file?compression=none'));
            assert.equal(answer.status, 422);
            assert.equal(code(answer), 'ImageFilesImmutable');
        });

        it('that is not sent to its end does not hold the connection open for long', async () => {
            connection.write(
                request(
                    `PUT ${at(image.uuid, '/file')}`,
                    { 'content-length': String(LARGE) },
                    'the first bytes',
                ),
            );
            assert.equal((await first()).status, 401);
            await connection.closed;
        });
    });
});
