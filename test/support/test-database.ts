/**
 * The database that servers under test keep their images in: the embedded one, or with TEST_DATABASE=moray a PostgreSQL
 * database for each data folder. A test that configures a database has that one.
 */
import type { Config } from '../../lib/config/types';
import type { Postgres } from './postgresql';

export type DatabaseSettings = Partial<Pick<Config, 'databaseType' | 'moray'>>;

/** Whether servers keep their images in PostgreSQL; a few tests are about the embedded database. */
export const onMoray = process.env.TEST_DATABASE === 'moray';

/** One server for all tests of this process. */
let postgres: Promise<Postgres> | undefined;
const databases = new Map<string, Promise<DatabaseSettings>>();

/** What the configuration of a server with this data folder says of its database. */
export async function databaseSettings(dataDir: string): Promise<DatabaseSettings> {
    const wanted = process.env.TEST_DATABASE ?? 'local';
    if (wanted === 'local') {
        return {};
    }
    if (wanted !== 'moray') {
        throw new Error(`TEST_DATABASE is "${wanted}"; it takes local or moray.`);
    }
    let settings = databases.get(dataDir);
    if (!settings) {
        settings = makeSettings();
        databases.set(dataDir, settings);
    }
    return settings;
}

async function makeSettings(): Promise<DatabaseSettings> {
    postgres ??= startPostgres();
    return { databaseType: 'moray', moray: await (await postgres).makeDatabase() };
}

async function startPostgres(): Promise<Postgres> {
    const { Postgres } = await import('./postgresql.js');
    const skip = () => {
        throw new Error('TEST_DATABASE=moray needs PostgreSQL: apt-get install postgresql-15');
    };
    // It may be asked for from anywhere, so there is no test to be skipped.
    return Postgres.start({ timeout: () => undefined, skip } as unknown as Mocha.Context);
}

/** After all tests of the process. */
export async function stopTestDatabase(): Promise<void> {
    const running = await postgres;
    postgres = undefined;
    databases.clear();
    await running?.stop();
}
