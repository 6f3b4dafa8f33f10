import type Logger from 'bunyan';
import type { ImageStore, JobStore } from '../../db/driver';

/** ms for which numbers are used again. */
const FRESH = 10_000;
/** ms that the database has. */
const WITHIN = 2000;

export interface Counts {
    /** Of images, by their state; undefined if they cannot be had at the moment. */
    readonly images: Readonly<Record<string, number>> | undefined;
    /** Of jobs, by what has become of them; undefined also if another service runs them. */
    readonly jobs: Readonly<Record<string, number>> | undefined;
}

export interface CountsParts {
    images: Pick<ImageStore, 'countByState'>;
    /** Absent if another service has them. */
    jobs?: Pick<JobStore, 'countByExecution'> | undefined;
    log: Logger;
}

/** How much there is of what the database holds; counted now and then, however often somebody asks. */
export class DatabaseCounts {
    #running: Promise<Counts> | undefined;
    #last: { at: number; counts: Counts } | undefined;

    constructor(private readonly parts: CountsParts) {}

    /** Within 2 s; never rejects. */
    async get(): Promise<Counts> {
        if (this.#last && performance.now() - this.#last.at < FRESH) {
            return this.#last.counts;
        }
        this.#running ??= this.#count();
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<Counts>((resolve) => {
            timer = setTimeout(() => resolve({ images: undefined, jobs: undefined }), WITHIN);
        });
        try {
            return await Promise.race([this.#running, late]);
        } finally {
            clearTimeout(timer);
        }
    }

    async #count(): Promise<Counts> {
        const { images, jobs, log } = this.parts;
        try {
            const counts = {
                images: await images.countByState(),
                jobs: await jobs?.countByExecution(),
            };
            this.#last = { at: performance.now(), counts };
            return counts;
        } catch (err) {
            log.debug({ err }, 'images and jobs could not be counted');
            return { images: undefined, jobs: undefined };
        } finally {
            this.#running = undefined;
        }
    }
}
