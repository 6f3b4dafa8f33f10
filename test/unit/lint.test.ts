import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';

describe('npm run lint', () => {
    it('has nothing to say', async function () {
        this.timeout(180_000);
        const failure = await new Promise<string | undefined>((resolve) => {
            const options = { cwd: join(__dirname, '../..'), maxBuffer: 16 << 20 };
            execFile('npm', ['run', '--silent', 'lint'], options, (error, stdout, stderr) =>
                resolve(error ? `${error.message}\n${stdout}${stderr}` : undefined),
            );
        });
        assert.ok(failure === undefined, failure);
    });
});
