import { setTimeout as wait } from 'node:timers/promises';
import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { JobsConfig } from '../config/types';
import { EtagConflict, type JobStore, type LeaseStore } from '../db/driver';
import { ApiError } from '../errors';
import { faultPoint } from '../fault';
import { LeasedTask } from '../leased-task';
import type { Job, JobDefinition, JobFilter, JobService, NewJob } from './driver';
import { JobRun } from './run';
import { canceled, changed, hasEnded, newRow, rowOf, shown } from './value';

/** The longest time between two looks for jobs that are due, in ms. */
const LOOK_INTERVAL = 5000;

/** Rows looked at together. */
const PAGE = 100;

/** How often a cancel is tried against a job that is being written all the time. */
const CANCEL_ATTEMPTS = 50;

const RETENTION_INTERVAL = 3_600_000;

/** See {@link JobEngineOptions.grace}. */
const GRACE = { step: 30_000, stop: 10_000 };

export interface JobEngineOptions {
    jobs: JobStore;
    leases: LeaseStore;
    clock: Clock;
    log: Logger;
    /** Id of this process among the holders of leases. */
    holder: string;
    config: JobsConfig;
    /** How long steps may take to end when they are told to, in ms: by a cancel or their timeout, and by a stop. */
    grace?: { step: number; stop: number };
}

/** A job that this process works on. */
interface Held {
    readonly run: JobRun;
    readonly done: Promise<void>;
    /** Until when the lease is ours for certain, in ms on the monotonic clock. */
    until: number;
    renewing: boolean;
}

/**
 * Runs jobs in this server (docs/decisions/0010-jobs.md).
 *
 * Jobs stand in the database; any process may work on any of them, one at a time under the job's lease. What a process
 * that died was working on, another takes over when the lease has run out.
 */
export class JobEngine implements JobService {
    readonly url = undefined;
    readonly connected = undefined;
    readonly #options: JobEngineOptions;
    readonly #definitions = new Map<string, JobDefinition>();
    readonly #held = new Map<string, Held>();
    readonly #unknownTasks = new Set<string>();
    readonly #retention: LeasedTask;
    #looks: Promise<void> = Promise.resolve();
    #next: { timer: NodeJS.Timeout; at: number } | undefined;
    #renewals: NodeJS.Timeout | undefined;
    #state: 'new' | 'started' | 'stopped' = 'new';
    #failing = false;

