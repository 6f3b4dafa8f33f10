/** One request to another server and its answer, held to limits while it arrives. */
import type { Dispatcher } from 'undici';
import type { OutboundConfig } from '../config/types';
import { foreignError } from '../foreign-error';
import { nesting } from '../nesting';
import { unlessAborted } from '../abort';
import { RemoteFailure, type RemoteBody, type RemoteContext } from './driver';
import { BadAnswer, BodyFault, failureOf } from './failures';

/** Answers before the answer (1xx) that are put up with: each of them starts the wait for the head again. */
const MOST_INTERIM = 10;
/** Least bytes that a file brings for each second of waiting. */
const SLOWEST = 1024;
/** Largest error body that is read, in bytes. */
const ERROR_BYTES = 64 * 1024;
/** Arrays and objects within each other that JSON may have; a manifest has a handful. */
const MOST_NESTED = 100;

export interface Exchange {
    dispatcher: Dispatcher;
    /** Of the connection: of the server, or of a proxy that is asked by the full URL. */
    origin: string;
    path: string;
    headers: Record<string, string>;
    /** What messages call the server: the host of the URL, with its port if it has one. */
    host: string;
    outbound: OutboundConfig;
}

type Incoming = Dispatcher.ResponseData;

/** Ends an answer whose body nobody wants. */
function discard({ body }: Incoming): void {
    body.on('error', () => undefined).destroy();
}

async function send(exchange: Exchange, signal: AbortSignal): Promise<Incoming> {
    const { dispatcher, origin, path, headers, outbound } = exchange;
    signal.throwIfAborted();
    const interim = new AbortController();
    let interims = 0;
    const request = dispatcher.request({
        origin,
        path,
        method: 'GET',
        headers,
        headersTimeout: outbound.answerTimeout,
        bodyTimeout: outbound.idleTimeout,
        signal: AbortSignal.any([signal, interim.signal]),
        onInfo: () => {
            if (++interims > MOST_INTERIM) {
                interim.abort(new BadAnswer('sent no answer, only announcements of one.'));
            }
        },
    });
    // undici itself would wait for the connection before it heeds the signal.
    return unlessAborted(signal, request);
}

/** A header's value; undefined if it is absent or was sent more than once. */
function header({ headers }: Incoming, name: string): string | undefined {
    const value = headers[name];
    return typeof value === 'string' ? value : undefined;
}

function announcedSize(answer: Incoming): number | undefined {
    const text = header(answer, 'content-length');
    const size = text === undefined || !/^\d+$/.test(text) ? NaN : Number(text);
    return Number.isSafeInteger(size) ? size : undefined;
}

/** The bytes of an answer. Fails when they come too slowly for a whole idleTimeout of waiting. */
async function* piecesOf(
    answer: Incoming,
    { host, outbound }: Exchange,
    signal: AbortSignal,
): AsyncGenerator<Buffer> {
    const size = announcedSize(answer);
    const least = (SLOWEST * outbound.idleTimeout) / 1000;
    let received = 0;
    let waited = 0;
    let lately = 0;
    try {
        let asked = performance.now();
        for await (const chunk of answer.body as AsyncIterable<Buffer>) {
            received += chunk.length;
            lately += chunk.length;
            waited += performance.now() - asked;
            if (waited > outbound.idleTimeout) {
                if (lately < least) {
                    throw new BodyFault('sends too slowly to ever be done.');
                }
                waited = 0;
                lately = 0;
            }
            yield chunk;
            asked = performance.now();
        }
    } catch (err) {
        const cut =
            size !== undefined && received < size && (err as { code?: unknown }).code === 'UND_ERR_SOCKET';
        throw failureOf(
            cut
                ? new BodyFault(`cut the connection after ${received} of ${size} bytes.`, { cause: err })
                : err,
            host,
            signal,
            outbound,
        );
    } finally {
        discard(answer);
    }
}

