import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { VERSION } from '../../lib/version';

const IMGAPI = join(__dirname, '../../bin/imgapi');

describe('bin/imgapi (ops.md §1)', () => {
    it('is the server: it tells its version, and refuses unknown options with its usage', () => {
        const told = spawnSync(IMGAPI, ['--version'], { encoding: 'utf8' });
        assert.deepEqual([told.status, told.stdout, told.stderr], [0, `IMGAPI ${VERSION}\n`, '']);
        const refused = spawnSync(IMGAPI, ['--colour'], { encoding: 'utf8' });
        assert.equal(refused.status, 1);
        assert.match(refused.stderr, /--colour/);
    });
});
