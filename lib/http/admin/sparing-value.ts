import type Logger from 'bunyan';

/** A value is used again for so many times the time that it took to get it. */
const REST = 100;
/** At least and at most, in ms. */
const LEAST_REST = 1000;
const MOST_REST = 10 * 60_000;

/** Something that takes work to find out, which is not done more often than is good for the server. */
export class SparingValue<T> {
    #running: Promise<void> | undefined;
    #last: { value: T; until: number } | undefined;

    /** @param what it is, for the log */
    constructor(
        private readonly what: string,
        private readonly find: () => Promise<T>,
        private readonly log: Logger,
    ) {}

    /**
     * What it is, or was when it was last looked at; undefined if that is not known. Never rejects.
     *
     * @param patience for how long to wait if it has to be found out, in ms
     */
    async get(patience: number): Promise<T | undefined> {
        if (!this.#last || performance.now() > this.#last.until) {
            this.#running ??= this.#renew();
            let timer: NodeJS.Timeout | undefined;
            const late = new Promise<void>((resolve) => {
                timer = setTimeout(resolve, patience);
            });
            await Promise.race([this.#running, late]);
            clearTimeout(timer);
        }
        return this.#last?.value;
    }

    async #renew(): Promise<void> {
        const begin = performance.now();
        try {
            const value = await this.find();
            const end = performance.now();
            const rest = Math.min(MOST_REST, Math.max(LEAST_REST, (end - begin) * REST));
            this.#last = { value, until: end + rest };
        } catch (err) {
            this.#last = undefined;
            this.log.debug({ err }, `${this.what} could not be counted`);
        } finally {
            this.#running = undefined;
        }
    }
}
