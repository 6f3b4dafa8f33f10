/** The load generator's process. It writes requests by hand on kept connections, so that it is the server that waits. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { answerCalls } from './helper';
import type { LoadJob, LoadResult } from './load';
import { ResponseReader } from './response-reader';

/** Bytes read, or written, at a time. */
const READ_SIZE = 512 << 10;
const WRITE_SIZE = 256 << 10;

const HOST = '127.0.0.1';

/** The bytes of every upload, again and again. Random, so that no file system makes them less. */
const content = randomBytes(WRITE_SIZE);

/** A connection that carries one request at a time. */
class Connection {
    readonly #socket: Socket;
    readonly #reader = new ResponseReader();
    #waiting: { resolve: (bytes: number) => void; reject: (err: Error) => void } | undefined;
    #request = '';

    constructor(private readonly port: number) {
        this.#socket = connect({
            host: HOST,
            port,
            noDelay: true,
            onread: {
                buffer: Buffer.allocUnsafe(READ_SIZE),
                callback: (count, buffer) => {
                    this.#receive(Buffer.from(buffer.buffer, buffer.byteOffset, count));
                    return true;
                },
            },
        });
        this.#socket.on('error', (err) => this.#fail(err.message));
        this.#socket.on('close', () => this.#fail('the connection was closed'));
    }

    /** Bytes of the answer's body. */
    get(path: string): Promise<number> {
        const answer = this.#expect(`GET ${path}`);
        this.#socket.write(this.#headOf());
        return answer;
    }

    async put(path: string, bytes: number): Promise<number> {
        const answer = this.#expect(`PUT ${path}`);
        this.#socket.write(this.#headOf(`Content-Length: ${bytes}\r\n`));
        for (let left = bytes; left > 0; left -= WRITE_SIZE) {
            if (!this.#socket.write(left < WRITE_SIZE ? content.subarray(0, left) : content)) {
                await Promise.race([once(this.#socket, 'drain'), answer]);
            }
        }
        return answer;
    }

    close(): void {
        this.#socket.destroy();
    }

    #headOf(extra = ''): string {
        return `${this.#request} HTTP/1.1\r\nHost: ${HOST}:${this.port}\r\nAccept: */*\r\nUser-Agent: imgapi-bench\r\n${extra}\r\n`;
    }

    #expect(request: string): Promise<number> {
        this.#request = request;
        return new Promise((resolve, reject) => {
            this.#waiting = { resolve, reject };
        });
    }

    #receive(bytes: Buffer): void {
        if (this.#reader.take(bytes)) {
            const { status, bodyBytes } = this.#reader;
            if (status === 200) {
                this.#waiting?.resolve(bodyBytes);
                this.#waiting = undefined;
            } else {
                this.#fail(`the answer was ${status}`);
            }
        }
    }

    #fail(reason: string): void {
        this.#waiting?.reject(new Error(`${this.#request} on port ${this.port}: ${reason}.`));
        this.#waiting = undefined;
    }
}

/** NaN if there are none. */
function percentile(values: readonly number[], share: number): number {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[Math.ceil(share * sorted.length) - 1] ?? NaN;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

/** Sends requests one after the other, as long as `next` gives a path; tells how many ms each took. */
async function getAll(
    connection: Connection,
    next: () => string | undefined,
    times: number[],
): Promise<number> {
    let bytes = 0;
    for (let path = next(); path !== undefined; path = next()) {
        const begun = performance.now();
        bytes += await connection.get(path);
        times.push(performance.now() - begun);
    }
    return bytes;
}

async function run(job: LoadJob): Promise<LoadResult> {
    const { port, paths } = job;
    const used = job.method === 'GET' ? job.connections : paths.length;
    const connections = Array.from({ length: used }, () => new Connection(port));
    const times: number[] = [];
    const started = performance.now();
    try {
        let sent = 0;
        const next = (count: number) => (sent < count ? paths[sent++ % paths.length] : undefined);
        const received = await Promise.all(
            connections.map((connection, index) =>
                job.method === 'GET'
                    ? getAll(connection, () => next(job.count), times)
                    : connection.put(paths[index] ?? '', job.bytes),
            ),
        );
        const seconds = (performance.now() - started) / 1000;
        return { seconds, bytes: sum(received), slowest: percentile(times, 0.99) / 1000 };
    } finally {
        connections.forEach((connection) => connection.close());
    }
}

answerCalls(run);
