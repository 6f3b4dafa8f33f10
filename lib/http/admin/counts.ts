import type Logger from 'bunyan';
import type { ImageStore, JobStore } from '../../db/driver';
import { SparingValue } from './sparing-value';

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

/** How much there is of what the database holds. */
export class DatabaseCounts {
    readonly #counts: SparingValue<Counts>;

    constructor({ images, jobs, log }: CountsParts) {
        const count = async (): Promise<Counts> => ({
            images: await images.countByState(),
            jobs: await jobs?.countByExecution(),
        });
        this.#counts = new SparingValue('images and jobs', count, log);
    }

    /** Within 2 s; never rejects. */
    async get(): Promise<Counts> {
        return (await this.#counts.get(WITHIN)) ?? { images: undefined, jobs: undefined };
    }
}
