/** `imgapi-standalone-backup` (ops.md §8). */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { snapshotDatabase, snapshotId, snapshotRecords } from '../db/local-snapshot';
import { databaseFile } from '../db/local';
import { filesOf, referredNames } from '../images/references';
import { imageKey, type StorageDriver } from '../storage/driver';
import { createLocalStorage } from '../storage/local';
import { NAME_WITH_ID, nameOf } from '../storage/key';
import { copyChecked, WrongContent } from './backup-copy';
import { claim, isPartOf, readIndex, writeIndex, type BackedUp, type BackupIndex } from './backup-index';
import { backupPlace, PLACE_HELP } from './backup-place';
import { CommandFailure, EXIT_INCOMPLETE, type Command, type CommandContext } from './command';
import { confirm } from './confirm';
import { explain } from './log';
import { assertDatabase } from './open';
import { showBytes } from './progress';
import { RunFolder } from './run-folder';

/** How often the database is copied anew because images were changed while their files were copied. */
const ATTEMPTS = 10;

/** A file or icon that a record refers to. */
interface Wanted {
    readonly key: string;
    /** Of the record; icons have none. */
    readonly sha1: string | undefined;
}

function wantedOf(file: string): Wanted[] {
    return [...snapshotRecords(file)].flatMap((raw) => {
        const digests = new Map(
            filesOf(raw).map(([index, { object, sha1 }]) => [object ?? `file${index}`, sha1]),
        );
        return [...referredNames(raw, 'local')].map((name) => ({
            key: imageKey(raw.uuid, name),
            sha1: digests.get(name),
        }));
    });
}

class Backup {
    readonly #files: Record<string, BackedUp> = {};
    readonly #faults = new Set<string>();
    readonly #local: StorageDriver;
    readonly #signal = new AbortController().signal;
    #copied = 0;
    #bytes = 0;

    constructor(
        private readonly context: CommandContext,
        private readonly place: StorageDriver,
        private readonly former: BackupIndex | undefined,
        /** Sizes of the objects that are there. */
        private readonly there: Map<string, number>,
    ) {
        this.#local = createLocalStorage({ dataDir: context.config.dataDir });
    }

