/** Files for service managers and what stands before the server, as the programs that read them judge (daemon.md §3). */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { skip } from '../support/skip';
import { makeFolder } from '../support/server';

const ROOT = resolve(__dirname, '../..');

/** A level of bunyan. */
const INFO = 30;

/** A file of the repository with the placeholders of it replaced; all of them have to be known. */
function rendered(path: string, values: Readonly<Record<string, string>>): string {
    return readFileSync(join(ROOT, path), 'utf8').replaceAll(/@@([A-Z]+)@@/g, (_, name: string) => {
        const value = values[name];
        assert.ok(value !== undefined, `${path} has a placeholder ${name}`);
        return value;
    });
}

describe('Files for services', function () {
    this.timeout(60_000);

    let folder: Awaited<ReturnType<typeof makeFolder>>;

    before(async () => {
        folder = await makeFolder();
    });
    after(() => folder.remove());

    /** Runs a program of a Debian package. */
    function judge(
        context: Mocha.Context,
        debianPackage: string,
        program: string,
        args: readonly string[],
    ): { code: number | null; output: string } {
        const { status, stdout, stderr, error } = spawnSync(program, args, {
            encoding: 'utf8',
            cwd: ROOT,
            env: {
                ...process.env,
                PATH: `${process.env.PATH ?? ''}:/usr/sbin`,
                XDG_RUNTIME_DIR: folder.path,
            },
        });
        if (error) {
            skip(context, `${program} is not installed; on Debian: apt-get install ${debianPackage}`);
        }
        return { code: status, output: stdout + stderr };
    }

    for (const flavour of ['system', 'user']) {
        it(`units of systemd: ${flavour}`, async function () {
            const from = flavour === 'user' ? 'systemd/user' : 'systemd';
            const units = join(folder.path, flavour);
            await mkdir(units);
            for (const name of ['imgapi.service', 'imgapi.socket']) {
                // systemd looks for the program itself only where it is the first word, so that it does here.
                const unit = readFileSync(join(ROOT, from, name), 'utf8');
                assert.doesNotMatch(unit, /@@/);
                await writeFile(
                    join(units, name),
                    unit.replace(/^ExecStart=.* (?=\/usr\/local\/bin\/imgapi)/m, 'ExecStart='),
                );
            }
            const verify = () =>
                judge(this, 'systemd', 'systemd-analyze', [
                    `--${flavour}`,
                    '--man=no',
                    'verify',
                    join(units, 'imgapi.service'),
                    join(units, 'imgapi.socket'),
                ]);
            const service = join(units, 'imgapi.service');
            const text = readFileSync(service, 'utf8');
            await writeFile(service, text.replace('/usr/local/bin/imgapi', join(ROOT, 'bin/imgapi')));
            assert.deepEqual(verify(), { code: 0, output: '' });
            await writeFile(service, text.replace('RestartSec=', 'RestartSeconds='));
            assert.match(verify().output, /RestartSeconds/, 'mistakes are found');
        });
    }

    for (const [path, settings] of [
        ['systemd/imgapi.service', { EXTRA_ARGS: [] }],
        ['systemd/user/imgapi.service', { EXTRA_ARGS: ['--max-header-size', '64KiB'] }],
    ] as const) {
        it(`what is run by ${path}`, async () => {
            const config = join(folder.path, 'imgapi.config.json');
            await writeFile(
                config,
                JSON.stringify({ port: 0, authType: 'none', dataDir: join(folder.path, 'elsewhere') }),
            );
            const images = join(folder.path, path.replaceAll('/', '-'));
            const line = /^ExecStart=(.*)$/m.exec(readFileSync(join(ROOT, path), 'utf8'))?.[1] ?? '';
            // As systemd does it: a variable in braces is one word or a part of one, another one as many as are in it.
            const [program = '', ...args] = line
                .replace('/usr/local/bin/imgapi', join(ROOT, 'bin/imgapi'))
                .split(' ')
                .flatMap((word) => (word === '$EXTRA_ARGS' ? settings.EXTRA_ARGS : [word]))
                .map((word) => word.replace('${CONFIG}', config).replace('${IMAGE_DIR}', images));
            const server = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
            const ended = once(server, 'exit');
            try {
                for await (const record of createInterface({ input: server.stdout })) {
                    const { level, msg } = JSON.parse(record) as { level: number; msg: string };
                    assert.ok(level >= INFO, record);
                    if (msg === 'startup complete') {
                        server.kill();
                    }
                }
                assert.deepEqual(await ended, [0, null]);
            } finally {
                server.kill('SIGKILL');
            }
            assert.ok(existsSync(join(images, 'imgapi.db')));
        });
    }

    it('shell scripts', function () {
        const scripts = [
            'init.d/imgapi',
            'deps/haproxy/start',
            'deps/haproxy/front',
            'deps/haproxy/stop',
            'deps/hitch/start',
            'deps/hitch/stop',
        ];
        assert.deepEqual(judge(this, 'shellcheck', 'shellcheck', ['-x', ...scripts]), {
            code: 0,
            output: '',
        });
        for (const script of scripts) {
            assert.deepEqual(judge(this, 'dash', 'dash', ['-n', script]), { code: 0, output: '' });
        }
    });

    it('settings of the service say what each is for', () => {
        const text = readFileSync(join(ROOT, 'etc/default/imgapi'), 'utf8');
        const names = [...text.matchAll(/^# .*\n([A-Z_]+)=/gm)].map(([, name]) => name);
        assert.deepEqual(names, ['CONFIG', 'USERNAME', 'IMAGE_DIR', 'EXTRA_ARGS']);
        const guide = readFileSync(join(ROOT, 'docs/operator-guide.md'), 'utf8');
        names.forEach((name) => assert.ok(guide.includes(`| \`${name}\` |`), name));
    });

    it('manifests of SMF', async function () {
        for (const name of ['imgapi', 'haproxy']) {
            const file = join(folder.path, `${name}.xml`);
            await writeFile(file, rendered(`smf/manifests/${name}.xml.in`, { PREFIX: '/opt/imgapi' }));
            assert.deepEqual(judge(this, 'libxml2-utils', 'xmllint', ['--noout', '--nonet', file]), {
                code: 0,
                output: '',
            });
        }
    });

    it('configuration of HAProxy', async function () {
        const file = join(folder.path, 'haproxy.cfg');
        const values = { RUN: folder.path, USER: 'root', GROUP: 'root' };
        await writeFile(file, rendered('etc/haproxy.cfg.in', values));
        const { code, output } = judge(this, 'haproxy', 'haproxy', ['-c', '-f', file]);
        assert.equal(code, 0, output);
        assert.doesNotMatch(output, /WARNING|ALERT/);

        // The frontend that is there for those who want it.
        const certificate = join(folder.path, 'https.pem');
        makeCertificate(this, certificate);
        const text = readFileSync(file, 'utf8')
            .replace(/^#(?=frontend| {4})/gm, '')
            .replace('/data/imgapi/etc/cert.pem', certificate);
        assert.match(text, /^frontend https\n {4}bind \*:443 ssl/m);
        await writeFile(file, text);
        const direct = judge(this, 'haproxy', 'haproxy', ['-c', '-f', file]);
        assert.equal(direct.code, 0, direct.output);
    });

    it('configuration of hitch', async function () {
        const certificate = join(folder.path, 'cert.pem');
        makeCertificate(this, certificate);
        const file = join(folder.path, 'hitch.conf');
        const values = { CERT: certificate, USER: 'root', GROUP: 'root' };
        await writeFile(file, rendered('etc/hitch.conf.in', values));
        const { code, output } = judge(this, 'hitch', 'hitch', ['--test', `--config=${file}`]);
        assert.equal(code, 0, output);
        assert.match(output, /configuration looks ok/);
    });

    it('rotation of logs', async function () {
        const logs = join(folder.path, 'logs');
        await mkdir(logs);
        await writeFile(join(logs, 'imgapi.log'), 'one record\n');
        const file = join(folder.path, 'logrotate');
        const text = rendered('etc/logrotate.d/imgapi', {});
        await writeFile(file, text.replace('/var/log/imgapi', logs), { mode: 0o644 });
        const state = join(folder.path, 'state');
        const dry = judge(this, 'logrotate', 'logrotate', ['-d', '-s', state, file]);
        assert.equal(dry.code, 0, dry.output);
        assert.doesNotMatch(dry.output, /error/i);

        // The server writes on into the same file.
        const { code, output } = judge(this, 'logrotate', 'logrotate', ['-f', '-s', state, file]);
        assert.equal(code, 0, output);
        assert.equal(readFileSync(join(logs, 'imgapi.log'), 'utf8'), '');
    });

    /** A certificate for localhost and its key, in one file. */
    function makeCertificate(context: Mocha.Context, file: string): void {
        const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost'];
        const { code, output } = judge(context, 'openssl', 'openssl', [
            ...args,
            '-keyout',
            file,
            '-out',
            `${file}.crt`,
        ]);
        assert.equal(code, 0, output);
        spawnSync('sh', ['-c', 'cat "$1.crt" >>"$1"', 'sh', file]);
    }
});
