import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { ImageStore, LeaseStore, PendingObject, PendingStore, TaskStore } from '../db/driver';
import type { StorageType } from '../manifest';
import { imageKey, type StorageSet } from '../storage/driver';
import { LeasedTask } from '../leased-task';
import { referredNames } from './references';
import { UnreferencedSweep, type UnreferencedSweepResult } from './unreferenced-sweep';

/** The longest time between two looks at the pending objects, in ms. */
const PENDING_INTERVAL = 5 * 60_000;

/** When another process is at it: look again after this, in ms. */
const AGAIN = 10_000;

/** The shortest time between two looks, in ms. */
const SOON = 10;

const UNREFERENCED = 'sweep-unreferenced';
const UNREFERENCED_DELAY = 60_000;
const UNREFERENCED_INTERVAL = 24 * 3_600_000;

/** Rows dealt with at once. */
const PAGE = 500;

/** A storage that fails this often in a row is left alone for the rest of the run. */
const MOST_FAILURES = 3;

export interface SweepOptions {
    /** `Database.id`: what marks a storage as this database's own. */
    databaseId: () => string;
    images: ImageStore;
    pending: PendingStore;
    leases: LeaseStore;
    tasks: TaskStore;
    storages: StorageSet;
    clock: Clock;
    log: Logger;
    /** Id of this process among the holders of leases. */
    holder: string;
    /** An upload that has been silent for this long is given up, in ms (`limits.uploadSilence`). */
    silence: number;
}

export interface PendingSweepResult {
    removed: number;
    /** Of those that were given up, the ones that could not be deleted. */
    kept: number;
}

export interface SweepResult {
    pending: PendingSweepResult;
    unreferenced: UnreferencedSweepResult;
}

/**
 * Removes what crashes and failures left in the storages.
 *
 * Two nets, for two kinds of loss: pending rows name the objects of interrupted operations, and go within a minute;
 * the daily search for unreferenced objects, by whichever process comes to it first, finds the ones whose row was lost
 * as well.
 */
export class Sweep {
    readonly #options: SweepOptions;
    readonly #unreferenced: UnreferencedSweep;
    readonly #tasks: { pending: LeasedTask; unreferenced: LeasedTask };
    readonly #last: Partial<SweepResult> = {};
    /** Search for unreferenced objects next time, whoever has done so when. */
    #atOnce = false;

    constructor(options: SweepOptions) {
        this.#options = options;
        this.#unreferenced = new UnreferencedSweep(options);
        this.#tasks = {
            pending: new LeasedTask({
                ...options,
                name: 'sweep-pending',
                run: async (signal) => {
                    this.#last.pending = await this.sweepPending(signal);
                },
                nextIn: (ran) => (ran ? this.pendingDueIn() : AGAIN),
            }),
            unreferenced: new LeasedTask({
                ...options,
                name: UNREFERENCED,
                run: (signal) => this.#sweepDaily(signal),
                nextIn: async (ran) => Math.max(await this.unreferencedDueIn(), ran ? SOON : AGAIN),
            }),
        };
    }

    /** @param delays until the first looks, in ms */
    start({ unreferenced = UNREFERENCED_DELAY } = {}): void {
        this.#tasks.pending.start(0);
        this.#tasks.unreferenced.start(unreferenced);
    }

    /** Ends the running steps and waits for them. */
    async stop(): Promise<void> {
        await Promise.all([this.#tasks.pending.stop(), this.#tasks.unreferenced.stop()]);
    }

    /** Does both now, whenever it was last done, or as soon as the processes that are at it are done. */
    async now(): Promise<SweepResult> {
        this.#atOnce = true;
        await this.#tasks.pending.hurry();
        await this.#tasks.unreferenced.hurry();
        const { pending, unreferenced } = this.#last;
        if (!pending || !unreferenced) {
            throw new Error('The sweep was stopped before it was done.');
        }
        return { pending, unreferenced };
    }

    /** How long until `sweepPending` should run again, in ms: when the next upload will have been silent too long. */
    async pendingDueIn(): Promise<number> {
        const oldest = await this.#options.pending.oldestBeat();
        if (oldest === undefined) {
            return PENDING_INTERVAL;
        }
        const due = oldest + this.#options.silence - this.#options.clock.now();
        // One that fell due since the last look is not left for later.
        return Math.min(Math.max(due, SOON), PENDING_INTERVAL);
    }

    /** How long until any process has to search for unreferenced objects again, in ms. */
    async unreferencedDueIn(): Promise<number> {
        const { tasks, clock } = this.#options;
        const now = clock.now();
        const last = await tasks.doneAt(UNREFERENCED);
        // One in the future is from a clock that has been put right since.
        return last === undefined || last > now ? 0 : Math.max(last + UNREFERENCED_INTERVAL - now, 0);
    }

    /** Searches for unreferenced objects unless some process has done so within a day. */
    async #sweepDaily(signal: AbortSignal): Promise<void> {
        const { tasks, clock } = this.#options;
        if (!this.#atOnce && (await this.unreferencedDueIn()) > 0) {
            return;
        }
        this.#atOnce = false;
        const begun = clock.now();
        const result = await this.sweepUnreferenced(signal);
        if (!signal.aborted) {
            this.#last.unreferenced = result;
            await tasks.done(UNREFERENCED, begun);
        }
    }

    /**
     * Gives up the pending objects that were silent for too long and deletes every object that was given up. A row stays for the
     * next time if its storage cannot be reached or is not configured.
     */
    async sweepPending(signal?: AbortSignal): Promise<PendingSweepResult> {
        const { pending, clock, log, silence } = this.#options;
        const failures = new Map<StorageType, number>();
        let removed = 0;
        let kept = 0;
        for (;;) {
            // Rows that have to stay come first every time: ask for so many more that they hide no others.
            const limit = kept + PAGE;
            const rows = await pending.condemn(clock.now() - silence, limit);
            const cleared = await this.#clear(rows, failures, signal);
            await pending.remove(cleared);
            removed += cleared.length;
            kept = rows.length - cleared.length;
            if (rows.length < limit || signal?.aborted === true) {
                break;
            }
        }
        if (removed > 0) {
            log.info({ removed, kept }, 'removed what interrupted operations had left');
        }
        return { removed, kept };
    }

    /** Deletes old objects that no record and no pending row knows. See {@link UnreferencedSweep}. */
    async sweepUnreferenced(signal?: AbortSignal): Promise<UnreferencedSweepResult> {
        return this.#unreferenced.run(signal);
    }

    /** Deletes the objects of condemned rows; gives the ids of the rows that are done with. */
    async #clear(
        rows: readonly PendingObject[],
        failures: Map<StorageType, number>,
        signal: AbortSignal | undefined,
    ): Promise<string[]> {
        const cleared: string[] = [];
        for (const row of rows) {
            const failed = failures.get(row.storage) ?? 0;
            if (signal?.aborted === true) {
                break;
            }
            if (failed >= MOST_FAILURES) {
                continue;
            }
            try {
                await this.#deleteUnlessReferred(row);
                failures.delete(row.storage);
                cleared.push(row.id);
            } catch (err) {
                failures.set(row.storage, failed + 1);
                this.#options.log.warn(
                    { err, object: row },
                    'could not delete an object; it will be tried again',
                );
            }
        }
        return cleared;
    }

    async #deleteUnlessReferred({ image, storage, key }: PendingObject): Promise<void> {
        const record = await this.#options.images.get(image);
        for (const name of referredNames(record?.raw, storage)) {
            if (imageKey(image, name) === key) {
                return;
            }
        }
        await this.#options.storages.get(storage).delete(key);
    }
}
