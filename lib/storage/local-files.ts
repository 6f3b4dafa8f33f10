/** Folders and names on the local disk: making, syncing and clearing them while other processes do the same. */
import { mkdir, open, rmdir, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { isAbsent, systemCode } from './local-errors';

/** How often a folder may be cleared away between making it and using it before that counts as a failure. */
const ATTEMPTS = 100;

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
    const handle = await open(folder, 'r');
    try {
        await handle.sync();
    } finally {
        await handle.close();
    }
}

/**
 * Runs `create`, which makes the file `path`, in a folder that is made as needed. Gives the topmost folder made.
 *
 * A folder is removed by whoever empties it, so it may vanish until the file is in it: then both are done again.
 */
export async function createInFolder<T>(
    path: string,
    create: () => Promise<T>,
): Promise<{ value: T; made: string | undefined }> {
    const folder = dirname(path);
    for (let attempt = 1; ; attempt++) {
        try {
            const made = await mkdir(folder, { recursive: true });
            return { value: await create(), made };
        } catch (error) {
            if (systemCode(error) !== 'ENOENT' || attempt === ATTEMPTS) {
                throw error;
            }
            // Of random length, so as not to keep step with whoever removes the folder.
            await setTimeout(Math.random() * attempt);
        }
    }
}

/** Makes the folders from `made` down to the one of `path` durable, each by syncing its parent. */
export async function syncMadeFolders(path: string, made: string | undefined): Promise<void> {
    if (made === undefined) {
        return;
    }
    for (let folder = dirname(path); folder.length >= made.length; folder = dirname(folder)) {
        await syncFolder(dirname(folder));
    }
}

/** Removes a file; one that is not there counts as removed. */
export async function removeFile(path: string): Promise<void> {
    try {
        await unlink(path);
    } catch (error) {
        if (!isAbsent(error)) {
            throw error;
        }
    }
}

/** Removes a folder if it is empty. Gives whether it is gone; one that has to stay, for any reason, does no harm. */
export async function removeIfEmpty(folder: string): Promise<boolean> {
    try {
        await rmdir(folder);
        return true;
    } catch (error) {
        return isAbsent(error);
    }
}
