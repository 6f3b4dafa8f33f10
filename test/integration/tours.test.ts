/** The tours of the documents do what they say when they are pasted into a shell. */
import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { delimiter, dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { HttpsFront } from '../support/https-front';
import { makeFolder, TestServer } from '../support/server';

const ROOT = resolve(__dirname, '../..');

/** The shell commands under a heading of a document, block by block. */
function commandsUnder(heading: string, file: string): string[] {
    const page = readFileSync(join(ROOT, file), 'utf8');
    const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
    return [...section.matchAll(/```sh\n([^]*?)```/g)].map(([, commands = '']) => commands);
}

const images = async (url: string): Promise<unknown[]> =>
    ((await (await fetch(`${url}/images`)).json()) as { name: string; state: string }[]).map(
        ({ name, state }) => ({ name, state }),
    );

describe('the tour', () => {
    let folder: Awaited<ReturnType<typeof makeFolder>>;

    beforeEach(async () => {
        folder = await makeFolder();
    });
    afterEach(() => folder.remove());

    const environment = () => ({
        ...process.env,
        // The node that runs the tests, and nothing of who runs them.
        PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
        HOME: folder.path,
        TMPDIR: folder.path,
        SSH_AUTH_SOCK: '',
    });

    /** What the commands write; those of a block end with the first that fails. */
    async function paste(commands: string, more: NodeJS.ProcessEnv = {}, cwd = ROOT): Promise<string> {
        const { stdout } = await promisify(execFile)('bash', ['-ec', commands], {
            cwd,
            env: { ...environment(), ...more },
        });
        return stdout;
    }

    it('in README.md goes from creating an image to its file downloaded again', async function () {
        this.timeout(60_000);
        const published = 'http://127.0.0.1:8080';
        const [tour = ''] = commandsUnder('A tour', 'README.md');
        assert.ok(tour.startsWith(`url=${published}\n`), 'it begins with the URL that npm start prints');
        const server = await TestServer.start();
        try {
            const output = await paste(tour.replaceAll(published, server.url));
            assert.ok(output.endsWith('copy.gz: OK\n'), output);
            assert.deepEqual(await images(server.url), [{ name: 'hello', state: 'active' }]);
        } finally {
            await server.stop();
        }
    });

    it('in docs/authentication.md does the same signed, on the server that it starts', async function () {
        this.timeout(60_000);
        const port = String(await freePort());
        const [start = '', tour = ''] = commandsUnder('A tour, signed', 'docs/authentication.md').map(
            (commands) => commands.replaceAll('8081', port),
        );
        // A process group of its own, as in a terminal.
        const server = spawn('bash', ['-c', start], {
            cwd: ROOT,
            env: { ...environment(), HOST: '', PORT: '' },
            detached: true,
            stdio: ['ignore', 'pipe', 'inherit'],
        });
        try {
            await listening(server);
            const output = await paste(tour);
            assert.ok(output.endsWith('copy.gz: OK\n'), output);
            assert.match(output, /"code": "UnauthorizedError"/);
            assert.deepEqual(await images(`http://127.0.0.1:${port}`), [{ name: 'hello', state: 'active' }]);
        } finally {
            await interrupt(server);
        }
    });

    it('in docs/install.md goes from nothing to an upload by HTTPS, in folders of its own', async function () {
        this.timeout(120_000);
        const at = (...names: string[]) => join(folder.path, ...names);
        const config = at('data/imgapi/etc/imgapi.config.json');
        const port = String(await freePort());
        const own = (commands: string) =>
            commands
                .replace(/(?<=[\s>|=])\/(?:usr\/local|data|backup|etc)\//g, `${folder.path}$&`)
                .replace('"admin": {}', `"dataDir": "${at('data/imgapi')}", "admin": { "port": 0 }`)
                .replace(/imgapi-standalone-restore|\S+\/lib\/config\.js/, `$& -f ${config}`)
                .replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`);
        // What a machine has: the program installed, and commands of root, which are not for tests.
        for (const name of ['usr/local/lib/node_modules', 'usr/local/bin', 'bin', 'home', '.ssh']) {
            mkdirSync(at(name), { recursive: true });
        }
        for (const name of ['etc/hitch', 'etc/haproxy', 'etc/cron.d', 'etc/default', 'etc/systemd/system']) {
            mkdirSync(at(name), { recursive: true });
        }
        symlinkSync(ROOT, at('usr/local/lib/node_modules/imgapi'));
        symlinkSync(join(ROOT, 'bin/imgapi-standalone-backup'), at('usr/local/bin/imgapi-standalone-backup'));
        for (const [name, script] of Object.entries({
            ...Object.fromEntries(
                ['npm', 'adduser', 'chown', 'systemctl', 'apt-get'].map((command) => [command, ':']),
            ),
            runuser: 'shift 3 && exec "$@"',
        })) {
            writeFileSync(at('bin', name), `#!/bin/sh\n${script}\n`);
            chmodSync(at('bin', name), 0o755);
        }
        const PATH = [at('bin'), join(ROOT, 'bin'), environment().PATH].join(delimiter);
        const follow = async (heading: string, more: NodeJS.ProcessEnv = {}) => {
            const blocks = commandsUnder(heading, 'docs/install.md').map(own);
            assert.notEqual(blocks.length, 0, heading);
            let output = '';
            for (const block of blocks) {
                output += await paste(block, { PATH, ...more }, at('.ssh'));
            }
            return output;
        };

        assert.match(await follow('1. The program'), /^IMGAPI \d/);
        const prepared = await follow('2. A user, a folder, a configuration');
        assert.match(prepared, /^\{\n {4}"alice": "admin"\n\}\nThere is nothing to restore/);
        await follow('3. Keys');
        const server = spawn('imgapi', ['-f', config, '--port', port], {
            env: { ...environment(), PATH, HOST: '', PORT: '' },
            detached: true,
            stdio: ['ignore', 'pipe', 'inherit'],
        });
        let front: HttpsFront | undefined;
        try {
            await listening(server);
            assert.match(await follow('4. The service'), /"ping": "pong"/);
            front = await HttpsFront.start(this, `http://127.0.0.1:${port}`);
            await follow('5. HTTPS');
            writeFileSync(at('chain.pem'), front.certificate);
            const [tour = ''] = commandsUnder('6. A first image', 'docs/install.md');
            const published = 'https://images.example.com';
            const output = await paste(
                tour.replace(published, `https://localhost:${String(front.port)}`),
                { PATH, CURL_CA_BUNDLE: at('chain.pem') },
                at('home'),
            );
            assert.ok(output.endsWith('copy.gz: OK\n'), output);
            const [, backup = ''] =
                /^15 \* \* \* \* imgapi (.*)$/m.exec(readFileSync(at('etc/cron.d/imgapi-backup'), 'utf8')) ??
                [];
            await paste(`${backup} -f ${config}`, { PATH });
            assert.ok(existsSync(at('backup/images/manifests/backup.json')), backup);
        } finally {
            await front?.stop();
            await interrupt(server);
        }
    });
});

async function freePort(): Promise<number> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    return port;
}

/** Until the log of the server says so. */
async function listening({ stdout }: ChildProcess): Promise<void> {
    const log: string[] = [];
    for await (const line of createInterface({ input: stdout ?? assert.fail() })) {
        log.push(line);
        if (line.includes('listening on')) {
            // Nobody reads the rest.
            stdout?.resume();
            return;
        }
    }
    throw new Error(`The server ended: ${log.at(-1) ?? 'it said nothing'}`);
}

/** As Ctrl-C does: the whole group gets the signal. */
async function interrupt(child: ChildProcess): Promise<void> {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
        const ended = once(child, 'exit');
        process.kill(-child.pid, 'SIGINT');
        await ended;
    }
}
