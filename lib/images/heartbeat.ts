import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { PendingStore } from '../db/driver';
import { PendingObjectLost } from '../db/driver';
import { ApiError } from '../errors';

/** How often uploads say that they are alive, in ms; at least three times within the silence that gives them up. */
const BEAT_INTERVAL = 10_000;

/** What a client is told whose upload was given up. */
export function givenUp(cause: PendingObjectLost): ApiError {
    return new ApiError(
        'ServiceUnavailableError',
        'The server was held up for so long that the upload was given up; try again.',
        { cause },
    );
}

/** Whether an operation failed because its pending object was given up: then no record refers to it. */
export function isGivenUp(err: unknown): boolean {
    return err instanceof ApiError && err.cause instanceof PendingObjectLost;
}

/** Keeps the pending objects of this process alive while they are being written: one timer for all of them. */
export class Heartbeat {
    readonly #watched = new Map<string, AbortController>();
    readonly #interval: number;
    #timer: NodeJS.Timeout | undefined;

    /** @param silence after how many ms without a beat an upload is given up */
    constructor(
        private readonly pending: PendingStore,
        private readonly clock: Clock,
        private readonly log: Logger,
        silence: number,
    ) {
        this.#interval = Math.min(BEAT_INTERVAL, Math.floor(silence / 3));
    }

    /** Starts beating for a pending object. The signal is aborted with {@link givenUp} if it was. */
    watch(id: string): AbortSignal {
        const controller = new AbortController();
        this.#watched.set(id, controller);
        this.#timer ??= setInterval(() => void this.#beat(), this.#interval).unref();
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
                this.#watched.get(id)?.abort(givenUp(new PendingObjectLost(id)));
            }
        } catch (err) {
            // The next beat may get through; an upload that is given up meanwhile fails when it is settled.
            this.log.warn({ err }, 'could not keep uploads alive in the database');
        }
    }
}
