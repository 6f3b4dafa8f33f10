/** Connections to the primary of a PostgreSQL database, by node-postgres (docs/decisions/0023-primary.md). */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientConfig } from 'pg';
import { pgAddress, type PgHost } from '../../config/pg-address';
import type { PgConfig } from '../../config/types';
import type { ConnectionUsage } from '../driver';
import { MorayError } from './errors';
import { isClash, isIdleTooLong, isStaleStatement, takesNoWrites, toFailure, uncertain } from './failures';
import type { Lease } from './lease';
import { pgValues } from './pg-values';
import type { Primary } from './primary';
import { PrimaryWatch, type ConnectionLog } from './primary-watch';
import type { Answer, Connections, Session, Statement, TransactionOptions } from './types';

export type { ConnectionLog } from './primary-watch';

/** What connections of servers are called in the database's list of connections. */
export const SERVER_NAME = 'imgapi';

/** How often work is done again that the database ended for the sake of another one. */
const CLASH_RETRIES = 5;
/** Up to how long to wait before, in ms, times the number of tries. */
const CLASH_PAUSE = 50;

/** May be run a second time, as it changes nothing. Whoever calls a function by SELECT that does sees to that. */
const READ = /^\s*SELECT\b/i;

const BEGIN = {
    'READ COMMITTED': 'BEGIN ISOLATION LEVEL READ COMMITTED',
    'REPEATABLE READ': 'BEGIN ISOLATION LEVEL REPEATABLE READ',
} as const;

/** What a piece of work says of itself, for when it fails. */
interface Attempt {
    /** If the connection is lost now, it is certain that nothing was committed. */
    isUndone: boolean;
}

export class PgConnections implements Connections {
    readonly #watch: PrimaryWatch;
    readonly #running = new Set<Promise<unknown>>();
    #isClosed = false;

    /** Looks for the primary at once. @throws PgAddressError, and Error if the certificates cannot be read */
    constructor(config: PgConfig, log: ConnectionLog, { name = SERVER_NAME }: { name?: string } = {}) {
        const { hosts } = pgAddress(config);
        const client = clientConfig(config, name);
        this.#watch = new PrimaryWatch({
            hosts,
            clientOf: ({ host, port }: PgHost) => ({ ...client, host, port }),
            limits: config.pool,
            log,
        });
    }

    query(statement: Statement): Promise<Answer> {
        return this.#track(
            this.#attempts(async (lease, attempt) => {
                attempt.isUndone = READ.test(statement.text);
                try {
                    return await lease.query(statement);
                } catch (error) {
                    throw lease.isLost && !attempt.isUndone ? uncertain(error) : error;
                }
            }),
        );
    }

    transaction<T>(
        work: (session: Session) => Promise<T>,
        { isolation = 'READ COMMITTED', readOnly = false }: TransactionOptions = {},
    ): Promise<T> {
        const text = `${BEGIN[isolation]}${readOnly ? ' READ ONLY' : ''}`;
        return this.#track(
            this.#attempts(async (lease, attempt) => {
                lease.isReadOnly = readOnly;
                await lease.query({ text });
                let result;
                try {
                    result = await work({ query: (statement) => lease.query(statement) });
                } catch (error) {
                    await lease.rollback();
                    throw error;
                }
                attempt.isUndone = readOnly;
                await lease.commit();
                return result;
            }),
        );
    }

    get usage(): ConnectionUsage | undefined {
        return this.#watch.usage;
    }

    async close(): Promise<void> {
        this.#isClosed = true;
        await Promise.allSettled(this.#running);
        await this.#watch.close();
    }

    #track<T>(running: Promise<T>): Promise<T> {
        this.#running.add(running);
        const forget = (): void => void this.#running.delete(running);
        running.then(forget, forget);
        return running;
    }

    async #attempts<T>(work: (lease: Lease, attempt: Attempt) => Promise<T>): Promise<T> {
        let losses = 0;
        let clashes = 0;
        let isUnprepared = false;
        for (;;) {
            const primary = await this.#primary();
            let lease;
            try {
                lease = await primary.lease();
            } catch (error) {
                if (error instanceof MorayError) {
                    throw error;
                }
                this.#watch.doubt(primary, error);
                if (losses++ === 0) {
                    continue;
                }
                throw toFailure(error, { isLost: true });
            }
            const attempt: Attempt = { isUndone: true };
            try {
                lease.isUnprepared = isUnprepared;
                return await work(lease, attempt);
            } catch (error) {
                const { failure } = lease;
                const isRefused = takesNoWrites(failure) && !lease.isReadOnly;
                if (isRefused || (lease.isLost && !isIdleTooLong(failure))) {
                    this.#watch.doubt(primary, failure);
                    if (losses++ === 0 && (isRefused || attempt.isUndone)) {
                        continue;
                    }
                } else if (isClash(failure) && clashes++ < CLASH_RETRIES) {
                    await sleep(Math.random() * CLASH_PAUSE * clashes);
                    continue;
                } else if (isStaleStatement(failure) && !isUnprepared) {
                    isUnprepared = true;
                    continue;
                }
                throw error;
            } finally {
                lease.release();
            }
        }
    }

    async #primary(): Promise<Primary> {
        if (this.#isClosed) {
            throw new MorayError('NoDatabasePeersError', 'the connections to PostgreSQL have been closed');
        }
        return this.#watch.current();
    }
}

/** What all connections have in common. Nothing of it is left to the environment of this process. */
function clientConfig(config: PgConfig, name: string): ClientConfig {
    const { connectTimeout, statementTimeout } = config.pool;
    const { user, password, database, ssl } = pgAddress(config);
    return {
        user,
        // As a function, an empty one is not searched for elsewhere.
        password: () => password,
        database,
        ssl: tlsOf(ssl),
        sslnegotiation: 'postgres',
        application_name: name,
        connectionTimeoutMillis: connectTimeout,
        statement_timeout: statementTimeout,
        // A process that is stopped must not keep rows locked.
        idle_in_transaction_session_timeout: statementTimeout,
        keepAlive: true,
        keepAliveInitialDelayMillis: 10_000,
        // What the meaning of statements and the form of answers depend on, whatever is set for the role or database.
        // The rest is left to them: the schema that tables are in, and whether a commit waits for a standby.
        options: [
            'default_transaction_isolation=read\\ committed',
            'standard_conforming_strings=on',
            'datestyle=ISO',
            'timezone=UTC',
            'client_min_messages=warning',
        ]
            .map((setting) => `-c ${setting}`)
            .join(' '),
        types: pgValues,
    };
}

function tlsOf(ssl: NonNullable<PgConfig['ssl']>): ClientConfig['ssl'] {
    if (typeof ssl === 'boolean') {
        return ssl;
    }
    const { ca, rejectUnauthorized = true } = ssl;
    return { ...(ca !== undefined && { ca: certificates(ca) }), rejectUnauthorized };
}

function certificates(path: string): string {
    try {
        return readFileSync(path, 'utf8');
    } catch (cause) {
        const said = cause instanceof Error ? cause.message : String(cause);
        throw new Error(`The certificates that config.moray.pg.ssl.ca names cannot be read: ${said}`, {
            cause,
        });
    }
}
