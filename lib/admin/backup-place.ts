/** Where backups are kept: a folder, or a part of the object store that the configuration has (ops.md §8). */
import { existsSync } from 'node:fs';
import { isAbsolute, relative } from 'node:path';
import { keyRoot } from '../config/s3';
import { databaseFile } from '../db/local';
import { createStorages } from '../storage/index';
import type { StorageDriver } from '../storage/driver';
import { CommandFailure, UsageError, type CommandContext } from './command';

/** What the help texts say of `--place`. */
export const PLACE_HELP =
    'an absolute path, "manta" or "s3" (default: the one of the two that is configured)';

/** Below what else the server keeps there. */
const FOLDER = 'backup';

/** The storage that holds the backup and nothing else; not opened yet. @throws UsageError, CommandFailure */
export async function backupPlace(
    context: Pick<CommandContext, 'config' | 'flags' | 'log'>,
): Promise<StorageDriver> {
    const { config, flags, log } = context;
    const { manta, s3 } = config;
    const place = flags.get('place') ?? (manta ? 'manta' : s3 ? 's3' : undefined);
    if (place === undefined) {
        throw new CommandFailure(
            'The configuration has neither "manta" nor "s3": give --place FOLDER, an absolute path.',
        );
    }
    if (place === 'manta' || place === 's3') {
        if (config[place] === undefined) {
            throw new UsageError(`--place is "${place}", which the configuration does not have.`);
        }
        const elsewhere = {
            ...config,
            ...(manta && { manta: { ...manta, rootDir: `${manta.rootDir}/${FOLDER}` } }),
            ...(s3 && { s3: { ...s3, prefix: `${keyRoot(s3.prefix)}${FOLDER}` } }),
        };
        return (await createStorages(elsewhere, log, [place])).get(place);
    }
    if (!isAbsolute(place)) {
        throw new UsageError(`--place is "${place}"; it has to be ${PLACE_HELP}.`);
    }
    const inside = [config.dataDir, config.databaseDir].find(
        (folder) => !relative(folder, place).startsWith('..'),
    );
    if (inside !== undefined) {
        throw new UsageError(`--place is "${place}", which is in ${inside}: a backup has to be elsewhere.`);
    }
    if (existsSync(databaseFile({ databaseDir: place }))) {
        throw new UsageError(`--place is "${place}", where a registry keeps its own data.`);
    }
    return (await createStorages({ ...config, dataDir: place }, log, ['local'])).get('local');
}
