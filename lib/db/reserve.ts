import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs';

/** Bytes: enough for the pages that deleting an image touches, several times over. */
const SIZE = 1024 * 1024;

/** How long the reserve is not looked at again after it was, or was released, in ms. */
const PAUSE = 60_000;

/**
 * A file that only takes room. On a full disk the database cannot write, so not even a deletion would work; giving
 * this room back lets deletions through, and those make more.
 */
export class Reserve {
    #notBefore = 0;

    constructor(private readonly path: string) {}

    /**
     * Makes the file if it is not there and there is room for it. Looks at most once a minute, and never throws: the
     * commit that it follows has been made.
     */
    keep(now: number): void {
        if (now < this.#notBefore) {
            return;
        }
        this.#notBefore = now + PAUSE;
        try {
            if (statSync(this.path, { throwIfNoEntry: false })?.size !== SIZE) {
                this.#make();
            }
        } catch {
            // Without a reserve a full disk takes no deletions; all else works as it did.
        }
    }

    #make(): void {
        const fd = openSync(this.path, 'w');
        try {
            // Random, because some file systems store nothing for zeros. A short write is a full disk as well.
            if (writeSync(fd, randomBytes(SIZE)) < SIZE) {
                throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
            }
            fsyncSync(fd);
        } catch (error) {
            // No room for a reserve: what there is should be left to the data.
            rmSync(this.path, { force: true });
            throw error;
        } finally {
            closeSync(fd);
        }
    }

    /** Gives the room back. False if there was none kept. */
    release(now: number): boolean {
        if (!statSync(this.path, { throwIfNoEntry: false })) {
            return false;
        }
        rmSync(this.path, { force: true });
        this.#notBefore = now + PAUSE;
        return true;
    }
}
