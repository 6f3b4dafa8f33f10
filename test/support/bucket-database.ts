/** A database of Moray's buckets for tests, with a client, and statements as others would run them. */
import assert from 'node:assert/strict';
import type { PgConfig } from '../../lib/config/types';
import { MorayClient, type ClientOptions } from '../../lib/db/moray-client';
import { PgConnections } from '../../lib/db/moray-client/connections';
import { quietLog } from './local-database';
import type { Postgres } from './postgresql';

export class BucketDatabase {
    private constructor(
        private readonly config: PgConfig,
        private readonly connections: PgConnections,
        private readonly options: ClientOptions,
        /** Closed with the database. */
        public client: MorayClient,
    ) {}

    /** An empty one. @param language other than that of the server, as CREATE DATABASE has it */
    static async make(
        postgres: Postgres,
        options: ClientOptions = {},
        language = '',
    ): Promise<BucketDatabase> {
        const { pg } = await postgres.makeDatabase(language);
        assert.ok(pg);
        const connections = new PgConnections(pg, quietLog);
        return new BucketDatabase(pg, connections, options, new MorayClient(connections, options));
    }

    /** Removes all buckets. The client is another one from now on, which knows of none. */
    async clear(): Promise<void> {
        await this.sql('DROP SCHEMA public CASCADE');
        await this.sql('CREATE SCHEMA public');
        this.client = new MorayClient(this.connections, this.options);
    }

    /** What another process would have; to be closed. */
    another(options: ClientOptions = {}): MorayClient {
        return new MorayClient(new PgConnections(this.config, quietLog), options);
    }

    /** The rows of a statement that somebody else runs. */
    async sql(text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
        const { rows } = await this.connections.query({ text, values });
        return rows.map((row) => ({ ...row }));
    }

    /** The columns of the one row that has this key. */
    async row(bucket: string, key: string): Promise<Record<string, unknown>> {
        const [row] = await this.sql(`SELECT * FROM ${bucket} WHERE _key = $1`, [key]);
        assert.ok(row, `${bucket} has no ${key}`);
        return row;
    }

    async close(): Promise<void> {
        await this.client.close();
    }
}
