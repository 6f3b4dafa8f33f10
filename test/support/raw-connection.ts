/** A bare socket to a server, for requests that no HTTP client would send. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** One answer as it stands on the wire. */
export interface RawAnswer {
    status: number;
    /** Names in lower case. */
    headers: Record<string, string>;
    body: string;
}

export class RawConnection {
    /** All that came so far; bytes as Latin-1 characters. */
    received = '';
    /** Settles when the connection is closed, with all that came. A reset counts as closed. */
    readonly closed: Promise<string>;
    readonly #watchers = new Set<() => void>();
    #isClosed = false;

    private constructor(readonly socket: Socket) {
        socket.on('data', (chunk: Buffer) => {
            this.received += chunk.toString('latin1');
            this.#watchers.forEach((look) => look());
        });
        socket.on('error', () => socket.destroy());
        this.closed = new Promise((resolve) => {
            socket.once('close', () => {
                this.#isClosed = true;
                this.#watchers.forEach((look) => look());
                resolve(this.received);
            });
        });
    }

    static async open(url: string): Promise<RawConnection> {
        const { hostname, port } = new URL(url);
        const socket = connect(Number(port), hostname);
        const connection = new RawConnection(socket);
        await once(socket, 'connect');
        return connection;
    }

    write(data: string | Buffer): void {
        this.socket.write(data);
    }

    /** Waits until the pattern is in what came. @throws Error if the connection closes before */
    until(pattern: RegExp): Promise<RegExpExecArray> {
        return new Promise((resolve, reject) => {
            const look = () => {
                const match = pattern.exec(this.received);
                if (match || this.#isClosed) {
                    this.#watchers.delete(look);
                    if (match) {
                        resolve(match);
                    } else {
                        reject(new Error(`Closed without ${String(pattern)} after: ${this.received}`));
                    }
                }
            };
            this.#watchers.add(look);
            look();
        });
    }

    /** Waits for `count` answers that have a Content-Length or no body, and gives them. */
    async answers(count: number): Promise<RawAnswer[]> {
        return new Promise((resolve, reject) => {
            const look = () => {
                const found = parseAnswers(this.received);
                if (found.length >= count || this.#isClosed) {
                    this.#watchers.delete(look);
                    if (found.length >= count) {
                        resolve(found);
                    } else {
                        reject(new Error(`Closed after ${found.length} answers: ${this.received}`));
                    }
                }
            };
            this.#watchers.add(look);
            look();
        });
    }

    close(): void {
        this.socket.destroy();
    }
}

/** The complete answers in the text. */
export function parseAnswers(text: string): RawAnswer[] {
    const answers: RawAnswer[] = [];
    let rest = text;
    for (;;) {
        const end = rest.indexOf('\r\n\r\n');
        if (end === -1) {
            return answers;
        }
        const [first = '', ...lines] = rest.slice(0, end).split('\r\n');
        const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1]);
        const headers = Object.fromEntries(
            lines.map((line) => {
                const colon = line.indexOf(':');
                return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
            }),
        );
        const length = Number(headers['content-length'] ?? 0);
        if (rest.length < end + 4 + length) {
            return answers;
        }
        answers.push({ status, headers, body: rest.slice(end + 4, end + 4 + length) });
        rest = rest.slice(end + 4 + length);
    }
}

/** Sends the text on a connection of its own and gives the first answer. */
export async function exchange(url: string, text: string | Buffer): Promise<RawAnswer> {
    const connection = await RawConnection.open(url);
    try {
        connection.write(text);
        const [answer] = await connection.answers(1);
        if (!answer) {
            throw new Error('No answer.');
        }
        return answer;
    } finally {
        connection.close();
    }
}
