/** The original server's `.raw` files: import at first start, refusal and merge later, export for a rollback. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { LocalDatabase } from '../../lib/db/local';
import { UnseenRawFiles } from '../../lib/db/raw-files';
import { imageKey } from '../../lib/storage/driver';
import type { RawImage } from '../../lib/manifest';
import { testImage, testUuid } from '../support/images';
import { localDatabase } from '../support/local-database';

const ADM = path.join(__dirname, '..', '..', 'bin', 'imgapiadm');

describe('the .raw files of the original server (storage.md §6.1, §7)', () => {
    let place: string;
    let manifests: string;
    let warnings: { file?: string; reason?: string }[];
    let opened: LocalDatabase[];

    beforeEach(async () => {
        place = await mkdtemp(path.join(os.tmpdir(), 'imgapi-raw-'));
        manifests = path.join(place, 'data', 'manifests');
        await mkdir(manifests, { recursive: true });
        warnings = [];
        opened = [];
    });
    afterEach(async () => {
        for (const database of opened) {
            await database.close();
        }
        await rm(place, { recursive: true });
    });

    async function open(): Promise<LocalDatabase> {
        const database = localDatabase(place, {
            log: { info: () => undefined, warn: (fields: object) => void warnings.push(fields) },
        });
        opened.push(database);
        await database.open();
        return database;
    }

    const file = (raw: RawImage) => path.join(manifests, `${raw.uuid}.raw`);
    const writeRaw = (raw: RawImage) => writeFile(file(raw), JSON.stringify(raw, null, 2));
    const readRaw = async (raw: RawImage) => JSON.parse(await readFile(file(raw), 'utf8')) as RawImage;

    async function imgapiadm(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
        const config = path.join(place, 'config.json');
        const dataDir = path.join(place, 'data');
        await writeFile(
            config,
            JSON.stringify({ dataDir, databaseDir: path.join(place, 'db'), authType: 'none' }),
        );
        const { status, stdout, stderr } = spawnSync(process.execPath, [ADM, '-f', config, ...args], {
            encoding: 'utf8',
        });
        return { code: status, out: stdout, err: stderr };
    }

    it('are imported at the first start; bad ones stay and are named with the reason', async () => {
        await writeRaw(testImage(1, { legacy: 'kept' }));
        await writeRaw(testImage(2));
        await writeFile(path.join(manifests, `${testUuid(3)}.raw`), '{"uuid":');
        await writeFile(path.join(manifests, `${testUuid(4)}.raw`), JSON.stringify(testImage(5)));
        await writeFile(path.join(manifests, 'notes.txt'), 'x');
        const database = await open();
        assert.deepEqual((await database.images.get(testUuid(1)))?.raw, testImage(1, { legacy: 'kept' }));
        assert.deepEqual(await database.images.countByState(), { active: 2 });
        assert.deepEqual(
            warnings.map(({ file: name }) => path.basename(name ?? '')).sort(),
            [`${testUuid(3)}.raw`, `${testUuid(4)}.raw`, 'notes.txt'].sort(),
        );
        assert.ok(warnings.every(({ reason }) => reason));
        assert.equal((await readdir(manifests)).length, 5);
    });

    it('are imported once: a later start goes on with the database', async () => {
        await writeRaw(testImage(1));
        await writeFile(path.join(manifests, `${testUuid(3)}.raw`), 'junk');
        const first = await open();
        await first.images.commit({ delete: [{ uuid: testUuid(1) }] });
        await first.close();
        const second = await open();
        assert.equal(await second.images.get(testUuid(1)), undefined);
    });

    it('that two processes import at the same first start end up there once', async () => {
        await Promise.all(Array.from({ length: 700 }, (_, n) => writeRaw(testImage(n))));
        const [one, two] = await Promise.all([open(), open()]);
        assert.deepEqual(await one.images.countByState(), { active: 700 });
        assert.deepEqual(await two.images.countByState(), { active: 700 });
    });

    it('with the urn of another image are left out', async () => {
        await writeRaw(testImage(1, { urn: 'u:r:n:1' }));
        await writeRaw(testImage(2, { urn: 'u:r:n:1' }));
        const database = await open();
        assert.deepEqual(await database.images.countByState(), { active: 1 });
        assert.match(warnings[0]?.reason ?? '', /u:r:n:1/);
    });

    it('that are touched only are no reason to refuse', async () => {
        await writeRaw(testImage(1));
        await (await open()).close();
        await utimes(file(testImage(1)), 1e9, 1e9);
        await open();
    });

    for (const [change, apply] of [
        ['new', () => writeRaw(testImage(2))],
        ['changed', () => writeRaw(testImage(1, { name: 'by-the-original' }))],
    ] as const) {
        it(`that are ${change} later make the start refuse and name the ways on`, async () => {
            await writeRaw(testImage(1));
            await (await open()).close();
            await apply();
            await utimes(file(testImage(change === 'new' ? 2 : 1)), 2e9, 2e9);
            await assert.rejects(open(), (error) => {
                assert.ok(error instanceof UnseenRawFiles);
                assert.match(error.message, /imgapiadm db import --merge/);
                assert.match(error.message, /imgapiadm db import --ignore/);
                return true;
            });
            assert.equal((await imgapiadm('db', 'import')).code, 2);
            const { code, out } = await imgapiadm('db', 'import', '--merge');
            assert.equal(code, 0);
            assert.match(out, /Imported 1 image/);
            const database = await open();
            const found = await database.images.get(testUuid(change === 'new' ? 2 : 1));
            assert.equal(found?.raw.name, change === 'new' ? 'image-2' : 'by-the-original');
        });
    }

    it('that are ignored stay out for good', async () => {
        await (await open()).close();
        await writeRaw(testImage(2));
        assert.equal((await imgapiadm('db', 'import', '--ignore')).code, 0);
        const database = await open();
        assert.equal(await database.images.get(testUuid(2)), undefined);
    });

    it('lose against a later version in the database when merged, and are named', async () => {
        await writeRaw(testImage(1));
        const first = await open();
        await first.images.commit({ put: [{ raw: testImage(1, { name: 'newer' }) }] });
        await first.close();
        await writeRaw(testImage(1, { name: 'older' }));
        await utimes(file(testImage(1)), 1e9, 1e9);
        const { code, err } = await imgapiadm('db', 'import', '--merge');
        assert.equal(code, 1);
        assert.match(err, new RegExp(`${testUuid(1)}\\.raw: .*later version`));
        const database = await open();
        assert.equal((await database.images.get(testUuid(1)))?.raw.name, 'newer');
    });

    it('are written back by an export, objects under their plain names, and known afterwards', async () => {
        await writeRaw(testImage(1));
        await writeRaw(testImage(3));
        const database = await open();
        const stored = { sha1: 'x', size: 5, stor: 'local' as const, compression: 'gzip' };
        const raw = testImage(1, {
            files: [{ ...stored, object: 'file0-new' }],
            icon: { size: 4, contentType: 'image/png', contentMD5: 'y', object: 'icon-new' },
        });
        const folder = path.join(place, 'data', path.dirname(imageKey(raw.uuid, 'x')));
        await mkdir(folder, { recursive: true });
        await writeFile(path.join(folder, 'file0'), 'stale');
        await writeFile(path.join(folder, 'file0-new'), 'bytes');
        await writeFile(path.join(folder, 'icon-new'), 'icon');
        await database.images.commit({
            put: [{ raw }, { raw: testImage(2) }],
            delete: [{ uuid: testUuid(3) }],
            drop: [{ id: testUuid(80), image: raw.uuid, storage: 'local', key: imageKey(raw.uuid, 'file0') }],
        });
        await database.close();

        const { code, out, err } = await imgapiadm('db', 'export');
        assert.equal(code, 0, err);
        assert.match(out, /Wrote 2 file\(s\).*linked 2 stored object\(s\).*removed 1 file/);
        const { files, icon } = await readRaw(raw);
        assert.deepEqual(files, [stored]);
        assert.deepEqual(icon, { size: 4, contentType: 'image/png', contentMD5: 'y' });
        assert.equal(await readFile(path.join(folder, 'file0'), 'utf8'), 'bytes');
        assert.equal(await readFile(path.join(folder, 'icon'), 'utf8'), 'icon');
        assert.equal(
            (await stat(path.join(folder, 'file0'))).ino,
            (await stat(path.join(folder, 'file0-new'))).ino,
        );
        assert.equal(await readFile(file(testImage(2)), 'utf8'), JSON.stringify(testImage(2), null, 2));
        assert.deepEqual(
            (await readdir(manifests)).sort(),
            [`${testUuid(1)}.raw`, `${testUuid(2)}.raw`].sort(),
        );
        assert.deepEqual((await readdir(folder)).sort(), ['file0', 'file0-new', 'icon', 'icon-new']);

        const again = await open();
        assert.deepEqual((await again.images.get(raw.uuid))?.raw, raw);
        assert.deepEqual(await again.pending.condemn(0, 10), []);
    });

    it('name what an export cannot give to the original server', async () => {
        const database = await open();
        const files = [
            { sha1: 'x', size: 5, stor: 'local' as const, compression: 'gzip', object: 'file0-lost' },
            { sha1: 'x', size: 5, stor: 's3' as const, compression: 'gzip', object: 'file1-away' },
        ];
        await database.images.commit({ put: [{ raw: testImage(1, { files }) }] });
        await database.close();
        const { code, err } = await imgapiadm('db', 'export');
        assert.equal(code, 1);
        assert.match(err, /file0: .*file0-lost/);
        assert.match(err, /file1: .*s3.*file1-away/);
    });
});
