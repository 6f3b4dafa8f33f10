/** `imgapiadm purge-placeholders`, where no server runs that would do the same. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { LocalDatabase } from '../../lib/db/local';
import { imageKey } from '../../lib/storage/driver';
import { createLocalStorage } from '../../lib/storage/local';
import { put } from '../conformance/storage';
import { testImage, testUuid } from '../support/images';
import { Imgapiadm } from '../support/imgapiadm';
import { localDatabase } from '../support/local-database';
import { makeFolder } from '../support/server';

const DAY = 24 * 3_600_000;

describe('imgapiadm purge-placeholders', () => {
    let place: Awaited<ReturnType<typeof makeFolder>>;
    let adm: Imgapiadm;
    let database: LocalDatabase;
    beforeEach(async () => {
        place = await makeFolder();
        database = localDatabase(place.path);
        await database.open();
        adm = await Imgapiadm.with(place.path, {
            dataDir: join(place.path, 'data'),
            databaseDir: join(place.path, 'db'),
        });
    });
    afterEach(async () => {
        await database.close();
        await place.remove();
    });

    it('deletes what has expired and nothing else, and names it', async () => {
        const past = new Date(Date.now() - 1000).toISOString();
        const placeholder = { activated: false, expires_at: past };
        const storage = createLocalStorage({ dataDir: join(place.path, 'data') });
        await put(storage, imageKey(testUuid(1), 'file0'), Buffer.from('x'));
        const files = [{ sha1: 'x', size: 1, stor: 'local' as const, compression: 'none' }];
        await database.images.commit({
            put: [
                { raw: testImage(1, { files, ...placeholder, state: 'creating' }) },
                { raw: testImage(2, { ...placeholder, state: 'failed' }) },
                { raw: testImage(3, { ...placeholder, state: 'unactivated' }) },
                {
                    raw: testImage(4, {
                        ...placeholder,
                        state: 'creating',
                        expires_at: new Date(Date.now() + DAY).toISOString(),
                    }),
                },
            ],
        });
        const expected = [1, 2].map(
            (n) => `${testUuid(n)}  ${n === 1 ? 'creating' : 'failed'}  expired ${past}  image-${n} 1.0.0\n`,
        );
        for (const flag of ['--dry-run', '-n']) {
            assert.deepEqual(await adm.run('purge-placeholders', flag), {
                code: 0,
                out: `${expected.join('')}2 image(s) would be deleted.\n`,
                err: '',
            });
        }
        assert.deepEqual(await adm.runWith({}, 'purge-placeholders'), {
            code: 0,
            out: `${expected.join('')}Deleted 2 image(s).\n`,
            err: '',
        });
        assert.deepEqual(
            await Promise.all(
                [1, 2, 3, 4].map(async (n) => (await database.images.get(testUuid(n))) !== undefined),
            ),
            [false, false, true, true],
        );
        assert.deepEqual(await readdir(join(place.path, 'data', 'images', '000')), []);
        assert.match((await adm.run('purge-placeholders')).out, /^Deleted 0 image/);
    });

    it('exits with 1 for one that has to stay, and says why', async () => {
        const past = new Date(Date.now() - 1000).toISOString();
        const raw = testImage(1, { activated: false, state: 'failed', expires_at: past });
        await database.images.commit({ put: [{ raw }, { raw: testImage(2, { origin: testUuid(1) }) }] });
        const { code, out, err } = await adm.run('purge-placeholders');
        assert.deepEqual([code, out], [1, 'Deleted 0 image(s).\n']);
        assert.match(err, new RegExp(`^warn: .*is the origin of others .*${testUuid(1)}`));
    });
});
