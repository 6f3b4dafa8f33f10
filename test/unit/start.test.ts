import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { skip } from '../support/skip';

interface Prepare {
    prepare(options: { root: string }): void;
    needsInstall(root: string): boolean;
    buildReason(root: string, dev?: boolean): string | undefined;
    removeOrphans(root: string): void;
    checkNode(root: string, version?: string): void;
}
interface Start {
    ensureConfig(root: string): string;
    lastError(log: string): string | undefined;
    urlOf(endpoint: { address: string; port: number }): string;
}

const tools = join(__dirname, '../../tools');
const urlOfTool = (name: string): string => pathToFileURL(join(tools, name)).href;

/** Stands in for main.js: listens where it is told, answers, stops as the server does. */
const FAKE_SERVER = `
    const { createServer } = require('node:http');
    const { IMGAPI_HOST, IMGAPI_PORT } = process.env;
    console.log(JSON.stringify({ level: 30, args: process.argv.slice(2) }));
    const server = createServer((request, response) => response.end('{}')).listen(+IMGAPI_PORT, IMGAPI_HOST);
    let interrupts = 0;
    process.on('SIGTERM', () => process.exit(0));
    process.on('SIGINT', () => { interrupts++; setTimeout(() => process.exit(10 + interrupts), 100); });
`;

