import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { archiveKey, imageKey, type StorageDriver } from '../../lib/storage/driver';
import { createLocalStorage } from '../../lib/storage/local';
import { apiError, contentOf, inChunks, keysIn, put } from '../conformance/storage';
import { skip } from '../support/skip';

const run = promisify(execFile);
const MIB = 1024 * 1024;

describe('local storage on a full disk', () => {
    let dataDir: string | undefined;
    let mounted = false;
    let driver: StorageDriver;
    const image = randomUUID();

    before(async function () {
        dataDir = await mkdtemp(join(tmpdir(), 'imgapi-full-'));
        try {
            await run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', dataDir]);
        } catch (error) {
            skip(this, `no small file system can be mounted, run the tests as root: ${String(error)}`);
        }
        mounted = true;
        driver = createLocalStorage({ dataDir });
        await driver.open();
    });
    after(async () => {
        if (dataDir !== undefined) {
            if (mounted) {
                await run('umount', [dataDir]);
            }
            await rmdir(dataDir);
        }
    });

    it('refuses an upload that fills it, leaves no part of it, and keeps the former object', async () => {
        const key = imageKey(image, `file0-${randomUUID()}`);
        const former = imageKey(image, 'file0');
        const bytes = Buffer.alloc(MIB, 1);
        await put(driver, former, bytes);
        for (const chunk of [1000, 64 * 1024, 2 * MIB]) {
            await assert.rejects(
                driver.stage(key, inChunks(Buffer.alloc(8 * MIB, 2), chunk)),
                apiError('InsufficientStorage'),
            );
            assert.deepEqual(await keysIn(driver, 'images/'), [former]);
        }
        assert.ok(bytes.equals(await contentOf(driver, former)));
    });

    it('has room again afterwards', async () => {
        const key = imageKey(image, `file0-${randomUUID()}`);
        await put(driver, key, Buffer.alloc(2 * MIB, 3));
        await driver.delete(key);
    });

    it('tells at once, not when the client sends its next byte', async () => {
        async function* stalling(): AsyncGenerator<Buffer> {
            yield Buffer.alloc(8 * MIB, 2);
            await new Promise(() => undefined);
        }
        await assert.rejects(
            driver.stage(imageKey(image, `file0-${randomUUID()}`), stalling()),
            apiError('InsufficientStorage'),
        );
    });

    it('keeps the archived manifest that it cannot replace', async () => {
        const key = archiveKey(image);
        await put(driver, key, Buffer.from('{}'));
        await assert.rejects(
            driver.stage(key, inChunks(Buffer.alloc(8 * MIB), 64 * 1024)),
            apiError('InsufficientStorage'),
        );
        assert.deepEqual(await keysIn(driver, 'archive/'), [key]);
        assert.equal((await contentOf(driver, key)).toString(), '{}');
    });
});
