/** The server that takes writes, with connections to it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool, type ClientConfig, type PoolClient } from 'pg';
import type { PgHost } from '../../config/pg-address';
import type { PgConfig } from '../../config/types';
import type { ConnectionUsage } from '../driver';
import { MorayError } from './errors';
import { sqlStateOf, TOO_MANY_CONNECTIONS } from './failures';
import { Lease } from './lease';

/** What tells one primary from another one, as far as the server knows it. */
export interface Identity {
    /** Of the data, the same for a primary and its standbys. */
    readonly system?: string;
    /** Raised whenever a standby takes the place of its primary. */
    readonly timeline?: number;
}

export interface PrimaryOptions {
    readonly client: ClientConfig;
    readonly limits: PgConfig['pool'];
    /** A connection was lost. */
    readonly onLoss: (error: Error) => void;
    /** A statement has had no answer for some time. */
    readonly onSilence: () => void;
}

/** When all connections are in use, or the server has none left, they come free within this, in ms, at the earliest. */
const LEASE_RETRY = [20, 100] as const;
/** How long a server may take to close its side of idle connections, in ms. */
const GOODBYE = 1000;

/** How pg-pool says that none came free in time. */
const NONE_CAME_FREE = 'timeout exceeded when trying to connect';

export class Primary {
    readonly #pool: Pool;
    readonly #options: PrimaryOptions;
    readonly #clients = new Set<PoolClient>();
    /** Connections that were lost, and by what. */
    readonly #losses = new WeakMap<PoolClient, Error>();
    /** Those who wait for a connection, to be told that there will be none. */
    readonly #waiting = new Set<(reason: Error) => void>();
    #dropped: Error | undefined;

    constructor(
        readonly host: PgHost,
        readonly identity: Identity,
        options: PrimaryOptions,
    ) {
        this.#options = options;
        const { client, limits } = options;
        this.#pool = new Pool({
            ...client,
            max: limits.size,
            idleTimeoutMillis: limits.idleTimeout,
            // A name or address may come to lead to another server.
            verify: (connection, done) => {
                const { stream } = connection.connection;
                const timer = setTimeout(() => stream.destroy(), limits.connectTimeout);
                connection
                    .query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby')
                    .then(({ rows: [row] }) => {
                        if (row?.standby !== false) {
                            throw new Error(`${host.name} has become a standby`);
                        }
                    })
                    .finally(() => clearTimeout(timer))
                    .then(() => done(), done);
            },
        });
        this.#pool.on('connect', (connection) => {
            this.#clients.add(connection);
            connection.on('error', (error) => {
                if (!this.#losses.has(connection)) {
                    this.#losses.set(connection, error);
                }
            });
        });
        this.#pool.on('remove', (connection) => this.#clients.delete(connection));
        // Of connections that nobody uses.
        this.#pool.on('error', (error) => options.onLoss(error));
    }

    /**
     * A connection for one use. @throws MorayError NoDatabasePeersError if none comes free in time; else an Error: there
     * is none to be had from this server
     */
    async lease(): Promise<Lease> {
        const { limits, onSilence } = this.#options;
        const deadline = performance.now() + limits.connectTimeout;
        for (;;) {
            try {
                const client = await this.#connect();
                return new Lease(client, {
                    lossOf: () => this.#losses.get(client),
                    onSilence,
                    silence: Math.min(limits.connectTimeout, limits.statementTimeout),
                    statementTimeout: limits.statementTimeout,
                });
            } catch (error) {
                const [least, most] = LEASE_RETRY;
                if (sqlStateOf(error) !== TOO_MANY_CONNECTIONS || performance.now() + most > deadline) {
                    throw this.#named(error);
                }
                await sleep(least + Math.random() * (most - least));
            }
        }
    }

    async #connect(): Promise<PoolClient> {
        if (this.#dropped) {
            throw this.#dropped;
        }
        return new Promise((resolve, reject) => {
            let isOver = false;
            const giveUp = (reason: Error): void => {
                isOver = true;
                reject(reason);
            };
            this.#waiting.add(giveUp);
            this.#pool.connect().then(
                (client) => {
                    this.#waiting.delete(giveUp);
                    if (isOver) {
                        client.release(true);
                    } else {
                        resolve(client);
                    }
                },
                (error: unknown) => {
                    this.#waiting.delete(giveUp);
                    giveUp(error as Error);
                },
            );
        });
    }

    #named(error: unknown): unknown {
        const sqlState = sqlStateOf(error);
        if (sqlState === TOO_MANY_CONNECTIONS) {
            const message = `${this.host.name} has no connection left: ${(error as Error).message}`;
            return new MorayError('NoDatabasePeersError', message, { cause: error, sqlState });
        }
        if (error instanceof Error && error.message === NONE_CAME_FREE && !this.#dropped) {
            const { size, connectTimeout } = this.#options.limits;
            const message = `none of the ${size} connections to ${this.host.name} came free within ${connectTimeout} ms`;
            return new MorayError('NoDatabasePeersError', message, { cause: error });
        }
        return error;
    }

    get usage(): ConnectionUsage {
        const { totalCount: open, idleCount: idle, waitingCount: waiting } = this.#pool;
        return { open, idle, waiting };
    }

    /** Cuts all connections: whoever waits for an answer gets an error. */
    drop(reason: Error): void {
        if (this.#dropped) {
            return;
        }
        this.#dropped = reason;
        this.#waiting.forEach((giveUp) => giveUp(reason));
        this.#pool.end().catch(() => undefined);
        this.#clients.forEach((client) => client.connection.stream.destroy());
    }

    /** Closes connections, none of which is in use. */
    async end(): Promise<void> {
        if (this.#dropped) {
            return;
        }
        const gone = this.#pool.end();
        this.#dropped = new Error('closed');
        const clients = [...this.#clients];
        const timer = setTimeout(
            () => clients.forEach(({ connection }) => connection.stream.destroy()),
            GOODBYE,
        );
        await gone;
        clearTimeout(timer);
    }
}