describe('npm start', () => {
    let prepare: Prepare;
    let start: Start;
    const roots: string[] = [];
    const children: ChildProcess[] = [];

    before(async () => {
        prepare = (await import(urlOfTool('prepare.mjs'))) as Prepare;
        start = (await import(urlOfTool('start.mjs'))) as Start;
    });
    after(() => {
        children.forEach((child) => child.kill('SIGKILL'));
        roots.forEach((root) => rmSync(root, { recursive: true }));
    });

    /** A clone that is installed and built. */
    function clone(main = FAKE_SERVER): string {
        const root = mkdtempSync(join(tmpdir(), 'imgapi-start-'));
        roots.push(root);
        const lock = JSON.stringify({ packages: { '': {}, 'node_modules/a': { version: '1.0.0' } } });
        mkdirSync(join(root, 'node_modules'));
        mkdirSync(join(root, 'lib'));
        writeFileSync(join(root, 'package.json'), '{"engines": {"node": ">=20.19"}}');
        writeFileSync(join(root, 'package-lock.json'), lock);
        writeFileSync(
            join(root, 'node_modules/.imgapi-install'),
            createHash('sha256').update(lock).digest('hex'),
        );
        writeFileSync(join(root, 'tsconfig.json'), '{}');
        for (const name of ['main', 'lib/part']) {
            writeFileSync(join(root, `${name}.ts`), '');
            writeFileSync(join(root, `${name}.js`), main);
        }
        writeFileSync(join(root, 'node_modules/.imgapi-build'), 'built');
        return root;
    }

    describe('prepare', () => {
        /** Of a file that changes after the build; asked in the test, which may run minutes after this line. */
        const later = () => Date.now() / 1000 + 60;

        it('installs when node_modules is missing or the lock file has changed', () => {
            const root = clone();
            assert.equal(prepare.needsInstall(root), false);
            writeFileSync(
                join(root, 'package-lock.json'),
                '{"packages": {"node_modules/a": {"version": "2.0.0"}}}',
            );
            assert.equal(prepare.needsInstall(root), true);
            rmSync(join(root, 'node_modules'), { recursive: true });
            assert.equal(prepare.needsInstall(root), true);
        });

        it('takes what somebody has installed by hand, if it is what the lock file says', () => {
            const root = clone();
            const record = join(root, 'node_modules/.package-lock.json');
            rmSync(join(root, 'node_modules/.imgapi-install'));
            writeFileSync(record, '{"packages": {"node_modules/a": {"version": "0.9.0"}}}');
            assert.equal(prepare.needsInstall(root), true);
            writeFileSync(record, '{"packages": {"node_modules/a": {"version": "1.0.0"}}}');
            assert.equal(prepare.needsInstall(root), false);
        });

        it('builds what is missing, newer, or of another tsconfig', () => {
            const root = clone();
            assert.equal(prepare.buildReason(root), undefined);
            utimesSync(join(root, 'lib/part.ts'), later(), later());
            assert.equal(prepare.buildReason(root), 'stale');
            utimesSync(join(root, 'node_modules/.imgapi-build'), later(), later());
            assert.equal(prepare.buildReason(root), undefined);
            utimesSync(join(root, 'tsconfig.json'), later() + 1, later() + 1);
            assert.equal(prepare.buildReason(root), 'stale');
            rmSync(join(root, 'main.js'));
            assert.equal(prepare.buildReason(root), 'missing');
        });

        it('builds again after a build that failed, though it left output', () => {
            const root = clone();
            writeFileSync(
                join(root, 'package.json'),
                '{"engines": {"node": ">=20"}, "scripts": {"build": "exit 1"}}',
            );
            utimesSync(join(root, 'main.ts'), later(), later());
            assert.throws(() => prepare.prepare({ root }), { message: /^"npm run --silent build" failed; / });
            utimesSync(join(root, 'main.ts'), 1, 1);
            assert.equal(prepare.buildReason(root), 'stale');
        });

        it('looks at tests only for development', () => {
            const root = clone();
            mkdirSync(join(root, 'test'));
            writeFileSync(join(root, 'test/a.test.ts'), '');
            assert.equal(prepare.buildReason(root), undefined);
            assert.equal(prepare.buildReason(root, true), 'missing');
        });

        it('clears away what was made of sources that are gone, and nothing else', function () {
            const root = clone();
            const output = '"use strict";\nrequire("node:assert");\n';
            const kept = [
                'lib/part.js',
                'lib/tracked.js',
                'lib/own.js',
                'data/gone.js',
                'node_modules/gone.js',
            ];
            const gone = ['lib/gone.js', 'test/unit/gone.test.js'];
            for (const name of [...kept, ...gone]) {
                mkdirSync(dirname(join(root, name)), { recursive: true });
                writeFileSync(join(root, name), output);
            }
            writeFileSync(join(root, 'lib/own.js'), "console.log('written by hand');\n");
            const left = () => [...kept, ...gone].filter((name) => existsSync(join(root, name)));
            prepare.removeOrphans(root);
            assert.deepEqual(left(), [...kept, ...gone], 'outside of a clone nothing is removed');

            const git = (...args: string[]) => spawnSync('git', args, { cwd: root }).error;
            if (git('init', '-q')) {
                skip(this, 'git is missing (Debian package git)');
            }
            writeFileSync(join(root, '.gitignore'), '*.js\n/data/\nnode_modules/\n');
            git('add', '-f', 'lib/tracked.js');
            prepare.prepare({ root });
            assert.deepEqual(left(), kept);
        });

        it('says in a sentence that Node.js is too old', () => {
            const root = clone();
            const message = 'Node.js 20.19 or newer is needed; this is 20.18.3.';
            assert.throws(() => prepare.checkNode(root, '20.18.3'), { message });
            prepare.checkNode(root, '20.19.0');
            prepare.checkNode(root, '24.0.0');
        });
    });

    it('writes a config once', () => {
        const root = clone();
        const file = start.ensureConfig(root);
        assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), {
            dataDir: join(root, 'data'),
            address: '127.0.0.1',
            port: 8080,
            authType: 'none',
            logLevel: 'info',
        });
        writeFileSync(file, '{}');
        assert.equal(start.ensureConfig(root), file);
        assert.equal(readFileSync(file, 'utf8'), '{}');
    });

    it('reads the last error of a log as a sentence', () => {
        const record = (level: number, msg: string, err?: string): string =>
            JSON.stringify({ level, msg, ...(err !== undefined && { err: { message: err } }) });
        const log = [
            record(50, 'old'),
            record(60, 'error starting up', 'port 1 is taken'),
            record(30, 'bye'),
        ];
        assert.equal(start.lastError(log.join('\n')), 'error starting up: port 1 is taken');
        const crash =
            'node:internal/modules:1\n  throw err;\n\nError: Cannot find module\n    at x\n\nNode.js v20';
        assert.equal(start.lastError(crash), 'Error: Cannot find module');
        assert.equal(start.lastError(''), undefined);
    });

    it('gives URLs a browser takes', () => {
        assert.equal(start.urlOf({ address: '127.0.0.1', port: 80 }), 'http://127.0.0.1:80');
        assert.equal(start.urlOf({ address: '0.0.0.0', port: 80 }), 'http://127.0.0.1:80');
        assert.equal(start.urlOf({ address: '::', port: 80 }), 'http://[::1]:80');
    });

    describe('a run', () => {
        interface Run {
            child: ChildProcess;
            stdout: () => string;
            stderr: () => string;
            exit: Promise<unknown[]>;
        }

        function run(root: string, variables: Record<string, string>): Run {
            const script = `import { start } from ${JSON.stringify(urlOfTool('start.mjs'))};
                start({ root: ${JSON.stringify(root)} }).then(
                    (code) => { process.exitCode = code; },
                    (error) => { console.error(error.message); process.exitCode = 1; });`;
            const env = { ...process.env, HOST: '', IMGAPI_HOST: '', IMGAPI_PORT: '', ...variables };
            const child = spawn(process.execPath, ['--input-type=module', '-e', script], { env });
            children.push(child);
            let stdout = '';
            let stderr = '';
            child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
            child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
            return { child, stdout: () => stdout, stderr: () => stderr, exit: once(child, 'close') };
        }

        async function running(started: Run): Promise<string> {
            const url = (): string | undefined => /http:\/\/127\.0\.0\.1:\d+/.exec(started.stdout())?.[0];
            while (url() === undefined) {
                await once(started.child.stdout ?? assert.fail(), 'data');
            }
            return url() ?? '';
        }

        it('ends up with a server that answers, tells where, and passes signals and the exit code on', async () => {
            const root = clone();
            const started = run(root, { PORT: '0' });
            const url = await running(started);
            assert.equal((await fetch(`${url}/ping`)).status, 200);
            assert.match(started.stdout(), new RegExp(`curl ${url}/ping\n`));
            const log = readFileSync(join(root, 'data/imgapi.log'), 'utf8');
            const config = join(root, 'data/etc/imgapi.config.json');
            assert.deepEqual((JSON.parse(log) as { args: unknown }).args, ['-f', config]);
            started.child.kill('SIGTERM');
            assert.deepEqual(await started.exit, [0, null]);
        });

        it('passes one press of Ctrl-C on once, though npm sends it again', async () => {
            const started = run(clone(), { PORT: '0' });
            await running(started);
            started.child.kill('SIGINT');
            started.child.kill('SIGINT');
            assert.deepEqual(await started.exit, [11, null]);
        });

        it('says which port is in use, without starting anything', async () => {
            const other = createServer().listen(0, '127.0.0.1');
            await once(other, 'listening');
            const { port } = other.address() as AddressInfo;
            const root = clone();
            const started = run(root, { PORT: String(port) });
            assert.deepEqual(await started.exit, [1, null]);
            assert.match(
                started.stderr(),
                new RegExp(`^Port ${port} on 127\\.0\\.0\\.1 is in use: .*PORT=\\d+ npm start`),
            );
            assert.equal(existsSync(join(root, 'data/imgapi.log')), false);
            other.close();
        });

        it('refuses a port that is none, and a config that is not JSON', async () => {
            const root = clone();
            const misled = run(root, { PORT: 'http' });
            assert.deepEqual(await misled.exit, [1, null]);
            assert.equal(misled.stderr(), 'The port is "http"; it must be a whole number from 0 to 65535.\n');
            writeFileSync(start.ensureConfig(root), '{');
            const broken = run(root, {});
            assert.deepEqual(await broken.exit, [1, null]);
            assert.match(broken.stderr(), /^The config .*imgapi\.config\.json cannot be read: .*\n$/);
        });

        it('tells why a server stopped while starting, from this run of the log only', async () => {
            const root = clone(`console.log('{"level":60,"msg":"no disk"}'); process.exit(2);`);
            mkdirSync(join(root, 'data'));
            writeFileSync(join(root, 'data/imgapi.log'), '{"level":60,"msg":"an old story"}\n');
            const started = run(root, { PORT: '0' });
            assert.deepEqual(await started.exit, [2, null]);
            assert.match(started.stderr(), /^The server stopped while starting \(exit code 2\): no disk\n/);
        });
    });
});
