/** Objects of a Manta stand-in: how they come in and go out (manta.md §4). */
import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { MantaError } from './manta-error';
import type { MantaEntry, MantaObject, MantaTree } from './manta-tree';
import { parentOf } from './manta-tree';

export interface MantaLimits {
    /** Bytes an object may have for which there is no known length, unless `max-content-length` says less or more. */
    streaming: number;
    /** Bytes that are free. */
    space: number;
    /** Entries of one directory. */
    entries: number;
}

export const MANTA_LIMITS: MantaLimits = {
    streaming: 51_200 * 1024 * 1024,
    space: Number.MAX_SAFE_INTEGER,
    entries: 1_000_000,
};

const EMPTY_MD5 = createHash('md5').digest('base64');
const MOST_COPIES = 9;
const DEFAULT_COPIES = 2;

function etags(header: string): string[] {
    return header.split(',').map((etag) =>
        etag
            .trim()
            .replace(/^W\//, '')
            .replace(/^"(.*)"$/, '$1'),
    );
}

/**
 * Holds a request to its If-Match and If-None-Match. Gives whether the answer is 304.
 * @throws MantaError PreconditionFailed
 */
function isUnmodified({ method, headers }: IncomingMessage, entry: MantaEntry | undefined): boolean {
    const etag = entry?.type === 'object' ? entry.etag : undefined;
    const matches = (header: string): boolean =>
        etag !== undefined && etags(header).some((wanted) => wanted === '*' || wanted === etag);
    const failed = (name: string): MantaError =>
        new MantaError('PreconditionFailed', `${name} does not hold for etag ${etag ?? 'of no object'}`);
    if (headers['if-match'] !== undefined && !matches(headers['if-match'])) {
        throw failed('if-match');
    }
    if (headers['if-none-match'] === undefined || !matches(headers['if-none-match'])) {
        return false;
    }
    if (method === 'GET' || method === 'HEAD') {
        return true;
    }
    throw failed('if-none-match');
}

/** The most bytes that the body may have; they are the number that it does have if that is known. */
function announcedSize({ headers }: IncomingMessage, limits: MantaLimits): number {
    if (headers['transfer-encoding'] === 'chunked') {
        const most = Number(headers['max-content-length'] ?? limits.streaming);
        if (!Number.isInteger(most) || most < 0) {
            throw new MantaError('InvalidMaxContentLength', `${most} is an invalid max-content-length value`);
        }
        return most;
    }
    if (headers['content-length'] === undefined) {
        throw new MantaError('ContentLengthRequired', 'Content-Length must be >= 0');
    }
    return Number(headers['content-length']);
}

function copiesOf({ headers }: IncomingMessage): number {
    const copies = Number(headers['durability-level'] ?? headers['x-durability-level'] ?? DEFAULT_COPIES);
    if (!Number.isInteger(copies) || copies < 1 || copies > MOST_COPIES) {
        throw new MantaError(
            'InvalidDurabilityLevel',
            `durability-level must be between 1 and ${MOST_COPIES}`,
        );
    }
    return copies;
}

/** The objects of a stand-in, their bytes in files of one folder. */
export class MantaObjects {
    readonly #tree: MantaTree;
    readonly #folder: string;
    readonly limits: MantaLimits;
    /** How many bodies are arriving. */
    arriving = 0;

    constructor(tree: MantaTree, folder: string, limits: Partial<MantaLimits>) {
        this.#tree = tree;
        this.#folder = folder;
        this.limits = { ...MANTA_LIMITS, ...limits };
    }

    /**
     * Takes an object. All that can be refused is refused before the body is asked for, and a body that does not
     * arrive as announced changes nothing.
     */
    async put(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
        const { headers } = request;
        const former = this.#tree.get(path);
        isUnmodified(request, former);
        const most = announcedSize(request, this.limits);
        const durability = copiesOf(request);
        if (former?.type === 'directory') {
            throw new MantaError('OperationNotAllowedOnDirectory', `${path} is a directory`);
        }
        this.#tree.assertParent(path);
        if (this.#tree.count(parentOf(path)) >= this.limits.entries) {
            throw new MantaError('DirectoryLimitExceeded', `${parentOf(path)} cannot have more entries`);
        }
        if (Math.min(most, this.limits.streaming) > this.limits.space) {
            throw new MantaError('NotEnoughSpace', `not enough free space for ${most} bytes`);
        }
        const received =
            most === 0
                ? { size: 0, md5: EMPTY_MD5, file: undefined }
                : await this.#receive(request, response, most);
        const conditional = headers['if-match'] ?? headers['if-none-match'];
        if (conditional !== undefined && this.#tree.get(path) !== former) {
            await this.#remove(received.file);
            throw new MantaError('ConcurrentRequest', `${path} was being concurrently updated`);
        }
        const object: MantaObject = {
            type: 'object',
            mtime: new Date(),
            etag: randomUUID(),
            contentType: headers['content-type'] ?? 'application/octet-stream',
            durability,
            ...received,
        };
        const replaced = this.#tree.get(path);
        this.#tree.put(path, object);
        if (replaced?.type === 'object') {
            await this.#remove(replaced.file);
        }
        response
            .writeHead(204, {
                etag: object.etag,
                'last-modified': object.mtime.toUTCString(),
                'computed-md5': object.md5,
            })
            .end();
    }

    /** Makes an empty object. */
    plant(path: string): void {
        this.#tree.put(path, {
            type: 'object',
            mtime: new Date(),
            etag: randomUUID(),
            contentType: 'application/octet-stream',
            durability: DEFAULT_COPIES,
            size: 0,
            md5: EMPTY_MD5,
            file: undefined,
        });
    }

    async get(object: MantaObject, request: IncomingMessage, response: ServerResponse): Promise<void> {
        response.setHeader('etag', object.etag);
        response.setHeader('last-modified', object.mtime.toUTCString());
        response.setHeader('durability-level', object.durability);
        if (isUnmodified(request, object)) {
            response.writeHead(304).end();
            return;
        }
        const { range } = request.headers;
        if (range?.includes(',')) {
            throw new MantaError('NotImplemented', 'multi-range requests not supported');
        }
        const whole = object.file === undefined || request.method === 'HEAD' || range === undefined;
        const [start, end] = whole ? [0, object.size - 1] : rangeOf(range, object.size);
        const common = { 'content-type': object.contentType, 'content-length': end - start + 1 };
        const fitting = whole
            ? { 'accept-ranges': 'bytes', 'content-md5': object.md5 }
            : { 'content-range': `bytes ${start}-${end}/${object.size}` };
        if (object.file === undefined || request.method === 'HEAD') {
            response.writeHead(200, { ...common, ...fitting }).end();
            return;
        }
        const file = await open(join(this.#folder, object.file));
        response.writeHead(whole ? 200 : 206, { ...common, ...fitting });
        await pipeline(file.createReadStream({ start, end, highWaterMark: 256 * 1024 }), response);
    }

    async delete(path: string, object: MantaObject, request: IncomingMessage): Promise<void> {
        isUnmodified(request, object);
        this.#tree.delete(path);
        await this.#remove(object.file);
    }

    async #receive(
        request: IncomingMessage,
        response: ServerResponse,
        most: number,
    ): Promise<{ size: number; md5: string; file: string | undefined }> {
        const file = randomUUID();
        const hash = createHash('md5');
        let size = 0;
        this.arriving++;
        try {
            if (request.headers.expect === '100-continue') {
                response.writeContinue();
            }
            await pipeline(
                request,
                async function* (chunks: AsyncIterable<Buffer>) {
                    for await (const chunk of chunks) {
                        size += chunk.length;
                        if (size > most) {
                            throw new MantaError(
                                'MaxContentLengthExceeded',
                                `request has exceeded ${most} bytes`,
                            );
                        }
                        hash.update(chunk);
                        yield chunk;
                    }
                },
                createWriteStream(join(this.#folder, file), { highWaterMark: 1024 * 1024 }),
            );
            const md5 = hash.digest('base64');
            const announced = request.headers['content-md5'];
            if (announced !== undefined && announced !== md5) {
                throw new MantaError(
                    'ContentMD5Mismatch',
                    `Content-MD5 expected ${String(announced)}, but was ${md5}`,
                );
            }
            if (size === 0) {
                await this.#remove(file);
            }
            return { size, md5, file: size === 0 ? undefined : file };
        } catch (err) {
            await this.#remove(file);
            throw err;
        } finally {
            this.arriving--;
        }
    }

    async #remove(file: string | undefined): Promise<void> {
        if (file !== undefined) {
            await rm(join(this.#folder, file), { force: true });
        }
    }
}

/** First and last byte of a Range header. @throws MantaError RangeNotSatisfiable */
function rangeOf(header: string, size: number): [number, number] {
    const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
    const [start, end] =
        first === ''
            ? [Math.max(0, size - Number(last)), size - 1]
            : [Number(first), last === '' ? size - 1 : Math.min(Number(last), size - 1)];
    if (start > end || (first === '' && Number(last) === 0)) {
        throw new MantaError('RangeNotSatisfiable', `${header} is an invalid range`, {
            'content-range': `bytes */${size}`,
        });
    }
    return [start, end];
}
