import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';

const root = join(__dirname, '../..');
const TIMEOUT = 120_000;

describe('the source', () => {
    function run(program: string, args: string[]): Promise<{ code: unknown; output: string }> {
        const file = join(root, 'node_modules', program);
        return new Promise((resolve) => {
            execFile(process.execPath, [file, ...args], { cwd: root }, (error, stdout, stderr) =>
                resolve({ code: error?.code ?? 0, output: stdout + stderr }),
            );
        });
    }

    it('keeps to the rules of eslint', async function () {
        this.timeout(TIMEOUT);
        const { code, output } = await run('eslint/bin/eslint.js', ['.', '--max-warnings=0']);
        assert.equal(code, 0, output);
    });

    it('is formatted by prettier', async function () {
        this.timeout(TIMEOUT);
        const { code, output } = await run('prettier/bin/prettier.cjs', ['--check', '.']);
        assert.equal(code, 0, output);
    });
});
