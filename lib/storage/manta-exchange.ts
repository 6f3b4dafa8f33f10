/** One request to Manta and its answer, every wait bounded. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { formatQuantity } from '../config/quantity';
import { isPooled } from './buffer-pool';
import type { Sink } from './intake';
import { connectionFailure, MantaFailure } from './manta-failure';

/** In ms. */
export interface MantaTimeouts {
    /** For a connection, with TLS. */
    connect: number;
    /** For the head of an answer, and for permission to send a body. */
    answer: number;
    /** For Manta to take or send some bytes of a body. */
    idle: number;
    /** Before what failed is tried again, about; twice as long before each further time. */
    pause: number;
}

/** Largest error that is read, in bytes. */
const ERROR_BYTES = 64 * 1024;
/** What is kept of an error of Manta, in characters. */
const LONGEST_MESSAGE = 512;

/** A request that is on its way. Whoever makes one takes its answer to the end, or destroys it. */
export class MantaExchange implements Sink {
    readonly #request: ClientRequest;
    readonly #timeouts: MantaTimeouts;
    readonly #signal: AbortSignal | undefined;
    readonly #foreign: boolean;
    readonly #answered: Promise<IncomingMessage>;
    readonly #continued: Promise<void>;
    readonly #onAbort = (): void => this.destroy();
    #answer: IncomingMessage | undefined;
    #failure: Error | undefined;
    #release: (() => void) | undefined;
    /** Called when it ends while a body is being sent. */
    onEnd: (() => void) | undefined;

