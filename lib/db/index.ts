/** The database drivers, and the choice among them. */
import type { Clock } from '../clock';
import type { Config } from '../config/types';
import type { Database } from './driver';
import { LocalDatabase, type DatabaseLog } from './local';

export type DatabaseFactory = (
    config: Pick<Config, 'dataDir' | 'databaseDir'>,
    log: DatabaseLog,
    clock: Clock,
) => Database;

/** A factory for each `databaseType`. */
export const drivers = {
    local: ({ dataDir, databaseDir }, log, clock) => new LocalDatabase({ dataDir, databaseDir, log, clock }),
} satisfies Partial<Record<Database['type'], DatabaseFactory>>;

/** The configured database, opened. Whoever opens it closes it. @throws Error, with nothing left open */
export async function openDatabase(
    config: Pick<Config, 'databaseType' | 'dataDir' | 'databaseDir'>,
    log: DatabaseLog,
    clock: Clock,
): Promise<Database> {
    const factories: Partial<Record<Database['type'], DatabaseFactory>> = drivers;
    const factory = factories[config.databaseType];
    if (!factory) {
        throw new Error(
            `databaseType "${config.databaseType}" is not among those of this build: ` +
                `${Object.keys(drivers).join(', ')}.`,
        );
    }
    const database = factory(config, log, clock);
    await database.open();
    return database;
}
