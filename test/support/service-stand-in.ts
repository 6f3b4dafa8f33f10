/** What the stand-ins for services of a datacenter share: JSON over HTTP, checked as those services check it. */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { LyingServer, type Behaviour } from './lying-server';

export interface ReceivedRequest {
    readonly method: string;
    readonly path: string;
    readonly query: URLSearchParams;
    readonly headers: IncomingHttpHeaders;
    /** The JSON; undefined if there is none. */
    readonly body: unknown;
}

export interface ServiceReply {
    readonly status?: number;
    readonly body: unknown;
}

export type Handle = (request: ReceivedRequest) => ServiceReply | Promise<ServiceReply>;

export const notFound = (what: string): ServiceReply => ({
    status: 404,
    body: { code: 'ResourceNotFound', message: `${what} not found` },
});

export class ServiceStandIn {
    /** In the order in which they came. */
    readonly requests: ReceivedRequest[] = [];
    /** While set, answers in the place of the service. */
    spoil: Behaviour | undefined;
    readonly #handle: Handle;
    #server: LyingServer | undefined;

    private constructor(handle: Handle) {
        this.#handle = handle;
    }

    /** @param port by default a free one */
    static async start(handle: Handle, port?: number): Promise<ServiceStandIn> {
        const standIn = new ServiceStandIn(handle);
        standIn.#server = await LyingServer.start(
            (request, response) => {
                void standIn.#answer(request, response);
            },
            { ...(port !== undefined && { port }) },
        );
        return standIn;
    }

    get url(): string {
        return this.#running.url();
    }

    /** How many connections to it are open. */
    get open(): number {
        return this.#running.open;
    }

    /** Resolves once no connection is open. */
    idle(): Promise<void> {
        return this.#running.idle();
    }

    /** Ends it, and what is connected to it. */
    stop(): Promise<void> {
        return this.#running.stop();
    }

    get #running(): LyingServer {
        if (!this.#server) {
            throw new TypeError('It has not been started.');
        }
        return this.#server;
    }

    async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
        const text = await readText(request);
        const { pathname: path, searchParams: query } = new URL(request.url ?? '/', 'http://localhost');
        const { method = 'GET', headers } = request;
        const received = { method, path, query, headers, body: parse(text) };
        this.requests.push(received);
        if (this.spoil) {
            this.spoil(request, response);
            return;
        }
        const { status = 200, body } = refusal(received, text) ?? (await this.#handle(received));
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    }
}

async function readText(request: IncomingMessage): Promise<string> {
    const chunks: Buffer[] = [];
    try {
        for await (const chunk of request as AsyncIterable<Buffer>) {
            chunks.push(chunk);
        }
    } catch {
        // Whoever asked has gone; nobody hears the answer.
    }
    return Buffer.concat(chunks).toString();
}

function parse(text: string): unknown {
    try {
        return JSON.parse(text) as unknown;
    } catch {
        return undefined;
    }
}

/** The answer to a body that is not what its headers say. */
function refusal({ headers, body }: ReceivedRequest, text: string): ServiceReply | undefined {
    if (text === '') {
        return undefined;
    }
    if (headers['content-type'] !== 'application/json' || body === undefined) {
        return { status: 400, body: { code: 'InvalidContent', message: 'the body is no JSON' } };
    }
    const md5 = createHash('md5').update(text).digest('base64');
    return headers['content-md5'] !== undefined && headers['content-md5'] !== md5
        ? { status: 400, body: { code: 'BadDigest', message: 'Content-MD5 did not match' } }
        : undefined;
}
