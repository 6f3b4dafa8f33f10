/** Opens databases in Moray's layout for tests. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { MorayConfig } from '../../lib/config/types';
import { MorayDatabase, type MorayDatabaseOptions } from '../../lib/db/moray';
import { PgConnections } from '../../lib/db/moray-client/connections';
import { quietLog } from './local-database';
import type { Postgres } from './postgresql';

export function morayDatabase(
    config: MorayConfig,
    options: Partial<Omit<MorayDatabaseOptions, 'connections'>> = {},
): MorayDatabase {
    assert.ok(config.pg);
    const log = options.log ?? quietLog;
    return new MorayDatabase({
        connections: new PgConnections(config.pg, log),
        log,
        clock: { now: () => Date.now(), uuid: randomUUID },
        ...options,
    });
}

/** For another process: see test/conformance/db-child.ts. @param place the block `moray` as JSON */
export async function open(place: string): Promise<MorayDatabase> {
    const database = morayDatabase(JSON.parse(place) as MorayConfig);
    await database.open();
    return database;
}

/** Forgets all images and what else the server keeps; the tables and the id of the database stay. */
export async function emptyTables(postgres: Postgres, database?: string): Promise<void> {
    const kept = ['pending', 'leases', 'tasks', 'jobs', 'replay'].map((name) => `imgapi_server_${name}`);
    await postgres.sql(
        ['imgapi_images', ...kept].map((table) => `DELETE FROM ${table};`).join(' '),
        [],
        database,
    );
}
