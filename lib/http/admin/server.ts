/** The small HTTP servers for those who watch: the admin listener, and that of metrics in a datacenter. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type Logger from 'bunyan';
import { ApiError } from '../../errors';
import { isLoopback } from '../../config/loopback';

/** Heads of requests have to arrive within this, in ms; bodies are not taken. */
const HEAD_WITHIN = 15_000;
/** A client that takes nothing of its answer for this long is cut off, in ms. */
const IDLE_WITHIN = 60_000;

export interface PageAnswer {
    readonly status: number;
    readonly type: string;
    readonly body: string;
    readonly headers?: Readonly<Record<string, string>>;
}

/** @throws ApiError which is answered as JSON */
export type Page = (query: URLSearchParams) => PageAnswer | Promise<PageAnswer>;

export interface WatchServerParts {
    /** By their path. */
    pages: Readonly<Record<string, Page>>;
    /** Value of the Server header. */
    serverName: string;
    log: Logger;
}

/** What every answer carries, so that a browser takes it for nothing but what it is. */
const SAFETY = {
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
};

export class WatchServer {
    readonly #server: http.Server;
    #isLocal = true;

    constructor(private readonly parts: WatchServerParts) {
        this.#server = http.createServer(
            {
                headersTimeout: HEAD_WITHIN,
                requestTimeout: HEAD_WITHIN,
                connectionsCheckingInterval: 2000,
                requireHostHeader: false,
            },
            (req, res) => void this.#answer(req, res),
        );
        this.#server.timeout = IDLE_WITHIN;
    }

    /** @param key of the configuration that the address comes from. @throws Error if it cannot listen */
    async listen(port: number, address: string, key: string): Promise<AddressInfo> {
        this.#isLocal = isLoopback(address);
        await new Promise<void>((resolve, reject) => {
            this.#server
                .once('error', (err: NodeJS.ErrnoException) =>
                    reject(
                        new Error(
                            `Cannot listen on ${address}:${port} (${key}): ${err.code ?? err.message}.`,
                            { cause: err },
                        ),
                    ),
                )
                .listen(port, address, resolve);
        });
        this.#server.removeAllListeners('error').on('error', (err) => {
            this.parts.log.error({ err }, 'a connection of the admin listener could not be accepted');
        });
        return this.#server.address() as AddressInfo;
    }

    async close(): Promise<void> {
        const closed = new Promise<void>((resolve) => {
            this.#server.close(() => resolve());
        });
        this.#server.closeAllConnections();
        await closed;
    }

    async #answer(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
        const answer = await this.#pageAnswer(req).catch((err: unknown) => this.#failure(req, err));
        const body = Buffer.from(answer.body);
        res.on('error', () => res.destroy());
        res.writeHead(answer.status, {
            'Content-Type': answer.type,
            'Content-Length': body.length,
            Server: this.parts.serverName,
            ...SAFETY,
            ...answer.headers,
            // A body is not read, so nothing can follow it.
            ...(req.headers['content-length'] !== undefined || req.headers['transfer-encoding'] !== undefined
                ? { Connection: 'close' }
                : {}),
        });
        res.end(req.method === 'HEAD' ? undefined : body);
    }

    async #pageAnswer(req: http.IncomingMessage): Promise<PageAnswer> {
        const { method, url = '', headers } = req;
        if (this.#isLocal && !isLocalName(headers.host)) {
            throw new ApiError(
                'NotAuthorized',
                'Host names another machine than this listener is for; ask for it as localhost or by its address.',
            );
        }
        const mark = url.indexOf('?');
        const path = mark === -1 ? url : url.slice(0, mark);
        const page = Object.hasOwn(this.parts.pages, path) ? this.parts.pages[path] : undefined;
        if (!page) {
            throw new ApiError('ResourceNotFound', 'There is nothing under this path.');
        }
        if (method !== 'GET' && method !== 'HEAD') {
            throw new ApiError('MethodNotAllowedError', 'Only GET and HEAD are allowed here.', {
                headers: { Allow: 'GET, HEAD' },
            });
        }
        return page(new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1)));
    }

    #failure(req: http.IncomingMessage, err: unknown): PageAnswer {
        let error: ApiError;
        if (err instanceof ApiError) {
            error = err;
        } else {
            this.parts.log.error({ err, url: req.url }, 'a page of the admin listener could not be made');
            error = new ApiError('InternalError', 'The page could not be made; the log has the reason.');
        }
        return json(error.status, error.toBody(), error.headers);
    }
}

/**
 * Whether a Host header is one for this machine. A web page could have its own name lead to 127.0.0.1 and read what is
 * there (DNS rebinding); it cannot have the browser send another name than its own.
 */
function isLocalName(host: string | undefined): boolean {
    return host === undefined || isLoopback(host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1'));
}

export function json(status: number, value: unknown, headers: Record<string, string> = {}): PageAnswer {
    return { status, type: 'application/json', body: `${JSON.stringify(value, null, 2)}\n`, headers };
}
