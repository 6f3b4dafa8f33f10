import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';

/**
 * Begun when mocha reads this file, before the first test runs: it takes about a minute, which other tests, that mostly
 * wait, need not stand behind.
 */
const failure = new Promise<string | undefined>((resolve) => {
    const options = { cwd: join(__dirname, '../..'), maxBuffer: 16 << 20 };
    const lint = execFile('npm', ['run', '--silent', 'lint'], options, (error, stdout, stderr) => {
        process.off('exit', end);
        resolve(error ? `${error.message}\n${stdout}${stderr}` : undefined);
    });
    const end = (): void => void lint.kill();
    process.once('exit', end);
});

describe('npm run lint', () => {
    it('has nothing to say', async function () {
        this.timeout(300_000);
        const found = await failure;
        assert.ok(found === undefined, found);
    });
});
