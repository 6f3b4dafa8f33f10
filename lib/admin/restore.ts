/** `imgapi-standalone-restore` (ops.md §8). */
import { chown, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isUsedElsewhere } from '../db/local-connection';
import { databaseFile } from '../db/local';
import { snapshotRecords } from '../db/local-snapshot';
import type { ObjectInfo, StorageDriver } from '../storage/driver';
import { createLocalStorage } from '../storage/local';
import { assertStandalone } from './backup';
import { copyChecked, digestOf, WrongContent } from './backup-copy';
import { isEmpty, readIndex, type BackupIndex } from './backup-index';
import { backupPlace, PLACE_HELP } from './backup-place';
import { CommandFailure, EXIT_INCOMPLETE, type Command, type CommandContext } from './command';
import { confirm } from './confirm';
import { explain } from './log';
import { showBytes } from './progress';
import { RunFolder } from './run-folder';

/** What SQLite keeps beside a database file; with another database it would damage that. */
const COMPANIONS = ['-wal', '-shm', '-journal'];

/** @throws CommandFailure if there is a registry that would be lost */
async function assertEmpty({ config, flags }: CommandContext, run: RunFolder): Promise<void> {
    const file = databaseFile(config);
    if (existsSync(file)) {
        if (isUsedElsewhere(file)) {
            throw new CommandFailure(`A server uses ${file}: stop it before.`);
        }
        const isEmpty = snapshotRecords(file).next().done === true;
        if (!isEmpty && !flags.has('force')) {
            throw new CommandFailure(
                `${file} has images: give --force to have it set aside and the backup put in its place.`,
            );
        }
    }
    const isGoingOn = run.restoring !== undefined;
    const images = await readdir(join(config.dataDir, 'images')).catch(() => []);
    const hasFiles = images.some((name) => name !== 'database-id');
    if (hasFiles && !isGoingOn && !flags.has('force')) {
        throw new CommandFailure(
            `${join(config.dataDir, 'images')} is not empty: give --force to have the backup put beside what is there.`,
        );
    }
}

/** Gives the files that could not be restored. */
async function restoreFiles(
    { config, output, log }: CommandContext,
    place: StorageDriver,
    { files }: BackupIndex,
    signal: AbortSignal,
): Promise<string[]> {
    const local = createLocalStorage({ dataDir: config.dataDir });
    await local.open();
    const entries = Object.entries(files);
    const bytes = entries.reduce((sum, [, { size }]) => sum + size, 0);
    const progress = output.progress({ noun: 'files', items: entries.length, bytes });
    const failed: string[] = [];
    try {
        for (const [key, { size, sha1 }] of entries) {
            const there = await local.stat(key);
            if (there?.size === size && (await digestOf(local, key, signal)) === sha1) {
                log.debug({ key }, 'is there already');
                progress.done(size);
                continue;
            }
            try {
                const onBytes = (count: number) => progress.advance(count);
                if (!(await copyChecked(place, local, key, { sha1, onBytes, signal }))) {
                    failed.push(key);
                    output.say(`${key} is not in the backup any more.`);
                }
            } catch (error) {
                if (!(error instanceof WrongContent)) {
                    throw error;
                }
                failed.push(key);
                output.say(`${key} is damaged in the backup: ${explain(error)}, and had ${sha1}.`);
            }
            progress.done();
        }
    } finally {
        progress.end();
    }
    return failed;
}

/** Puts the database in its place as the last step, so that before it there is none. */
async function restoreDatabase(
    { config, output }: CommandContext,
    place: StorageDriver,
    { database }: BackupIndex,
): Promise<void> {
    const file = databaseFile(config);
    const received = `${file}.restoring`;
    const { sha1: wanted } = database;
    const reader = await place.read(database.key);
    if (!reader) {
        throw new CommandFailure(`${place.location}/${database.key} is not there: the backup is incomplete.`);
    }
    const handle = await open(received, 'w', 0o600);
    try {
        for await (const chunk of reader.body) {
            await handle.writeFile(chunk);
        }
        await handle.sync();
    } finally {
        await handle.close();
    }
    if ((await fileDigest(received)) !== wanted) {
        await rm(received);
        throw new CommandFailure(`${place.location}/${database.key} is damaged.`);
    }
    if (existsSync(file)) {
        const aside = `${file}.before-restore-${Date.now()}`;
        await rename(file, aside);
        output.say(`The former database is kept as ${aside}.`);
    }
    for (const companion of COMPANIONS) {
        await rm(file + companion, { force: true });
    }
    await rename(received, file);
    const folder = await open(config.databaseDir);
    try {
        await folder.sync();
    } finally {
        await folder.close();
    }
}

