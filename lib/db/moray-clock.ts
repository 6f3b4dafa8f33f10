/**
 * The time by which the processes of several hosts judge each other: that of their database.
 *
 * Leases and beats are compared with the clock of another host than the one that wrote them. Callers pass their own
 * time; what goes into the database is corrected by how far their host is off. A difference that is too small to
 * matter, and may be one of measuring only, is none: then times come through as they are.
 */
import type { Clock } from '../clock';

/** Differences below this are not corrected, in ms. Leases and beats allow for twenty times as much. */
const LEAST = 1000;

/** The difference from which on the operator should know, in ms. */
const ALARMING = 5000;

/** An answer that took longer says too little about when the database looked at its clock, in ms. */
const SLOWEST = 500;

export interface ClockLog {
    warn(fields: object, message: string): void;
}

export class DatabaseClock {
    #ahead = 0;
    #isMeasured = false;
    #isWarned = false;

    constructor(
        private readonly clock: Clock,
        private readonly log: ClockLog,
    ) {}

    /** By how many ms the database's clock is ahead of this host's. */
    get ahead(): number {
        return this.#ahead;
    }

    /** Whether it is known at all. */
    get isMeasured(): boolean {
        return this.#isMeasured;
    }

    /** A time of this host in that of the database. */
    toDatabase(time: number): number {
        return time + this.#ahead;
    }

    fromDatabase(time: number): number {
        return time - this.#ahead;
    }

    /**
     * Asks for the database's time together with something else.
     *
     * @param ask gives that time in ms
     */
    async measure<T extends { time: number }>(ask: () => Promise<T>): Promise<T> {
        const begun = performance.now();
        const answer = await ask();
        const took = performance.now() - begun;
        if (took <= SLOWEST) {
            const ahead = Math.round(answer.time - (this.clock.now() - took / 2));
            this.#isMeasured = true;
            this.#ahead = Math.abs(ahead) < LEAST ? 0 : ahead;
            this.#warn(ahead);
        }
        return answer;
    }

    #warn(ahead: number): void {
        const isAlarming = Math.abs(ahead) >= ALARMING;
        if (isAlarming && !this.#isWarned) {
            this.log.warn(
                { ahead },
                `the clocks of this host and of the database differ by ${Math.round(Math.abs(ahead) / 1000)} s; ` +
                    'what servers do together goes by that of the database, but signatures and the times in manifests ' +
                    'by that of the host',
            );
        }
        this.#isWarned = isAlarming;
    }
}
