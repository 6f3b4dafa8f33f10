import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

describe('node lib/constants.js (config.md §4)', () => {
    const program = join(__dirname, '../../lib/constants.js');
    const expected = {
        LOCAL_BASE_DIR: '/data/imgapi',
        DATABASE_LOCAL_DIR: '/data/imgapi/manifests',
        MAX_ICON_SIZE: 131072,
        MAX_ICON_SIZE_STR: '128 KiB',
        MAX_IMAGE_SIZE: 21474836480,
        MAX_IMAGE_SIZE_STR: '20 GiB',
        MAX_ORIGIN_DEPTH: 100,
        STORAGE_LOCAL_IMAGES_DIR: '/data/imgapi/images',
        STORAGE_LOCAL_ARCHIVE_DIR: '/data/imgapi/archive',
        UNSET_OWNER_UUID: '00000000-0000-0000-0000-000000000000',
        VALID_FILE_COMPRESSIONS: ['gzip', 'bzip2', 'xz', 'none'],
        VALID_STORAGES: ['local', 'manta', 's3'],
        AUTHKEYS_BASE_DIR: '/data/imgapi/etc/keys',
    };

    function run(args: string[], variables: Record<string, string> = {}): string {
        const env = { ...process.env, IMGAPITEST_LOCAL_BASE_DIR: undefined, ...variables };
        const { stdout, stderr, status } = spawnSync(process.execPath, [program, ...args], {
            encoding: 'utf8',
            env,
        });
        assert.deepEqual({ stderr, status }, { stderr: '', status: 0 });
        return stdout;
    }

    it('prints all of them', () => assert.equal(run([]), `${JSON.stringify(expected, null, 4)}\n`));

    it('prints one: text bare, anything else as JSON', () => {
        assert.equal(run(['LOCAL_BASE_DIR']), '/data/imgapi\n');
        assert.equal(run(['MAX_IMAGE_SIZE']), '21474836480\n');
        assert.equal(run(['VALID_STORAGES']), '[\n    "local",\n    "manta",\n    "s3"\n]\n');
    });

    it('prints undefined for an unknown one', () => {
        assert.equal(run(['NOPE']), 'undefined\n');
        assert.equal(run(['toString']), 'undefined\n');
    });

    it('moves the folders for test harnesses', () => {
        const variables = { IMGAPITEST_LOCAL_BASE_DIR: '/srv/t' };
        assert.equal(run(['STORAGE_LOCAL_IMAGES_DIR'], variables), '/srv/t/images\n');
    });
});
