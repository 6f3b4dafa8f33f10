/** Trace events for fluentd (metrics-and-extras.md §2, `fluentd_host`). */
import { connect, type Socket } from 'node:net';

const PORT = 24224;
/** ms before another attempt to connect; doubled for each further one. */
const FIRST_PAUSE = 2000;
const LONGEST_PAUSE = 60_000;
/** Bytes that may wait for a fluentd that is slow; what would be more is dropped. */
const MOST_WAITING = 1 << 20;

export interface FluentdOptions {
    host: string;
    port?: number;
    /** Told how many records were dropped, once there is a connection again. */
    onDropped: (count: number) => void;
}

/**
 * A raw stream of bunyan that sends records with the member `evt` to fluentd, each as the array of tag, time and record.
 *
 * Nothing waits for it, and nothing fails by it: without a connection records are dropped and counted.
 */
export class FluentdStream {
    #socket: Socket | undefined;
    #isConnected = false;
    #pause = FIRST_PAUSE;
    #dropped = 0;

    constructor(private readonly options: FluentdOptions) {
        this.#connect();
    }

    #connect(): void {
        const { host, port = PORT } = this.options;
        const socket = connect({ host, port });
        this.#socket = socket;
        // It is no reason for the process to stay.
        socket.unref();
        socket
            .once('connect', () => {
                this.#isConnected = true;
                this.#pause = FIRST_PAUSE;
                if (this.#dropped > 0) {
                    this.options.onDropped(this.#dropped);
                    this.#dropped = 0;
                }
            })
            // What it says is not looked at, but has to be taken.
            .resume()
            .on('error', () => undefined)
            .once('close', () => {
                this.#isConnected = false;
                setTimeout(() => this.#connect(), this.#pause).unref();
                this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
            });
    }

    write(record: object): void {
        const { evt, time } = record as { evt?: unknown; time?: unknown };
        if (evt === undefined) {
            return;
        }
        const socket = this.#socket;
        if (!socket || !this.#isConnected || socket.writableLength > MOST_WAITING) {
            this.#dropped++;
            return;
        }
        const seconds = (time instanceof Date ? time.getTime() : Date.now()) / 1000;
        socket.write(JSON.stringify(['debug', seconds, record]));
    }
}
