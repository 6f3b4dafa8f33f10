/** `imgapiadm check-files` against real folders (ops.md §5). */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { LocalDatabase } from '../../lib/db/local';
import type { RawFile, RawImage } from '../../lib/manifest';
import { imageKey } from '../../lib/storage/driver';
import { put } from '../conformance/storage';
import { testImage, testUuid } from '../support/images';
import { Imgapiadm, type Outcome } from '../support/imgapiadm';
import { localDatabase } from '../support/local-database';
import { MantaAccount } from '../support/manta-storage';
import { makeFolder } from '../support/server';
import { skip } from '../support/skip';

const BYTES = Buffer.from('the bytes of an image\n'.repeat(40_000));
const sha1 = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex');

describe('imgapiadm check-files', function () {
    this.timeout(60_000);

    let place: Awaited<ReturnType<typeof makeFolder>>;
    let database: LocalDatabase;
    let adm: Imgapiadm;
    const path = (...parts: string[]): string => join(place.path, ...parts);

    beforeEach(async () => {
        place = await makeFolder();
        database = localDatabase(place.path);
        await mkdir(path('data'));
        await database.open();
        adm = await Imgapiadm.with(place.path, { dataDir: path('data'), databaseDir: path('db') });
    });
    afterEach(async () => {
        await database.close();
        await place.remove();
    });

    const objectPath = (n: number, object = 'file0'): string => path('data', imageKey(testUuid(n), object));

    const fileOf = (bytes: Buffer, fields: Partial<RawFile> = {}): RawFile => ({
        sha1: sha1(bytes),
        size: bytes.length,
        stor: 'local',
        compression: 'none',
        ...fields,
    });

    /** Stores an image with a file. */
    async function plant(
        n: number,
        bytes: Buffer = BYTES,
        fields: Partial<RawImage> = {},
        object?: string,
    ): Promise<void> {
        await mkdir(dirname(objectPath(n)), { recursive: true });
        await writeFile(objectPath(n, object), bytes);
        const files = [fileOf(bytes, object === undefined ? {} : { object })];
        await database.images.commit({ put: [{ raw: testImage(n, { files, ...fields }) }] });
    }

    const check = (...args: string[]): Promise<Outcome> => adm.run('check-files', ...args);

    it('finds nothing wrong with good files, whatever they are named', async () => {
        await plant(1);
        await plant(2, Buffer.from('x'), {}, `file0-${testUuid(7)}`);
        await database.images.commit({ put: [{ raw: testImage(3) }] });
        assert.deepEqual(await adm.runWith({}, 'check-files'), {
            code: 0,
            out: 'Checked 2 file(s), 859.4 KiB of them read: 2 good, 0 image(s) corrupt.\n',
            err: '',
        });
    });

    it('names what is wrong, and counts the images in its exit code', async () => {
        for (const n of [1, 2, 3, 4]) {
            await plant(n);
        }
        await truncate(objectPath(1), 5);
        await writeFile(objectPath(2), Buffer.from(BYTES).fill('X', 100, 101));
        await rm(objectPath(3));
        const { code, out, err } = await check();
        assert.deepEqual([code, err], [3, '']);
        const blocks = out.split('\n\n');
        assert.equal(blocks.length, 4);
        for (const [n, reason] of [
            [1, `${objectPath(1)} has 5 bytes; the manifest says ${BYTES.length}`],
            [2, `${objectPath(2)} has the SHA-1 [0-9a-f]{40}; the manifest says ${sha1(BYTES)}`],
            [3, `${objectPath(3)} is missing`],
        ] as const) {
            const lines = (blocks[n - 1] ?? '').split('\n');
            assert.equal(lines.length, 5);
            assert.equal(lines[0], `Image:  ${testUuid(n)} (image-${n} 1.0.0)`);
            assert.equal(lines[1], 'State:  image file corruption');
            assert.match(lines[2] ?? '', new RegExp(`^Reason: the file ${reason}$`));
            assert.match(lines[3] ?? '', /^See: {4}docs\/operator-guide\.md, "Files that are damaged"$/);
            assert.equal(lines[4], `Fix:    sdc-imgadm delete ${testUuid(n)}`);
        }
        assert.match(blocks[3] ?? '', /^Checked 4 file\(s\).*: 1 good, 3 image\(s\) corrupt\.\n$/);
        const guide = await readFile(join(__dirname, '../../docs/operator-guide.md'), 'utf8');
        assert.match(guide, /^### Files that are damaged$/m);
    });

    it('tells what is made from a damaged image, the youngest to be deleted first', async () => {
        await plant(1);
        await rm(objectPath(1));
        const small = Buffer.from('x');
        await plant(2, small, { origin: testUuid(1) });
        await plant(3, small, { origin: testUuid(1), state: 'disabled' });
        await plant(4, small, { origin: testUuid(2) });
        const { code, out } = await check(testUuid(1));
        assert.equal(code, 1);
        const lines = out.split('\n').filter((line) => /^(Fix|Impact)/.test(line));
        assert.deepEqual(lines, [
            `Fix:    sdc-imgadm delete ${testUuid(4)}`,
            `Fix:    sdc-imgadm delete ${testUuid(2)}`,
            `Fix:    sdc-imgadm delete ${testUuid(3)}`,
            `Fix:    sdc-imgadm delete ${testUuid(1)}`,
            `Impact: image ${testUuid(4)} (image-4 1.0.0) needs it, and has to be imported or made again`,
        ]);
    });

    for (const [program, compress] of [
        ['gzip', (bytes: Buffer) => gzipSync(bytes)],
        ['bzip2', (bytes: Buffer) => execFileSync('bzip2', ['-c'], { input: bytes })],
        ['xz', (bytes: Buffer) => execFileSync('xz', ['-c'], { input: bytes })],
    ] as const) {
        it(`has ${program} test what it would have to decompress`, async function () {
            let bytes: Buffer;
            try {
                bytes = compress(BYTES);
            } catch (err) {
                assert.equal((err as NodeJS.ErrnoException).code, 'ENOENT');
                skip(
                    this,
                    `${program} is missing: apt-get install ${program === 'xz' ? 'xz-utils' : program}`,
                );
            }
            await plant(1, bytes);
            // Damaged before it was uploaded: size and SHA-1 are those of the manifest.
            await plant(2, bytes.subarray(0, bytes.length - 5));
            await plant(3, Buffer.concat([bytes.subarray(0, 20), Buffer.alloc(300_000, 7)]));
            const { code, out } = await check();
            assert.equal(code, 2, out);
            const reasons = out.match(/^Reason: .*$/gm) ?? [];
            for (const [index, n] of [2, 3].entries()) {
                assert.match(
                    reasons[index] ?? '',
                    new RegExp(
                        `file ${objectPath(n)} is as it was uploaded, but ${program} cannot decompress it \\(.+\\)$`,
                    ),
                );
            }
            assert.equal((await check('--simple')).code, 0);
        });
    }

    it('warns once where a program is missing that it needs, and does not call the file good for good', async () => {
        await plant(1, gzipSync(BYTES));
        await plant(2, gzipSync(BYTES));
        const { code, out, err } = await adm.runWith({ PATH: path('nothing') }, 'check-files');
        assert.equal(code, 0, err);
        assert.match(out, /2 good/);
        assert.match(err, /^warning: gzip is not installed.*\n$/);
        assert.match((await check()).out, /Checked 2 file/);
    });

    it('compares sizes only with --simple, and remembers nothing of it', async () => {
        for (const n of [1, 2]) {
            await plant(n);
        }
        await writeFile(objectPath(1), Buffer.alloc(BYTES.length));
        await truncate(objectPath(2), 1);
        for (const flag of ['-s', '--simple']) {
            const { code, out } = await check(flag);
            assert.equal(code, 1);
            assert.match(out, new RegExp(`^Image: {2}${testUuid(2)} `));
        }
        assert.equal((await check()).code, 2);
    });

    it('looks at the size only of what was good before, unless it is another file by now or it is forced to', async () => {
        const object = `file0-${testUuid(7)}`;
        await plant(1);
        await plant(2, BYTES, {}, object);
        await plant(3);
        assert.match((await check()).out, /Checked 3/);
        const cache = path('imgapiadm', 'cache', 'check-files.json');
        const entry = { size: BYTES.length, sha1: sha1(BYTES) };
        assert.deepEqual(JSON.parse(await readFile(cache, 'utf8')), {
            // What the original's tool wrote looks like the first.
            [testUuid(1)]: { uuid: testUuid(1), ...entry },
            [testUuid(2)]: { uuid: testUuid(2), ...entry, object },
            [testUuid(3)]: { uuid: testUuid(3), ...entry },
        });
        const damaged = Buffer.from(BYTES).fill('X', 100, 101);
        await writeFile(objectPath(1), damaged);
        assert.deepEqual(await check(), {
            code: 0,
            out: 'Checked 3 file(s), 0 bytes of them read: 3 good, 0 image(s) corrupt, of 3 found good before only the size.\n',
            err: '',
        });
        assert.match((await check('--force')).out, /1 image\(s\) corrupt/);
        assert.equal((await check('-f')).code, 1);
        assert.equal((await check()).code, 1, 'what is damaged is not remembered as good any more');
        // The same bytes as a file of another name are another file.
        await plant(2, BYTES);
        await writeFile(objectPath(2), damaged);
        await rm(objectPath(3));
        assert.equal((await check()).code, 3);
    });

    it('has another memory for images of Docker, which are all it looks at with --docker-v2', async () => {
        await plant(1, BYTES, { tagsObj: { 'docker:id': 'sha256:abc' }, tags: ['docker:id=sha256:abc'] });
        await plant(2, BYTES, { tagsObj: { 'docker:id': 'abc' }, tags: ['docker:id=abc'] });
        await plant(3, BYTES, { tags: ['docker:id=sha256:def'] });
        await plant(4);
        for (const flag of ['-d', '--docker-v2']) {
            assert.match((await check(flag, '--force')).out, /Checked 2 file/);
        }
        const v2 = JSON.parse(
            await readFile(path('imgapiadm', 'cache', 'check-files-v2.json'), 'utf8'),
        ) as object;
        assert.deepEqual(Object.keys(v2).sort(), [testUuid(1), testUuid(3)]);
        await assert.rejects(stat(path('imgapiadm', 'cache', 'check-files.json')), { code: 'ENOENT' });
        assert.match((await check()).out, /Checked 4 file/);
    });

    it('goes on without a memory that cannot be read or written', async () => {
        await plant(1);
        await mkdir(path('imgapiadm', 'cache'), { recursive: true });
        await writeFile(path('imgapiadm', 'cache', 'check-files.json'), '{"damaged');
        assert.equal((await check()).code, 0);
        await rm(path('imgapiadm'), { recursive: true });
        await writeFile(path('imgapiadm'), 'not a folder');
        const { code, err } = await check();
        assert.equal(code, 0);
        assert.match(err, /^warning: what was found good cannot be remembered: /);
    });

    it('looks at active images, or at those that are named in whatever state; others are errors', async () => {
        await plant(1, BYTES, { state: 'unactivated', activated: false });
        await rm(objectPath(1));
        await plant(2);
        assert.equal((await check()).code, 0);
        const { code, out, err } = await check('-f', testUuid(1), testUuid(2), testUuid(9));
        assert.equal(code, 2);
        assert.match(out, /Checked 2 file.*1 good, 1 image\(s\) corrupt, 1 image\(s\) not checked/);
        assert.match(err, new RegExp(`^${testUuid(9)}: there is no such image`));
    });

    it('counts what cannot be read as an error, without calling it damaged', async () => {
        await plant(1);
        // A link that leads to itself: the system cannot tell whether the file is there.
        const folder = dirname(dirname(objectPath(1)));
        await rm(folder, { recursive: true });
        await symlink(folder, folder);
        const { code, out, err } = await check();
        assert.equal(code, 1);
        assert.match(err, /could not be checked: .*ELOOP/);
        assert.match(out, /0 image\(s\) corrupt, 1 image\(s\) not checked/);
    });

    it('ends with 255 for that many errors and more', async () => {
        const raws = Array.from({ length: 260 }, (_, n) => testImage(n + 1, { files: [fileOf(BYTES)] }));
        await database.images.commit({ put: raws.map((raw) => ({ raw })) });
        const { code, out } = await check();
        assert.equal(code, 255);
        assert.match(out, /260 image\(s\) corrupt/);
    });

    it('looks into another storage with --stor', async () => {
        const account = new MantaAccount();
        const manta = await account.serve();
        try {
            const storage = account.storage(manta.url);
            await storage.open();
            for (const n of [1, 2]) {
                const raw = testImage(n, { files: [fileOf(BYTES, { stor: 'manta' })] });
                await database.images.commit({ put: [{ raw }] });
                await put(storage, imageKey(raw.uuid, 'file0'), n === 1 ? BYTES : BYTES.subarray(1));
            }
            await storage.close();
            const config = {
                dataDir: path('data'),
                databaseDir: path('db'),
                storageTypes: ['local', 'manta'],
                manta: account.config(manta.url),
            };
            adm = await Imgapiadm.with(place.path, config);
            assert.match((await check()).out, /Checked 0 file/);
            const { code, out } = await check('--stor', 'manta');
            assert.equal(code, 1);
            assert.match(
                out,
                new RegExp(`the file http://.*/stor/imgapi/images/.*/${testUuid(2)}/file0 has`),
            );
            await manta.damage(`/imgapi/stor/imgapi/${imageKey(testUuid(1), 'file0')}`);
            assert.match(
                (await check('--stor', 'manta', '-f')).out,
                new RegExp(
                    `${testUuid(1)}/file0 is damaged: Manta sent other bytes than it has stored: .*[^.]\n`,
                ),
            );
            // What was good there says nothing about a copy of it elsewhere.
            await plant(1, Buffer.from(BYTES).fill('X', 100, 101));
            await database.images.commit({ put: [{ raw: testImage(1, { files: [fileOf(BYTES)] }) }] });
            assert.equal((await check()).code, 1);
            await manta.suspend();
            for (const n of [1, 3, 4]) {
                const raw = testImage(n, { files: [fileOf(BYTES, { stor: 'manta' })] });
                await database.images.commit({ put: [{ raw }] });
            }
            const down = await check('--stor=manta', '-f');
            assert.equal(down.code, 4);
            const said = down.err.split('\n').filter((line) => !line.startsWith('warn: '));
            assert.match(said[0] ?? '', /^\S+: could not be checked: Manta cannot be used at the moment: /);
            assert.equal(said[1], 'The storage "manta" cannot be used: the other images are not checked.');
            assert.match(down.out, /0 good, 0 image\(s\) corrupt, 4 image\(s\) not checked\.$/m);
        } finally {
            await manta.stop();
            account.remove();
        }
    });

    /** A gzip that notes that it was started, and does `then`. */
    async function fakeGzip(then: string): Promise<{ PATH: string; started: () => Promise<void> }> {
        const programs = path('programs');
        const note = path('started');
        await mkdir(programs);
        await writeFile(join(programs, 'gzip'), `#!/bin/sh\n: > ${note}\n${then}\n`, { mode: 0o755 });
        return {
            PATH: `${programs}${delimiter}${process.env.PATH ?? ''}`,
            async started() {
                while (!(await stat(note).catch(() => undefined))) {
                    await new Promise((resolve) => setTimeout(resolve, 20));
                }
            },
        };
    }

    it('looks again at an image that is changed while it is looked at', async () => {
        const go = path('go');
        const gzip = await fakeGzip(`while [ ! -e ${go} ]; do sleep 0.05; done; exit 1`);
        await plant(1, gzipSync(BYTES));
        await plant(2, gzipSync(BYTES));
        const checked = adm.runWith({ PATH: gzip.PATH }, 'check-files');
        await gzip.started();
        await plant(1, BYTES, {}, `file0-${testUuid(7)}`);
        await rm(objectPath(1));
        await database.images.commit({ delete: [{ uuid: testUuid(2) }] });
        await rm(objectPath(2));
        await writeFile(go, '');
        const { code, out, err } = await checked;
        assert.deepEqual([code, err], [0, '']);
        assert.match(out, /0 image\(s\) corrupt/);
    });

    for (const [signal, exit] of [
        ['SIGINT', 130],
        ['SIGHUP', 129],
    ] as const) {
        it(`remembers what it has found when ${signal} ends it`, async () => {
            await plant(1);
            await plant(2, gzipSync(BYTES));
            // It stands for a file that is very large.
            const gzip = await fakeGzip('exec sleep 600');
            const child = spawn(
                process.execPath,
                [join(__dirname, '../../bin/imgapiadm'), '-f', adm.file, 'check-files'],
                { stdio: 'ignore', env: { ...process.env, PATH: gzip.PATH } },
            );
            const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
            await gzip.started();
            child.kill(signal);
            assert.equal(await ended, exit);
            const cache = JSON.parse(
                await readFile(path('imgapiadm', 'cache', 'check-files.json'), 'utf8'),
            ) as object;
            assert.deepEqual(Object.keys(cache), [testUuid(1)]);
        });
    }
});
