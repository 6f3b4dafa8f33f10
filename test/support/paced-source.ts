/** Stands before a server that others import from: slows it down, tells what happens, and sees who asks twice at once. */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { Transform } from 'node:stream';
import { LyingServer } from './lying-server';

/** Between two pieces of a body, in ms. */
const PACE = 10;

export class PacedSource {
    /** Requests of one client's call that were under way together, as `<request-id> <target>`. */
    readonly overlaps: string[] = [];
    readonly #server: LyingServer;
    readonly #open = new Map<string, string>();
    readonly #listeners = new Set<() => void>();

    private constructor(
        server: LyingServer,
        /** Where requests are passed on to. */
        public target: string,
    ) {
        this.#server = server;
        server.behave = (request, response) => this.#pass(request, response);
    }

    static async start(target: string): Promise<PacedSource> {
        return new PacedSource(await LyingServer.start(() => undefined), target);
    }

    get url(): string {
        return this.#server.url();
    }

    async stop(): Promise<void> {
        await this.#server.stop();
    }

    /** Resolves after so many events from now on: requests, and pieces of answers; or after that many ms. */
    async events(count: number, patience: number, signal: AbortSignal): Promise<void> {
        let left = count;
        await new Promise<void>((resolve) => {
            const done = () => {
                clearTimeout(timer);
                signal.removeEventListener('abort', done);
                this.#listeners.delete(listen);
                resolve();
            };
            const listen = () => --left <= 0 && done();
            const timer = setTimeout(done, patience);
            signal.addEventListener('abort', done);
            this.#listeners.add(listen);
            if (signal.aborted) {
                done();
            }
        });
    }

    #tell(): void {
        this.#listeners.forEach((listen) => listen());
    }

    #watch(request: IncomingMessage, response: ServerResponse): void {
        const id = String(request.headers['request-id']);
        const other = this.#open.get(id);
        if (other !== undefined) {
            this.overlaps.push(`${id} ${String(request.url)} during ${other}`);
        }
        this.#open.set(id, String(request.url));
        const over = () => this.#open.delete(id);
        response.once('finish', over).once('close', over);
    }

    #pass(request: IncomingMessage, response: ServerResponse): void {
        this.#tell();
        this.#watch(request, response);
        const passed = http.request(
            this.target + String(request.url),
            { headers: request.headers, agent: false },
            (answer) => {
                response.writeHead(answer.statusCode ?? 500, answer.headers);
                const pace = new Transform({
                    transform: (piece: Buffer, _encoding, next) => {
                        this.#tell();
                        setTimeout(() => next(null, piece), PACE);
                    },
                });
                // Not a pipeline: an answer that is cut has to be cut here, too.
                answer.once('error', () => response.destroy());
                answer.pipe(pace).pipe(response);
            },
        );
        passed.on('error', () => response.destroy());
        response.once('close', () => passed.destroy());
        passed.end();
    }
}
