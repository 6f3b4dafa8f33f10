/** Mirrors of key files, for tests: an object store, folders of this machine, and what the mirrors say. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { MirrorKeysOptions } from '../../lib/auth/mirror-keys';
import type { StorageDriver } from '../../lib/storage/driver';
import { altered, mirrorPlace, type MirrorPlace } from './key-places';
import { OpenKeys } from './open-keys';

export const MARKER = '.source.json';

/** The files beside those of the users, once a mirror is complete. */
export const COMPLETE: readonly string[] = [MARKER, '.synced'];

export const DOWN = new Error('the object store is down');

/** The driver, of which lists fail. */
export function unlistable(driver: StorageDriver): StorageDriver {
    return altered(driver, {
        async *list() {
            yield* [];
            throw DOWN;
        },
    });
}

/** An object store for one test, and its mirrors. */
export class Mirrors {
    readonly #opened: OpenKeys[] = [];

    private constructor(readonly place: MirrorPlace) {}

    static async make(): Promise<Mirrors> {
        return new Mirrors(await mirrorPlace());
    }

    async remove(): Promise<void> {
        await this.close();
        await this.place.remove();
    }

    /** Closes all mirrors. */
    async close(): Promise<void> {
        await Promise.all(this.#opened.splice(0).map(({ source }) => source.close()));
    }

    /** Opens a mirror; its first poll may still be going on. */
    async open(options: Partial<MirrorKeysOptions> = {}): Promise<OpenKeys> {
        const keys = await OpenKeys.on((log) => this.place.mirror({ log, ...options }));
        this.#opened.push(keys);
        return keys;
    }

    /** Opens a mirror and has it polled. */
    async polled(options: Partial<MirrorKeysOptions> = {}): Promise<OpenKeys> {
        const keys = await this.open(options);
        await keys.source.reload();
        return keys;
    }

    /** A file in the folder of the mirrors. */
    path(name: string): string {
        return join(this.place.folder, name);
    }

    /** What is in that folder. */
    async names(): Promise<string[]> {
        return (await readdir(this.place.folder)).sort();
    }
}
