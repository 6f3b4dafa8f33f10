/** The process of the slow clients. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { answerCalls } from './helper';
import type { SlowClientsJob, SlowClientsResult } from './slow-clients';

const HOST = '127.0.0.1';
/** ms between the bytes of one client. */
const PAUSE = 1000;
/** What a body is announced to have, in bytes: more than will ever come. */
const ANNOUNCED = 1 << 20;

class Client {
    readonly #socket: Socket;
    readonly #drip: NodeJS.Timeout;
    readonly connected: Promise<unknown>;
    readonly closed: Promise<number>;

    constructor(port: number, head: string, piece: string) {
        const begun = performance.now();
        this.#socket = connect({ host: HOST, port });
        this.#socket.on('error', () => undefined).resume();
        this.connected = once(this.#socket, 'connect');
        this.#socket.write(head);
        this.#drip = setInterval(() => this.#socket.write(piece), PAUSE);
        this.closed = new Promise((resolve) => {
            this.#socket.once('close', () => {
                clearInterval(this.#drip);
                resolve((performance.now() - begun) / 1000);
            });
        });
    }

    end(): void {
        this.#socket.destroy();
    }
}

let heads: Client[] = [];
let bodies: Client[] = [];

async function run(job: SlowClientsJob): Promise<SlowClientsResult> {
    let lastHeadClosed = 0;
    switch (job.kind) {
        case 'start':
            heads = Array.from(
                { length: job.heads },
                () => new Client(job.port, 'GET /ping HTTP/1.1\r\n', 'x: y\r\n'),
            );
            bodies = job.paths.map(
                (path) =>
                    new Client(
                        job.port,
                        `PUT ${path} HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${ANNOUNCED}\r\n\r\n`,
                        'x',
                    ),
            );
            await Promise.all([...heads, ...bodies].map(({ connected }) => connected));
            break;
        case 'await-heads':
            lastHeadClosed = Math.max(...(await Promise.all(heads.map(({ closed }) => closed))));
            break;
        case 'stop':
            [...heads, ...bodies].forEach((client) => client.end());
            await Promise.all([...heads, ...bodies].map(({ closed }) => closed));
            break;
    }
    return { lastHeadClosed };
}

answerCalls(run);
