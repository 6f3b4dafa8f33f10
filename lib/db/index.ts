/** The database drivers, and the choice among them. */
import type { Clock } from '../clock';
import type { Config } from '../config/types';
import type { Database } from './driver';
import { LocalDatabase, type DatabaseLog } from './local';
import { MorayDatabase } from './moray';
import { PgConnections } from './moray-client/connections';

/** What the drivers have to be told. */
export type DatabaseConfig = Pick<Config, 'dataDir' | 'databaseDir' | 'moray'>;

export type DatabaseFactory = (config: DatabaseConfig, log: DatabaseLog, clock: Clock) => Database;

/** A factory for each `databaseType`. */
export const drivers = {
    local: ({ dataDir, databaseDir }, log, clock) => new LocalDatabase({ dataDir, databaseDir, log, clock }),
    moray: ({ moray }, log, clock) => {
        if (!moray?.pg) {
            throw new TypeError('The configuration was not validated: moray.pg is missing.');
        }
        return new MorayDatabase({ connections: new PgConnections(moray.pg, log), log, clock });
    },
} satisfies Record<Database['type'], DatabaseFactory>;

/** The configured database, opened. Whoever opens it closes it. @throws Error, with nothing left open */
export async function openDatabase(
    config: DatabaseConfig & Pick<Config, 'databaseType'>,
    log: DatabaseLog,
    clock: Clock,
): Promise<Database> {
    const database = drivers[config.databaseType](config, log, clock);
    await database.open();
    return database;
}
