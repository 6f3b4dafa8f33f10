/** Puts objects into Manta (manta.md §4). */
import { MAX_IMAGE_SIZE } from '../constants';
import type { StageOptions } from './driver';
import { Intake, type Taken } from './intake';
import { objectInfo, type MantaAsk, type MantaClient, type MantaObjectInfo } from './manta-client';
import type { MantaExchange } from './manta-exchange';
import { MantaFailure } from './manta-failure';

/** How often an upload begins again because its directory is cleared away from under it. */
const MOST_REMADE = 10;

export interface MantaUpload {
    /** Absolute path of the object; its directory need not be there. */
    path: string;
    source: AsyncIterable<Uint8Array>;
    options: StageOptions;
    /** Nothing else is or will be under the path: what is there after a failure may be deleted. */
    fresh: boolean;
    /** See {@link MantaAsk.foreign}. */
    foreign?: boolean;
    /** Makes the directory of the object, whatever is thought to be known about it. */
    makeParent: () => Promise<void>;
}

/** The last directory on the way to the object is not there. */
function lacksParent(error: unknown): boolean {
    return error instanceof MantaFailure && error.code === 'DirectoryDoesNotExist';
}

/**
 * Stores all bytes of the source under the path, as a whole, or not at all.
 *
 * They are always sent in chunks. Manta stores an object that is sent so when we say that it ends, and not when it has
 * so many bytes: what turns out to be wrong with its last byte is still in time.
 *
 * @throws what {@link Intake.run} throws, and MantaFailure. The source is closed in every case.
 */
export async function upload(client: MantaClient, given: MantaUpload): Promise<MantaObjectInfo> {
    const { path, source, options, foreign = false, makeParent } = given;
    const { size, contentMD5, contentType = 'application/octet-stream', signal } = options;
    const headers = {
        'content-type': contentType,
        'transfer-encoding': 'chunked',
        // Without it older ones take less than the largest image.
        'max-content-length': Math.max(size ?? MAX_IMAGE_SIZE, 1),
        expect: '100-continue',
        ...(contentMD5 !== undefined && { 'content-md5': contentMD5 }),
    };
    const ask: MantaAsk = { method: 'PUT', path, headers, signal, foreign };
    let exchange: MantaExchange;
    try {
        exchange = await begin(client, ask, makeParent);
    } catch (error) {
        source[Symbol.asyncIterator]()
            .return?.()
            .catch(() => undefined);
        throw error;
    }
    let taken: Taken | undefined;
    try {
        taken = await send(client, exchange, given);
        return await finish(client, exchange, taken);
    } catch (error) {
        exchange.destroy();
        if (taken !== undefined) {
            const stored = await settle(client, given, taken, error);
            if (stored !== undefined) {
                return stored;
            }
        }
        throw error;
    }
}

/**
 * After the end of an object was sent, and something failed: finds out whether it is stored. Gives it if it is; if not,
 * sees to it as well as can be that it stays so.
 */
async function settle(
    client: MantaClient,
    { path, fresh, options }: MantaUpload,
    taken: Taken,
    error: unknown,
): Promise<MantaObjectInfo | undefined> {
    try {
        if (error instanceof MantaFailure && error.passing && options.signal?.aborted !== true) {
            const stored = await lookAgain(client, path, taken);
            if (stored !== undefined) {
                return stored;
            }
        }
        if (fresh) {
            await client.delete(path);
        }
    } catch {
        // The first failure is the one to tell. What may be left is up to whoever made the key.
    }
    return undefined;
}

/** Asks until Manta wants the body: nothing is lost yet when it does not. */
async function begin(
    client: MantaClient,
    ask: MantaAsk,
    makeParent: () => Promise<void>,
): Promise<MantaExchange> {
    for (let made = 0; ; made++) {
        try {
            return await client.persist(async () => {
                const exchange = await client.begin(ask);
                const early = await exchange.ready();
                if (early !== undefined) {
                    const failure = await exchange.failure(early);
                    exchange.destroy();
                    throw failure;
                }
                return exchange;
            }, ask.signal);
        } catch (error) {
            if (!lacksParent(error) || made === MOST_REMADE) {
                throw error;
            }
            await makeParent();
        }
    }
}

/** Sends the body but for its end. */
async function send(
    client: MantaClient,
    exchange: MantaExchange,
    { source, options }: MantaUpload,
): Promise<Taken> {
    const intake = new Intake();
    exchange.onEnd = intake.wake;
    try {
        return await intake.run(source, exchange, options, true);
    } catch (error) {
        if (error instanceof MantaFailure) {
            throw client.failed(exchange.early ? await exchange.failure(exchange.early) : error);
        }
        throw error;
    } finally {
        exchange.onEnd = undefined;
    }
}

/** Ends the body and takes the answer. */
async function finish(client: MantaClient, exchange: MantaExchange, taken: Taken): Promise<MantaObjectInfo> {
    const message = await exchange.answer();
    if (!(await client.accept(exchange, message))) {
        throw new MantaFailure('Manta answered 404 to an object that it had asked for.', { status: 404 });
    }
    message.resume();
    const computed = message.headers['computed-md5'];
    if (computed !== undefined && computed !== taken.contentMD5) {
        throw new MantaFailure('Manta has stored other bytes than it was sent.');
    }
    return { ...objectInfo(message, taken.size), contentMD5: taken.contentMD5 };
}

/** After a whole object was sent but not acknowledged: the object if it is stored nevertheless. */
async function lookAgain(
    client: MantaClient,
    path: string,
    taken: Taken,
): Promise<MantaObjectInfo | undefined> {
    const found = await client.head(path);
    return found?.size === taken.size && found.contentMD5 === taken.contentMD5 ? found : undefined;
}
