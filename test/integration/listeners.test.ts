/** Where the server listens: schemes, sockets of the file system, and sockets that are passed to it (daemon.md §1 and §2). */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { makeFolder, TestServer, type ServerOptions } from '../support/server';
import { skip } from '../support/skip';

const main = resolve(__dirname, '../../main.js');

/** GET /ping at a place as the log names it; on a connection of its own. */
function ping(url: string): Promise<{ ping: string }> {
    const isUnix = url.startsWith('unix://');
    const target = isUnix ? 'http://localhost/ping' : `${url}/ping`;
    const options = {
        agent: false,
        rejectUnauthorized: false,
        ...(isUnix && { socketPath: url.slice('unix://'.length) }),
    };
    return new Promise((found, failed) => {
        (url.startsWith('https:') ? https : http)
            .get(target, options, (res) => {
                let body = '';
                res.on('data', (chunk: Buffer) => (body += chunk.toString()))
                    .once('end', () => found(JSON.parse(body) as { ping: string }))
                    .once('error', failed);
            })
            .once('error', failed);
    });
}

async function freePort(): Promise<number> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    return port;
}

describe('listeners', function () {
    this.timeout(60_000);
    let folder: Awaited<ReturnType<typeof makeFolder>>;

    before(async () => {
        folder = await makeFolder();
    });
    after(() => folder.remove());

    async function withServer(
        options: ServerOptions,
        use: (server: TestServer) => Promise<void>,
    ): Promise<void> {
        const server = await TestServer.start(options);
        try {
            await server.logged(({ msg }) => msg === 'startup complete');
            await use(server);
        } finally {
            await server.stop();
        }
    }

    for (const workers of [1, 2]) {
        it(`of all schemes at once answer, with ${workers === 1 ? 'one process' : `${workers} workers`}`, async () => {
            const socketPath = join(folder.path, `new${workers}`, 'imgapi.sock');
            const portFile = join(folder.path, `port${workers}`);
            const options = {
                config: { cluster: { workers }, listen: { socketMode: '0600' } },
                arguments: [
                    ...['--scheme', 'http,unix', '--scheme', 'https', '--tls-port', '0'],
                    ...['--socket-path', socketPath, '--port-file', portFile],
                ],
            };
            await withServer(options, async ({ urls, log }) => {
                assert.deepEqual(
                    urls.map((url) => url.replace(/:\d+$/, '')),
                    ['http://127.0.0.1', `unix://${socketPath}`, 'https://127.0.0.1'],
                );
                for (const url of urls) {
                    for (let count = 0; count < 4; count++) {
                        assert.equal((await ping(url)).ping, 'pong', url);
                    }
                }
                assert.equal(readFileSync(portFile, 'utf8'), `${new URL(urls[0] ?? '').port}\n`);
                assert.equal(statSync(socketPath).mode & 0o777, 0o600);
                assert.equal(
                    log.filter(({ fingerprint }) => /^([0-9A-F]{2}:){31}/.test(String(fingerprint))).length,
                    1,
                    'one certificate was made for all processes',
                );
                assert.doesNotMatch(JSON.stringify(log), /PRIVATE KEY/);
            });
            assert.ok(!existsSync(socketPath), 'the socket is removed at the end');
            assert.ok(!existsSync(portFile));
        });
    }

    it('are those that the command line names, and no other', async () => {
        const socketPath = join(folder.path, 'named.sock');
        await withServer({ arguments: ['--scheme', 'http', `unix://${socketPath}`] }, async ({ urls }) => {
            assert.deepEqual(urls, [`unix://${socketPath}`]);
            assert.equal((await ping(`unix://${socketPath}`)).ping, 'pong');
        });
        await withServer({ arguments: ['https://127.0.0.1:0'] }, async ({ urls: [url = '', ...rest] }) => {
            assert.deepEqual(rest, []);
            assert.match(url, /^https:/);
            assert.equal((await ping(url)).ping, 'pong');
        });
        await withServer({ arguments: ['--scheme', 'http,https', '--no-ssl'] }, ({ urls }) => {
            assert.deepEqual(urls.length, 1);
            return Promise.resolve();
        });
    });

    it('take the place of a socket that somebody left, and not of one that somebody listens on', async () => {
        const socketPath = join(folder.path, 'left.sock');
        const options = { arguments: [`unix://${socketPath}`] };
        const first = await TestServer.start(options);
        await assert.rejects(
            TestServer.start(options),
            /ended with code 2: .*Cannot listen on the socket .*left\.sock: another program listens there/,
        );
        assert.equal((await ping(`unix://${socketPath}`)).ping, 'pong', 'it is left as it was');
        await first.stop('SIGKILL');
        assert.ok(existsSync(socketPath));
        await withServer(options, async () => {
            assert.equal((await ping(`unix://${socketPath}`)).ping, 'pong');
        });
    });

    for (const [what, args, message] of [
        [
            'a file in the way',
            [`unix://${main}`],
            /Cannot listen on the socket .*main\.js: .*it is no socket/,
        ],
        ['no socket that was passed', ['--scheme', 'fd'], /nothing to listen on: .*none were/],
        ['a number that is no socket', ['fd://77'], /Cannot listen on the file descriptor 77/],
        [
            'an address of another machine',
            ['tcp://192.0.2.1:0'],
            /config\.authType is "none" while config\.address is "192\.0\.2\.1"/,
        ],
        [
            'the same by TLS',
            ['--scheme', 'http,https', '--tls-host', '192.0.2.1'],
            /while config\.tls\.host is "192\.0\.2\.1"/,
        ],
        [
            'an address that this machine does not have',
            ['--permit-insecure', 'tcp://192.0.2.1:0'],
            /Cannot listen on 192\.0\.2\.1:0: this machine does not have that address/,
        ],
        ['nothing without TLS', ['--no-ssl', 'https://127.0.0.1:0'], /--no-ssl leaves nothing of it/],
    ] as const) {
        it(`that cannot be there stop the start with a sentence: ${what}`, async () => {
            await assert.rejects(TestServer.start({ arguments: [...args] }), (err: Error) => {
                assert.match(err.message, /ended with code 2/);
                assert.match(err.message.replaceAll('\\"', '"'), message);
                return true;
            });
        });
    }

    it('are not even thought of where a flag is wrong', async () => {
        const child = spawn(process.execPath, [main, '--port', 'eighty'], {
            stdio: ['ignore', 'pipe', 'pipe'],
        });
        let said = '';
        child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
        child.stdout.resume();
        await once(child, 'close');
        assert.equal(child.exitCode, 1);
        assert.equal(said, '--port is "eighty"; it must be a whole number from 0 to 65535\n\n');
    });

    describe('of a service manager', () => {
        const activate = '/usr/bin/systemd-socket-activate';

        before(function () {
            if (!existsSync(activate)) {
                skip(this, 'systemd-socket-activate is missing (Debian package systemd)');
            }
        });

        for (const workers of [1, 2]) {
            it(`are all served, whatever else is configured, by ${workers === 1 ? 'one process' : 'workers'}`, async () => {
                const port = await freePort();
                const tlsPort = await freePort();
                const socketPath = join(folder.path, `activated${workers}.sock`);
                const places = [`127.0.0.1:${port}`, `127.0.0.1:${tlsPort}`, socketPath];
                const starting = TestServer.start({
                    config: { cluster: { workers } },
                    wrapper: [
                        activate,
                        ...places.flatMap((place) => ['-l', place]),
                        '--fdname=http:https:unix',
                        ...['PATH', 'TMPDIR', 'NODE_V8_COVERAGE'].map((name) => `--setenv=${name}`),
                    ],
                });
                // It is started by the first connection, which waits for it.
                const first = untilAnswered(`http://127.0.0.1:${port}`);
                const server = await starting;
                try {
                    await server.logged(({ msg }) => msg === 'startup complete');
                    assert.equal((await first).ping, 'pong');
                    const urls = [
                        `http://127.0.0.1:${port}`,
                        `https://127.0.0.1:${tlsPort}`,
                        `unix://${socketPath}`,
                    ];
                    for (const url of urls) {
                        assert.equal((await ping(url)).ping, 'pong', url);
                    }
                    assert.deepEqual(server.urls.slice(0, 2), urls.slice(0, 2));
                    if (workers > 1) {
                        const { worker } = await server.logged(({ msg }) => msg === 'a worker is up');
                        const environment = readFileSync(`/proc/${String(worker)}/environ`, 'latin1');
                        assert.doesNotMatch(environment, /LISTEN_/, 'other programs are not meant');
                        server.child.kill('SIGHUP');
                        await server.logged(({ msg }) => msg === 'the workers are replaced');
                        for (const url of urls) {
                            assert.equal((await ping(url)).ping, 'pong', url);
                        }
                    }
                } finally {
                    await server.stop();
                }
            });
        }

        it('do not count if they are meant for another process', async () => {
            const environment = { LISTEN_PID: '1', LISTEN_FDS: '1' };
            await withServer({ environment }, async ({ urls }) => {
                assert.equal(urls.length, 1);
                assert.equal((await ping(urls[0] ?? '')).ping, 'pong');
            });
        });
    });

    /** Connects until somebody listens, and asks on that connection. */
    async function untilAnswered(url: string): Promise<{ ping: string }> {
        const { hostname, port } = new URL(url);
        for (;;) {
            const socket = connect(Number(port), hostname);
            const connected = once(socket, 'connect').then(
                () => true,
                () => false,
            );
            if (await connected) {
                socket.destroy();
                return ping(url);
            }
        }
    }
});
