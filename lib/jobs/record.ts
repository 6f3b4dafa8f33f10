import { isDeepStrictEqual } from 'node:util';
import { setTimeout as wait } from 'node:timers/promises';
import type Logger from 'bunyan';
import { EtagConflict, type JobStore, type StoredJob } from '../db/driver';
import { ApiError } from '../errors';
import { Interruption } from './interruption';
import { changed, rowOf, type JobChange, type JobRow, type JobValue } from './value';

/** After a write that failed the next try comes this much later, in ms. */
const WRITE_AGAIN = 500;

/** The change to make in the row as it is by then; undefined if there is nothing to change any more. */
export type ChangeOf = (value: JobValue) => JobChange | undefined;

/**
 * The row of a job that this process is working on under the job's lease: one writer, all writes in order.
 *
 * A write waits until the database takes it. One that meets another version of the row finds out why: the job was
 * canceled, then the change is made in the canceled job; or another process works on it, then this one is done.
 */
export class JobRecord {
    #stored: StoredJob;
    #turn: Promise<unknown> = Promise.resolve();
    #closed = false;

    /** @param onInterruption hears once that the job was canceled or lost */
    constructor(
        private readonly store: JobStore,
        stored: StoredJob,
        private readonly log: Logger,
        private readonly onInterruption: (kind: 'canceled' | 'lost') => void,
    ) {
        this.#stored = stored;
    }

    get row(): JobRow {
        return rowOf(this.#stored);
    }

    get value(): JobValue {
        return this.row.value;
    }

    /** Durable when it resolves. @throws Interruption if the job is this process's no longer */
    update(change: ChangeOf): Promise<void> {
        return this.#inTurn(() => this.#write(change));
    }

    /** Looks whether the job was canceled or lost. @throws Interruption, ApiError */
    refresh(): Promise<void> {
        return this.#inTurn(async () => {
            this.#adopt(await this.store.get(this.row.uuid));
        });
    }

    /** Ends all writing, waiting ones included: the lease is not held any more. */
    close(): void {
        this.#closed = true;
    }

    #inTurn(work: () => Promise<void>): Promise<void> {
        const done = this.#turn.then(work);
        // What comes next does not care how this ended; who asked for it does.
        this.#turn = done.then(
            () => undefined,
            () => undefined,
        );
        return done;
    }

    async #write(change: ChangeOf): Promise<void> {
        for (let failures = 0; ; failures++) {
            this.#assertOpen();
            const wanted = change(this.value);
            if (!wanted) {
                return;
            }
            const next = changed(this.row, wanted);
            try {
                this.#stored = await this.store.put(next, this.#stored.etag);
                return;
            } catch (err) {
                if (!(err instanceof EtagConflict)) {
                    await this.#pauseAfter(err, failures);
                    continue;
                }
            }
            if (await this.#meetConflict(next)) {
                return;
            }
        }
    }

    /** Gives whether the row is what was to be written: then an earlier try got through without telling. */
    async #meetConflict(next: JobRow): Promise<boolean> {
        const current = await this.#read();
        if (current && isSame(current, next)) {
            this.#stored = current;
            return true;
        }
        this.#adopt(current);
        return false;
    }

    async #read(): Promise<StoredJob | undefined> {
        for (let failures = 0; ; failures++) {
            this.#assertOpen();
            try {
                return await this.store.get(this.row.uuid);
            } catch (err) {
                await this.#pauseAfter(err, failures);
            }
        }
    }

    #adopt(current: StoredJob | undefined): void {
        this.#assertOpen();
        if (current?.etag === this.#stored.etag) {
            return;
        }
        if (current?.execution === 'canceled' && this.row.execution !== 'canceled') {
            this.#stored = current;
            this.onInterruption('canceled');
            return;
        }
        this.close();
        this.onInterruption('lost');
        throw new Interruption('lost');
    }

    #assertOpen(): void {
        if (this.#closed) {
            throw new Interruption('lost');
        }
    }

    /** Waits until the database may be back. @throws whatever is no failure of the database */
    async #pauseAfter(err: unknown, failures: number): Promise<void> {
        if (!(err instanceof ApiError)) {
            throw err;
        }
        if (failures === 0) {
            this.log.warn({ err }, 'the state of a job could not be written; it will be tried until it is');
        }
        await wait(WRITE_AGAIN, undefined, { ref: false });
    }
}

function isSame(stored: StoredJob, row: JobRow): boolean {
    const form = ({ execution, dueAt, finishedAt, value }: StoredJob | JobRow) =>
        JSON.parse(JSON.stringify({ execution, dueAt, finishedAt, value })) as unknown;
    return isDeepStrictEqual(form(stored), form(row));
}
