import cluster, { type Worker } from 'node:cluster';
import type { Socket } from 'node:net';
import type { LogSink } from '../log';
import type { PermitHolder, PermitKind } from './driver';
import { gatherLog } from './log-gatherer';
import type { FromWorker, Settings, ToWorker } from './message';

/** How long the rest of the log of a worker that has ended may take, in ms. */
const LOG_WITHIN = 2000;

/** How a worker ended. */
export interface Ending {
    readonly code: number | null;
    readonly signal: NodeJS.Signals | null;
}

/** A worker, as its parent sees it. */
export class WorkerHandle {
    readonly pid: number;
    /** On the monotonic clock, in ms; undefined until it takes connections. */
    upSince: number | undefined;
    /** On trial: to see whether one can start with new settings. Leaving: asked to end, or ended. */
    standing: 'trial' | 'serving' | 'leaving' = 'serving';
    /** True once it takes connections; false if it ended before. */
    readonly up: Promise<boolean>;
    /** When it has ended, and its log is complete or nobody takes it. */
    readonly ended: Promise<Ending>;
    /** It as one that gets permits. */
    readonly holders: Record<PermitKind, PermitHolder> = {
        all: this.#holder('all'),
        tls: this.#holder('tls'),
    };
    readonly #worker: Worker;

    /**
     * Starts one.
     *
     * @param settings those of the server, by which workers of before and after a change can be told apart
     * @param sink gets its log
     * @param hear is told what it says, but for its being up
     */
    constructor(
        readonly settings: Settings,
        sink: LogSink,
        hear: (from: WorkerHandle, message: FromWorker) => void,
    ) {
        const worker = cluster.fork();
        this.#worker = worker;
        this.pid = worker.process.pid ?? 0;
        if (worker.process.stdout) {
            gatherLog(worker.process.stdout, sink);
        }
        this.ended = new Promise((resolve) => {
            worker.process.once('exit', (code, signal) => {
                // If nobody takes the log of the parent, that of a worker does not end either.
                const patience = setTimeout(() => resolve({ code, signal }), LOG_WITHIN);
                worker.process.once('close', () => {
                    clearTimeout(patience);
                    resolve({ code, signal });
                });
            });
            // It could not be started at all.
            worker.once('error', () => {
                if (worker.process.pid === undefined) {
                    resolve({ code: null, signal: null });
                }
            });
        });
        this.up = new Promise((resolve) => {
            void this.ended.then(() => resolve(false));
            worker.on('message', (message: FromWorker) => {
                if (message.kind === 'up') {
                    this.upSince = performance.now();
                    resolve(true);
                } else {
                    hear(this, message);
                }
            });
        });
        this.send({ kind: 'start', settings });
    }

    #holder(pool: PermitKind): PermitHolder {
        return {
            grant: (count) => this.send({ kind: 'grant', pool, count }),
            refuse: (id) => this.send({ kind: 'refuse', pool, id }),
            tighten: (on) => this.send({ kind: 'tighten', pool, on }),
        };
    }

    /** Says something to it; in vain if it has ended. */
    send(message: ToWorker): void {
        if (this.#worker.isConnected()) {
            this.#worker.send(message, undefined, () => undefined);
        }
    }

    /** Hands a connection to it, which is lost if it ends at this moment. False if it has ended. */
    serve(socket: Socket, secure: boolean): boolean {
        if (!this.#worker.isConnected()) {
            return false;
        }
        const message: ToWorker = { kind: 'serve', secure };
        this.#worker.send(message, socket, () => undefined);
        return true;
    }

    /** Asks it to take no more connections, finish what is under way, and end. @param patience see App.stop */
    stop(patience: number): void {
        this.standing = 'leaving';
        this.send({ kind: 'stop', patience });
    }

    kill(): void {
        this.standing = 'leaving';
        this.#worker.process.kill('SIGKILL');
    }
}
