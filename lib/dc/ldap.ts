/**
 * One connection to an LDAP server. The only file that knows ldapjs, which nobody maintains any more.
 *
 * Of ldapjs only the protocol is used. Its own reconnecting, queueing and timing of requests are not: they lose the
 * callers of a connection that breaks during the login, and throw where nobody can catch it.
 */
import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import {
    AndFilter,
    createClient,
    EqualityFilter,
    InvalidCredentialsError,
    NoSuchObjectError,
    OrFilter,
    type Client,
} from 'ldapjs';

/** Times in ms. */
export interface LdapOptions {
    url: string;
    bindDN: string;
    bindPassword: string;
    connectTimeout: number;
    requestTimeout: number;
    /** Has the certificates to verify the server's with; without it nothing is verified. */
    secureContext?: SecureContext | undefined;
}

/** Attributes by their names in lower case. */
export type LdapEntry = ReadonlyMap<string, readonly string[]>;

export interface SearchResult {
    entries: LdapEntry[];
    /** The server named other servers that may have more entries. */
    referred: boolean;
}

/** The server does not know this name with this password. */
export class BadCredentials extends Error {}

/** An idle connection is probed after this, so that one whose other end is gone is noticed. In ms. */
const KEEP_ALIVE = 30_000;

/** Most bytes that are taken without one answer among them being complete. The entry of an account has some hundred. */
const MOST_BYTES = 1024 * 1024;

type Fail = (reason: unknown) => void;

export class LdapConnection {
    /** Resolves with the reason once the connection can no longer be used. */
    readonly ended: Promise<Error>;
    readonly #client: Client;
    readonly #requestTimeout: number;
    /** What waits for an answer. */
    readonly #waiting = new Set<Fail>();
    /** Bytes that came since an answer was complete. */
    #received = 0;
    #reason: Error | undefined;
    #resolveEnded: (reason: Error) => void = () => undefined;

