import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { PendingStore } from '../db/driver';
import { PendingObjectLost } from '../db/driver';

/** How often uploads say that they are alive, in ms; the sweep gives up those silent for 60 s. */
const BEAT_INTERVAL = 10_000;

/** Keeps the pending objects of this process alive while they are being written: one timer for all of them. */
export class Heartbeat {
    readonly #watched = new Map<string, AbortController>();
    #timer: NodeJS.Timeout | undefined;

    constructor(
        private readonly pending: PendingStore,
        private readonly clock: Clock,
        private readonly log: Logger,
    ) {}

    /** Starts beating for a pending object. The signal is aborted with PendingObjectLost if it was given up. */
    watch(id: string): AbortSignal {
        const controller = new AbortController();
        this.#watched.set(id, controller);
        this.#timer ??= setInterval(() => void this.#beat(), BEAT_INTERVAL).unref();
        return controller.signal;
    }

    forget(id: string): void {
        this.#watched.delete(id);
        if (this.#watched.size === 0) {
            clearInterval(this.#timer);
            this.#timer = undefined;
        }
    }

    async #beat(): Promise<void> {
        try {
            for (const id of await this.pending.beat([...this.#watched.keys()], this.clock.now())) {
                this.#watched.get(id)?.abort(new PendingObjectLost(id));
            }
        } catch (err) {
            // The next beat may get through; an upload that is given up meanwhile fails when it is settled.
            this.log.warn({ err }, 'could not keep uploads alive in the database');
        }
    }
}
