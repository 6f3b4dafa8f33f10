import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import querystring from 'node:querystring';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { SignedDigest } from '../auth/driver';
import { ApiError } from '../errors';
import { nesting } from '../nesting';
import { signedBody } from './signed-body';

/** Arrays and objects within each other that a JSON body may have; a manifest has a handful. */
const MOST_NESTED = 100;

/** The client closed the connection; there is nobody to answer. */
export class ClientGone extends Error {
    override readonly name = 'ClientGone';
    constructor() {
        super('The client closed the connection before the request was complete.');
    }
}

/** Size of the body as announced, in bytes; undefined if there is no (valid) Content-Length. */
export function announcedLength(req: IncomingMessage): number | undefined {
    const header = req.headers['content-length'];
    return header === undefined ? undefined : Number(header);
}

/** Whether the request has a body of which bytes may still be coming. */
export function hasUnreadBody(req: IncomingMessage): boolean {
    const announced = (announcedLength(req) ?? 0) > 0 || req.headers['transfer-encoding'] !== undefined;
    return announced && !req.complete;
}

/**
 * The bytes of a request's body as they arrive.
 *
 * @param timeout how long no byte may come, in ms
 * @throws ApiError RequestTimeout; ClientGone
 */
export async function* readStream(req: IncomingMessage, timeout: number): AsyncGenerator<Buffer> {
    let wake: (() => void) | undefined;
    const awake = () => wake?.();
    const seen = { end: false, failure: req.destroyed && !req.complete, silence: false };
    const timer = setTimeout(() => {
        seen.silence = true;
        awake();
    }, timeout);
    const onEnd = () => {
        seen.end = true;
        awake();
    };
    const onFail = () => {
        seen.failure = !seen.end;
        awake();
    };
    req.on('readable', awake).on('end', onEnd).on('error', onFail).on('close', onFail);
    try {
        for (;;) {
            const chunk = seen.failure ? null : (req.read() as Buffer | null);
            if (chunk !== null) {
                yield chunk;
                // However long the chunk took to be used, the client has its time from now.
                seen.silence = false;
                timer.refresh();
                continue;
            }
            if (seen.failure) {
                throw new ClientGone();
            }
            if (seen.end || req.readableEnded) {
                return;
            }
            if (seen.silence) {
                throw new ApiError(
                    'RequestTimeout',
                    `The request body stopped arriving: no byte came for ${timeout / 1000} s.`,
                    // A connection whose request may never end is of no use for another one.
                    { headers: { Connection: 'close' } },
                );
            }
            await new Promise<void>((resolve) => {
                wake = resolve;
            });
        }
    } finally {
        clearTimeout(timer);
        req.off('readable', awake).off('end', onEnd).off('close', onFail);
        // The error listener stays: a connection that breaks later must not end the process.
    }
}

/** What is asked of a JSON endpoint's body. */
export interface BodyRules {
    /** Largest size in bytes, also after decompression. */
    limit: number;
    /** How long no byte may come, in ms. */
    timeout: number;
    /** What the signature says of the bytes. */
    digest: SignedDigest | undefined;
}

/** The whole body, if it is not larger than `limit` bytes. */
async function readWhole(req: IncomingMessage, { limit, timeout, digest }: BodyRules): Promise<Buffer> {
    const tooLarge = () =>
        new ApiError(
            'RequestEntityTooLarge',
            `The request body is larger than the ${limit} bytes this endpoint takes.`,
        );
    if ((announcedLength(req) ?? 0) > limit) {
        throw tooLarge();
    }
    const chunks: Buffer[] = [];
    let size = 0;
    const arriving = readStream(req, timeout);
    for await (const chunk of digest ? signedBody(arriving, digest) : arriving) {
        size += chunk.length;
        if (size > limit) {
            throw tooLarge();
        }
        chunks.push(chunk);
    }
    return Buffer.concat(chunks);
}

const inflate = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip);

async function decode(body: Buffer, encoding: string | undefined, limit: number): Promise<Buffer> {
    if (encoding === undefined || encoding === 'identity') {
        return body;
    }
    if (encoding !== 'gzip') {
        throw new ApiError(
            'UnsupportedMediaType',
            `Content-Encoding is "${encoding}"; this endpoint takes "gzip".`,
        );
    }
    try {
        return await inflate(body, { maxOutputLength: limit });
    } catch (err) {
        if ((err as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
            throw new ApiError(
                'RequestEntityTooLarge',
                `The decompressed request body is larger than the ${limit} bytes this endpoint takes.`,
            );
        }
        throw new ApiError('InvalidContent', 'The request body is not valid gzip data.', { cause: err });
    }
}

function parseJson(text: string): unknown {
    if (nesting(text) > MOST_NESTED) {
        throw new ApiError(
            'InvalidContent',
            `The request body nests arrays and objects more than ${MOST_NESTED} deep.`,
        );
    }
    try {
        return JSON.parse(text) as unknown;
    } catch (err) {
        throw new ApiError(
            'InvalidContent',
            `The request body is not valid JSON: ${(err as Error).message}.`,
            {
                cause: err,
            },
        );
    }
}

/**
 * The body of a JSON endpoint as a value; undefined if it is empty or of a type that is not read (endpoints.md §1.7).
 * A body whose digest was signed is read to be checked, whatever its type: else the type could be swapped to get round
 * the check.
 *
 * @throws ApiError RequestEntityTooLarge, UnsupportedMediaType, InvalidContent, BadDigest, RequestTimeout, and
 *   UnauthorizedError if it is not what was signed
 */
export async function readValue(req: IncomingMessage, rules: BodyRules): Promise<unknown> {
    const type = (req.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
    const read = type === 'application/json' || type === 'application/x-www-form-urlencoded';
    if (!read && !rules.digest) {
        return undefined;
    }
    const body = await readWhole(req, rules);
    if (!read || body.length === 0) {
        return undefined;
    }
    const expected = req.headers['content-md5'];
    if (expected !== undefined) {
        const actual = createHash('md5').update(body).digest('base64');
        if (expected !== actual) {
            throw new ApiError(
                'BadDigest',
                `Content-MD5 is "${String(expected)}", but the body has "${actual}".`,
            );
        }
    }
    const text = (await decode(body, req.headers['content-encoding'], rules.limit)).toString();
    return type === 'application/json' ? parseJson(text) : { ...querystring.parse(text) };
}
