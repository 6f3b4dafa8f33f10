/** Asking all servers of a database which of them is the primary. */
import { Client, type ClientConfig } from 'pg';
import type { PgHost } from '../../config/pg-address';
import { remedyFor, sqlStateOf, TOO_MANY_CONNECTIONS } from './failures';
import type { Identity } from './primary';

export interface Finding extends Identity {
    readonly host: PgHost;
}

export interface Survey {
    /** Servers that take writes: in the order of the hosts. More than one if one has missed that it was replaced. */
    readonly primaries: readonly Finding[];
    /** What is with the others, by host. */
    readonly others: Readonly<Record<string, string>>;
    /** Those that are there, but have no connection left to ask them. */
    readonly busy: readonly string[];
}

/** Once a primary has been found, others have this long to say that they are it, in ms. */
const GRACE = 250;

export interface SurveyOptions {
    readonly hosts: readonly PgHost[];
    readonly clientOf: (host: PgHost) => ClientConfig;
    /** For each server, in ms. */
    readonly timeout: number;
    /** Ends it, as if nobody had answered. */
    readonly signal: AbortSignal;
}

/** Asks all at once. Resolves when all have answered, or some time after the first that is a primary; never rejects. */
export async function survey({ hosts, clientOf, timeout, signal }: SurveyOptions): Promise<Survey> {
    const primaries = new Map<PgHost, Finding>();
    const others = new Map<PgHost, string>();
    const busy: string[] = [];
    const asked = new AbortController();
    const abort = (): void => asked.abort();
    signal.addEventListener('abort', abort, { once: true });
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
        asked.signal.addEventListener('abort', () => resolve(), { once: true });
        if (signal.aborted) {
            abort();
        }
        const note = (): void => {
            if (primaries.size + others.size === hosts.length) {
                resolve();
            } else if (primaries.size > 0) {
                timer ??= setTimeout(resolve, GRACE);
            }
        };
        for (const host of hosts) {
            ask(clientOf(host), timeout, asked.signal)
                .then(
                    (identity) =>
                        identity === 'standby'
                            ? others.set(host, 'is a standby')
                            : primaries.set(host, { host, ...identity }),
                    (error: unknown) => {
                        const said = error instanceof Error ? error.message : String(error);
                        const remedy = remedyFor(sqlStateOf(error));
                        // In its own words as well: that the role has no entry may be for want of TLS.
                        others.set(host, remedy === undefined ? said : `${remedy} (${said})`);
                        if (sqlStateOf(error) === TOO_MANY_CONNECTIONS) {
                            busy.push(host.name);
                        }
                    },
                )
                .finally(note);
        }
    });
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    abort();
    return {
        primaries: hosts.flatMap((host) => primaries.get(host) ?? []),
        others: Object.fromEntries(
            hosts.flatMap((host) =>
                primaries.has(host) ? [] : [[host.name, others.get(host) ?? 'has not answered yet']],
            ),
        ),
        busy,
    };
}

const IDENTITY = `SELECT system_identifier::text AS system,
    ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int AS timeline
    FROM pg_control_system()`;

/** @throws Error if there is no answer within the time, or none that makes sense */
async function ask(
    config: ClientConfig,
    timeout: number,
    signal: AbortSignal,
): Promise<Identity | 'standby'> {
    const client = new Client(config);
    client.on('error', () => undefined);
    let reason: Error | undefined;
    const cut = (why: string): void => {
        reason ??= new Error(why);
        client.connection.stream.destroy(reason);
    };
    const timer = setTimeout(() => cut(`did not answer within ${timeout} ms`), timeout);
    const abort = (): void => cut('was not asked to the end');
    signal.addEventListener('abort', abort, { once: true });
    try {
        await client.connect();
        const { rows } = await client.query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby');
        if (rows[0]?.standby !== false) {
            return 'standby';
        }
        return await identify(client);
    } catch (error) {
        throw reason ?? error;
    } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        client.end().catch(() => undefined);
        // Its answer to that is not waited for.
        setTimeout(() => client.connection.stream.destroy(), GRACE).unref();
    }
}

async function identify(client: Client): Promise<Identity> {
    try {
        const { rows } = await client.query<{ system: string; timeline: number }>(IDENTITY);
        return rows[0] ?? {};
    } catch (error) {
        if (sqlStateOf(error) !== undefined) {
            // A server before version 10, or one that keeps this to itself.
            return {};
        }
        throw error;
    }
}
