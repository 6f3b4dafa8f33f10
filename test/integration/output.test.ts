/** Programs whose output nobody reads. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const BIN = join(__dirname, '../../bin');
const PROGRAMS = [
    'imgapi-manta-setup',
    'imgapi-external-manta-setup',
    'imgapi-standalone-backup',
    'imgapi-standalone-restore',
    'imgapi-standalone-rotate-key',
    'imgapi-standalone-status',
];

describe('A program that changes something', function () {
    this.timeout(60_000);
    it('goes on to its end when nobody reads what it prints', async () => {
        await Promise.all(PROGRAMS.map(endsWell));
    });

    async function endsWell(name: string): Promise<void> {
        const child = spawn(process.execPath, [join(BIN, name), '--help'], {
            stdio: ['ignore', 'pipe', 'pipe'],
        });
        child.stdout.destroy();
        const [err] = await Promise.all([text(child.stderr), once(child, 'close')]);
        assert.deepEqual([child.exitCode, err], [0, ''], name);
    }
});
