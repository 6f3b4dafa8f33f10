import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';

const MIB = 1024 * 1024;

/** Makes a file take all the room that its file system has left. */
export async function fillDisk(filler: string): Promise<void> {
    const file = await open(filler, 'a');
    try {
        for (let size = MIB; size >= 1;) {
            try {
                await file.write(Buffer.alloc(size));
            } catch (err) {
                assert.equal((err as NodeJS.ErrnoException).code, 'ENOSPC');
                size = Math.floor(size / 2);
            }
        }
    } finally {
        await file.close();
    }
}
