/** Servers that do not keep to what they say, for tests of everything that fetches from other servers. */
import { once } from 'node:events';
import http, { type RequestListener } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';

/** What a server does with a request. */
export type Behaviour = RequestListener;

/** A real server on loopback that counts who connects to it. */
export class LyingServer {
    port = 0;
    /** How many connections were made to it. */
    connections = 0;
    /** Method and target of each request. */
    readonly requests: string[] = [];
    /** The headers of the last request. */
    headers: http.IncomingHttpHeaders = {};
    /** What the next request is answered with. */
    behave: Behaviour;
    readonly #server: Server;
    readonly #sockets = new Set<Socket>();
    readonly #secure: boolean;

    private constructor(behave: Behaviour, tls?: { key: string; cert: string }) {
        this.behave = behave;
        this.#secure = tls !== undefined;
        const answer: RequestListener = (request, response) => {
            this.requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
            this.headers = request.headers;
            response.on('error', () => undefined);
            this.behave(request, response);
        };
        this.#server = tls ? https.createServer(tls, answer) : http.createServer(answer);
        this.#server.on('connection', (socket: Socket) => {
            this.connections++;
            this.#sockets.add(socket);
            socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket));
        });
    }

    /** @param options a host other than 127.0.0.1, a port other than a free one, and the certificate for https */
    static async start(
        behave: Behaviour,
        options: { host?: string; port?: number; tls?: { key: string; cert: string } } = {},
    ): Promise<LyingServer> {
        const server = new LyingServer(behave, options.tls);
        server.#server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
        await once(server.#server, 'listening');
        server.port = (server.#server.address() as AddressInfo).port;
        return server;
    }

    /** Its URL under a host name or address, by default 127.0.0.1. */
    url(host = '127.0.0.1'): string {
        return `${this.#secure ? 'https' : 'http'}://${host}:${this.port}`;
    }

    /** How many connections are open. */
    get open(): number {
        return this.#sockets.size;
    }

    /** Resolves once no connection is open. */
    async idle(): Promise<void> {
        await Promise.all(
            [...this.#sockets].map((socket) => new Promise((closed) => socket.once('close', closed))),
        );
    }

    async stop(): Promise<void> {
        this.#server.close();
        this.#sockets.forEach((socket) => socket.destroy());
        if (this.#server.listening) {
            await once(this.#server, 'close');
        }
    }
}

/** Answers with a value as JSON. */
export function json(value: unknown, status = 200): Behaviour {
    return (_request, response) => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
}

/** Answers with bytes of a known length. */
export function bytes(body: Buffer | string, headers: http.OutgoingHttpHeaders = {}): Behaviour {
    return (_request, response) => {
        response.writeHead(200, { 'content-length': Buffer.byteLength(body), ...headers }).end(body);
    };
}

/** Sends these bytes as they are, head and all, and closes the connection unless it is to be kept. */
export function raw(text: string, { keep = false } = {}): Behaviour {
    return ({ socket }) => {
        if (keep) {
            socket.write(text);
        } else {
            socket.end(text);
        }
    };
}

/** Sends a piece again and again, as fast as the client takes it or with a pause (ms) between. */
export function endless(piece: string, { pause = 0, status = 200 } = {}): Behaviour {
    return (_request, response) => {
        response.writeHead(status);
        let closed = false;
        response.once('close', () => (closed = true));
        const next = () => {
            if (closed) {
                return;
            }
            if (pause > 0) {
                response.write(piece);
                setTimeout(next, pause);
            } else if (response.write(piece)) {
                setImmediate(next);
            } else {
                response.once('drain', next);
            }
        };
        next();
    };
}

/** Repeats a raw text from the start of the answer on. */
export function endlessRaw(first: string, piece: string, pause: number): Behaviour {
    return ({ socket }) => {
        socket.write(first);
        const timer = setInterval(() => socket.write(piece), pause);
        socket.once('close', () => clearInterval(timer));
    };
}

/** Takes the request and says nothing. */
export const silent: Behaviour = () => undefined;

/** Sends less than it announced, then closes the connection. */
export const short: Behaviour = raw('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this');
/** Sends less than it announced, then nothing more. */
export const stalled: Behaviour = raw('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this', {
    keep: true,
});
/** Cuts a chunked body off in the middle of a chunk. */
export const cutChunk: Behaviour = raw(
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n100\r\nhalf',
);
/** Closes the connection in the middle of the head. */
export const cutHead: Behaviour = raw('HTTP/1.1 200 OK\r\nContent-Le');
/** Closes the connection at once. */
export const hangUp: Behaviour = ({ socket }) => socket.destroy();
/** Speaks another protocol. */
export const noHttp: Behaviour = raw('220 mail.example.com ESMTP\r\n');
export const hugeHeaders: Behaviour = raw(
    `HTTP/1.1 200 OK\r\nX-Much: ${'x'.repeat(1024 * 1024)}\r\nContent-Length: 2\r\n\r\n{}`,
);
/** Announces an answer for ever. */
export const announcing: Behaviour = endlessRaw('', 'HTTP/1.1 103 Early Hints\r\n\r\n', 5);
export const switching: Behaviour = raw(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n',
    { keep: true },
);
/** Compresses although nobody asked for it. */
export const compressed: Behaviour = (_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"uuid": "x"}'));
};

export function redirect(location: string, status = 302): Behaviour {
    return (_request, response) => {
        response.writeHead(status, { location }).end();
    };
}

/** Passes a request on to another server. */
export function pass(target: string, request: http.IncomingMessage, response: http.ServerResponse): void {
    const { method, headers } = request;
    const passed = http.request(target + String(request.url), { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    response.on('close', () => passed.destroy());
    request.pipe(passed);
}

/** Answers a request itself and gives true, or gives false. */
export type Spoiler = (request: http.IncomingMessage, response: http.ServerResponse) => boolean;

/** Passes requests on to another server, but for those that are spoiled. */
export function passing(target: string, spoil: Spoiler): Behaviour {
    return (request, response) => {
        if (!spoil(request, response)) {
            pass(target, request, response);
        }
    };
}
