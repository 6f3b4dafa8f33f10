/** Opens embedded databases for tests. */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { LocalDatabase, type LocalDatabaseOptions } from '../../lib/db/local';

export const quietLog = { info: () => undefined, warn: () => undefined };

/** A database in `<place>/db` with the data folder `<place>/data`. */
export function localDatabase(place: string, options: Partial<LocalDatabaseOptions> = {}): LocalDatabase {
    return new LocalDatabase({
        databaseDir: path.join(place, 'db'),
        dataDir: path.join(place, 'data'),
        log: quietLog,
        clock: { now: () => Date.now(), uuid: randomUUID },
        ...options,
    });
}

/** For another process: see test/conformance/db-child.ts. */
export async function open(place: string): Promise<LocalDatabase> {
    const database = localDatabase(place);
    await database.open();
    return database;
}
