/** HTTP by hand: sends bytes as they are, well-formed or not, and reads one answer. */
import net from 'node:net';

/** An answer; header names are in lower case, of several equal ones the last counts. */
export interface RawAnswer {
    status: number;
    headers: ReadonlyMap<string, string>;
    body: Buffer;
}

interface Head {
    status: number;
    headers: Map<string, string>;
    /** Where the body begins. */
    end: number;
}

function parseHead(bytes: Buffer): Head | undefined {
    for (let start = 0; ;) {
        const blank = bytes.indexOf('\r\n\r\n', start);
        if (blank === -1) {
            return undefined;
        }
        const [first = '', ...lines] = bytes.toString('latin1', start, blank).split('\r\n');
        const [, digits] = /^HTTP\/1\.1 (\d{3}) /.exec(first) ?? [];
        if (digits === undefined) {
            throw new Error(`The answer begins with ${JSON.stringify(first)}.`);
        }
        const status = Number(digits);
        start = blank + 4;
        if (status >= 200) {
            const headers = new Map(
                lines.map((line) => {
                    const colon = line.indexOf(':');
                    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
                }),
            );
            return { status, headers, end: start };
        }
    }
}

/** The content of a chunked body; undefined if it is not complete. */
function unchunk(bytes: Buffer): Buffer | undefined {
    const parts: Buffer[] = [];
    for (let at = 0; ;) {
        const line = bytes.indexOf('\r\n', at);
        if (line === -1) {
            return undefined;
        }
        const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
        const start = line + 2;
        if (bytes.length < start + size + 2) {
            return undefined;
        }
        if (size === 0) {
            return Buffer.concat(parts);
        }
        parts.push(bytes.subarray(start, start + size));
        at = start + size + 2;
    }
}

function parseAnswer(bytes: Buffer, bodiless: boolean, closed: boolean): RawAnswer | undefined {
    const head = parseHead(bytes);
    if (!head) {
        return undefined;
    }
    const { status, headers, end } = head;
    const rest = bytes.subarray(end);
    const length = headers.get('content-length');
    if (bodiless || status === 204 || status === 304) {
        return { status, headers, body: Buffer.alloc(0) };
    }
    if (headers.get('transfer-encoding') === 'chunked') {
        const body = unchunk(rest);
        return body && { status, headers, body };
    }
    if (length !== undefined) {
        return rest.length >= Number(length)
            ? { status, headers, body: rest.subarray(0, Number(length)) }
            : undefined;
    }
    return closed ? { status, headers, body: rest } : undefined;
}

/**
 * Sends the bytes on a connection of their own and gives the first answer; undefined if the server closes the
 * connection without one.
 *
 * @param options `half`: say after the bytes that there are no more. `bodiless`: the answer is one to HEAD
 * @throws Error if there is neither within `within` ms, or what comes is not HTTP
 */
export function sendRaw(
    url: string,
    bytes: Buffer,
    { half, bodiless, within }: { half: boolean; bodiless: boolean; within: number },
): Promise<RawAnswer | undefined> {
    const { hostname, port } = new URL(url);
    return new Promise((resolve, reject) => {
        const socket = net.connect({ host: hostname, port: Number(port) });
        const chunks: Buffer[] = [];
        const timer = setTimeout(() => finish(new Error(`There was no answer within ${within} ms.`)), within);
        const finish = (outcome: RawAnswer | Error | undefined) => {
            clearTimeout(timer);
            socket.destroy();
            if (outcome instanceof Error) {
                reject(outcome);
            } else {
                resolve(outcome);
            }
        };
        const look = (closed: boolean) => {
            try {
                const answer = parseAnswer(Buffer.concat(chunks), bodiless, closed);
                if (answer ?? closed) {
                    finish(answer);
                }
            } catch (err) {
                finish(err as Error);
            }
        };
        socket
            .on('data', (chunk) => {
                chunks.push(chunk);
                look(false);
            })
            // A server that has closed before all was sent: what came is judged by 'close'.
            .on('error', () => undefined)
            .on('close', () => look(true));
        socket.write(bytes);
        if (half) {
            socket.end();
        }
    });
}
