/** The commands of `imgapiadm`. */
import { checkFiles } from './check-files';
import type { Command } from './command';
import { copyDatabase, reopenDatabase } from './copy-database';
import { purgePlaceholders, sweep } from './maintenance';
import { migrateStorage } from './migrate-storage';
import { exportRawFiles, importRawFiles } from './raw-files';
import { reloadAuthKeys, state } from './server-commands';

export const commands: readonly Command[] = [
    checkFiles,
    purgePlaceholders,
    sweep,
    migrateStorage,
    state,
    reloadAuthKeys,
    importRawFiles,
    exportRawFiles,
    copyDatabase,
    reopenDatabase,
];
