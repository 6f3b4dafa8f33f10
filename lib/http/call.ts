import { randomUUID } from 'node:crypto';
import type Logger from 'bunyan';
import type { Request, Response } from 'restify';
import type { Call, CallState, Headers, Services } from '../api/call';
import { Query } from '../api/query';
import type { Route } from '../api/route';
import type { ClientCertificate } from '../auth/driver';
import { ApiError } from '../errors';
import type { Traffic } from '../metrics/traffic';
import { certificateOf } from './client-certificate';
import { compacted } from './compact';
import type { Cors } from './cors';
import { forwardedAddress, originOf } from './origin';
import { announcedLength, ClientGone, hasUnreadBody, readStream, readValue } from './body';
import { signedBody } from './signed-body';

/** What every answer carries about the server. */
export interface Identity {
    /** Value of the Server header. */
    serverName: string;
    hostname: string;
    /** There if pages of other origins may use the API. */
    cors?: Cors | undefined;
}

/** Request ids that are taken over from clients; any other is replaced by one of ours. */
const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/** How long a client whose upload was refused may go on sending before the connection is closed, in ms. */
const LINGER = 2000;

/** Unread bodies up to this size are read and dropped, so that the connection can be used again. */
const SMALL_BODY = 256 << 10;

/** Bodies up to this size are written in one go with the head. */
const ONE_WRITE = 16 << 10;

type Format = 'json' | 'compact' | 'text';

const FORMATS: Record<string, { format: Format; type: string }> = {
    'application/json': { format: 'json', type: 'application/json' },
    'text/plain': { format: 'text', type: 'text/plain' },
    'application/javascript': { format: 'compact', type: 'application/javascript' },
    'application/octet-stream': { format: 'compact', type: 'application/json' },
};
const JSON_FORMAT = { format: 'json', type: 'application/json' } as const;

function givenId(header: string | string[] | undefined): string | undefined {
    return typeof header === 'string' && REQUEST_ID.test(header) ? header : undefined;
}

/** A request and its answer, on restify's objects. */
export class HttpCall implements Call {
    readonly state: CallState = {};
    readonly id: string;
    /** ms, on the monotonic clock. */
    readonly started = performance.now();
    /** The error that was answered, for the audit record. */
    error: unknown;
    /** Headers of the answer, for the audit record. */
    sentHeaders: Headers = {};
    version2 = false;
    /** What its end is told with, if its begin was told (trace-events.ts). */
    event: { readonly name: string; readonly req_seq: number } | undefined;
    /** Of the client, also after it has gone. Behind a proxy its port is not known. */
    readonly remoteAddress: string | undefined;
    readonly remotePort: number | undefined;
    /** The path without the query. */
    readonly path: string;
    readonly search: string;
    #format: { format: Format; type: string } = JSON_FORMAT;
    #route: Route | undefined;
    #pathParameter = '';
    #query: Query | undefined;
    #log: Logger | undefined;
    #aborter: AbortController | undefined;
    #sentJson: Buffer | undefined;

    constructor(
        readonly services: Services,
        private readonly identity: Identity,
        private readonly traffic: Traffic,
        readonly req: Request,
        readonly res: Response,
    ) {
        this.id = givenId(req.headers['request-id']) ?? givenId(req.headers['x-request-id']) ?? randomUUID();
        const forwarded = forwardedAddress(req.socket, req.headers);
        this.remoteAddress = forwarded ?? req.socket.remoteAddress;
        this.remotePort = forwarded === undefined ? req.socket.remotePort : undefined;
        const mark = req.url.indexOf('?');
        this.path = mark === -1 ? req.url : req.url.slice(0, mark);
        this.search = mark === -1 ? '' : req.url.slice(mark + 1);
    }

