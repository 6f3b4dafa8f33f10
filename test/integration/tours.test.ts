/** The tours of the documents do what they say when they are pasted into a shell. */
import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { delimiter, dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
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

    /** What the commands write. */
    async function paste(commands: string): Promise<string> {
        const { stdout } = await promisify(execFile)('bash', ['-c', commands], {
            cwd: ROOT,
            env: environment(),
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
