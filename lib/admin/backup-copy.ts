/** Copies of single objects between storages, compared on the way. */
import { createHash } from 'node:crypto';
import { NAME_WITH_ID, nameOf } from '../storage/key';
import type { StorageDriver } from '../storage/driver';
import type { BackedUp } from './backup-index';

/** What was read is not what the record says. */
export class WrongContent extends Error {
    constructor(readonly found: string) {
        super(`it has the SHA-1 ${found}`);
    }
}

export interface CopyOptions {
    /** SHA-1 that it has to have. */
    readonly sha1?: string | undefined;
    readonly onBytes: (count: number) => void;
    readonly signal: AbortSignal;
}

/**
 * Copies one object durably, in the place of what was under its key.
 *
 * @returns what it is; undefined if there is none
 * @throws WrongContent if it has another digest: then nothing is left at the target
 */
export async function copyChecked(
    from: StorageDriver,
    to: StorageDriver,
    key: string,
    options: CopyOptions,
): Promise<BackedUp | undefined> {
    const { sha1: wanted, onBytes } = options;
    const unread = new AbortController();
    const signal = AbortSignal.any([options.signal, unread.signal]);
    const reader = await from.read(key, { signal });
    if (!reader) {
        return undefined;
    }
    const hash = createHash('sha1');
    const tapped = async function* () {
        for await (const chunk of reader.body) {
            hash.update(chunk);
            onBytes(chunk.length);
            // Its memory is used again, and whoever stores it may hold it.
            yield Buffer.from(chunk);
        }
    };
    try {
        if (NAME_WITH_ID.test(nameOf(key))) {
            // What a run that was killed has left of it.
            await to.delete(key);
        }
        const staged = await to.stage(key, tapped(), { size: reader.info.size, signal });
        const sha1 = hash.digest('hex');
        if (wanted !== undefined && sha1 !== wanted) {
            await staged.discard();
            throw new WrongContent(sha1);
        }
        const { size } = await staged.commit();
        return { size, sha1 };
    } catch (error) {
        // It may not have been read to its end.
        unread.abort();
        throw error;
    }
}

/** The SHA-1 of an object; undefined if there is none. */
export async function digestOf(
    storage: StorageDriver,
    key: string,
    signal: AbortSignal,
): Promise<string | undefined> {
    const reader = await storage.read(key, { signal });
    if (!reader) {
        return undefined;
    }
    const hash = createHash('sha1');
    for await (const chunk of reader.body) {
        hash.update(chunk);
    }
    return hash.digest('hex');
}