async function fileDigest(file: string): Promise<string> {
    const { createHash } = await import('node:crypto');
    const { createReadStream } = await import('node:fs');
    const hash = createHash('sha1');
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
        hash.update(chunk);
    }
    return hash.digest('hex');
}

/** Where root has restored, gives all of it to whom the folder belongs: the server's user. */
async function handOver({ config }: CommandContext): Promise<void> {
    const { uid, gid } = await stat(config.dataDir);
    if (process.getuid?.() !== 0 || uid === 0) {
        return;
    }
    for (const base of ['images', 'manifests', 'run'].map((folder) => join(config.dataDir, folder))) {
        if (!existsSync(base)) {
            continue;
        }
        await chown(base, uid, gid);
        for (const name of await readdir(base, { recursive: true })) {
            await chown(join(base, name), uid, gid);
        }
    }
    if (existsSync(databaseFile(config))) {
        await chown(databaseFile(config), uid, gid);
    }
}

/** The original server's backup: its files of manifests, which the server takes over when it starts, and of images. */
async function restoreOriginal(
    context: CommandContext,
    place: StorageDriver,
    run: RunFolder,
): Promise<number> {
    const { config, output } = context;
    const found: ObjectInfo[] = [];
    for (const prefix of ['images/', 'manifests/']) {
        for await (const info of place.list(prefix)) {
            found.push(info);
        }
    }
    if (!found.some(({ key }) => key.endsWith('.raw'))) {
        throw new CommandFailure(
            `There is no whole backup at ${place.location}: the first one was not finished.`,
        );
    }
    await assertEmpty(context, run);
    if (existsSync(databaseFile(config))) {
        throw new CommandFailure(
            `The original server's backup is restored where there is no database: remove ${databaseFile(config)}.`,
        );
    }
    await confirm(context, `This restores the original server's backup from ${place.location}.`);
    run.markRestoring('original');
    const local = createLocalStorage({ dataDir: config.dataDir });
    await local.open();
    for (const { key, size } of found) {
        if ((await local.stat(key))?.size !== size) {
            const options = { onBytes: () => undefined, signal: new AbortController().signal };
            await copyChecked(place, local, key, options);
        }
    }
    run.markRestored();
    await handOver(context);
    output.print(
        `Restored ${found.length} file(s) of the original server's backup. Start the server, then run ` +
            '"imgapiadm check-files".',
    );
    return 0;
}

async function restoreFrom(context: CommandContext, place: StorageDriver, run: RunFolder): Promise<number> {
    const { output } = context;
    const index = await readIndex(place);
    if (!index && !(await isEmpty(place))) {
        return restoreOriginal(context, place, run);
    }
    if (!index) {
        run.markRestored();
        output.print(`There is nothing to restore at ${place.location}. Backups may begin.`);
        return 0;
    }
    await assertEmpty(context, run);
    await confirm(context, `This restores the backup of ${index.madeAt} from ${place.location}.`);
    run.markRestoring(index.database.key);
    const failed = await restoreFiles(context, place, index, new AbortController().signal);
    await restoreDatabase(context, place, index);
    run.markRestored();
    await handOver(context);
    const entries = Object.values(index.files);
    output.print(
        `Restored the backup of ${index.madeAt}: the database and ${entries.length - failed.length} file(s), ` +
            `${showBytes(entries.reduce((sum, { size }) => sum + size, 0))}. Start the server.`,
    );
    return failed.length > 0 ? EXIT_INCOMPLETE : 0;
}

export const restore: Command = {
    name: 'imgapi-standalone-restore',
    summary: 'Put the backup of a standalone registry in place',
    details: [
        'Into an instance without images, whose server does not run. Every file is compared with its SHA-1. Whatever',
        'interrupts it, run it again: what is there already is not copied again, and until all is there, there is no',
        'database. It has to be run once where there is nothing to restore, too, to allow backups. Never run two servers',
        'from one backup with the same object store.',
    ],
    flags: [
        { name: 'place', short: 'p', value: 'PLACE', help: PLACE_HELP },
        { name: 'yes', short: 'y', help: 'do not ask' },
        { name: 'force', help: 'set aside the database that is there; files stay where they are' },
    ],
    exits: '0 done, or nothing to restore; 1 wrong usage, could not be done, or done except for the files that were named.',
    async run(context) {
        assertStandalone(context, 'A restore');
        const folder = new RunFolder(context.config.dataDir);
        const place = await backupPlace(context);
        return folder.alone(async () => {
            await place.open();
            try {
                return await restoreFrom(context, place, folder);
            } finally {
                await place.close();
            }
        });
    },
};
