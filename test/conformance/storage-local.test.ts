import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
    link,
    mkdir,
    mkdtemp,
    readdir,
    rm,
    readlink,
    stat,
    symlink,
    truncate,
    writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { archiveKey, imageFolder, imageKey, type StorageDriver } from '../../lib/storage/driver';
import { createLocalStorage } from '../../lib/storage/local';
import { apiError, contentOf, describeStorage, inChunks, keysIn, put } from './storage';

async function filesBelow(folder: string): Promise<string[]> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
}

describeStorage('local', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'imgapi-storage-'));
    return {
        driver: createLocalStorage({ dataDir }),
        twin: createLocalStorage({ dataDir: relative(process.cwd(), dataDir) }),
        stranger: createLocalStorage({ dataDir: `${dataDir}-other` }),
        leftovers: () => filesBelow(dataDir),
        remove: () => rm(dataDir, { recursive: true }),
    };
});

describe('local storage on disk (storage.md §1, §4)', () => {
    const image = 'abcdef00-1111-4222-8333-444444444444';
    const id = '55555555-6666-4777-8888-999999999999';
    let dataDir: string;
    let folder: string;
    let driver: StorageDriver;

    beforeEach(async () => {
        dataDir = await mkdtemp(join(tmpdir(), 'imgapi-storage-'));
        folder = join(dataDir, 'images', 'abc', image);
        driver = createLocalStorage({ dataDir });
        await driver.open();
    });
    afterEach(() => rm(dataDir, { recursive: true }));

    /** How many files this process has open below the folder. */
    async function openFiles(): Promise<number> {
        const targets = await Promise.all(
            (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
        );
        return targets.filter((target) => target.startsWith(dataDir)).length;
    }

    it('tells how much room there is', async () => {
        const { total, free } = await driver.space!();
        assert.ok(total > free && free > 0, `${free} of ${total}`);
    });

    it('makes the folders for images and archive', async () => {
        assert.deepEqual((await readdir(dataDir)).sort(), ['archive', 'images']);
    });

    it('stages file0-<id> as file0.<id> beside it, where operators look for uploads', async () => {
        const staged = await driver.stage(imageKey(image, `file0-${id}`), inChunks(Buffer.from('x'), 1));
        assert.deepEqual(await readdir(folder), [`file0.${id}`]);
        await staged.commit();
        assert.deepEqual(await readdir(folder), [`file0-${id}`]);
    });

    it('stages a name without an id as <name>.<uuid>', async () => {
        const staged = await driver.stage(archiveKey(image), inChunks(Buffer.from('{}'), 1));
        const [temp] = await readdir(join(dataDir, 'archive', 'abc'));
        assert.match(temp!, new RegExp(`^${image}\\.json\\.[0-9a-f-]{36}$`));
        await staged.commit();
        assert.deepEqual(await readdir(join(dataDir, 'archive', 'abc')), [`${image}.json`]);
    });

    it('removes the folder of an image with its last object, but not the one of the shard', async () => {
        await put(driver, imageKey(image, `file0-${id}`), Buffer.from('x'));
        await put(driver, imageKey(image, `icon-${id}`), Buffer.from('x'));
        await driver.delete(imageKey(image, `file0-${id}`));
        assert.deepEqual(await readdir(folder), [`icon-${id}`]);
        await driver.delete(imageKey(image, `icon-${id}`));
        assert.deepEqual(await readdir(join(dataDir, 'images', 'abc')), []);
    });

    it('removes every folder that a failed upload made', async () => {
        await assert.rejects(
            driver.stage(imageKey(image, 'file0'), inChunks(Buffer.from('x'), 1), { size: 2 }),
        );
        assert.deepEqual(await readdir(join(dataDir, 'images')), []);
        assert.deepEqual((await readdir(dataDir)).sort(), ['archive', 'images']);
    });

    it('makes the folder again if another process removes it under an upload', async () => {
        const emptied = async (process: StorageDriver): Promise<void> => {
            for (let round = 0; round < 50; round++) {
                const key = imageKey(image, `file0-${randomUUID()}`);
                await put(process, key, Buffer.from('x'));
                await process.delete(key);
            }
        };
        await Promise.all(
            [driver, createLocalStorage({ dataDir }), createLocalStorage({ dataDir })].map(emptied),
        );
        assert.deepEqual(await readdir(join(dataDir, 'images', 'abc')), []);
    });

    it('does not overwrite an upload of the same name that is under way', async () => {
        const key = imageKey(image, `file0-${id}`);
        const staged = await driver.stage(key, inChunks(Buffer.from('first'), 5));
        await assert.rejects(driver.stage(key, inChunks(Buffer.from('second'), 6)));
        await staged.commit();
        assert.equal((await contentOf(driver, key)).toString(), 'first');
    });

    it('keeps giving the old bytes to a reader when the object is replaced', async () => {
        const key = imageKey(image, 'file0');
        const old = randomBytes(4 * 1024 * 1024);
        await put(driver, key, old);
        const reader = await driver.read(key);
        const chunks: Buffer[] = [];
        for await (const chunk of reader!.body) {
            if (chunks.length === 0) {
                await put(driver, key, Buffer.from('new'));
            }
            chunks.push(Buffer.from(chunk));
        }
        assert.ok(old.equals(Buffer.concat(chunks)));
    });

    it('closes the file however a read ends', async function () {
        if (process.platform !== 'linux') {
            this.skip();
        }
        const key = imageKey(image, 'file0');
        await put(driver, key, randomBytes(5 * 1024 * 1024));
        await contentOf(driver, key);
        const stopped = await driver.read(key);
        for await (const chunk of stopped!.body) {
            assert.ok(chunk.length > 0);
            break;
        }
        const unread = Readable.from((await driver.read(key))!.body);
        const closed = once(unread, 'close');
        unread.destroy();
        await closed;
        await assert.rejects(driver.read(key, { start: 5 * 1024 * 1024 + 1 }), RangeError);
        assert.equal(await openFiles(), 0);

        const controller = new AbortController();
        const aborted = await driver.read(key, { signal: controller.signal });
        assert.equal(await openFiles(), 1);
        controller.abort();
        await assert.rejects(contentOfBody(aborted!.body), { name: 'AbortError' });
        await assert.rejects(
            driver.stage(imageKey(image, 'icon'), inChunks(Buffer.from('x'), 1), { size: 2 }),
        );
        await (aborted!.body as AsyncGenerator<Buffer>).return(undefined);
        assert.equal(await openFiles(), 0);
    });

    async function contentOfBody(body: AsyncIterable<Buffer>): Promise<void> {
        for await (const chunk of body) {
            assert.ok(chunk.length > 0);
        }
    }

    it('ends a read with an error if the file is cut short meanwhile', async () => {
        const key = imageKey(image, 'file0');
        await put(driver, key, randomBytes(5 * 1024 * 1024));
        const reader = await driver.read(key);
        await truncate(join(folder, 'file0'), 1000);
        await assert.rejects(contentOfBody(reader!.body), apiError('StorageIsDown'));
    });

    it('reads and lists what the original wrote', async () => {
        await mkdir(folder, { recursive: true });
        await writeFile(join(folder, 'file0'), 'old');
        await writeFile(join(folder, `file0.${id}`), 'stale');
        assert.equal((await contentOf(driver, imageKey(image, 'file0'))).toString(), 'old');
        assert.deepEqual(await keysIn(driver, 'images/'), [
            imageKey(image, 'file0'),
            imageKey(image, `file0.${id}`),
        ]);
    });

    it('tolerates whatever else lies there', async () => {
        await mkdir(join(dataDir, 'images', 'lost+found', 'x'), { recursive: true });
        await mkdir(join(dataDir, 'images', 'empty'));
        await writeFile(join(dataDir, 'images', 'a file with blanks'), '');
        await symlink('/nonexistent', join(dataDir, 'images', 'dangling'));
        await symlink('..', join(dataDir, 'images', 'loop'));
        await writeFile(join(dataDir, 'images', 'abc'), 'a file in the place of a folder');
        assert.deepEqual(await keysIn(driver, 'images/'), ['images/abc']);
        assert.deepEqual(await keysIn(driver, imageFolder(image)), []);
        assert.equal(await driver.read(imageKey(image, 'file0')), undefined);
        assert.equal(await driver.stat('images/empty'), undefined);
        assert.equal(await driver.read('images/empty'), undefined);
        await driver.delete(imageKey(image, 'file0'));
        await assert.rejects(
            driver.stage(imageKey(image, 'file0'), inChunks(Buffer.from('x'), 1)),
            apiError('StorageIsDown'),
        );
    });

    it('is down when its folders are gone', async () => {
        await driver.check();
        await rm(join(dataDir, 'images'), { recursive: true });
        await assert.rejects(driver.check(), apiError('StorageIsDown'));
    });

    it('copies within the disk without writing the bytes again', async () => {
        await put(driver, imageKey(image, 'file0'), Buffer.from('x'));
        await driver.copy(imageKey(image, 'file0'), imageKey(image, `file0-${id}`));
        assert.equal((await stat(join(folder, 'file0'))).nlink, 2);
    });

    it('copies to an object that shares its file already', async () => {
        await put(driver, imageKey(image, 'file0'), Buffer.from('x'));
        await link(join(folder, 'file0'), join(folder, 'icon'));
        await driver.copy(imageKey(image, 'file0'), imageKey(image, 'icon'));
        assert.deepEqual((await readdir(folder)).sort(), ['file0', 'icon']);
    });

    it('copies the bytes if part of the folder is on another disk', async function () {
        const [here, there] = await Promise.all([stat(dataDir), stat('/dev/shm').catch(() => undefined)]);
        if (there === undefined || there.dev === here.dev) {
            console.log('      skipped: /dev/shm is not a file system of its own here');
            this.skip();
        }
        const elsewhere = await mkdtemp('/dev/shm/imgapi-storage-');
        try {
            await symlink(elsewhere, join(dataDir, 'images', 'fff'));
            const from = imageKey(image, 'file0');
            const to = imageKey(`fff${image.slice(3)}`, `file0-${id}`);
            const bytes = randomBytes(3_000_000);
            await put(driver, from, bytes);
            assert.equal((await driver.copy(from, to))?.size, bytes.length);
            assert.ok(bytes.equals(await contentOf(driver, to)));
            await driver.delete(to);
            assert.deepEqual(await readdir(elsewhere), []);
        } finally {
            await rm(elsewhere, { recursive: true });
        }
    });
});
