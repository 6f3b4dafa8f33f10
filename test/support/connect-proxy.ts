/** A small HTTP proxy: CONNECT tunnels, and requests by their full URL. */
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { connect, type AddressInfo, type Server, type Socket } from 'node:net';

/** Where a host and port as asked for lead to. */
export type Way = (authority: string) => { host: string; port: number };

export class ConnectProxy {
    /** What was asked of it: method and target. */
    readonly requests: string[] = [];
    /** The headers of the last request to it. */
    headers: http.IncomingHttpHeaders = {};
    /** If set, what Proxy-Authorization has to be. */
    authorization: string | undefined;
    /** Takes requests and does nothing. */
    silent = false;
    connections = 0;
    readonly #server: Server;
    readonly #sockets = new Set<Socket>();
    readonly #secure: boolean;

    private constructor(
        private readonly way: Way,
        tls?: { key: string; cert: string },
    ) {
        this.#secure = tls !== undefined;
        const server = tls ? https.createServer(tls) : http.createServer();
        this.#server = server;
        server.on('connection', (socket: Socket) => {
            this.connections++;
            this.#keep(socket);
        });
        server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
            if (!this.#admits(request)) {
                socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n');
            } else if (!this.silent) {
                const { host, port } = this.way(request.url ?? '');
                const target = connect(port, host, () => {
                    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
                    target.write(head);
                    target.pipe(socket).pipe(target);
                });
                this.#keep(target);
                target.once('error', () => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'));
            }
        });
        server.on('request', (request: IncomingMessage, response: http.ServerResponse) => {
            if (!this.#admits(request)) {
                response.writeHead(407).end();
            } else if (!this.silent) {
                const url = new URL(request.url ?? '');
                const { host, port } = this.way(`${url.hostname}:${url.port === '' ? 80 : url.port}`);
                const headers = { ...request.headers };
                delete headers['proxy-authorization'];
                http.get(
                    { host, port, path: `${url.pathname}${url.search}`, headers, agent: false },
                    (answer) => {
                        response.writeHead(answer.statusCode ?? 502, answer.headers);
                        answer.pipe(response);
                    },
                ).once('error', () => response.writeHead(502).end());
            }
        });
    }

    static async start(way: Way, tls?: { key: string; cert: string }): Promise<ConnectProxy> {
        const proxy = new ConnectProxy(way, tls);
        proxy.#server.listen(0, '127.0.0.1');
        await once(proxy.#server, 'listening');
        return proxy;
    }

    /** Its URL, with credentials (`user:password`) if some are given. */
    url(credentials?: string): string {
        const { port } = this.#server.address() as AddressInfo;
        const login = credentials === undefined ? '' : `${credentials}@`;
        return `${this.#secure ? 'https://' : 'http://'}${login}127.0.0.1:${port}`;
    }

    async stop(): Promise<void> {
        this.#server.close();
        this.#sockets.forEach((socket) => socket.destroy());
        if (this.#server.listening) {
            await once(this.#server, 'close');
        }
    }

    #admits(request: IncomingMessage): boolean {
        this.requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
        this.headers = request.headers;
        return (
            this.authorization === undefined || request.headers['proxy-authorization'] === this.authorization
        );
    }

    #keep(socket: Socket): void {
        this.#sockets.add(socket);
        socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket));
    }
}
