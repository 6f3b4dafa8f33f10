import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import type Logger from 'bunyan';
import type { Server } from 'restify';
import type { Certificates } from '../config/certificates';
import type { LimitsConfig } from '../config/types';
import { ApiError, type ErrorCode } from '../errors';
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
            ...Object.entries(identity.cors?.headers(undefined) ?? {}).map(
                ([name, value]) => `${name}: ${value}`,
            ),
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

export interface ListenerOptions {
    readonly identity: Identity;
    readonly limits: LimitsConfig;
    /** There if the connections speak TLS. */
    readonly certificates?: Certificates | undefined;
    readonly log: Logger;
}

function tlsOptions({ cert, key, ca }: Certificates): SecureContextOptions & TlsOptions {
    return {
        cert,
        key,
        minVersion: 'TLSv1.2',
        ...(ca !== undefined && { ca, requestCert: true, rejectUnauthorized: true }),
    };
}

/** Speaks HTTP on connections that others have accepted, by TLS or not, and hands the requests to the application. */
export class Listener {
    readonly #server: http.Server | https.Server;
    /** All connections that are open, as they were accepted. */
    readonly #accepted = new Set<Socket>();
    /** Those on which HTTP is spoken. By TLS that is another object, and there after the handshake. */
    readonly #sockets = new Set<AnsweringSocket>();
    readonly #log: Logger;
    #stopping = false;
    #quietSince = performance.now();
    /** Nothing is served any more. */
    #stopped = false;

    constructor(app: Server, { identity, limits, certificates, log }: ListenerOptions) {
        this.#log = log;
        const options: http.ServerOptions = {
            maxHeaderSize: limits.headerBytes,
            headersTimeout: limits.headerTimeout,
            connectionsCheckingInterval: HEAD_CHECK_INTERVAL,
            requestTimeout: 0,
            keepAliveTimeout: limits.idleConnection,
            // A missing Host header is no reason to refuse: old clients leave it out.
            requireHostHeader: false,
        };
        this.#server = certificates
            ? https.createServer({
                  ...options,
                  ...tlsOptions(certificates),
                  handshakeTimeout: limits.headerTimeout,
              })
            : http.createServer(options);
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
        this.#server.on(certificates ? 'secureConnection' : 'connection', (socket: AnsweringSocket) => {
            // A client may say that it sends no more, and wait for its answer.
            socket.allowHalfOpen = true;
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
            if (!this.#sockets.has(socket)) {
                this.#refused(err, socket);
                return;
            }
            const answer = socket[ANSWER];
            const amidAnswer = answer?.headersSent === true && !answer.writableFinished;
            if (!socket.writable || amidAnswer || err.code === 'ECONNRESET') {
                socket.destroy();
            } else {
                answerParserError(err, socket, identity);
            }
        });
        // It does not listen itself, but only then would Node look for heads that take too long.
        this.#server.emit('listening');
    }

    /** There was no TLS, or not as it has to be. */
    #refused({ code, message }: NodeJS.ErrnoException, socket: AnsweringSocket): void {
        const { remoteAddress } = socket;
        this.#log.info({ remoteAddress, err: { code, message } }, 'a connection by TLS was refused');
        socket.destroy();
    }

    /** Serves a connection that was accepted, and from which nothing was read yet. */
    serve(socket: Socket): void {
        if (this.#stopped) {
            socket.destroy();
            return;
        }
        this.#accepted.add(socket);
        socket.once('close', () => {
            this.#accepted.delete(socket);
            this.#quietSince = performance.now();
        });
        // Who goes away in the middle of a handshake waits for nothing.
        socket.allowHalfOpen = !(this.#server instanceof https.Server);
        this.#server.emit('connection', socket);
        socket.resume();
    }

    /** For how long there has been no connection, in ms; 0 while there is one. */
    get quiet(): number {
        return this.#accepted.size > 0 ? 0 : performance.now() - this.#quietSince;
    }

    /** New connections get these certificates; those that there are go on with theirs. */
    setCertificates(certificates: Certificates): void {
        if (this.#server instanceof https.Server) {
            this.#server.setSecureContext(tlsOptions(certificates));
        }
    }

    /** Closes connections that no request is under way on. */
    #closeIdle(): void {
        for (const socket of this.#sockets) {
            if (socket[ANSWER]?.writableFinished !== false) {
                socket.destroySoon();
            }
        }
    }

    /**
     * Lets requests finish for at most `grace` ms, then cuts what is left. Answers say that their connection closes.
     * Whoever accepts connections has ceased to; a few that are on their way are served as well.
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
        const begun = performance.now();
        const look = () => {
            const waited = performance.now() - begun;
            if (waited >= grace) {
                this.#accepted.forEach((socket) => socket.destroy());
            } else if (waited >= patience) {
                this.#closeIdle();
                if (this.#sockets.size === 0) {
                    // What there is has not come to speak HTTP: it is in the middle of a TLS handshake.
                    this.#accepted.forEach((socket) => socket.destroy());
                }
            }
        };
        if (patience === 0) {
            this.#server.closeIdleConnections();
        }
        while (this.#accepted.size > 0) {
            await sleep(IDLE_CHECK_INTERVAL);
            look();
        }
        this.#stopped = true;
    }
}
