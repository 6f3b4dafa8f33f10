/** An HTTP service of a datacenter for tests, which keeps what it is asked, and can be made to fail in every way. */
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { text } from 'node:stream/consumers';

export interface StandInRequest {
    readonly method: string;
    readonly path: string;
    readonly query: URLSearchParams;
    readonly headers: IncomingMessage['headers'];
    /** The JSON; undefined if there is no body. */
    readonly body: unknown;
}

export interface StandInAnswer {
    readonly status: number;
    readonly body: unknown;
}

/** Answers a request itself and gives true, or gives false. */
export type StandInTrouble = (request: StandInRequest, response: ServerResponse) => boolean;

/** Ways to fail, each as an answer to anything. */
export const TROUBLES = {
    html: (_request, response) => {
        response.writeHead(502, { 'content-type': 'text/html' }).end('<html><body>Bad Gateway</body></html>');
        return true;
    },
    htmlAsSuccess: (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>');
        return true;
    },
    wrongShape: (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"no":"list"}');
        return true;
    },
    silence: () => true,
} as const satisfies Record<string, StandInTrouble>;

export class HttpStandIn {
    /** What came in, in order. */
    readonly requests: StandInRequest[] = [];
    /** Meets each request before the service does. */
    trouble: StandInTrouble | undefined;
    readonly #server: http.Server;
    readonly #sockets = new Set<Socket>();

    private constructor(private readonly answer: (request: StandInRequest) => StandInAnswer) {
        this.#server = http.createServer((request, response) => void this.#handle(request, response));
        this.#server.on('connection', (socket) => {
            this.#sockets.add(socket);
            socket.once('close', () => this.#sockets.delete(socket));
        });
    }

    static async start(answer: (request: StandInRequest) => StandInAnswer): Promise<HttpStandIn> {
        const standIn = new HttpStandIn(answer);
        standIn.#server.listen(0, '127.0.0.1');
        await once(standIn.#server, 'listening');
        return standIn;
    }

    /** Host and port. */
    get host(): string {
        return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    }

    async stop(): Promise<void> {
        const closed = once(this.#server, 'close');
        this.#server.close();
        this.#sockets.forEach((socket) => socket.destroy());
        await closed;
    }

    async #handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
        const { pathname, searchParams } = new URL(message.url ?? '', 'http://stand-in');
        const body = await text(message);
        const request: StandInRequest = {
            method: message.method ?? '',
            path: pathname,
            query: searchParams,
            headers: message.headers,
            body: body === '' ? undefined : JSON.parse(body),
        };
        this.requests.push(request);
        if (this.trouble?.(request, response) === true) {
            return;
        }
        const { status, body: answer } = this.answer(request);
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    }
}
