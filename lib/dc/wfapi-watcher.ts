import type Logger from 'bunyan';
import type { Clock } from '../clock';
import { ServiceFailure } from './driver';
import { pause } from './pause';
import type { ServiceClient } from './service-client';

export interface WatcherOptions {
    client: ServiceClient;
    clock: Clock;
    log: Logger;
    /** Between two looks, in ms. */
    interval: number;
}

/**
 * Knows whether the workflow service can be asked (vm-images.md §7): looks at once and then ever again. It can if it
 * answers, and its database with it.
 */
export class WfapiWatcher {
    readonly #options: WatcherOptions;
    readonly #closing = new AbortController();
    readonly #waiting = new Set<() => void>();
    #running: Promise<void> | undefined;
    #connected = false;
    #hasFailed = false;

    constructor(options: WatcherOptions) {
        this.#options = options;
    }

    get connected(): boolean {
        return this.#connected;
    }

    start(): void {
        this.#running = this.#watch(this.#closing.signal);
    }

    async stop(): Promise<void> {
        this.#closing.abort();
        await this.#running;
        this.#waiting.forEach((done) => done());
    }

    /** Resolves when the service can be asked, at once if it can be now, or when the watcher is stopped. */
    async untilConnected(): Promise<void> {
        if (this.#connected || this.#closing.signal.aborted) {
            return;
        }
        await new Promise<void>((resolve) => {
            const done = () => {
                this.#waiting.delete(done);
                resolve();
            };
            this.#waiting.add(done);
        });
    }

    async #watch(closing: AbortSignal): Promise<void> {
        const closed = () => closing.aborted;
        while (!closed()) {
            try {
                await this.#look(closing);
            } catch (err) {
                if (!closed()) {
                    this.#lost(err);
                }
            }
            await pause(this.#options.interval, closing);
        }
    }

    /** @throws ServiceFailure if it cannot be asked */
    async #look(signal: AbortSignal): Promise<void> {
        const { client, clock, log } = this.#options;
        const context = { requestId: clock.uuid(), signal };
        await client.request({ method: 'GET', path: '/ping' }, context);
        if (this.#connected) {
            return;
        }
        try {
            // It says so itself if it has lost its database; a ping is answered all the same.
            await client.request({ method: 'GET', path: '/workflows/workflow-check' }, context);
        } catch (err) {
            if (!(err instanceof ServiceFailure && err.status === 404)) {
                throw err;
            }
        }
        log.info(this.#hasFailed ? 'WFAPI: reached again' : 'WFAPI: reached');
        this.#connected = true;
        this.#hasFailed = false;
        this.#waiting.forEach((done) => done());
    }

    /** Logs the first of the looks that fail. */
    #lost(err: unknown): void {
        const { log } = this.#options;
        if (this.#hasFailed) {
            log.debug({ err }, 'WFAPI: still out of reach');
        } else {
            log.warn({ err }, 'WFAPI: out of reach; jobs cannot be started or listed until it answers');
        }
        this.#connected = false;
        this.#hasFailed = true;
    }
}
