import http from 'node:http';
import { Server as NetServer, type AddressInfo, type Socket } from 'node:net';
import type { Server } from 'restify';
import { ApiError, type ErrorCode } from '../errors';
import type { LimitsConfig } from '../config/types';
import type { Identity } from './call';

/** How often Node looks for request heads that take too long, in ms. */
const HEAD_CHECK_INTERVAL = 2000;

/** How often a stopping server closes the connections whose answers are done, in ms. */
const IDLE_CHECK_INTERVAL = 50;

/** Errors of Node's HTTP parser that have an answer of their own; all others are 400. */
const PARSER_ERRORS: Record<string, { code: ErrorCode; message: string }> = {
    HPE_HEADER_OVERFLOW: {
        code: 'RequestHeaderFieldsTooLarge',
        message: 'The request line and headers are larger than this server takes.',
    },
    ERR_HTTP_REQUEST_TIMEOUT: {
        code: 'RequestTimeout',
        message: 'The head of the request did not arrive in time.',
    },
};

/** Answers what cannot be given to a handler because it is no complete HTTP request. */
function answerParserError(err: NodeJS.ErrnoException, socket: Socket, identity: Identity): void {
    const { code, message } = PARSER_ERRORS[err.code ?? ''] ?? {
        code: 'BadRequestError',
        message: 'The request is not well-formed HTTP.',
    };
    const error = new ApiError(code, message);
    const body = JSON.stringify(error.toBody(), null, 2);
    socket.write(
        [
            `HTTP/1.1 ${error.status} ${String(http.STATUS_CODES[error.status])}`,
            'Content-Type: application/json',
            `Content-Length: ${Buffer.byteLength(body)}`,
            `Date: ${new Date().toUTCString()}`,
            `Server: ${identity.serverName}`,
            `x-request-id: ${crypto.randomUUID()}`,
            'x-response-time: 0',
            `x-server-name: ${identity.hostname}`,
            'Connection: close',
            '',
            body,
        ].join('\r\n'),
    );
    // Not only ended: a request whose body went wrong hears of it when its socket is gone.
    socket.destroySoon();
}

/** Where a socket keeps the newest answer made on it. */
const ANSWER = Symbol('answer');
/** Where it keeps those that had to wait for the one before them (pipelining), until they are closed. */
const QUEUED = Symbol('queued');
type AnsweringSocket = Socket & { [ANSWER]?: http.ServerResponse; [QUEUED]?: Set<http.ServerResponse> };

function rememberQueued(socket: AnsweringSocket, answer: http.ServerResponse): void {
    const queued = (socket[QUEUED] ??= new Set());
    queued.add(answer);
    answer.once('close', () => queued.delete(answer));
}

/**
 * Closes the answers that wait for one before them on a connection that has gone. Node closes only the one whose turn it
 * is; what the others hold, such as open files, would be held for ever.
 */
function closeQueued(socket: AnsweringSocket): void {
    for (const answer of socket[QUEUED] ?? []) {
        if (answer.socket === null && !answer.writableFinished) {
            answer.destroy().emit('close');
        }
    }
}

/** Why the server cannot listen, and what to do about it; the usual reasons in words. */
function listenError(err: NodeJS.ErrnoException, port: number, address: string): Error {
    const reasons: Record<string, string> = {
        EADDRINUSE: 'another program listens there; stop it, or set another "port"',
        EADDRNOTAVAIL: 'this machine does not have that address; set another "address"',
        EACCES: 'this user may not use that port; set a "port" of 1024 or above',
        ENOTFOUND: 'that name has no address; set another "address"',
    };
    const reason = reasons[err.code ?? ''];
    return reason === undefined
        ? err
        : Object.assign(new Error(`Cannot listen on ${address}:${port}: ${reason}.`, { cause: err }), {
              code: err.code,
          });
}

/** A listening socket whose requests go to the HTTP application. */
export class Listener {
    readonly #server: http.Server;
    readonly #sockets = new Set<AnsweringSocket>();
    #stopping = false;

    /** @param onError is told what goes wrong while it listens */
    constructor(
        app: Server,
        identity: Identity,
        limits: LimitsConfig,
        private readonly onError: (err: Error) => void,
    ) {
        this.#server = http.createServer({
            maxHeaderSize: limits.headerBytes,
            headersTimeout: limits.headerTimeout,
            connectionsCheckingInterval: HEAD_CHECK_INTERVAL,
            requestTimeout: 0,
            keepAliveTimeout: limits.idleConnection,
            // A missing Host header is no reason to refuse: old clients leave it out.
            requireHostHeader: false,
        });
        const pass = (event: string) => (req: http.IncomingMessage, res: http.ServerResponse) => {
            const socket: AnsweringSocket = req.socket;
            socket[ANSWER] = res;
            if (res.socket === null) {
                rememberQueued(socket, res);
            }
            if (this.#stopping) {
                // The client is to know that this connection is of no more use.
                res.shouldKeepAlive = false;
            }
            app.server.emit(event, req, res);
        };
        this.#server.on('connection', (socket: AnsweringSocket) => {
            this.#sockets.add(socket);
            socket.once('close', () => {
                this.#sockets.delete(socket);
                closeQueued(socket);
            });
        });
        this.#server
            .on('request', pass('request'))
            .on('checkContinue', pass('checkContinue'))
            // Node's own answer to an expectation it does not know would have no body.
            .on('checkExpectation', pass('request'));
        this.#server.on('clientError', (err: NodeJS.ErrnoException, socket: AnsweringSocket) => {
            const answer = socket[ANSWER];
            const amidAnswer = answer?.headersSent === true && !answer.writableFinished;
            if (!socket.writable || amidAnswer || err.code === 'ECONNRESET') {
                socket.destroy();
            } else {
                answerParserError(err, socket, identity);
            }
        });
    }

    async listen(port: number, address: string): Promise<AddressInfo> {
        await new Promise<void>((resolve, reject) => {
            this.#server
                .once('error', (err: NodeJS.ErrnoException) => reject(listenError(err, port, address)))
                .listen(port, address, resolve);
        });
        // Later ones, such as too many open files, are about single connections.
        this.#server.removeAllListeners('error').on('error', this.onError);
        return this.#server.address() as AddressInfo;
    }

    #closeIdle(): void {
        for (const socket of this.#sockets) {
            if (socket[ANSWER]?.writableFinished !== false) {
                socket.destroySoon();
            }
        }
    }

    /**
     * Takes no more connections, lets requests finish for at most `grace` ms, then cuts what is left. Answers say that
     * their connection closes.
     *
     * @param patience how long connections without a request stay open, in ms; at most `grace`
     */
    async stop(grace: number, patience: number): Promise<void> {
        this.#stopping = true;
        for (const { [ANSWER]: answer } of this.#sockets) {
            if (answer?.headersSent === false) {
                answer.shouldKeepAlive = false;
            }
        }
        const cut = setTimeout(() => this.#server.closeAllConnections(), grace);
        const patientUntil = performance.now() + patience;
        // Node closes those that are idle now and have served a request; not those that become idle, nor new ones.
        const idle = setInterval(() => {
            if (performance.now() >= patientUntil) {
                this.#closeIdle();
            }
        }, IDLE_CHECK_INTERVAL);
        await new Promise<void>((resolve) => {
            const closed = () => resolve();
            if (patience > 0) {
                // Closes the socket that listens, and no connections.
                NetServer.prototype.close.call(this.#server, closed);
            } else {
                this.#server.close(closed);
            }
        });
        clearTimeout(cut);
        clearInterval(idle);
    }
}
