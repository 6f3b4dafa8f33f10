/** The part of Manta's REST interface that a storage needs (manta.md §3 and §4). */
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { MantaExchange, type MantaTimeouts } from './manta-exchange';
import { MantaFailure } from './manta-failure';
import type { MantaIdentity } from './manta-identity';
import type { MantaState } from './manta-state';

/** How often a request is made at most, when it fails in a way that passes. */
const ATTEMPTS = 4;
/** A request that has failed for this long is not made again, in ms. */
const PERSIST_FOR = 10_000;

/** Entries asked for at a time, which is all that Manta gives, and the most bytes that they may have. */
const PAGE = 1024;
const PAGE_BYTES = 4 * 1024 * 1024;

/** Read ahead of whoever takes a download, in bytes. */
const READ_AHEAD = 512 * 1024;

const DIRECTORY_TYPE = /;\s*type=directory\b/;

export interface MantaClientOptions {
    /** Scheme, host and port. */
    origin: URL;
    /** Take any certificate. */
    insecure: boolean;
    maxSockets: number;
    timeouts: MantaTimeouts;
    userAgent: string;
    state: MantaState;
}

export interface MantaAsk {
    method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
    /** Absolute, not encoded. */
    path: string;
    query?: Record<string, string>;
    headers?: http.OutgoingHttpHeaders;
    signal?: AbortSignal | undefined;
    /** The path is one of somebody else's: what is wrong with it says nothing about the storage. */
    foreign?: boolean;
}

/** What Manta tells about an object. */
export interface MantaObjectInfo {
    /** In bytes. */
    readonly size: number;
    readonly etag: string;
    /** To the second. */
    readonly mtime: Date;
    readonly contentMD5: string | undefined;
}

export interface MantaDirent {
    readonly name: string;
    readonly type: 'object' | 'directory';
    readonly info: MantaObjectInfo;
}

/** An answer that is to be taken to its end by whoever has it. */
export interface MantaAnswer {
    readonly exchange: MantaExchange;
    readonly message: IncomingMessage;
}

/** Whether the answer is about a directory. */
export function isDirectory({ headers }: IncomingMessage): boolean {
    return DIRECTORY_TYPE.test(headers['content-type'] ?? '');
}

/** What the headers of an answer tell about an object. @param size if it is not the length of the answer */
export function objectInfo(
    { headers }: IncomingMessage,
    size = Number(headers['content-length']),
): MantaObjectInfo {
    const mtime = new Date(headers['last-modified'] ?? '');
    const { etag, 'content-md5': contentMD5 } = headers;
    if (!Number.isSafeInteger(size) || etag === undefined || Number.isNaN(mtime.getTime())) {
        throw new MantaFailure('Manta answered without the length, the etag or the time of an object.', {
            status: 502,
        });
    }
    return { size, etag, mtime, contentMD5: typeof contentMD5 === 'string' ? contentMD5 : undefined };
}

export class MantaClient {
    readonly #options: MantaClientOptions;
    readonly #agent: http.Agent;
    #identity: MantaIdentity | undefined;

    constructor(options: MantaClientOptions) {
        this.#options = options;
        const { maxSockets, insecure, origin } = options;
        const pool = { keepAlive: true, maxSockets, highWaterMark: READ_AHEAD };
        this.#agent =
            origin.protocol === 'https:'
                ? new https.Agent({ ...pool, rejectUnauthorized: !insecure })
                : new http.Agent(pool);
    }

    /** Says who the client is; before that it can't ask for anything. */
    identify(identity: MantaIdentity): void {
        this.#identity = identity;
    }

    /** Cuts every connection. */
    close(): void {
        this.#agent.destroy();
    }

    /** Makes a directory in one that is there; one that is there already stays. */
    async mkdir(path: string, signal?: AbortSignal): Promise<void> {
        const headers = {
            'content-type': 'application/json; type=directory',
            'content-length': 0,
            accept: 'application/json',
        };
        await this.#done({ method: 'PUT', path, headers, signal });
    }

    /** Undefined if there is no such object. */
    async head(path: string): Promise<MantaObjectInfo | undefined> {
        return this.persist(async () => {
            const headers = { accept: 'application/json, */*' };
            const answer = await this.answered({ method: 'HEAD', path, headers });
            answer?.message.resume();
            return answer && !isDirectory(answer.message) ? objectInfo(answer.message) : undefined;
        });
    }

    /** Whether there is a directory at a path of somebody else's. */
    async isForeignDirectory(path: string, signal?: AbortSignal): Promise<boolean> {
        return this.persist(async () => {
            const headers = { accept: 'application/json, */*' };
            const answer = await this.answered({ method: 'HEAD', path, headers, signal, foreign: true });
            answer?.message.resume();
            return answer !== undefined && isDirectory(answer.message);
        }, signal);
    }

    /** Whether the account can be used. @throws MantaFailure if not */
    async check(user: string, signal: AbortSignal): Promise<void> {
        await this.#done({ method: 'HEAD', path: `/${user}/stor`, signal });
    }

    /** Deletes an object or an empty directory. Gives whether there was one. */
    async delete(path: string): Promise<boolean> {
        return this.#done({ method: 'DELETE', path, headers: { 'content-length': 0 } });
    }

