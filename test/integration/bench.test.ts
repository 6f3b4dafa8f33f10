/** npm run bench in its smallest form: whether it runs and cleans up, not how fast anything is. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { skip } from '../support/skip';

const SCRIPT = join(__dirname, '../../tools/bench.mjs');

function bench(...args: string[]) {
    return spawn(process.execPath, [SCRIPT, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

const foldersLeft = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('imgapi-bench-'));

describe('npm run bench', function () {
    this.timeout(240_000);

    let table = '';
    before(async () => {
        const child = bench('--quick');
        const [stdout, stderr, [code]] = await Promise.all([
            text(child.stdout),
            text(child.stderr),
            once(child, 'exit') as Promise<[number | null]>,
        ]);
        assert.equal(code, 0, stderr);
        table = stdout;
    });

    const lineOf = (work: string): string => {
        const line = table.split('\n').find((candidate) => candidate.startsWith(work));
        assert.ok(line !== undefined, `no line "${work}" in\n${table}`);
        return line;
    };

    for (const work of [
        'GET /ping',
        'GET /images/UUID',
        'list of 10, ',
        'list by name=~PART, cold',
        'list by account, first of its process',
        'start with 1,000 images: first answer',
        'start with 1,000 images: memory',
        'verify a signature, RSA-2048: number',
        'verify a signature, ECDSA P-521',
        'verify a signature, Ed25519',
        'refuse an unknown user, RSA-4096, in the verifier',
        'refuse an unknown user, 3 keys, over HTTP: difference',
        'GET file, 8 MiB: throughput',
        'PUT file, 8 MiB, durable: processor',
        'PUT of 8 file(s) at once',
        'GET /ping beside 10 slow heads and 2 slow bodies',
        'the last of 10 slow heads is closed',
    ]) {
        it(`measures "${work.trim()}"`, () => {
            assert.match(lineOf(work), /\s[\d.,]+ (CPU |GiB|MiB|ms|µs|s|\/CPU).*(yes|NO|–)$/);
        });
    }

    it('says on what machine', () => {
        assert.match(table, new RegExp(`Node\\.js ${process.versions.node.replaceAll('.', '\\.')}$`, 'm'));
    });

    it('compares a download with nginx', function () {
        if (spawnSync('nginx', ['-v']).error) {
            skip(this, 'nginx is not installed; on Debian: apt-get install nginx-light');
        }
        assert.match(lineOf('GET file, 8 MiB: throughput'), /GiB\/s +[\d.]+ GiB\/s +\d+\.\d\d /);
    });

    it('compares moving files to and from S3 with the SDK', function () {
        if (spawnSync('radosgw', ['--version']).error) {
            skip(this, 'radosgw is not installed; deps/s3/README.md says how to get it');
        }
        for (const work of ['upload to S3, 8 MiB', 'download from S3, 8 MiB']) {
            assert.match(lineOf(work), /CPU s\/GiB +[\d.]+ CPU s\/GiB +\d+\.\d\d /);
        }
        assert.match(lineOf('8 uploads to S3 at once, 8 MiB in all: memory'), / MiB /);
    });

    it('compares reads from PostgreSQL with the bare query', function () {
        if (spawnSync('/usr/lib/postgresql/15/bin/initdb', ['--version']).error) {
            skip(this, 'PostgreSQL is not installed; deps/postgresql/README.md says how to get it');
        }
        for (const kind of ['GET /images/UUID', 'list of 10', 'list of 10 by owner', 'list of 10 by tag']) {
            for (const what of [
                'beside the bare query',
                'with the database',
                'two workers against one process',
            ]) {
                assert.match(lineOf(`PostgreSQL: ${kind}, ${what}`), /CPU µs +[\d.,]+ CPU µs +\d+\.\d\d /);
            }
        }
    });

    it('leaves nothing in the temporary directory', () => {
        assert.deepEqual(foldersLeft(), []);
    });

    it('cleans up when it is interrupted', async () => {
        const child = bench('--quick', '--only', 'reads', '--only', 'memory');
        const exit = once(child, 'exit');
        const [line] = (await once(createInterface({ input: child.stderr }), 'line')) as [string];
        assert.match(line, /^reads: /);
        child.kill('SIGINT');
        assert.deepEqual(await exit, [130, null]);
        assert.deepEqual(foldersLeft(), []);
    });

    it('names what can be measured when asked for something else', async () => {
        const child = bench('--only', 'uploads');
        const exit = once(child, 'exit') as Promise<[number | null]>;
        const [stderr, [code]] = await Promise.all([text(child.stderr), exit]);
        assert.equal(code, 1);
        assert.match(stderr, /--only is "uploads"; it takes one of reads, .*upload/);
    });
});
