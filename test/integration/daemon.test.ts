/** The life of the process beside its signals: who it is, where it runs, and when it ends by itself (daemon.md §1). */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
    chmodSync,
    chownSync,
    existsSync,
    mkdirSync,
    openSync,
    readFileSync,
    statSync,
    writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { at, Client, FILE } from '../support/api';
import { CertificateAuthority } from '../support/certificates';
import { makeFolder, TestServer } from '../support/server';
import { skip } from '../support/skip';
import { SlowUpload, untilStaged } from '../support/slow-upload';
import { untilGone } from '../support/workers';

const main = resolve(__dirname, '../../main.js');

describe('the process of a server', function () {
    this.timeout(60_000);
    let folder: Awaited<ReturnType<typeof makeFolder>>;

    before(async () => {
        folder = await makeFolder();
        // Another user has to get in.
        chmodSync(folder.path, 0o755);
    });
    after(() => folder.remove());

    const path = (name: string): string => join(folder.path, name);

    describe('started as root', () => {
        const NOBODY = spawnSync('id', ['-u', 'nobody'], { encoding: 'utf8' }).stdout.trim();
        const GROUP = spawnSync('id', ['-g', 'nobody'], { encoding: 'utf8' }).stdout.trim();

        before(function () {
            if (process.getuid?.() !== 0 || NOBODY === '') {
                skip(this, 'only root can become another user, and needs the user "nobody"');
            }
        });

        for (const workers of [1, 2]) {
            it(`becomes another user for good, when all is open: ${workers === 1 ? 'one process' : 'and so do its workers'}`, async () => {
                const authority = new CertificateAuthority(folder.path);
                const { cert, key } = authority.issue(`server${workers}`, 'IP:127.0.0.1');
                const pem = path(`root${workers}.pem`);
                writeFileSync(pem, cert + key, { mode: 0o600 });
                const dataDir = path(`data${workers}`);
                mkdirSync(dataDir);
                chownSync(dataDir, Number(NOBODY), Number(GROUP));
                const socket = path(`root${workers}.sock`);
                const server = await TestServer.start({
                    dataDir,
                    config: {
                        user: 'nobody',
                        databaseDir: dataDir,
                        listen: { schemes: ['http', 'https', 'unix'], socketPath: socket },
                        tls: { port: 0, certificate: pem },
                        cluster: { workers },
                    },
                });
                try {
                    await server.logged(({ msg }) => msg === 'startup complete');
                    const pids = [
                        server.child.pid,
                        ...server.log
                            .filter(({ msg }) => msg === 'a worker is up')
                            .map(({ worker }) => worker),
                    ];
                    for (const pid of pids) {
                        const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
                        const ids = (id: string) => Array.from({ length: 4 }, () => id).join('\t');
                        assert.match(status, new RegExp(`^Uid:\t${ids(NOBODY)}$`, 'm'));
                        assert.match(status, new RegExp(`^Gid:\t${ids(GROUP)}$`, 'm'));
                        assert.match(status, new RegExp(`^Groups:\t${GROUP} $`, 'm'));
                        assert.match(status, /^CapEff:\t0+$/m);
                    }
                    assert.equal(statSync(socket).uid, Number(NOBODY));
                    const client = new Client(server.url);
                    await client.createActive({}, FILE);

                    server.child.kill('SIGHUP');
                    const { err } = await server.logged(({ msg }) => msg.includes('cannot be used'));
                    assert.match(
                        (err as Error).message,
                        // Several workers have their configuration read again, too.
                        workers === 1
                            ? /^config\.tls\.certificate is ".*", which cannot be read: this user may not read it$/
                            : /^EACCES: permission denied, open '.*imgapi\.config\.json'$/,
                    );
                    assert.equal((await client.get('/ping')).status, 200);
                } finally {
                    await server.stop();
                }
            });
        }

        it('does not start where that user may not write, or does not exist', async () => {
            const dataDir = path('of-root');
            mkdirSync(dataDir, { mode: 0o755 });
            const config = { databaseDir: dataDir, user: 'nobody' };
            await assert.rejects(
                TestServer.start({ dataDir, config }),
                /ended with code 2: .*config\.dataDir is .*of-root.*, which the user .*nobody.* may not write to/,
            );
            await assert.rejects(
                TestServer.start({ config: { user: 'no-such-user' } }),
                /ended with code 2: .*There is no user .*no-such-user/,
            );
        });
    });

    for (const workers of [1, 2]) {
        it(`ends when there is nothing to do, and not before: ${workers === 1 ? 'one process' : 'several'}`, async () => {
            const server = await TestServer.start({
                config: { cluster: { workers }, limits: { idleConnection: '200ms' } },
                // So long that a busy machine comes to the first request before it is over.
                arguments: ['-t', '3'],
            });
            try {
                const client = new Client(server.url);
                const { uuid } = await client.create();
                const upload = new SlowUpload(server.url, at(uuid, '/file?compression=none'));
                await upload.send(Buffer.alloc(1 << 16, FILE));
                await untilStaged(server.dataDir, uuid, 0);
                const begun = performance.now();
                // Longer than it waits for something to do.
                const { hostname, port } = new URL(server.url);
                const silent = connect(Number(port), hostname);
                await once(silent, 'connect');
                await new Promise((resolve) => setTimeout(resolve, 4000));
                assert.ok(server.running);
                await upload.send(FILE);
                assert.equal((await upload.finish()).status, 200);
                silent.destroy();
                await server.ended();
                assert.equal(server.child.exitCode, 0);
                assert.ok(performance.now() - begun >= 7000 - 50);
                await server.logged(({ msg }) => msg === 'stopping, because there is nothing to do');
            } finally {
                await server.stop();
            }
        });
    }

    describe('in the background', () => {
        /** Runs `main.js --daemonize`; its log goes into a file, as that of the server. */
        async function daemonize(
            name: string,
            config: Record<string, unknown>,
            args: readonly string[] = [],
        ) {
            const file = path(`${name}.json`);
            writeFileSync(
                file,
                JSON.stringify({ port: 0, authType: 'none', dataDir: path(name), ...config }),
            );
            const log = openSync(path(`${name}.log`), 'w');
            const pidFile = path(`${name}.pid`);
            const portFile = path(`${name}.port`);
            const child = spawn(
                process.execPath,
                [main, '-f', file, '--daemonize', '--pid-file', pidFile, '--port-file', portFile, ...args],
                { stdio: ['ignore', log, 'pipe'] },
            );
            let said = '';
            child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
            await once(child, 'exit');
            return { code: child.exitCode, said, pidFile, portFile };
        }

        for (const workers of [1, 2]) {
            it(`answers when the command ends: ${workers === 1 ? 'one process' : 'several'}`, async () => {
                const { code, pidFile, portFile } = await daemonize(`run${workers}`, {
                    cluster: { workers },
                });
                assert.equal(code, 0);
                const pid = Number(readFileSync(pidFile, 'utf8'));
                try {
                    const port = readFileSync(portFile, 'utf8').trim();
                    assert.equal((await fetch(`http://127.0.0.1:${port}/ping`)).status, 200);
                } finally {
                    process.kill(pid, 'SIGTERM');
                }
                await untilGone([pid]);
                assert.ok(!existsSync(pidFile) && !existsSync(portFile));
            });
        }

        it('keeps its file when it is started a second time by mistake', async () => {
            const first = await daemonize('twice', {});
            const pid = readFileSync(first.pidFile, 'utf8');
            try {
                const port = Number(readFileSync(first.portFile, 'utf8'));
                const second = await daemonize('twice', { port });
                assert.equal(second.code, 2);
                assert.match(second.said, /another program listens there/);
                assert.equal(readFileSync(first.pidFile, 'utf8'), pid);
            } finally {
                process.kill(Number(pid), 'SIGTERM');
            }
            await untilGone([Number(pid)]);
            assert.ok(!existsSync(first.pidFile));
        });

        it('does not start in silence', async () => {
            const { code, said } = await daemonize('broken', { mode: 'none' });
            assert.equal(code, 2);
            assert.match(
                said,
                /^The server could not start: invalid IMGAPI config: config\.mode is "none"; .*\n$/,
            );
            const wrong = await daemonize('wrong', {}, ['--port', 'x']);
            assert.equal(wrong.code, 1);
        });
    });
});
