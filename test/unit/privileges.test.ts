import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assertWritable } from '../../lib/workers/privileges';

describe('the folders of a server before it starts', () => {
    let folder: string;
    before(() => (folder = mkdtempSync(join(tmpdir(), 'imgapi-folders-'))));
    after(() => rmSync(folder, { recursive: true }));

    it('are made with those above them, once', () => {
        const dataDir = join(folder, 'a/b/c');
        assertWritable({ dataDir });
        assertWritable({ dataDir });
        assert.ok(statSync(dataDir).isDirectory());
    });

    it('are no files', () => {
        const dataDir = join(folder, 'file');
        writeFileSync(dataDir, '');
        assert.throws(
            () => assertWritable({ dataDir }),
            /^Error: config\.dataDir is ".*file", which cannot be written to: it is not a folder$/,
        );
    });

    it('are refused at once where a file system takes none', () => {
        const program = `require(${JSON.stringify(require.resolve('../../lib/workers/privileges'))}).assertWritable({ dataDir: '/proc/imgapi' })`;
        const { status, stderr } = spawnSync(process.execPath, ['-e', program], {
            encoding: 'utf8',
            timeout: 15_000,
        });
        assert.equal(status, 1);
        assert.match(stderr, /config\.dataDir is "\/proc\/imgapi", which cannot be written to: /);
    });
});
