import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { VERSION } from '../../lib/version';
import { makeFolder } from '../support/server';

const run = promisify(execFile);
const root = resolve(__dirname, '../..');

/** How long packing and the two installations may take; the registry and the machine may be slow. */
const PATIENCE = 300_000;

/** Of the npm that comes with Node.js 20, so that nothing here depends on what the machine has. */
const STOCK_MAJOR = 10;

/** All that the installation finds on its PATH: no compiler, no make, no Python. */
const PROGRAMS = ['node', 'sh', 'env'];

/** What has no place in an archive for users. */
const DEVELOPMENT = ['bench', 'test', 'tools', 'tsconfig.json', 'main.ts'];

async function settingOfNpm(name: string): Promise<string> {
    return (await run('npm', ['config', 'get', name], { cwd: root })).stdout.trim();
}

/** The stock npm, where it came with this Node.js; otherwise it is installed into the folder. */
async function stockNpm(folder: string): Promise<string> {
    const own = join(dirname(process.execPath), '../lib/node_modules/npm');
    if (existsSync(join(own, 'package.json'))) {
        const { version } = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8')) as {
            version: string;
        };
        if (version.startsWith(`${STOCK_MAJOR}.`)) {
            return join(own, 'bin/npm-cli.js');
        }
    }
    await run('npm', ['install', '--prefix', folder, '--no-save', `npm@${STOCK_MAJOR}`]);
    return join(folder, 'node_modules/npm/bin/npm-cli.js');
}

/** Files below a folder, by their paths in it. */
const filesIn = (folder: string): string[] => readdirSync(folder, { recursive: true, encoding: 'utf8' });

describe('npm pack, and npm install -g of what it gives', function () {
    this.timeout(PATIENCE);

    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let environment: NodeJS.ProcessEnv;
    let registry: string;
    let fetched: string[];
    let installed: string;
    let server: ChildProcess | undefined;

    before(async () => {
        folder = await makeFolder();
        const at = (name: string) => join(folder.path, name);
        ['bin', 'home', 'npm', 'archive'].forEach((name) => mkdirSync(at(name)));
        for (const program of PROGRAMS) {
            const { stdout } = await run('sh', ['-c', `command -v ${program}`]);
            symlinkSync(stdout.trim(), join(at('bin'), program));
        }
        registry = await settingOfNpm('registry');
        const authorities = await settingOfNpm('cafile');
        const [npm] = await Promise.all([
            stockNpm(at('npm')),
            run('npm', ['pack', '--pack-destination', at('archive')], { cwd: root }),
        ]);

        environment = {
            HOME: at('home'),
            PATH: `${at('prefix/bin')}:${at('bin')}`,
            npm_config_registry: registry,
            ...(authorities !== 'null' && { npm_config_cafile: authorities }),
        };
        const archive = join(at('archive'), `imgapi-${VERSION}.tgz`);
        const install = ['install', '-g', '--loglevel', 'http', '--prefix', at('prefix'), archive];
        const { stderr } = await run('node', [npm, ...install], { cwd: folder.path, env: environment });
        fetched = [...stderr.matchAll(/http fetch GET \d+ (\S+)/g)].map(([, url]) => String(url));
        installed = at('prefix/lib/node_modules/imgapi');
    });

    after(async () => {
        if (server?.exitCode === null) {
            server.kill('SIGKILL');
            await once(server, 'close');
        }
        await folder.remove();
    });

    it('puts the server and its tools on the PATH', async () => {
        const first = async (command: string, ...args: string[]) =>
            (await run(command, args, { env: environment, cwd: folder.path })).stdout.split('\n')[0];
        assert.equal(await first('imgapi', '--version'), `IMGAPI ${VERSION}`);
        assert.match(String(await first('imgapiadm', 'help')), /^Usage: imgapiadm /);
        assert.match(String(await first('imgapi-sign', '--help')), /^Usage: imgapi-sign /);
    });

    it('compiles nothing, and fetches nothing but packages of the registry', () => {
        const files = filesIn(installed);
        const compiled = files.filter((file) => file.endsWith('.node') && !file.includes('/@libsql/'));
        assert.deepEqual(compiled, []);
        assert.deepEqual(
            files.filter((file) => /(^|\/)binding\.gyp$/.test(file)),
            [],
        );
        const scripted = files
            .filter((file) => /\/node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(`/${file}`))
            .filter((file) => {
                const { scripts = {} } = JSON.parse(readFileSync(join(installed, file), 'utf8')) as {
                    scripts?: Record<string, string>;
                };
                return ['preinstall', 'install', 'postinstall'].some((name) => name in scripts);
            });
        assert.deepEqual(scripted, []);
        assert.ok(fetched.length > 0);
        assert.deepEqual(
            fetched.filter((url) => !url.startsWith(registry)),
            [],
        );
    });

    it('has what users need, and not what only this repository does', () => {
        const top = readdirSync(installed);
        assert.deepEqual(
            DEVELOPMENT.filter((name) => top.includes(name)),
            [],
        );
        const documents = ['README.md', 'LICENSE', 'docs/operator-guide.md', 'etc/defaults.json'];
        const files = filesIn(installed);
        assert.deepEqual(
            documents.filter((name) => !files.includes(name)),
            [],
        );
        assert.deepEqual(
            files.filter((file) => /^(lib|bin)\/.*\.ts$/.test(file)),
            [],
        );
    });

    it('serves', async () => {
        const config = join(folder.path, 'config.json');
        const dataDir = join(folder.path, 'data');
        writeFileSync(config, JSON.stringify({ dataDir, port: 0, authType: 'none', logLevel: 'info' }));
        server = spawn('imgapi', ['-f', config], { env: environment, cwd: folder.path });
        let log = '';
        const listening = /Image API listening on <(http:[^>]+)>/;
        for await (const chunk of server.stdout as AsyncIterable<Buffer>) {
            log += chunk.toString();
            if (listening.test(log)) {
                break;
            }
        }
        const url = listening.exec(log)?.[1];
        assert.ok(url, log);
        assert.equal((await fetch(`${url}/images`)).status, 200);
        const page = await fetch(`${url}/docs/`);
        assert.equal(page.status, 200);
        server.kill('SIGTERM');
        assert.deepEqual(await once(server, 'exit'), [0, null]);
    });
});
