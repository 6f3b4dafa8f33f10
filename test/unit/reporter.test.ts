import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { skip } from '../support/skip';

const support = join(__dirname, '../support');
const mocha = join(__dirname, '../../node_modules/mocha/bin/mocha.js');

describe('the test run', () => {
    let folder: string;

    before(() => (folder = mkdtempSync(join(tmpdir(), 'imgapi-test-'))));
    after(() => rmSync(folder, { recursive: true }));

    /** Runs a test file of its own, with the reporter and the hooks of this suite. */
    function run(source: string, environment: Record<string, string> = {}) {
        const file = join(folder, 'sample.test.js');
        const preamble = `const { skip } = require(${JSON.stringify(join(support, 'skip.js'))});`;
        writeFileSync(file, `${preamble}\n${source}`);
        const child = spawnSync(
            process.execPath,
            [
                ...[mocha, '--no-config', '--no-package', '--no-color', file],
                ...['--reporter', join(support, 'reporter.js'), '--require', join(support, 'root-hooks.js')],
            ],
            { encoding: 'utf8', env: { ...process.env, CI: '', TMPDIR: folder, ...environment } },
        );
        const { stdout, stderr, status } = child;
        return { stdout, stderr, status, last: stdout.trimEnd().split('\n').at(-1) };
    }

    it('ends with the counts', () => {
        const { stdout, status, last } = run(
            `describe('a', () => { it('b', () => {}); it('c', () => {}); });`,
        );
        assert.equal(status, 0);
        assert.equal(last, '2 passed, 0 failed');
        assert.match(stdout, /Slowest:\n.*a [bc]\n.*a [bc]\n/);
    });

    it('prints failures in full', () => {
        const { stdout, status, last } = run(
            `describe('a', () => { it('b', () => require('node:assert').equal(1, 2, 'the sum is wrong')); });`,
        );
        assert.notEqual(status, 0);
        assert.equal(last, '0 passed, 1 failed');
        assert.match(stdout, /the sum is wrong[^]*sample\.test\.js:2/);
    });

    for (const hook of ['before', 'after', 'beforeEach', 'afterEach']) {
        it(`counts a failure in ${hook}`, () => {
            const { status, last } = run(
                `describe('a', () => { ${hook}(() => { throw new Error('no'); }); it('b', () => {}); });`,
            );
            assert.notEqual(status, 0);
            assert.match(last ?? '', /^[01] passed, 1 failed$/);
        });
    }

    it('prints why tests were skipped', () => {
        const { stdout, status, last } = run(`
            describe('a', () => { it('b', function () { skip(this, 'there is no b'); }); });
            describe('c', () => {
                before(function () { skip(this, 'there is no c'); });
                it('d', () => {});
                describe('e', () => { it('f', () => {}); });
            });`);
        assert.equal(status, 0);
        assert.equal(last, '0 passed, 0 failed, 3 skipped');
        assert.match(stdout, /- b was skipped: there is no b\n/);
        assert.match(stdout, /- d was skipped: there is no c\n/);
        assert.match(stdout, /- e › f was skipped: there is no c\n/);
    });

    it('lets nothing be skipped where CI is set', () => {
        const source = `describe('a', () => { it('b', function () { skip(this, 'there is no b'); }); });`;
        const { stdout, status, last } = run(source, { CI: 'true' });
        assert.notEqual(status, 0);
        assert.equal(last, '0 passed, 1 failed');
        assert.match(stdout, /there is no b/);
    });

    it('fails when the process ends in the middle', () => {
        const { status, last } = run(`describe('a', () => { it('b', () => process.exit(0)); });`);
        assert.notEqual(status, 0);
        assert.equal(last, '0 passed, 1 failed');
    });

    it('fails when a folder is left behind, and removes it', () => {
        const { stdout, status, last } = run(`
            const { mkdtempSync } = require('node:fs');
            describe('a', () => { it('b', () => {
                mkdtempSync(require('node:path').join(require('node:os').tmpdir(), 'imgapi-test-'));
            }); });`);
        assert.notEqual(status, 0);
        assert.equal(last, '1 passed, 1 failed');
        assert.match(stdout, /left behind:\s+folder .*imgapi-test-/);
    });

    it('fails when a process is left behind, and ends it', function () {
        if (process.platform !== 'linux') {
            skip(this, 'processes are looked for in /proc, which only Linux has');
        }
        const { stdout, status, last } = run(`
            describe('a', () => { it('b', () => {
                require('node:child_process').spawn('sleep', ['600'], { detached: true, stdio: 'inherit' }).unref();
            }); });`);
        assert.notEqual(status, 0);
        assert.equal(last, '1 passed, 1 failed');
        // That the run came back at all shows that the process is gone: it held the other end of its output.
        assert.match(stdout, /left behind:\s+process \d+: sleep 600/);
    });

    describe('in several processes', () => {
        /** Runs test files as `npm test` does, five to a process. */
        function runAll(sources: readonly string[]) {
            const files = sources.map((source, index) => {
                writeFileSync(join(folder, `${index}.test.js`), source);
                return `${index}.test.js`;
            });
            const args = [
                mocha,
                '--no-config',
                '--no-package',
                '--no-color',
                '--reporter',
                join(support, 'reporter.js'),
            ];
            const script = `
                import { runInLanes } from ${JSON.stringify(join(__dirname, '../../tools/test-lanes.mjs'))};
                process.exitCode = await runInLanes(...JSON.parse(process.argv[1]));`;
            const { stdout, status } = spawnSync(
                process.execPath,
                ['--input-type=module', '-e', script, JSON.stringify([args, files, folder])],
                { encoding: 'utf8', env: { ...process.env, CI: '', TMPDIR: folder } },
            );
            return { stdout, status, last: stdout.trimEnd().split('\n').at(-1) };
        }

        const passing = `describe('a', () => { it('b', () => {}); it('c', function () { this.skip(); }); });`;

        it('ends with the sum of the counts', () => {
            const { status, last } = runAll(Array<string>(12).fill(passing));
            assert.equal(status, 0);
            assert.equal(last, '12 passed, 0 failed, 12 skipped');
        });

        it('prints all failures at the end', () => {
            const failing = (text: string) =>
                `describe('f', () => { it('g', () => { throw new Error('${text}'); }); });`;
            const { stdout, status, last } = runAll([
                failing('one'),
                ...Array<string>(9).fill(passing),
                failing('two'),
            ]);
            assert.notEqual(status, 0);
            assert.equal(last, '9 passed, 2 failed, 9 skipped');
            assert.match(stdout, /\nFailures:\n[^]*Error: one\n[^]*Error: two\n[^]*\nSlowest:/);
        });

        it('counts a process that ends in the middle, or cannot begin', () => {
            const ending = `describe('e', () => { it('f', () => process.kill(process.pid, 'SIGKILL')); });`;
            const { stdout, status, last } = runAll([
                ending,
                passing,
                passing,
                passing,
                passing,
                'no JavaScript',
            ]);
            assert.notEqual(status, 0);
            assert.equal(last, '0 passed, 2 failed');
            assert.match(stdout, /before it could count: 0\.test\.js, 1\.test\.js/);
        });
    });
});
