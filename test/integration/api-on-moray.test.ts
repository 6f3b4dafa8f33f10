/** Some of the API tests once more, with the images in PostgreSQL; TEST_DATABASE=moray npm test -- FILE runs any of them so. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { onMoray } from '../support/test-database';
import { Postgres } from '../support/postgresql';

const ROOT = resolve(__dirname, '../..');
const FILES = ['list', 'update'].map((name) => `test/api/${name}.test.js`);

(onMoray ? describe.skip : describe)('The API on PostgreSQL', () => {
    it('passes the tests of lists and updates', async function () {
        // To be skipped where there is none; they start their own.
        await (await Postgres.start(this)).stop();
        this.timeout(120_000);
        const options = ['--no-config', '--no-package', '--require', './test/support/root-hooks.js'];
        const child = spawn(
            process.execPath,
            [
                'node_modules/mocha/bin/mocha.js',
                ...options,
                '--timeout',
                '20000',
                '--reporter',
                'dot',
                ...FILES,
            ],
            {
                cwd: ROOT,
                stdio: ['ignore', 'pipe', 'inherit'],
                env: { ...process.env, TEST_DATABASE: 'moray' },
            },
        );
        const ended = once(child, 'close') as Promise<[number | null]>;
        const [output, [status]] = await Promise.all([text(child.stdout), ended]);
        assert.equal(status, 0, output);
    });
});
