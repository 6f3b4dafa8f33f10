import type Logger from 'bunyan';
import type { MantaFailure } from './manta-failure';

/** Tells the log when Manta goes and comes back, once each, however many requests there are meanwhile. */
export class MantaState {
    readonly #log: Logger;
    /** Why it cannot be used, as far as is known. */
    #trouble: string | undefined;
    #known = false;

    constructor(log: Logger) {
        this.#log = log;
    }

    /** Whether the last that was heard of Manta is that it cannot be used. */
    get down(): boolean {
        return this.#trouble !== undefined;
    }

    /** Manta did what a request asked for, or told why it is not to be done. */
    succeeded(): void {
        if (!this.#known || this.#trouble !== undefined) {
            this.#log.info(this.#known ? 'Manta: usable again' : 'Manta: usable');
        }
        this.#known = true;
        this.#trouble = undefined;
    }

    failed(failure: MantaFailure): void {
        if (!failure.disabling) {
            return;
        }
        const trouble = failure.advice ?? 'down';
        if (trouble !== this.#trouble) {
            if (failure.advice === undefined) {
                this.#log.warn({ err: failure }, 'Manta: not usable; trying on');
            } else {
                this.#log.error({ err: failure }, `Manta: not usable: ${failure.advice}`);
            }
        }
        this.#known = true;
        this.#trouble = trouble;
    }
}