    private constructor({ url, connectTimeout, requestTimeout, secureContext }: LdapOptions) {
        this.#requestTimeout = requestTimeout;
        this.ended = new Promise((resolve) => {
            this.#resolveEnded = resolve;
        });
        this.#client = createClient({
            url,
            connectTimeout,
            reconnect: false,
            queueDisable: true,
            tlsOptions: { secureContext, rejectUnauthorized: secureContext !== undefined },
        });
        // Kept for good: the client emits errors after its end, too, and one that nobody listens to ends the process.
        this.#client.on('error', (err: unknown) => this.#end(toError(err)));
        this.#client.on('close', () => this.#end(new Error('The LDAP server closed the connection.')));
        this.#client.on('connect', (socket: Socket) => this.#guard(socket));
    }

    /**
     * Connects and logs in.
     *
     * @param signal ends the connection at any time
     * @throws BadCredentials; or another error if the server cannot be reached, or does not answer in time
     */
    static async open(options: LdapOptions, signal: AbortSignal): Promise<LdapConnection> {
        const { bindDN, bindPassword, connectTimeout } = options;
        const connection = new LdapConnection(options);
        const abort = () => connection.close();
        signal.addEventListener('abort', abort);
        void connection.ended.then(() => signal.removeEventListener('abort', abort));
        try {
            await connection.#request<undefined>(connectTimeout, (settle) => {
                connection.#client.once('connect', () => settle(undefined));
            });
            await connection.#bind(bindDN, bindPassword);
            return connection;
        } catch (err) {
            connection.close();
            throw err;
        }
    }

    /**
     * The entries right below `base` that have all of these values, and one of those in `either` if it is given.
     * @throws Error if the server does not answer in time, or with an error
     */
    async search(
        base: string,
        equal: Readonly<Record<string, string>>,
        attributes: string[],
        either?: Readonly<Record<string, string>>,
    ): Promise<SearchResult> {
        const filters = [
            ...equalities(equal),
            ...(either ? [new OrFilter({ filters: equalities(either) })] : []),
        ];
        const timeLimit = Math.ceil(this.#requestTimeout / 1000);
        const options = { scope: 'one', filter: new AndFilter({ filters }), attributes, timeLimit } as const;
        const result: SearchResult = { entries: [], referred: false };
        return this.#request(this.#requestTimeout, (settle, fail) => {
            this.#client.search(base, options, (err, answer) => {
                if (err) {
                    fail(toError(err));
                    return;
                }
                answer
                    .on('error', (searchError) => fail(toError(searchError)))
                    .on('searchReference', () => {
                        result.referred = true;
                    })
                    .on('searchEntry', (entry) => {
                        const pairs = entry.attributes.map(
                            ({ type, values }) => [type.toLowerCase(), [values].flat()] as const,
                        );
                        result.entries.push(new Map(pairs));
                    })
                    .on('end', () => settle(result));
            });
        });
    }

    /**
     * Adds an entry.
     * @throws Error if the server does not take it or does not answer in time; then it may have been added
     */
    async add(name: string, attributes: Readonly<Record<string, string>>): Promise<void> {
        await this.#request<undefined>(this.#requestTimeout, (settle, fail) => {
            this.#client.add(name, attributes, (err: Error | null) =>
                err ? fail(toError(err)) : settle(undefined),
            );
        });
    }

    /** Deletes an entry; none of that name is fine. @throws Error as `add` */
    async delete(name: string): Promise<void> {
        await this.#request<undefined>(this.#requestTimeout, (settle, fail) => {
            this.#client.del(name, (err: Error | null) => {
                if (err && !(err instanceof NoSuchObjectError)) {
                    fail(toError(err));
                } else {
                    settle(undefined);
                }
            });
        });
    }

    /** Ends the connection at once. What still waits for an answer fails. */
    close(): void {
        this.#end(new Error('This server closed the connection.'));
    }

    async #bind(name: string, password: string): Promise<void> {
        await this.#request<undefined>(this.#requestTimeout, (settle, fail) => {
            this.#client.bind(name, password, (err) => {
                if (err instanceof InvalidCredentialsError) {
                    fail(new BadCredentials(`The LDAP server refuses the login as "${name}".`));
                } else if (err) {
                    fail(toError(err));
                } else {
                    settle(undefined);
                }
            });
        });
    }

    /** Waits for one answer. A server that does not give it in time is as good as gone: the connection ends. */
    async #request<T>(timeout: number, ask: (settle: (result: T) => void, fail: Fail) => void): Promise<T> {
        if (this.#reason) {
            throw this.#reason;
        }
        const timer = setTimeout(
            () => this.#end(new Error(`The LDAP server did not answer within ${timeout} ms.`)),
            timeout,
        );
        let failed: Fail | undefined;
        try {
            return await new Promise<T>((settle, fail) => {
                failed = fail;
                this.#waiting.add(fail);
                ask(settle, fail);
            });
        } finally {
            clearTimeout(timer);
            this.#received = 0;
            if (failed) {
                this.#waiting.delete(failed);
            }
        }
    }

    /** Prepares the socket of a new connection. */
    #guard(socket: Socket): void {
        if (this.#reason) {
            // Only now can the client end an attempt to connect that was given up.
            this.#client.destroy();
            return;
        }
        socket.setKeepAlive(true, KEEP_ALIVE);
        // ldapjs throws out of these on answers it has no name for, where nothing but the process would catch it.
        const listeners = socket.listeners('data') as ((chunk: Buffer) => void)[];
        socket.removeAllListeners('data');
        socket.on('data', (chunk: Buffer) => {
            this.#received += chunk.length;
            if (this.#received > MOST_BYTES) {
                this.#end(new Error(`The LDAP server sent ${MOST_BYTES} bytes that are no answer.`));
                return;
            }
            try {
                listeners.forEach((listener) => listener(chunk));
            } catch (err) {
                this.#end(new Error('The LDAP server sent what cannot be understood.', { cause: err }));
            }
        });
    }

    #end(reason: Error): void {
        if (this.#reason) {
            return;
        }
        this.#reason = reason;
        this.#client.destroy();
        this.#waiting.forEach((fail) => fail(reason));
        this.#resolveEnded(reason);
    }
}

const equalities = (pairs: Readonly<Record<string, string>>): EqualityFilter[] =>
    Object.entries(pairs).map(([attribute, value]) => new EqualityFilter({ attribute, value }));

/** The name of an entry right below `parent`, whatever characters the value has. */
export function nameBelow(parent: string, attribute: string, value: string): string {
    const escaped = value.replace(/[^\w:.-]/gu, (character) =>
        Buffer.from(character).toString('hex').replace(/../g, '\\$&'),
    );
    return `${attribute}=${escaped}, ${parent}`;
}

/** What ldapjs gives as an error, which may be something else. */
function toError(thrown: unknown): Error {
    return thrown instanceof Error ? thrown : new Error('The LDAP client failed.', { cause: thrown });
}
