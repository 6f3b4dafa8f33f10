/**
 * An HTTP proxy that stands before a storage server and does to the requests what networks and servers do when they
 * fail. Which request it does what to is said by injections; all others go through.
 */
import http, { type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Sizes in bytes, times in ms. */
export type Fault =
    /** The connection is reset when the head of the request has arrived. The server hears nothing of it. */
    | { kind: 'reset' }
    /** The connections on both sides are reset when this much of the request's body has gone through. */
    | { kind: 'cut-upload'; after: number }
    /** One byte of the request's body arrives wrong. */
    | { kind: 'corrupt-upload'; at: number }
    /** Nothing is heard any more; the connection stays, and nothing is read from it. The server hears nothing of it. */
    | { kind: 'stall' }
    /** This is the answer. The server hears nothing of the request. */
    | { kind: 'answer'; status: number; headers?: Record<string, string>; body?: string }
    /** The server does it; the connection is reset in the place of its answer. */
    | { kind: 'lost-answer' }
    /** The server hears of it when this resolves. */
    | { kind: 'hold'; until: Promise<void> }
    /** The server does it, and answers after this time. */
    | { kind: 'slow'; delay: number }
    /** The answer's body ends too early: the connection is reset, or closed as if that was all. */
    | { kind: 'cut-answer'; after: number; by: 'reset' | 'end' }
    /** The answer's body stops, and the connection stays. */
    | { kind: 'stall-answer'; after: number }
    /** One byte of the answer's body arrives wrong. */
    | { kind: 'corrupt-answer'; at: number }
    /** The answer has other headers: these are added or replaced, and those that are undefined left out. */
    | { kind: 'headers'; headers: Record<string, string | undefined> };

export interface SeenRequest {
    readonly method: string;
    /** With the query. */
    readonly path: string;
    readonly headers: http.IncomingHttpHeaders;
}

export interface Injection {
    /** A test of `<METHOD> <path>`, with the query; or of the request. */
    on: RegExp | ((request: SeenRequest) => boolean);
    /** What is done to it, or what finds that for each. */
    fault: Fault | ((request: SeenRequest) => Fault);
    /** To how many requests, by default one. */
    times?: number;
    /** How many requests go through before. */
    skip?: number;
}

/** An injection under way. */
export interface Injected {
    /** How many requests it was done to. */
    readonly hits: number;
    /** Resolves when it was done to a request; also if that has happened already. */
    readonly hit: Promise<void>;
    /** No further request gets it. */
    end(): void;
}

/** Headers of an answer that are about one connection only. */
const HOP_HEADERS = ['connection', 'keep-alive', 'transfer-encoding'];

/** Header names and values, in turn, without those of some names. */
function withoutHeaders(raw: readonly string[], names: readonly string[]): string[] {
    const kept: string[] = [];
    for (let at = 0; at < raw.length; at += 2) {
        if (!names.includes(raw[at]!.toLowerCase())) {
            kept.push(raw[at]!, raw[at + 1]!);
        }
    }
    return kept;
}

/** What goes back to the client, as a list of names and values. */
function answerHeaders(answer: IncomingMessage, fault: Fault | undefined): string[] {
    const changed = fault?.kind === 'headers' ? Object.entries(fault.headers) : [];
    const names = changed.map(([name]) => name.toLowerCase());
    return [
        ...withoutHeaders(answer.rawHeaders, [...HOP_HEADERS, ...names]),
        ...changed.flatMap(([name, value]) => (value === undefined ? [] : [name, value])),
    ];
}

/** Passes bytes on; calls `act` when it has passed `after` of them, and passes no more then. */
function passUpTo(after: number, act: () => void): Transform {
    let left = after;
    return new Transform({
        transform(chunk: Buffer, _encoding, done: TransformCallback) {
            const part = chunk.subarray(0, left);
            left -= part.length;
            if (part.length > 0) {
                this.push(part);
            }
            if (left > 0) {
                done();
                return;
            }
            // Once what was pushed is out. Then nothing is asked for, and nothing ends.
            setImmediate(act);
        },
    });
}

/** Passes bytes on, one of them turned over. */
function corrupt(at: number): Transform {
    let position = 0;
    return new Transform({
        transform(chunk: Buffer, _encoding, done: TransformCallback) {
            const offset = at - position;
            position += chunk.length;
            if (offset < 0 || offset >= chunk.length) {
                done(null, chunk);
                return;
            }
            const changed = Buffer.from(chunk);
            changed[offset] = changed[offset]! ^ 0xff;
            done(null, changed);
        },
    });
}

/**
 * Resets a connection. One that is being shut down just now is closed instead: Node would lose its handle
 * (`uv_tcp_close_reset` refuses it with EINVAL), and the process would search for it for ever when it ends.
 */
export function reset(socket: Socket): void {
    if (socket.writableEnded) {
        socket.destroy();
    } else {
        socket.resetAndDestroy();
    }
}

class ActiveInjection implements Injected {
    readonly hit: Promise<void>;
    hits = 0;
    #hear!: () => void;
    #skip: number;
    #left: number;

    constructor(private readonly injection: Injection) {
        this.#skip = injection.skip ?? 0;
        this.#left = injection.times ?? 1;
        this.hit = new Promise((resolve) => (this.#hear = resolve));
    }

    end(): void {
        this.#left = 0;
    }

    /** The fault for this request, if it gets one. */
    take(request: SeenRequest): Fault | undefined {
        const { on, fault } = this.injection;
        const meant = on instanceof RegExp ? on.test(`${request.method} ${request.path}`) : on(request);
        if (!meant || this.#left === 0 || this.#skip-- > 0) {
            return undefined;
        }
        this.#left--;
        this.hits++;
        this.#hear();
        return typeof fault === 'function' ? fault(request) : fault;
    }
}

export class FaultProxy {
    /** Requests that have come, in their order. */
    readonly requests: SeenRequest[] = [];
    readonly #target: URL;
    readonly #server = http.createServer();
    readonly #agent = new http.Agent({ keepAlive: true });
    readonly #sockets = new Set<Socket>();
    #injections: ActiveInjection[] = [];
    #port = 0;

    private constructor(target: string) {
        this.#target = new URL(target);
        const serve = (req: IncomingMessage, res: ServerResponse): void => {
            // Whatever breaks on one side breaks the other.
            this.#serve(req, res).catch(() => req.socket.destroy());
        };
        this.#server.on('request', serve);
        this.#server.on('checkContinue', serve);
        this.#server.on('connection', (socket) => {
            this.#sockets.add(socket);
            socket.once('close', () => this.#sockets.delete(socket));
            socket.on('error', () => undefined);
        });
        // A stalled request is to stay so.
        this.#server.requestTimeout = 0;
    }

    /** @param target URL of the server behind it */
    static async start(target: string): Promise<FaultProxy> {
        const proxy = new FaultProxy(target);
        await proxy.comeBack();
        return proxy;
    }

    get url(): string {
        return `http://127.0.0.1:${this.#port}`;
    }

    inject(injection: Injection): Injected {
        const active = new ActiveInjection(injection);
        this.#injections.push(active);
        return active;
    }

    /** From now on all requests go through, and none has come so far. */
    clear(): void {
        this.#injections = [];
        this.requests.length = 0;
    }

    /** Cuts all connections and refuses new ones. */
    async goAway(): Promise<void> {
        const closed = once(this.#server, 'close');
        this.#server.close();
        this.#sockets.forEach((socket) => socket.destroy());
        await closed;
    }

    /** Takes connections again, at the same port. */
    async comeBack(): Promise<void> {
        this.#server.listen(this.#port, '127.0.0.1');
        await once(this.#server, 'listening');
        this.#port = (this.#server.address() as AddressInfo).port;
    }

    async stop(): Promise<void> {
        if (this.#server.listening) {
            await this.goAway();
        }
        this.#agent.destroy();
    }

    #faultFor(request: SeenRequest): Fault | undefined {
        for (const injection of this.#injections) {
            const fault = injection.take(request);
            if (fault) {
                return fault;
            }
        }
        return undefined;
    }

    async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
        const request = { method: req.method ?? '', path: req.url ?? '', headers: req.headers };
        this.requests.push(request);
        const fault = this.#faultFor(request);
        switch (fault?.kind) {
            case 'reset':
                reset(req.socket);
                return;
            case 'stall':
                return;
            case 'hold':
                await fault.until;
                if (res.destroyed) {
                    return;
                }
                break;
            case 'answer':
                if (req.headers.expect === undefined) {
                    // Clients that are still sending might never look at it.
                    await once(req.resume(), 'end');
                }
                res.writeHead(fault.status, fault.headers).end(fault.body);
                return;
        }
        const upstream = http.request({
            host: this.#target.hostname,
            port: this.#target.port,
            method: request.method,
            path: request.path,
            // As they came: signatures cover the name of the host, and how the body is framed shows whether it is whole.
            headers: withoutHeaders(req.rawHeaders, ['connection']),
            agent: this.#agent,
        });
        upstream.on('error', () => undefined);
        res.once('close', () => {
            if (!res.writableFinished) {
                upstream.destroy();
            }
        });
        upstream.on('continue', () => res.writeContinue());
        const answered = once(upstream, 'response') as Promise<[IncomingMessage]>;
        const sent = this.#sendBody(req, upstream, fault);
        const [answer] = await Promise.race([answered, sent.then(() => answered)]);
        // An early answer, a refusal, ends an upload that is still under way.
        sent.catch(() => undefined);
        await this.#passAnswer(answer, req, res, fault);
    }

    async #sendBody(req: IncomingMessage, upstream: ClientRequest, fault: Fault | undefined): Promise<void> {
        if (fault?.kind === 'cut-upload') {
            const cut = passUpTo(fault.after, () => {
                upstream.destroy();
                reset(req.socket);
            });
            await pipeline(req, cut, upstream);
        } else if (fault?.kind === 'corrupt-upload') {
            await pipeline(req, corrupt(fault.at), upstream);
        } else {
            await pipeline(req, upstream);
        }
    }

    async #passAnswer(
        answer: IncomingMessage,
        req: IncomingMessage,
        res: ServerResponse,
        fault: Fault | undefined,
    ): Promise<void> {
        if (fault?.kind === 'lost-answer') {
            answer.resume();
            reset(req.socket);
            return;
        }
        if (fault?.kind === 'slow') {
            await new Promise((resolve) => setTimeout(resolve, fault.delay));
        }
        res.writeHead(answer.statusCode ?? 502, answer.statusMessage, answerHeaders(answer, fault));
        if (fault?.kind === 'cut-answer') {
            const cut = passUpTo(fault.after, () => {
                answer.destroy();
                if (fault.by === 'end') {
                    req.socket.destroySoon();
                } else {
                    reset(req.socket);
                }
            });
            await pipeline(answer, cut, res);
        } else if (fault?.kind === 'stall-answer') {
            await pipeline(
                answer,
                passUpTo(fault.after, () => undefined),
                res,
            );
        } else if (fault?.kind === 'corrupt-answer') {
            await pipeline(answer, corrupt(fault.at), res);
        } else {
            await pipeline(answer, res);
        }
    }
}
