import type Logger from 'bunyan';
import type { Clock } from './clock';
import type { LeaseStore } from './db/driver';

/** How long a lease outlives a process that died with it, in ms; it is renewed three times as often. */
const LEASE_TTL = 30_000;

/** After a failure the next attempt comes this much later, in ms. */
const RETRY = 30_000;

export interface LeasedTaskOptions {
    /** Name of the task and of its lease. */
    name: string;
    /** Id of this process among the holders of leases. */
    holder: string;
    leases: LeaseStore;
    clock: Clock;
    log: Logger;
    /** One step. It has to end soon after the signal is aborted: the lease was lost, or the task is stopped. */
    run: (signal: AbortSignal) => Promise<void>;
    /** How long until the next step, in ms. `ran` is false if another process had the lease. */
    nextIn: (ran: boolean) => number | Promise<number>;
}

/** Somebody who waits for a step. */
interface Waiter {
    resolve: (ran: boolean) => void;
    reject: (err: unknown) => void;
}

/** A step that is repeated, by one process at a time. Its timer does not keep the process alive. */
export class LeasedTask {
    readonly #options: LeasedTaskOptions;
    #timer: NodeJS.Timeout | undefined;
    #turn: Promise<void> | undefined;
    #running: AbortController | undefined;
    /** Those whom `hurry` has promised a step. */
    #waiting: Waiter[] = [];
    #busy = false;
    #stopped = false;

    constructor(options: LeasedTaskOptions) {
        this.#options = options;
    }

    /** Runs the first step after `delay` ms. To be called once. */
    start(delay: number): void {
        this.#schedule(delay);
    }

    /**
     * Runs the next step now; if one is running, another follows it. While a different process has the lease, that one
     * is waited for. Resolves with true after a step that began after the call; with false if the task is stopped
     * instead.
     *
     * @throws what that step failed with
     */
    hurry(): Promise<boolean> {
        return new Promise((resolve, reject) => {
            if (this.#stopped) {
                resolve(false);
                return;
            }
            this.#waiting.push({ resolve, reject });
            if (!this.#busy) {
                this.#schedule(0);
            }
        });
    }

    /** Ends the running step, waits for it, and starts none any more. */
    async stop(): Promise<void> {
        this.#stopped = true;
        clearTimeout(this.#timer);
        this.#running?.abort();
        await this.#turn;
        this.#waiting.splice(0).forEach(({ resolve }) => resolve(false));
    }

    #schedule(delay: number): void {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => {
            this.#turn = this.#takeTurn();
        }, delay).unref();
    }

    async #takeTurn(): Promise<void> {
        const { name, log, nextIn } = this.#options;
        const waiting = this.#waiting.splice(0);
        this.#busy = true;
        // Of those who wait, the ones for whom an attempt has to be made later.
        let left = 0;
        let delay = RETRY;
        try {
            const ran = await this.#attempt();
            if (ran) {
                waiting.forEach(({ resolve }) => resolve(!this.#stopped));
            } else {
                left = this.#waiting.unshift(...waiting);
            }
            delay = await nextIn(ran);
        } catch (err) {
            log.warn({ err, task: name }, 'a periodic task failed; it will be tried again');
            waiting.forEach(({ reject }) => reject(err));
        }
        this.#busy = false;
        if (!this.#stopped) {
            this.#schedule(this.#waiting.length > left ? 0 : delay);
        }
    }

    /** Runs a step if nobody else does. Gives whether it ran. */
    async #attempt(): Promise<boolean> {
        const { name, holder, leases, clock, run } = this.#options;
        const controller = new AbortController();
        this.#running = controller;
        if (!(await leases.acquire(name, holder, LEASE_TTL, clock.now()))) {
            return false;
        }
        let renewal: Promise<void> | undefined;
        const renewals = setInterval(() => {
            renewal = this.#renew(controller);
        }, LEASE_TTL / 3).unref();
        try {
            if (!this.#stopped) {
                await run(controller.signal);
            }
        } finally {
            clearInterval(renewals);
            // A renewal that came after the release would keep everybody out.
            await renewal;
            await leases.release(name, holder);
        }
        return true;
    }

    async #renew(controller: AbortController): Promise<void> {
        const { name, holder, leases, clock, log } = this.#options;
        try {
            if (!(await leases.acquire(name, holder, LEASE_TTL, clock.now()))) {
                controller.abort(new Error('another process has taken over'));
            }
        } catch (err) {
            log.warn({ err, task: name }, 'could not renew a lease; the task stops until it has one again');
            controller.abort(err);
        }
    }
}
