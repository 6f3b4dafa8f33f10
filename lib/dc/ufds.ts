import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import type Logger from 'bunyan';
import { ConfigError } from '../config/error';
import type { UfdsConfig } from '../config/types';
import { ApiError } from '../errors';
import { isUuid } from '../manifest';
import type { Account, AccountDirectory } from './driver';
import { BadCredentials, LdapConnection, type LdapOptions } from './ldap';
import { pause } from './pause';

/** Where the accounts are. Their sub-users stand one level deeper (ufds.md §3). */
const ACCOUNTS = 'ou=users, o=smartdc';
const OBJECT_CLASS = 'sdcperson';

/** What counts if the configuration does not say, in ms. */
const REQUEST_TIMEOUT = 5_000;
const LONGEST_DELAY = 30_000;

/** Between the first two attempts to connect, in ms. */
const SHORTEST_DELAY = 100;
/** A connection that lasted for so long was a good one: the next is tried for soon. In ms. */
const STABLE = 1_000;
/** How long a look-up waits for the first connection, in ms. */
const FIRST_WAIT = 2_000;

/**
 * The accounts of UFDS, the LDAP directory of a datacenter (ufds.md).
 *
 * There is one connection, made in the background and made again whenever it is lost. While there is none, look-ups
 * fail at once; only before the first one they wait a little, because the server has just been started. Nothing is
 * remembered here: an account that was deleted no longer counts, one that was made counts at once.
 */
export class Ufds implements AccountDirectory {
    readonly #config: UfdsConfig;
    readonly #log: Logger;
    readonly #closing = new AbortController();
    #running: Promise<void> | undefined;
    #connection: LdapConnection | undefined;
    /** Why there is no connection. */
    #trouble: Error | undefined;
    #hasConnected = false;
    /** The last look-up had no answer. */
    #failing = false;
    /** Look-ups that wait for the first connection; undefined when it is no use to wait any more. */
    #waiting: Set<() => void> | undefined = new Set();

    constructor(config: UfdsConfig, log: Logger) {
        this.#config = config;
        this.#log = log;
    }

    get connected(): boolean {
        return this.#connection !== undefined;
    }

    /** @throws ConfigError if `ufds.ca` is no file of certificates */
    async open(): Promise<void> {
        const { url, bindDN, bindPassword, connectTimeout, timeout, clientTimeout, ca } = this.#config;
        const options: LdapOptions = {
            url,
            bindDN,
            bindPassword,
            connectTimeout,
            requestTimeout: timeout ?? clientTimeout ?? REQUEST_TIMEOUT,
            secureContext: ca === undefined ? undefined : trusting(ca),
        };
        this.#running = this.#keepConnected(options, this.#closing.signal);
    }

    async close(): Promise<void> {
        this.#closing.abort();
        this.#stopWaiting();
        await this.#running;
    }

    async find(uuid: string): Promise<Account | undefined> {
        if (!isUuid(uuid)) {
            // No account is called anything else.
            return undefined;
        }
        try {
            const connection = await this.#connected();
            const { entries, referred } = await connection.search(
                ACCOUNTS,
                { objectclass: OBJECT_CLASS, uuid },
                ['uuid', 'login'],
            );
            const entry = entries.find((one) => one.get('uuid')?.[0] === uuid);
            if (!entry && referred) {
                throw new Error('UFDS refers to other servers, which are not asked.');
            }
            this.#failing = false;
            return entry && { uuid, login: entry.get('login')?.[0] ?? '' };
        } catch (err) {
            // Of an outage the first is enough: there may be thousands.
            const level = this.#failing ? 'debug' : 'warn';
            this.#failing = true;
            this.#log[level]({ err, account: uuid }, 'UFDS: an account could not be looked up');
            throw new ApiError(
                'ServiceUnavailableError',
                'The directory of accounts cannot be asked at the moment; try again later.',
                { cause: err },
            );
        }
    }

    dropCache(): void {
        // There is none.
    }

    /** @throws Error if there is no connection */
    async #connected(): Promise<LdapConnection> {
        const waiting = this.#waiting;
        if (!this.#connection && waiting) {
            await new Promise<void>((resolve) => {
                const done = () => {
                    clearTimeout(timer);
                    waiting.delete(done);
                    resolve();
                };
                const timer = setTimeout(done, FIRST_WAIT);
                waiting.add(done);
            });
        }
        if (!this.#connection) {
            throw new Error('There is no connection to UFDS.', { cause: this.#trouble });
        }
        return this.#connection;
    }

    #stopWaiting(): void {
        const waiting = this.#waiting;
        this.#waiting = undefined;
        waiting?.forEach((done) => done());
    }

    /** Connects, and connects again whenever the connection is lost, until `closing`. Never fails. */
    async #keepConnected(options: LdapOptions, closing: AbortSignal): Promise<void> {
        const longest = this.#config.retry.maxDelay ?? this.#config.retry.maxTimeout ?? LONGEST_DELAY;
        const shortest = Math.min(SHORTEST_DELAY, longest);
        const closed = () => closing.aborted;
        for (let delay = shortest; !closed(); delay = Math.min(2 * delay, longest)) {
            try {
                const connection = await LdapConnection.open(options, closing);
                const since = performance.now();
                this.#began(connection);
                const reason = await connection.ended;
                this.#connection = undefined;
                if (!closed()) {
                    this.#log.warn({ err: reason }, 'UFDS: disconnected');
                }
                this.#trouble = reason;
                if (performance.now() - since >= STABLE) {
                    delay = shortest;
                }
            } catch (err) {
                if (!closed()) {
                    this.#failed(err);
                }
                if (err instanceof BadCredentials) {
                    delay = longest;
                }
            }
            await pause(delay, closing);
        }
    }

    #began(connection: LdapConnection): void {
        this.#log.info(this.#hasConnected ? 'UFDS: reconnected' : 'UFDS: connected');
        this.#hasConnected = true;
        this.#connection = connection;
        this.#trouble = undefined;
        this.#stopWaiting();
    }

    /** Logs the first of the attempts that fail, and what only the operator can mend. */
    #failed(err: unknown): void {
        if (err instanceof BadCredentials) {
            if (!(this.#trouble instanceof BadCredentials)) {
                this.#log.fatal({ err }, 'UFDS: invalid credentials; set ufds.bindDN and ufds.bindPassword');
            }
            this.#stopWaiting();
        } else if (this.#trouble) {
            this.#log.debug({ err }, 'UFDS: still no connection');
        } else {
            this.#log.warn({ err, url: this.#config.url }, 'UFDS: no connection; trying on');
        }
        this.#trouble = err instanceof Error ? err : new Error(String(err));
    }
}

/** What to verify a certificate with: those of a PEM file and no others. @throws ConfigError */
function trusting(path: string): SecureContext {
    try {
        const ca = readFileSync(path);
        // Node.js passes over what is no certificate.
        new X509Certificate(ca);
        return createSecureContext({ ca });
    } catch (err) {
        const reason = err instanceof Error ? err.message : String(err);
        throw ConfigError.invalid(
            `config.ufds.ca is "${path}"; it must be the path of a file of PEM certificates: ${reason}`,
        );
    }
}
