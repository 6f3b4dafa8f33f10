/** Opens objects of Manta for reading (manta.md §4). */
import type { ReadOptions } from './driver';
import { MantaBody } from './manta-body';
import {
    isDirectory,
    objectInfo,
    type MantaAnswer,
    type MantaClient,
    type MantaObjectInfo,
} from './manta-client';
import { MantaFailure } from './manta-failure';

export interface MantaDownload {
    readonly info: MantaObjectInfo;
    readonly body: MantaBody;
}

interface Opened {
    readonly answer: MantaAnswer;
    readonly info: MantaObjectInfo;
    /** First byte of the answer, and how many it has. */
    readonly start: number;
    readonly length: number;
}

/** First byte, last byte and size of the object in a Content-Range. */
const CONTENT_RANGE = /^bytes (\d+)-(\d+)\/(\d+)$/;

/** Asks for an object, or from `start` to `end` of it. Undefined if there is no such object. */
async function open(
    client: MantaClient,
    path: string,
    { start = 0, end, signal }: ReadOptions,
    etag?: string,
): Promise<Opened | undefined> {
    const ranged = start > 0 || end !== undefined;
    const headers = {
        accept: '*/*',
        ...(ranged && { range: `bytes=${start}-${end ?? ''}` }),
        ...(etag !== undefined && { 'if-match': etag }),
    };
    return client.persist(async () => {
        const answer = await client.answered({ method: 'GET', path, headers, signal });
        if (answer === undefined) {
            return undefined;
        }
        try {
            if (!isDirectory(answer.message)) {
                return describe(answer, ranged);
            }
            answer.exchange.destroy();
            return undefined;
        } catch (error) {
            answer.exchange.destroy();
            throw error;
        }
    }, signal);
}

/** What an answer has of which object. @throws MantaFailure if it does not say so */
function describe(answer: MantaAnswer, ranged: boolean): Opened {
    const { message } = answer;
    const length = Number(message.headers['content-length']);
    if (message.statusCode === 200) {
        // Manta does not look at the Range of a request for an empty object.
        if (ranged && length > 0) {
            throw new MantaFailure('Manta sent all of an object instead of a part.', { status: 502 });
        }
        return { answer, info: objectInfo(message), start: 0, length };
    }
    const [, first, last, size] = CONTENT_RANGE.exec(message.headers['content-range'] ?? '') ?? [];
    const start = Number(first);
    if (message.statusCode !== 206 || Number(last) - start + 1 !== length) {
        throw new MantaFailure(
            `Manta answered ${message.statusCode ?? 0} without saying which bytes it sends.`,
            {
                status: 502,
            },
        );
    }
    // The digest is that of the whole object, which is not what comes.
    return { answer, info: { ...objectInfo(message, Number(size)), contentMD5: undefined }, start, length };
}

function outside(path: string, { start = 0, end }: ReadOptions, cause?: unknown): RangeError {
    return new RangeError(`Bytes ${start} to ${end ?? 'the end'} do not lie within the object ${path}.`, {
        cause,
    });
}

/**
 * Opens an object, or a part of it. Undefined if there is none.
 *
 * @param onBreak is told when a connection broke and another one is to bring the rest
 * @throws RangeError if the object does not have all the bytes that are asked for; MantaFailure
 */
export async function download(
    client: MantaClient,
    path: string,
    wanted: ReadOptions,
    onBreak: (failure: MantaFailure, received: number) => void,
): Promise<MantaDownload | undefined> {
    const { start = 0, end, signal } = wanted;
    let opened: Opened | undefined;
    try {
        opened = await open(client, path, wanted);
    } catch (error) {
        throw error instanceof MantaFailure && error.status === 416 ? outside(path, wanted, error) : error;
    }
    if (opened === undefined) {
        return undefined;
    }
    const { answer, info, length } = opened;
    if (opened.start !== start || (end !== undefined && start + length !== end + 1)) {
        answer.exchange.destroy();
        throw outside(path, wanted);
    }
    const reopen = async (from: number): Promise<MantaAnswer> => {
        const rest = await open(client, path, { start: from, end: start + length - 1, signal }, info.etag);
        if (rest?.start !== from) {
            throw new MantaFailure('An object of Manta was gone before all of it was read.', { status: 404 });
        }
        return rest.answer;
    };
    const body = new MantaBody({
        client,
        answer,
        length,
        start,
        contentMD5: info.contentMD5,
        signal,
        reopen,
        onBreak,
    });
    return { info, body };
}