    get method(): string {
        return this.req.method;
    }
    get url(): string {
        return this.req.url;
    }
    get httpVersion(): string {
        return this.req.httpVersion;
    }
    get headers(): Request['headers'] {
        return this.req.headers;
    }
    repeats(header: string): boolean {
        // Names and values in turn.
        const isName = (text: string, n: number) => n % 2 === 0 && text.toLowerCase() === header;
        return this.req.rawHeaders.filter(isName).length > 1;
    }
    get query(): Query {
        return (this.#query ??= new Query(this.search));
    }
    get pathParameter(): string {
        return this.#pathParameter;
    }
    get uuid(): string {
        return this.#pathParameter;
    }
    get origin(): string {
        return originOf(this.req.socket, this.req.headers);
    }
    get certificate(): ClientCertificate | undefined {
        return certificateOf(this.req.socket);
    }
    get contentLength(): number | undefined {
        return announcedLength(this.req);
    }

    get route(): Route {
        if (!this.#route) {
            throw new TypeError('The request has no route yet.');
        }
        return this.#route;
    }

    /** The route, if one was found. */
    get matchedRoute(): Route | undefined {
        return this.#route;
    }

    setRoute(route: Route, pathParameter: string): void {
        this.#route = route;
        this.#pathParameter = pathParameter;
    }

    get log(): Logger {
        return (this.#log ??= this.services.log.child({ req_id: this.id }, true));
    }

    get signal(): AbortSignal {
        if (!this.#aborter) {
            const aborter = new AbortController();
            this.#aborter = aborter;
            const closed = () => {
                if (!this.res.writableFinished) {
                    aborter.abort(new ClientGone());
                }
            };
            if (this.res.destroyed) {
                closed();
            } else {
                this.res.once('close', closed);
            }
        }
        return this.#aborter.signal;
    }

    /** Settles the form of the answer by the Accept header. @throws ApiError NotAcceptable */
    negotiate(): void {
        const { accept } = this.headers;
        if (accept === undefined || accept === '' || accept === '*/*' || accept === 'application/json') {
            return;
        }
        const type = this.req.accepts(Object.keys(FORMATS));
        if (type !== undefined) {
            this.#format = FORMATS[type] ?? JSON_FORMAT;
        } else if (this.#route === undefined || this.#route.answers === 'json') {
            throw new ApiError(
                'NotAcceptable',
                `Accept is "${accept}"; this endpoint answers with application/json.`,
            );
        }
    }

    /** How long a client may send or take nothing, in ms. */
    get #timeouts(): { readTimeout: number; writeTimeout: number } {
        const { limits, tls } = this.services.config;
        const { readTimeout = limits.readTimeout, writeTimeout = limits.writeTimeout } = tls;
        return 'encrypted' in this.req.socket ? { readTimeout, writeTimeout } : limits;
    }

    async readBody(): Promise<unknown> {
        const { jsonBytes } = this.services.config.limits;
        const { readTimeout } = this.#timeouts;
        const { signedDigest: digest } = this.state;
        this.traffic.received += this.contentLength ?? 0;
        return readValue(this.req, { limit: jsonBytes, timeout: readTimeout, digest });
    }

    bodyStream(): AsyncIterable<Buffer> {
        const arriving = this.#counted(readStream(this.req, this.#timeouts.readTimeout));
        const { signedDigest } = this.state;
        return signedDigest ? signedBody(arriving, signedDigest) : arriving;
    }

    async *#counted(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
        this.traffic.uploads++;
        try {
            for await (const chunk of chunks) {
                this.traffic.received += chunk.length;
                yield chunk;
            }
        } finally {
            this.traffic.uploads--;
        }
    }

    send(status: number, value: unknown, headers: Headers = {}): void {
        const text = this.#format.format === 'json' ? JSON.stringify(value, null, 2) : JSON.stringify(value);
        this.#sentJson = Buffer.from(text);
        this.#end(status, this.#sentJson, { 'Content-Type': this.#format.type, ...headers });
    }

    sendJson(status: number, pretty: Buffer, headers: Headers = {}): void {
        if (this.#format.format === 'json') {
            this.#sentJson = pretty;
            this.#end(status, pretty, { 'Content-Type': 'application/json', ...headers });
        } else {
            this.send(status, JSON.parse(pretty.toString()), headers);
        }
    }

    async sendJsonStream(
        status: number,
        pieces: AsyncIterable<Buffer>,
        headers: Headers = {},
    ): Promise<void> {
        const { format, type } = this.#format;
        await this.sendStream(
            status,
            { 'Content-Type': type, ...headers },
            format === 'json' ? pieces : compacted(pieces),
        );
    }

    sendBytes(status: number, body: Buffer, headers: Headers): void {
        this.#end(status, body, headers);
    }

    sendEmpty(status: number, headers: Headers = {}): void {
        this.#end(status, undefined, headers);
    }

