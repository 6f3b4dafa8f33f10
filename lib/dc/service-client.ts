/** A client of one service of the datacenter, which speaks JSON over HTTP (vm-images.md §2.1). */
import { createHash } from 'node:crypto';
import { Pool, type Dispatcher } from 'undici';
import { unlessAborted } from '../abort';
import type { Config } from '../config/types';
import { foreignError } from '../foreign-error';
import { isHeaderValue } from '../header-value';
import { nesting } from '../nesting';
import { ServiceFailure, type ServiceContext } from './driver';

/** Largest answer taken, in bytes. A list of 1,000 jobs, with scripts and manifests among their parameters, is the largest. */
const MOST_BYTES = 64 * 1024 * 1024;
/** Arrays and objects within each other that JSON may have. */
const MOST_NESTED = 100;

/** Idle connections are kept this long, and at most as long as servers say. ms */
const KEEP_ALIVE = 4000;
const LONGEST_KEEP_ALIVE = 60_000;

export interface ServiceClientOptions {
    /** What messages call the service, such as `VMAPI`. */
    name: string;
    /** http or https; a path stays before that of every request. */
    url: string;
    config: Pick<Config, 'services' | 'maxSockets'>;
    /** Sent as `user-agent`. */
    serverName: string;
    /** Sent as `accept-version`, if given. */
    acceptVersion?: string;
}

export interface ServiceRequest {
    method: 'GET' | 'POST' | 'PUT' | 'DELETE';
    /** Encoded already, beginning with a slash. */
    path: string;
    query?: Readonly<Record<string, string | undefined>>;
    /** Sent as JSON. Requests that take a body get `{}` if there is none. */
    body?: unknown;
}

export interface ServiceAnswer {
    /** 2xx. */
    readonly status: number;
    /** The JSON; undefined if the answer has no body. */
    readonly body: unknown;
}

type Incoming = Dispatcher.ResponseData;

export class ServiceClient {
    readonly #options: ServiceClientOptions;
    readonly #pool: Pool;
    readonly #basePath: string;

    /** Nothing is connected before it is asked for. @throws TypeError if the URL is none */
    constructor(options: ServiceClientOptions) {
        const { url, config } = options;
        const { origin, pathname } = new URL(url);
        this.#options = options;
        this.#basePath = pathname.replace(/\/+$/, '');
        this.#pool = new Pool(origin, {
            connections: config.maxSockets,
            connect: { timeout: config.services.connectTimeout },
            keepAliveTimeout: KEEP_ALIVE,
            keepAliveMaxTimeout: LONGEST_KEEP_ALIVE,
        });
    }

    /**
     * Sends a request, and reads the answer within `services.answerTimeout` after at most `services.connectTimeout`.
     *
     * @throws ServiceFailure if there is none in time, its status is not 2xx, or its body no JSON; the signal's reason
     */
    async request(request: ServiceRequest, context: ServiceContext): Promise<ServiceAnswer> {
        const { name, config } = this.#options;
        const { connectTimeout, answerTimeout } = config.services;
        // undici would connect first.
        context.signal.throwIfAborted();
        const late = AbortSignal.timeout(connectTimeout + answerTimeout);
        const signal = AbortSignal.any([context.signal, late]);
        try {
            // undici itself would wait for the connection before it heeds the signal.
            const answer = await unlessAborted(signal, this.#send(request, context.requestId, signal));
            return await this.#read(answer, request);
        } catch (err) {
            context.signal.throwIfAborted();
            if (err instanceof ServiceFailure) {
                throw err;
            }
            const what = late.aborted ? 'did not answer in time' : 'could not be asked';
            throw new ServiceFailure(`${name} ${what} (${request.method} ${request.path}).`, { cause: err });
        }
    }

    /** Cuts what is still under way. */
    async close(): Promise<void> {
        await this.#pool.destroy();
    }

    #send({ method, path, query, body }: ServiceRequest, requestId: string, signal: AbortSignal) {
        const { serverName, acceptVersion } = this.#options;
        const parameters = new URLSearchParams(
            Object.entries(query ?? {}).filter((pair): pair is [string, string] => pair[1] !== undefined),
        ).toString();
        const text = method === 'POST' || method === 'PUT' ? JSON.stringify(body ?? {}) : undefined;
        return this.#pool.request({
            method,
            path: `${this.#basePath}${path}${parameters === '' ? '' : `?${parameters}`}`,
            headers: {
                accept: 'application/json',
                date: new Date().toUTCString(),
                'user-agent': serverName,
                // Clients may send ids that no header of ours can hold.
                ...(isHeaderValue(requestId) && { 'request-id': requestId, 'x-request-id': requestId }),
                ...(acceptVersion !== undefined && { 'accept-version': acceptVersion }),
                ...(text !== undefined && {
                    'content-type': 'application/json',
                    'content-md5': createHash('md5').update(text).digest('base64'),
                }),
            },
            ...(text !== undefined && { body: text }),
            headersTimeout: 0,
            bodyTimeout: 0,
            signal,
        });
    }

    async #read(answer: Incoming, { method, path }: ServiceRequest): Promise<ServiceAnswer> {
        const { name } = this.#options;
        const { statusCode: status } = answer;
        const text = await readText(answer);
        const body = parse(text);
        if (status < 200 || status > 299) {
            const error = body === undefined ? undefined : foreignError(body);
            const told = error ? ` ${error.code}: ${error.message}` : '';
            throw new ServiceFailure(`${name} answered ${status}${told} (${method} ${path}).`, {
                status,
                ...(error && { body: error }),
            });
        }
        if (body === undefined && text !== '') {
            throw new ServiceFailure(`${name} answered ${status} with what is no JSON (${method} ${path}).`, {
                status,
            });
        }
        return { status, body };
    }
}

async function readText({ body }: Incoming): Promise<string> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > MOST_BYTES) {
            throw new Error(`The answer is larger than ${MOST_BYTES} bytes.`);
        }
        chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
}

function parse(text: string): unknown {
    if (text === '' || nesting(text) > MOST_NESTED) {
        return undefined;
    }
    try {
        return JSON.parse(text) as unknown;
    } catch {
        return undefined;
    }
}