    /** Entries of a directory by name; none if there is no such directory. */
    async *list(path: string): AsyncGenerator<MantaDirent, void, undefined> {
        for (let marker: string | undefined; ;) {
            const page = await this.#page(path, marker);
            // The marker is an entry that was given already, and comes again unless it is gone meanwhile.
            yield* marker === undefined ? page : page.filter(({ name }) => name !== marker);
            const last = page.at(-1)?.name;
            if (page.length < PAGE || last === undefined) {
                return;
            }
            if (last === marker) {
                throw new MantaFailure('Manta gives the same part of a directory again and again.');
            }
            marker = last;
        }
    }

    /** The answer, if it is about something that is there. @throws MantaFailure for any but a 2xx or 404 */
    async answered(ask: MantaAsk): Promise<MantaAnswer | undefined> {
        const exchange = await this.begin(ask);
        const message = await exchange.answer();
        if (await this.accept(exchange, message)) {
            return { exchange, message };
        }
        return undefined;
    }

    /** Whether the answer is a success; false for 404 ResourceNotFound. @throws MantaFailure for any other */
    async accept(exchange: MantaExchange, message: IncomingMessage): Promise<boolean> {
        const { statusCode: status = 0 } = message;
        if (status >= 200 && status < 300) {
            this.#options.state.succeeded();
            return true;
        }
        const failure = await exchange.failure(message);
        if (status === 404 && failure.code !== 'DirectoryDoesNotExist') {
            this.#options.state.succeeded();
            return false;
        }
        throw failure;
    }

    /** Sends the head of a request, once. */
    async begin({ method, path, query, headers, signal, foreign }: MantaAsk): Promise<MantaExchange> {
        signal?.throwIfAborted();
        if (this.#identity === undefined) {
            throw new TypeError('The storage "manta" is used before it was opened.');
        }
        const { origin, timeouts, userAgent } = this.#options;
        const signature = await this.#identity.headers();
        const search = query === undefined ? '' : `?${new URLSearchParams(query).toString()}`;
        const request = (origin.protocol === 'https:' ? https : http).request({
            agent: this.#agent,
            host: origin.hostname.replace(/^\[|\]$/g, ''),
            ...(origin.port !== '' && { port: origin.port }),
            method,
            path: path.split('/').map(encodeURIComponent).join('/') + search,
            headers: {
                accept: '*/*',
                ...headers,
                ...signature,
                'accept-version': '~1.0',
                'user-agent': userAgent,
                'x-request-id': randomUUID(),
            },
        });
        return new MantaExchange(request, timeouts, signal, foreign);
    }

    /** Notes that Manta has failed for good; gives the failure. */
    failed(failure: MantaFailure): MantaFailure {
        this.#options.state.failed(failure);
        return failure;
    }

    /**
     * Makes a request again while it fails in a way that passes, with longer and longer pauses.
     * @param attempt can be made any number of times
     */
    async persist<T>(attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
        const began = performance.now();
        // While it is down, whoever asks is told so at once.
        const most = this.#options.state.down ? 1 : ATTEMPTS;
        for (let attempts = 1; ; attempts++) {
            try {
                return await attempt();
            } catch (error) {
                signal?.throwIfAborted();
                const lasted = performance.now() - began;
                if (!(error instanceof MantaFailure)) {
                    throw error;
                }
                if (!error.passing || attempts >= most || lasted > PERSIST_FOR) {
                    throw this.failed(error);
                }
            }
            await this.pause(attempts, signal);
        }
    }

    /**
     * Waits before something is tried again.
     * @param failures how often it has failed, at least once
     * @throws the signal's reason
     */
    async pause(failures: number, signal?: AbortSignal): Promise<void> {
        // Of random length, so that not all who failed come back at once.
        const time = this.#options.timeouts.pause * 2 ** (failures - 1) * (0.5 + Math.random());
        try {
            await sleep(time, undefined, { ...(signal && { signal }) });
        } catch (error) {
            signal?.throwIfAborted();
            throw error;
        }
    }

    /** A request whose answer has nothing to tell but its status. Gives whether it was about something that is there. */
    async #done(ask: MantaAsk): Promise<boolean> {
        return this.persist(async () => {
            const answer = await this.answered(ask);
            answer?.message.resume();
            return answer !== undefined;
        }, ask.signal);
    }

    async #page(path: string, marker: string | undefined): Promise<MantaDirent[]> {
        return this.persist(async () => {
            const query = { limit: String(PAGE), ...(marker !== undefined && { marker }) };
            const headers = { accept: 'application/x-json-stream' };
            const answer = await this.answered({ method: 'GET', path, query, headers });
            if (answer === undefined) {
                return [];
            }
            const { exchange, message } = answer;
            if (!isDirectory(message)) {
                exchange.destroy();
                return [];
            }
            const text = (await exchange.body(message, PAGE_BYTES)).toString();
            return text.split('\n').filter(Boolean).map(dirent);
        });
    }
}

/** A line of a listing. */
function dirent(line: string): MantaDirent {
    let entry: Record<string, unknown>;
    try {
        entry = JSON.parse(line) as Record<string, unknown>;
    } catch (error) {
        throw new MantaFailure('Manta listed a directory in a way that is not JSON.', { cause: error });
    }
    const { name, type, size, etag, mtime, contentMD5 } = entry;
    if (typeof name !== 'string' || (type !== 'object' && type !== 'directory')) {
        throw new MantaFailure('Manta listed something that has no name or is neither object nor directory.');
    }
    const time = Math.floor(Date.parse(String(mtime)) / 1000) * 1000;
    const info = {
        size: Number(size ?? 0),
        etag: typeof etag === 'string' ? etag : '',
        mtime: new Date(time),
        contentMD5: typeof contentMD5 === 'string' ? contentMD5 : undefined,
    };
    return { name, type, info };
}