/** A body as one buffer. @throws BodyFault if it is larger, or not all there in time */
async function readAll(answer: Incoming, most: number, milliseconds: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    const late = setTimeout(() => {
        answer.body.destroy(new BodyFault('took too long for its answer.'));
    }, milliseconds);
    try {
        for await (const chunk of answer.body as AsyncIterable<Buffer>) {
            size += chunk.length;
            if (size > most) {
                throw new BodyFault(`sent more than the ${most} bytes that are taken of JSON.`);
            }
            chunks.push(chunk);
        }
    } finally {
        clearTimeout(late);
        discard(answer);
    }
    return Buffer.concat(chunks);
}

/** The error that a body in IMGAPI's form tells of. */
async function remoteError(
    answer: Incoming,
    { outbound }: Exchange,
    signal: AbortSignal,
): Promise<{ code: string; message: string } | undefined> {
    try {
        const text = (await readAll(answer, ERROR_BYTES, outbound.answerTimeout)).toString();
        const error: unknown = nesting(text) > MOST_NESTED ? undefined : JSON.parse(text);
        return foreignError(error);
    } catch {
        // The status says enough; what came with it is no error that can be told.
        signal.throwIfAborted();
        return undefined;
    }
}

async function refuseStatus(answer: Incoming, exchange: Exchange, signal: AbortSignal): Promise<never> {
    const { host } = exchange;
    const { statusCode: status } = answer;
    if (status >= 300 && status < 400) {
        discard(answer);
        throw new RemoteFailure(`${host} answered ${status}, a redirect; those are not followed.`, {
            status,
        });
    }
    const remote = await remoteError(answer, exchange, signal);
    throw new RemoteFailure(
        remote
            ? `${host} answered ${status} ${remote.code}: ${remote.message}`
            : `${host} answered with status ${status}.`,
        { status, ...(remote && { remote }) },
    );
}

const PLAIN = /^(?:|identity)$/i;

/** Sends a request and waits for the head of the answer; only status 200 will do. */
async function exchanged(exchange: Exchange, signal: AbortSignal): Promise<Incoming> {
    const answer = await send(exchange, signal);
    if (answer.statusCode !== 200) {
        return refuseStatus(answer, exchange, signal);
    }
    const encoding = answer.headers['content-encoding'];
    const transfer = answer.headers['transfer-encoding'] ?? 'chunked';
    if (encoding !== undefined && !PLAIN.test(String(encoding))) {
        discard(answer);
        throw new BadAnswer('sent a compressed body although it was asked for none.');
    }
    if (String(transfer).toLowerCase() !== 'chunked') {
        discard(answer);
        throw new BadAnswer('sent a body in a transfer encoding that nobody asked for.');
    }
    return answer;
}

/** Runs what talks to a server, its errors put as RemoteFailure. */
async function speaking<T>(exchange: Exchange, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    try {
        return await run();
    } catch (err) {
        throw failureOf(err, exchange.host, signal, exchange.outbound);
    }
}

/** Asks for bytes. The whole of them is bounded by whoever iterates. @throws RemoteFailure, OutboundRefused */
export async function fetchBody(exchange: Exchange, { signal }: RemoteContext): Promise<RemoteBody> {
    return speaking(exchange, signal, async () => {
        const answer = await exchanged(exchange, signal);
        return {
            size: announcedSize(answer),
            contentType: header(answer, 'content-type'),
            body: piecesOf(answer, exchange, signal),
        };
    });
}

/**
 * Asks for a JSON object.
 *
 * @param most bytes that are taken
 * @throws RemoteFailure, OutboundRefused
 */
export async function fetchObject(
    exchange: Exchange,
    { signal }: RemoteContext,
    most: number,
): Promise<Record<string, unknown>> {
    return speaking(exchange, signal, async () => {
        const answer = await exchanged(exchange, signal);
        const text = (await readAll(answer, most, exchange.outbound.answerTimeout)).toString();
        if (nesting(text) > MOST_NESTED) {
            throw new BadAnswer('sent JSON that is nested too deeply.');
        }
        let value: unknown;
        try {
            value = JSON.parse(text);
        } catch (err) {
            throw new BadAnswer('sent what is no JSON.', { cause: err });
        }
        if (typeof value !== 'object' || value === null || Array.isArray(value)) {
            throw new BadAnswer('sent JSON that is no object.');
        }
        return value as Record<string, unknown>;
    });
}