    constructor(options: JobEngineOptions) {
        this.#options = options;
        this.#retention = new LeasedTask({
            ...options,
            name: 'prune-jobs',
            run: (signal) => this.prune(signal),
            nextIn: () => Math.min(RETENTION_INTERVAL, options.config.retention),
        });
    }

    /** Lets this server run jobs of that kind. To be called before `start`. */
    register(definition: JobDefinition): void {
        for (const steps of [definition.chain, definition.onerror, definition.oncancel]) {
            if (new Set(steps.map(({ name }) => name)).size < steps.length) {
                throw new TypeError(`The steps of ${definition.name} have to differ in name.`);
            }
        }
        this.#definitions.set(definition.task, definition);
    }

    /** Begins to work on jobs. */
    start(): void {
        this.#state = 'started';
        this.#renewals = setInterval(() => this.#renew(), this.#options.config.leaseTime / 3).unref();
        this.#lookIn(0);
        this.#retention.start(0);
    }

    /** Interrupts the running jobs, which go on at the next start or in another process, and waits for their steps. */
    async stop(): Promise<void> {
        this.#state = 'stopped';
        clearTimeout(this.#next?.timer);
        await this.#retention.stop();
        await this.#looks;
        const held = [...this.#held.values()];
        held.forEach(({ run }) => run.interrupt('stopped'));
        const over = new AbortController();
        const { grace = GRACE, log } = this.#options;
        const late = wait(grace.stop, true, { signal: over.signal }).catch(() => false);
        if (await Promise.race([Promise.all(held.map(({ done }) => done)).then(() => false), late])) {
            log.error({ jobs: [...this.#held.keys()] }, 'jobs did not stop when they were told to');
            // Nothing may be written any more: the database is about to be closed.
            held.forEach(({ run }) => run.interrupt('lost'));
        }
        over.abort();
        clearInterval(this.#renewals);
    }

    /** How many jobs this process works on. */
    get running(): number {
        return this.#held.size;
    }

    assertAvailable(task?: string): void {
        // Jobs are rows of the database: writing them says whether it can be reached.
        if (task !== undefined && !this.#definitions.has(task)) {
            throw new ApiError(
                'ServiceUnavailableError',
                `Jobs of the kind "${task}" need the workflow service of a datacenter, which this server has none of.`,
            );
        }
    }

    async create(job: NewJob): Promise<Job> {
        const { jobs, clock, config } = this.#options;
        const definition = this.#definitions.get(job.task);
        if (!definition) {
            throw new TypeError(`This server has no jobs of the kind "${job.task}".`);
        }
        const now = clock.now();
        const row = newRow(job, definition, { uuid: clock.uuid(), now, attempts: config.attempts });
        const stored = await jobs.put(row, null);
        faultPoint('job:created');
        this.#lookIn(0);
        return shown(rowOf(stored), now);
    }

    async get(uuid: string): Promise<Job | undefined> {
        const { jobs, clock } = this.#options;
        const stored = await jobs.get(uuid);
        return stored && shown(rowOf(stored), clock.now());
    }

    async list(filter: JobFilter, options: { limit: number; offset?: number }): Promise<Job[]> {
        const { jobs, clock } = this.#options;
        const now = clock.now();
        return (await jobs.list(filter, options)).map((stored) => shown(rowOf(stored), now));
    }

    async cancel(uuid: string): Promise<Job | undefined> {
        const { jobs, clock, log } = this.#options;
        for (let attempt = 1; ; attempt++) {
            const stored = await jobs.get(uuid);
            if (!stored || hasEnded(stored.execution)) {
                return stored && shown(rowOf(stored), clock.now());
            }
            const row = rowOf(stored);
            const change = canceled(row.value, this.#definitions.get(row.task), clock.now());
            try {
                const written = await jobs.put(changed(row, change), stored.etag);
                faultPoint('job:canceled');
                this.#held
                    .get(uuid)
                    ?.run.refresh()
                    .catch((err: unknown) =>
                        log.warn({ err, job: uuid }, 'a canceled job goes on for a while'),
                    );
                this.#lookIn(0);
                return shown(rowOf(written), clock.now());
            } catch (err) {
                if (!(err instanceof EtagConflict) || attempt === CANCEL_ATTEMPTS) {
                    throw err instanceof EtagConflict ? busy(uuid, err) : err;
                }
            }
        }
    }

    /** Deletes the jobs that ended longer ago than they are kept. */
    async prune(signal?: AbortSignal): Promise<void> {
        const { jobs, clock, config, log } = this.#options;
        let pruned = 0;
        let last = PAGE;
        while (last === PAGE && signal?.aborted !== true) {
            last = await jobs.prune(clock.now() - config.retention, PAGE);
            pruned += last;
        }
        if (pruned > 0) {
            log.info({ pruned }, 'forgot jobs that ended long ago');
        }
    }

    /** Looks for jobs after that many ms, unless it is about to do so anyway. */
    #lookIn(delay: number): void {
        const at = performance.now() + delay;
        if (this.#state !== 'started' || (this.#next && this.#next.at <= at)) {
            return;
        }
        clearTimeout(this.#next?.timer);
        const timer = setTimeout(() => {
            this.#next = undefined;
            this.#looks = this.#looks.then(() => this.#look());
        }, delay).unref();
        this.#next = { timer, at };
    }

    async #look(): Promise<void> {
        const { log, config } = this.#options;
        try {
            await this.#takeDue();
            this.#failing = false;
        } catch (err) {
            if (!this.#failing) {
                log.warn({ err }, 'could not look for jobs; it will be tried until it works');
            }
            this.#failing = true;
        }
        this.#lookIn(Math.min(LOOK_INTERVAL, config.leaseTime / 3));
    }

    /** Begins to work on what is due and nobody else works on, as far as there is room. */
    async #takeDue(): Promise<void> {
        const { jobs, clock, config } = this.#options;
        const hasRoom = () => this.#state === 'started' && this.#held.size < config.concurrency;
        for (let offset = 0; hasRoom(); offset += PAGE) {
            const page = await jobs.due(clock.now(), { limit: PAGE, offset });
            for (const { uuid, task } of page) {
                const definition = this.#definitions.get(task);
                if (!definition) {
                    this.#sayUnknown(task, uuid);
                } else if (hasRoom() && !this.#held.has(uuid)) {
                    await this.#take(uuid, definition);
                }
            }
            if (page.length < PAGE) {
                return;
            }
        }
    }

    #sayUnknown(task: string, job: string): void {
        if (!this.#unknownTasks.has(task)) {
            this.#unknownTasks.add(task);
            this.#options.log.warn(
                { task, job },
                'there are jobs of a kind this server cannot run; they stay',
            );
        }
    }

    /** Takes the lease of a job and begins to work on it. */
    async #take(uuid: string, definition: JobDefinition): Promise<void> {
        const { jobs, leases, holder, clock, config } = this.#options;
        const until = performance.now() + config.leaseTime;
        if (!(await leases.acquire(leaseOf(uuid), holder, config.leaseTime, clock.now()))) {
            return;
        }
        let run: JobRun | undefined;
        try {
            // Only now nobody else changes it but by canceling.
            const stored = await jobs.get(uuid);
            if (stored?.dueAt !== undefined && stored.dueAt <= clock.now()) {
                const { grace = GRACE } = this.#options;
                run = new JobRun({ ...this.#options, stepGrace: grace.step }, stored, definition);
            }
        } finally {
            if (!run) {
                await leases.release(leaseOf(uuid), holder);
            }
        }
        if (run) {
            this.#held.set(uuid, { run, until, renewing: false, done: this.#work(uuid, run) });
        }
    }

    async #work(uuid: string, run: JobRun): Promise<void> {
        const { leases, holder, log } = this.#options;
        let again: number | undefined;
        let lookIn = 0;
        try {
            again = await run.work();
        } catch (err) {
            log.error({ err, job: uuid }, 'working on a job failed in a way it should not');
            lookIn = LOOK_INTERVAL;
        }
        try {
            if (!run.lost) {
                await leases.release(leaseOf(uuid), holder);
            }
        } catch (err) {
            log.warn({ err, job: uuid }, 'the lease of a job could not be given back; it will run out');
        }
        this.#held.delete(uuid);
        // There is room for another one now.
        this.#lookIn(lookIn);
        if (again !== undefined) {
            setTimeout(() => this.#lookIn(0), again).unref();
        }
    }

    /** Keeps the leases of the jobs that this process works on, and hears which were canceled elsewhere. */
    #renew(): void {
        for (const [uuid, held] of this.#held) {
            if (performance.now() >= held.until) {
                held.run.interrupt('lost');
            } else if (!held.renewing) {
                void this.#renewOne(uuid, held);
            }
        }
    }

    async #renewOne(uuid: string, held: Held): Promise<void> {
        const { leases, holder, clock, config, log } = this.#options;
        held.renewing = true;
        try {
            const until = performance.now() + config.leaseTime;
            if (await leases.acquire(leaseOf(uuid), holder, config.leaseTime, clock.now())) {
                held.until = until;
                await held.run.refresh();
            } else {
                held.run.interrupt('lost');
            }
        } catch (err) {
            log.warn({ err, job: uuid }, 'could not renew the lease of a job');
        } finally {
            held.renewing = false;
        }
    }
}

const leaseOf = (uuid: string): string => `job-${uuid}`;

function busy(uuid: string, cause: EtagConflict): ApiError {
    return new ApiError(
        'ServiceUnavailableError',
        `Job ${uuid} is changing too fast to be canceled now; try again.`,
        { cause },
    );
}
