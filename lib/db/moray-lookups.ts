/** Lookups by key, gathered: those of one turn of the event loop, or of the time that others take, are one statement. */

/** Statements under way at once; more keys wait for one of them to end. */
const MOST_RUNNING = 2;
/** Keys of one statement. */
const MOST_KEYS = 100;

interface Lookup<T> {
    readonly found: Promise<T | undefined>;
    readonly resolve: (value: T | undefined) => void;
    readonly reject: (error: unknown) => void;
}

function newLookup<T>(): Lookup<T> {
    let settle: Pick<Lookup<T>, 'resolve' | 'reject'> | undefined;
    const found = new Promise<T | undefined>((resolve, reject) => (settle = { resolve, reject }));
    // The executor has run by now.
    return { found, ...(settle as unknown as Pick<Lookup<T>, 'resolve' | 'reject'>) };
}

/**
 * A busy server asks for many images at a time, and most of what a question to PostgreSQL costs is that it is one.
 *
 * A statement begins after everything that it answers was asked, so what it finds is never older than the question.
 */
export class Lookups<T> {
    readonly #load: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>;
    #waiting = new Map<string, Lookup<T>>();
    #running = 0;
    #isScheduled = false;

    /** @param load gives what there is of some keys; if it fails, all that asked for one of them fail so */
    constructor(load: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>) {
        this.#load = load;
    }

    /** What there is under the key; undefined if there is nothing. */
    find(key: string): Promise<T | undefined> {
        let lookup = this.#waiting.get(key);
        if (!lookup) {
            lookup = newLookup();
            this.#waiting.set(key, lookup);
            this.#schedule();
        }
        return lookup.found;
    }

    #schedule(): void {
        if (!this.#isScheduled && this.#running < MOST_RUNNING) {
            this.#isScheduled = true;
            setImmediate(() => {
                this.#isScheduled = false;
                void this.#run();
            });
        }
    }

    async #run(): Promise<void> {
        const batch = new Map([...this.#waiting].slice(0, MOST_KEYS));
        batch.forEach((_lookup, key) => this.#waiting.delete(key));
        this.#running++;
        if (this.#waiting.size > 0) {
            this.#schedule();
        }
        try {
            const found = await this.#load([...batch.keys()]);
            batch.forEach(({ resolve }, key) => resolve(found.get(key)));
        } catch (error) {
            batch.forEach(({ reject }) => reject(error));
        }
        this.#running--;
        if (this.#waiting.size > 0) {
            this.#schedule();
        }
    }
}