    /** Gives the exit code. @param folder for copies of the database */
    async run(folder: string): Promise<number> {
        const { output, config } = this.context;
        let missedBefore = new Set<string>();
        for (let attempt = 1; ; attempt++) {
            const snapshot = join(folder, `${attempt}.db`);
            snapshotDatabase(databaseFile(config), snapshot);
            const wanted = wantedOf(snapshot);
            const missing = await this.#copyAll(wanted);
            // Whoever changes or deletes an image deletes its former file, so the next copy does not refer to it.
            const lost = missing.filter((key) => missedBefore.has(key));
            if (missing.length === lost.length) {
                lost.forEach((key) => this.#fault(key, 'is not there'));
                return this.#finish(snapshot, wanted);
            }
            if (attempt === ATTEMPTS) {
                throw new CommandFailure('Images are changed faster than they can be backed up.');
            }
            output.say(
                `${missing.length} file(s) were replaced or deleted meanwhile; copying the database again.`,
            );
            missedBefore = new Set(missing);
            rmSync(snapshot);
        }
    }

    /** Gives the keys of which there is nothing. */
    async #copyAll(wanted: readonly Wanted[]): Promise<string[]> {
        const missing: string[] = [];
        const progress = this.context.output.progress({ noun: 'files', items: wanted.length, bytes: 0 });
        try {
            for (const each of wanted) {
                if (!(await this.#copy(each, (count) => progress.advance(count)))) {
                    missing.push(each.key);
                }
                progress.done();
            }
        } finally {
            progress.end();
        }
        return missing;
    }

    /** Whether there is such a file. */
    async #copy({ key, sha1 }: Wanted, onBytes: (count: number) => void): Promise<boolean> {
        if (this.#files[key] || this.#faults.has(key)) {
            return true;
        }
        const info = await this.#local.stat(key);
        if (!info) {
            return false;
        }
        const known = this.former?.files[key];
        const digest = sha1 ?? known?.sha1;
        // Under a name with an id there is never anything else; a plain one may be the original server's.
        const isSame = NAME_WITH_ID.test(nameOf(key)) || (sha1 !== undefined && known?.sha1 === sha1);
        if (digest !== undefined && isSame && this.there.get(key) === info.size) {
            this.#files[key] = { size: info.size, sha1: digest };
            return true;
        }
        try {
            const copied = await copyChecked(this.#local, this.place, key, {
                sha1,
                onBytes,
                signal: this.#signal,
            });
            if (copied) {
                this.#files[key] = copied;
                this.#copied++;
                this.#bytes += copied.size;
            }
            return copied !== undefined;
        } catch (error) {
            if (!(error instanceof WrongContent)) {
                throw error;
            }
            this.#fault(key, `is damaged: ${explain(error)}, and the record says ${sha1 ?? ''}`);
            return true;
        }
    }

    #fault(key: string, what: string): void {
        this.#faults.add(key);
        this.context.output.say(`${key} ${what}. See "imgapiadm check-files".`);
    }

    /** Stores the database, makes this the current backup, and deletes what is not part of it. */
    async #finish(snapshot: string, wanted: readonly Wanted[]): Promise<number> {
        const { output } = this.context;
        const key = `manifests/imgapi-${randomUUID()}.db`;
        const folder = snapshot.slice(0, snapshot.lastIndexOf('/'));
        const copied = await copyFile(snapshot, folder, key, this.place, this.#signal);
        const keys = new Set(wanted.map((each) => each.key));
        const files = Object.fromEntries(Object.entries(this.#files).filter(([name]) => keys.has(name)));
        const index = { madeAt: new Date().toISOString(), database: { key, ...copied }, files };
        await writeIndex(this.place, index);
        const others: string[] = [];
        for (const prefix of ['images/', 'manifests/']) {
            for await (const { key: found } of this.place.list(prefix)) {
                others.push(...(isPartOf(index, found) ? [] : [found]));
            }
        }
        for (const other of others) {
            await this.place.delete(other);
        }
        output.print(
            `Backed up to ${this.place.location}: the database and ${Object.keys(files).length} file(s), ` +
                `${this.#copied} of them (${showBytes(this.#bytes)}) copied now.`,
        );
        return this.#faults.size > 0 ? EXIT_INCOMPLETE : 0;
    }
}

/** Puts a file of this machine into a storage. */
async function copyFile(
    file: string,
    folder: string,
    key: string,
    place: StorageDriver,
    signal: AbortSignal,
): Promise<BackedUp> {
    const { linkSync, mkdirSync } = await import('node:fs');
    mkdirSync(join(folder, 'manifests'), { recursive: true });
    linkSync(file, join(folder, key));
    const copied = await copyChecked(createLocalStorage({ dataDir: folder }), place, key, {
        onBytes: () => undefined,
        signal,
    });
    if (!copied) {
        throw new CommandFailure(`The copy of the database ${file} has vanished.`);
    }
    return copied;
}

/** What has to be so before a backup or a restore is done. @throws CommandFailure */
export function assertStandalone({ config }: CommandContext, what: string): void {
    if (config.mode === 'dc') {
        throw new CommandFailure(`${what} is for standalone instances: config.mode is "dc".`);
    }
    if (config.databaseType !== 'local') {
        throw new CommandFailure(
            `${what} is for the embedded database, and config.databaseType is "${config.databaseType}": ` +
                'use the tools of PostgreSQL, and copy <dataDir>/images if files are kept there.',
        );
    }
}

async function sizesIn(place: StorageDriver): Promise<Map<string, number>> {
    const sizes = new Map<string, number>();
    for await (const { key, size } of place.list('images/')) {
        sizes.set(key, size);
    }
    return sizes;
}

async function backUp(context: CommandContext, place: StorageDriver): Promise<number> {
    const { config, flags } = context;
    await place.open();
    try {
        await claim(place, snapshotId(databaseFile(config)), flags.has('force'));
        const former = await readIndex(place);
        const folder = mkdtempSync(join(config.databaseDir, 'backup-'));
        try {
            return await new Backup(context, place, former, await sizesIn(place)).run(folder);
        } finally {
            rmSync(folder, { recursive: true, force: true });
        }
    } finally {
        await place.close();
    }
}

export const backup: Command = {
    name: 'imgapi-standalone-backup',
    summary: 'Copy the database and the local image files of a standalone registry to another place',
    details: [
        'The server may run, and images may be changed meanwhile: the database is copied as it is at one moment, with all',
        'files it refers to. Files that are there already are not copied again; what the backup has and the registry no',
        'longer has is deleted once the new backup is complete. Whatever interrupts it, the former backup stays good, and',
        'the next run goes on. Files in Manta or S3 are left to those, and keys, certificates and configuration to you.',
        'imgapi-standalone-restore has to have run once, also where there was nothing to restore.',
    ],
    flags: [
        { name: 'place', short: 'p', value: 'PLACE', help: PLACE_HELP },
        { name: 'yes', short: 'y', help: 'do not ask' },
        { name: 'force', help: 'also replace the backup of another registry' },
    ],
    exits: '0 done; 1 wrong usage, could not be done, or done except for the files that were named.',
    async run(context) {
        assertStandalone(context, 'A backup');
        const folder = new RunFolder(context.config.dataDir);
        if (!folder.isRestored) {
            throw new CommandFailure(
                'There is no backup before imgapi-standalone-restore has run: an instance that was to be restored ' +
                    'would replace its backup by nothing.',
            );
        }
        assertDatabase(context);
        const place = await backupPlace(context);
        await confirm(context, `This backs the registry up to ${place.location}.`);
        return folder.alone(async () => {
            try {
                const code = await backUp(context, place);
                folder.writeBackupStatus(code);
                return code;
            } catch (error) {
                folder.writeBackupStatus(EXIT_INCOMPLETE);
                throw error;
            }
        });
    },
};
