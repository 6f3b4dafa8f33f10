/** What a backup consists of: one object, whose replacement makes a backup the current one. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { StorageDriver } from '../storage/driver';
import { CommandFailure } from './command';

const KEY = 'manifests/backup.json';
/** Says whose backup is kept at a place, from before anything is copied there. */
const OWNER_KEY = 'manifests/registry.json';
const VERSION = 1;

export interface BackedUp {
    /** In bytes. */
    readonly size: number;
    readonly sha1: string;
}

export interface BackupIndex {
    readonly version: number;
    /** ISO form. */
    readonly madeAt: string;
    /** Under which key the database is. */
    readonly database: BackedUp & { readonly key: string };
    /** Image files and icons, by key. */
    readonly files: Readonly<Record<string, BackedUp>>;
}

/** The current backup; undefined if there is none. @throws CommandFailure if it cannot be understood */
export async function readIndex(place: StorageDriver): Promise<BackupIndex | undefined> {
    const reader = await place.read(KEY);
    if (!reader) {
        return undefined;
    }
    // Chunks are good until the next one only.
    const text = (await buffer(copied(reader.body))).toString();
    try {
        const index = JSON.parse(text) as BackupIndex;
        if (index.version === VERSION) {
            return index;
        }
    } catch {
        // Said below.
    }
    throw new CommandFailure(`${place.location}/${KEY} is not of this version, or damaged.`);
}

async function* copied(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of body) {
        yield Buffer.from(chunk);
    }
}

export function writeIndex(place: StorageDriver, index: Omit<BackupIndex, 'version'>): Promise<void> {
    return writeJson(place, KEY, { version: VERSION, ...index });
}

async function writeJson(place: StorageDriver, key: string, value: object): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(value, undefined, 1));
    const staged = await place.stage(key, Readable.from([bytes]), { size: bytes.length });
    await staged.commit();
}

/**
 * Makes the place that of this registry: what is not part of its backup is going to be deleted there.
 * @throws CommandFailure if it has anything of somebody else, unless `force` says that this may go
 */
export async function claim(place: StorageDriver, id: string, force: boolean): Promise<void> {
    const reader = await place.read(OWNER_KEY);
    const owner =
        reader && (JSON.parse((await buffer(copied(reader.body))).toString()) as { id?: unknown }).id;
    if (owner === id) {
        return;
    }
    if (!force && (owner !== undefined || !(await isEmpty(place)))) {
        throw new CommandFailure(
            `${place.location} holds ${owner === undefined ? 'files that are no backup of this program' : 'the backup of another registry'}: ` +
                'name another place, or give --force to have them replaced.',
        );
    }
    await writeJson(place, OWNER_KEY, { id });
}

/** Whether nothing is kept at the place. */
export async function isEmpty(place: StorageDriver): Promise<boolean> {
    for (const prefix of ['images/', 'manifests/']) {
        for await (const _any of place.list(prefix)) {
            return false;
        }
    }
    return true;
}

/** Whether an object of the place belongs to the backup. */
export function isPartOf({ files, database }: Pick<BackupIndex, 'files' | 'database'>, key: string): boolean {
    return key === KEY || key === OWNER_KEY || key === database.key || Object.hasOwn(files, key);
}