    /** @param foreign it is about a path of somebody else's */
    constructor(request: ClientRequest, timeouts: MantaTimeouts, signal?: AbortSignal, foreign = false) {
        this.#request = request;
        this.#timeouts = timeouts;
        this.#signal = signal;
        this.#foreign = foreign;
        this.#answered = new Promise((resolve, reject) => {
            request.once('response', (answer) => {
                this.#answer = answer;
                // A failure of the connection is told to whoever reads the body, if anybody does.
                answer.on('error', () => undefined);
                resolve(answer);
                this.#end();
            });
            request.on('error', (error) => {
                this.#failure ??= error;
                reject(error);
                this.#end();
            });
        });
        this.#answered.catch(() => undefined);
        this.#continued = new Promise((resolve) => request.once('continue', resolve));
        request.once('close', () => signal?.removeEventListener('abort', this.#onAbort));
        signal?.addEventListener('abort', this.#onAbort, { once: true });
        this.#limitConnecting();
        if (signal?.aborted === true) {
            this.destroy();
        }
    }

    /** Ends the request and waits for its answer. */
    async answer(): Promise<IncomingMessage> {
        this.#request.end();
        return this.#within(this.#timeouts.answer, this.#answered, 'answer');
    }

    /** Waits until the body may be sent. Gives the answer if that comes instead. */
    async ready(): Promise<IncomingMessage | undefined> {
        this.#request.flushHeaders();
        const first = Promise.race([this.#answered, this.#continued]);
        return (await this.#within(this.#timeouts.answer, first, 'answer')) ?? undefined;
    }

    write(chunk: Uint8Array): Promise<void> | undefined {
        if (isPooled(chunk)) {
            // Its memory is free for others when the next chunk is asked for.
            return this.#taken((done) => void this.#request.write(chunk, done));
        }
        return this.#request.write(chunk)
            ? undefined
            : this.#taken((done) => void this.#request.once('drain', done));
    }

    check(): void {
        this.#signal?.throwIfAborted();
        if (this.#failure !== undefined) {
            throw connectionFailure(this.#failure);
        }
        if (this.#answer !== undefined) {
            throw new MantaFailure('Manta answered before it had the whole object.', {
                status: this.#answer.statusCode ?? 0,
            });
        }
    }

    /** The answer, if it has come already. */
    get early(): IncomingMessage | undefined {
        return this.#answer;
    }

    /** Cuts the connection, unless the answer has been taken to its end. */
    destroy(): void {
        this.#request.destroy();
    }

    /** The failure that an answer other than the wanted one tells of. Its body is read for that. */
    async failure(answer: IncomingMessage): Promise<MantaFailure> {
        const status = answer.statusCode ?? 0;
        const { code, message } = await this.#errorOf(answer);
        const date = Date.parse(answer.headers.date ?? '');
        return new MantaFailure(
            `Manta answered ${status}${code === undefined ? '' : ` ${code}`}${message === undefined ? '' : `: ${message}`}`,
            {
                status,
                code,
                skew: Number.isNaN(date) ? undefined : Math.round((Date.now() - date) / 1000),
                foreign: this.#foreign,
            },
        );
    }

    /** The whole body of an answer. @throws MantaFailure if it has more bytes, or does not arrive */
    async body(answer: IncomingMessage, most: number): Promise<Buffer> {
        const pieces: Buffer[] = [];
        let size = 0;
        for await (const piece of this.pieces(answer)) {
            size += piece.length;
            if (size > most) {
                throw new MantaFailure(`Manta answered with more than ${most} bytes.`);
            }
            pieces.push(piece);
        }
        return Buffer.concat(pieces);
    }

    /** The body of an answer as it arrives. Ending the iteration early cuts the connection. */
    async *pieces(answer: IncomingMessage): AsyncGenerator<Buffer, void, undefined> {
        const incoming = answer[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
        let done = false;
        try {
            while (!done) {
                const step = await this.#within(this.#timeouts.idle, incoming.next(), 'send anything');
                done = step.done === true;
                if (!done) {
                    yield step.value;
                }
            }
        } finally {
            if (!done) {
                this.destroy();
            }
        }
    }

    /** Gives the connection back although nobody wants the body. */
    discard(answer: IncomingMessage): void {
        if (answer.headers['content-length'] === '0' || answer.statusCode === 204 || answer.complete) {
            answer.resume();
        } else {
            this.destroy();
        }
    }

    #limitConnecting(): void {
        const limit = this.#timeouts.connect;
        this.#request.once('socket', (socket) => {
            if (!socket.connecting) {
                return;
            }
            const timer = setTimeout(() => this.#giveUp(limit, 'take the connection'), limit);
            const clear = (): void => clearTimeout(timer);
            socket.once('encrypted' in socket ? 'secureConnect' : 'connect', clear);
            this.#request.once('close', clear);
        });
    }

    #end(): void {
        this.#release?.();
        this.onEnd?.();
    }

    /** Waits until bytes are taken, or never will be. */
    #taken(send: (done: () => void) => void): Promise<void> {
        const taken = new Promise<void>((done) => {
            this.#release = done;
            send(done);
        });
        return this.#within(this.#timeouts.idle, taken, 'take anything');
    }

    #giveUp(limit: number, what: string): void {
        const time = formatQuantity('time', limit);
        const late = new MantaFailure(`Manta did not ${what} within ${time}.`, { code: 'ETIMEDOUT' });
        this.#failure ??= late;
        this.#request.destroy(late);
    }

    async #within<T>(limit: number, promise: Promise<T>, what: string): Promise<T> {
        const timer = setTimeout(() => this.#giveUp(limit, what), limit);
        try {
            return await promise;
        } catch (error) {
            this.#signal?.throwIfAborted();
            throw connectionFailure(this.#failure ?? error);
        } finally {
            clearTimeout(timer);
        }
    }

    async #errorOf(answer: IncomingMessage): Promise<{ code?: string; message?: string }> {
        try {
            const error = JSON.parse((await this.body(answer, ERROR_BYTES)).toString()) as {
                code?: unknown;
                message?: unknown;
            };
            return {
                ...(typeof error.code === 'string' && { code: error.code.slice(0, LONGEST_MESSAGE) }),
                ...(typeof error.message === 'string' && {
                    message: error.message.slice(0, LONGEST_MESSAGE),
                }),
            };
        } catch {
            // The answer to HEAD has no body, and what is no error of Manta's may have any: the status says enough.
            this.#signal?.throwIfAborted();
            return {};
        }
    }
}