    async sendStream(status: number, headers: Headers, body: AsyncIterable<Buffer>): Promise<void> {
        const chunks = body[Symbol.asyncIterator]();
        // Until there is a first chunk, a failure can still be answered as one.
        let chunk = await chunks.next();
        this.traffic.downloads++;
        try {
            this.#writeHead(status, headers);
            if (this.method !== 'HEAD') {
                this.#cutIfStalled();
                for (; chunk.done !== true; chunk = await chunks.next()) {
                    await this.#write(chunk.value);
                }
            }
            this.res.end();
        } finally {
            this.traffic.downloads--;
            await chunks.return?.();
        }
    }

    /** Answers with an error; cuts the connection if an answer has begun. */
    fail(err: unknown): void {
        this.error = err;
        if (this.res.headersSent || err instanceof ClientGone || this.res.destroyed) {
            if (!(err instanceof ClientGone)) {
                this.log.warn({ err }, 'an answer was cut off');
            }
            this.res.destroy();
            return;
        }
        const apiError = err instanceof ApiError ? err : this.#internalError(err);
        const headers: Headers = { ...apiError.headers };
        if (apiError.code === 'NotAcceptable') {
            this.#end(apiError.status, Buffer.alloc(0), headers);
        } else if (this.#format.format === 'text') {
            this.#end(apiError.status, Buffer.from(apiError.message), {
                ...headers,
                'Content-Type': 'text/plain',
            });
        } else {
            this.send(apiError.status, apiError.toBody(), headers);
        }
    }

    /** The value that was answered as JSON, for the audit record; undefined if there was none. */
    sentJson(): unknown {
        return this.#sentJson && (JSON.parse(this.#sentJson.toString()) as unknown);
    }

    #internalError(err: unknown): ApiError {
        this.log.error({ err, route: this.#route?.name }, 'a request failed in a way it should not');
        return new ApiError(
            'InternalError',
            `The server could not complete the request; its log has the reason under request id ${this.id}.`,
            { cause: err },
        );
    }

    #writeHead(status: number, headers: Headers): void {
        this.sentHeaders = headers;
        // Spread last: V8 is many times slower at adding to a spread object than at spreading into a literal.
        this.res.writeHead(status, {
            Server: this.identity.serverName,
            'x-request-id': this.id,
            'x-response-time': Math.round(performance.now() - this.started),
            'x-server-name': this.identity.hostname,
            ...this.identity.cors?.headers(this.req.headers.origin),
            ...headers,
        });
    }

    /** Gives up a client that takes no byte of the answer for too long. */
    #cutIfStalled(): void {
        const { res } = this;
        res.setTimeout(this.#timeouts.writeTimeout, () => res.destroy());
    }

    #end(status: number, body: Buffer | undefined, headers: Headers): void {
        const { req, res } = this;
        this.traffic.sent += body?.length ?? 0;
        const all = body === undefined ? headers : { 'Content-Length': body.length, ...headers };
        if (!hasUnreadBody(req) || (announcedLength(req) ?? Infinity) <= SMALL_BODY) {
            this.#writeHead(status, all);
            if (body && body.length <= ONE_WRITE) {
                // As a string, Node joins it with the head; the bytes are the same.
                res.end(body.toString('latin1'), 'latin1');
            } else {
                this.#cutIfStalled();
                res.end(body);
            }
            return;
        }
        // A client in the middle of an upload sees the answer only if its bytes are taken until it has seen it.
        this.#writeHead(status, { Connection: 'close', ...all });
        if (body) {
            res.write(body);
        } else {
            res.flushHeaders();
        }
        const timer = setTimeout(() => res.end(), LINGER);
        req.once('close', () => {
            clearTimeout(timer);
            res.end();
        })
            .once('end', () => res.end())
            .on('error', () => res.destroy())
            .resume();
    }

    #write(chunk: Buffer): Promise<void> {
        const { res } = this;
        this.traffic.sent += chunk.length;
        return new Promise((resolve, reject) => {
            const closed = () => reject(new ClientGone());
            res.once('close', closed);
            res.write(chunk, (err) => {
                res.off('close', closed);
                if (err) {
                    reject(new ClientGone());
                } else {
                    resolve();
                }
            });
        });
    }
}
