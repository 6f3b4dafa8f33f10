import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { JobsConfig } from '../config/types';
import type { JobStore, StoredJob } from '../db/driver';
import { faultPoint } from '../fault';
import type { JobContext, JobDefinition, JobStep } from './driver';
import { errorOf, StepAbandoned, StepTimeout } from './failure';
import { Interruption, type InterruptionKind } from './interruption';
import { JobRecord } from './record';
import {
    attemptBegun,
    attemptsOf,
    attemptUndone,
    nextStep,
    phaseEnded,
    phaseOf,
    stepEnded,
    stepPostponed,
    type JobChange,
    type JobValue,
    type Phase,
} from './value';

/** The shortest time between two writes of a job's progress, in ms. */
const PROGRESS_INTERVAL = 1000;

/** What a timer can wait, in ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

export interface JobRunParts {
    jobs: JobStore;
    clock: Clock;
    log: Logger;
    config: JobsConfig;
    /** A step that was told to end has this long to do so, in ms. */
    stepGrace: number;
}

type Outcome = { result: string } | { err: unknown };

/**
 * One turn of work on a job: its steps, until it has ended, has to wait before it tries a step again, or is interrupted.
 * Whoever starts a run holds the lease of the job until the run has ended.
 */
export class JobRun {
    readonly #parts: JobRunParts;
    readonly #definition: JobDefinition;
    readonly #record: JobRecord;
    readonly #log: Logger;
    #interruption: Interruption | undefined;
    #step: { phase: Phase; controller: AbortController } | undefined;

    constructor(parts: JobRunParts, stored: StoredJob, definition: JobDefinition) {
        this.#parts = parts;
        this.#definition = definition;
        this.#log = parts.log.child({ job: stored.uuid, task: stored.task });
        this.#record = new JobRecord(parts.jobs, stored, this.#log, (kind) => this.interrupt(kind));
    }

    /** Whether the lease is, or may be, another's. */
    get lost(): boolean {
        return this.#interruption?.kind === 'lost';
    }

    /** Ends the running step. A canceled job goes on with cleaning up. */
    interrupt(kind: InterruptionKind): void {
        if (kind === 'lost') {
            this.#record.close();
        }
        const interruption = new Interruption(kind);
        if (kind !== 'canceled') {
            this.#interruption = interruption;
            this.#step?.controller.abort(interruption);
        } else if (this.#step?.phase !== 'oncancel') {
            this.#step?.controller.abort(interruption);
        }
    }

    /** Looks whether somebody canceled the job. */
    async refresh(): Promise<void> {
        try {
            await this.#record.refresh();
        } catch (err) {
            if (!(err instanceof Interruption)) {
                throw err;
            }
        }
    }

    /**
     * Works on the job. Gives the ms after which it is to be tried again; undefined if it has ended or was interrupted.
     */
    async work(): Promise<number | undefined> {
        try {
            for (;;) {
                const next = await this.#advance();
                if (next !== 'on') {
                    return next;
                }
            }
        } catch (err) {
            if (err instanceof Interruption) {
                return undefined;
            }
            throw err;
        }
    }

    /** Makes one attempt at the next step, or ends the phase. @throws Interruption */
    async #advance(): Promise<number | 'on' | undefined> {
        if (this.#interruption) {
            throw this.#interruption;
        }
        const { clock } = this.#parts;
        const { value, dueAt } = this.#record.row;
        if (dueAt === undefined) {
            this.#log.info({ execution: value.execution }, `a job has ended: ${value.execution}`);
            return undefined;
        }
        const phase = phaseOf(value);
        const step = nextStep(value, this.#definition);
        if (!step) {
            await this.#update(phase, (current) => phaseEnded(current, phase, clock.now()));
            return 'on';
        }
        if (value.num_attempts >= attemptsOf(value, phase)) {
            const startedAt = clock.now();
            await this.#fail(phase, step, new StepAbandoned(step, value.num_attempts), startedAt);
            return 'on';
        }
        const begun = await this.#update(phase, (current) => attemptBegun(current, clock.now()));
        return begun ? this.#attempt(phase, step) : 'on';
    }

    async #attempt(phase: Phase, step: JobStep): Promise<number | 'on' | undefined> {
        const { clock } = this.#parts;
        const startedAt = clock.now();
        faultPoint('job:begun');
        const outcome = await this.#run(phase, step);
        faultPoint('job:done');
        if (this.lost) {
            throw new Interruption('lost');
        }
        if (phaseOf(this.#record.value) !== phase) {
            return 'on';
        }
        if ('result' in outcome) {
            const { result } = outcome;
            await this.#end(phase, step, { result, error: '' }, startedAt);
            return 'on';
        }
        if (this.#interruption) {
            await this.#update(phase, attemptUndone);
            throw this.#interruption;
        }
        const { err } = outcome;
        const { value } = this.#record;
        const isPermanent = !(err instanceof StepTimeout) && this.#definition.isPermanent(err);
        if (isPermanent || value.num_attempts >= attemptsOf(value, phase)) {
            await this.#fail(phase, step, err, startedAt);
            return 'on';
        }
        const delay = this.#delay(value.num_attempts);
        this.#log.warn({ err, step: step.name, delay }, 'a step of a job failed; it will be tried again');
        const postponed = await this.#update(phase, () => stepPostponed(clock.now() + delay));
        return postponed ? delay : 'on';
    }

    /** Runs a step to its end, however that comes about. */
    async #run(phase: Phase, step: JobStep): Promise<Outcome> {
        const controller = new AbortController();
        const { signal } = controller;
        const { context, end } = this.#context(signal);
        this.#step = { phase, controller };
        if (this.#interruption) {
            controller.abort(this.#interruption);
        }
        const timer = setTimeout(
            () => controller.abort(new StepTimeout(step)),
            Math.min(step.timeout, LONGEST_TIMER),
        ).unref();
        try {
            return { result: await this.#withinGrace(step, step.run(context), signal) };
        } catch (err) {
            return { err: signal.aborted ? signal.reason : err };
        } finally {
            clearTimeout(timer);
            this.#step = undefined;
            end();
        }
    }

    /** Waits for a step, but not for one that does not end when it is told to. */
    async #withinGrace(step: JobStep, work: Promise<string>, signal: AbortSignal): Promise<string> {
        const over = new AbortController();
        const hangs = async (): Promise<never> => {
            if (!signal.aborted) {
                await once(signal, 'abort', { signal: over.signal });
            }
            await wait(this.#parts.stepGrace, undefined, { ref: false, signal: over.signal });
            this.#log.error({ step: step.name }, 'a step of a job did not end when it was told to');
            throw signal.reason;
        };
        const hanging = hangs();
        // Once the step has ended, how the watch over it ends is of no interest.
        hanging.catch(() => undefined);
        try {
            return await Promise.race([work, hanging]);
        } finally {
            over.abort();
        }
    }

    #context(signal: AbortSignal): { context: JobContext; end: () => void } {
        const record = this.#record;
        const { uuid } = record.row;
        let timer: NodeJS.Timeout | undefined;
        let ended = false;
        let latest: JobValue['progress'];
        const writeProgress = async () => {
            timer = undefined;
            try {
                await record.update(() => ({ value: { progress: latest } }));
            } catch (err) {
                if (!(err instanceof Interruption)) {
                    this.#log.warn({ err }, 'the progress of a job could not be written');
                }
            }
        };
        const context: JobContext = {
            uuid,
            params: record.value.params,
            log: this.#log,
            signal,
            progress: (done, total) => {
                latest = { done, ...(total !== undefined && { total }) };
                if (!ended) {
                    timer ??= setTimeout(() => void writeProgress(), PROGRESS_INTERVAL).unref();
                }
            },
        };
        const end = () => {
            ended = true;
            if (timer) {
                clearTimeout(timer);
                // Ahead of the step's result in the order of writes.
                void writeProgress();
            }
        };
        return { context, end };
    }

    /** Changes the job unless it has gone on to another phase meanwhile; gives whether it did. */
    async #update(phase: Phase, change: (value: JobValue) => JobChange): Promise<boolean> {
        let done = false;
        await this.#record.update((value) => {
            done = phaseOf(value) === phase;
            return done ? change(value) : undefined;
        });
        return done;
    }

    async #end(
        phase: Phase,
        { name }: JobStep,
        outcome: { result: string; error: string | { code?: string; message: string } },
        startedAt: number,
    ): Promise<void> {
        const now = this.#parts.clock.now();
        const result = {
            name,
            ...outcome,
            started_at: new Date(startedAt).toISOString(),
            finished_at: new Date(now).toISOString(),
        };
        await this.#update(phase, (value) => stepEnded(value, phase, result, now));
        faultPoint('job:recorded');
    }

    async #fail(phase: Phase, step: JobStep, err: unknown, startedAt: number): Promise<void> {
        this.#log.warn({ err, step: step.name }, 'a step of a job failed for good');
        const error = errorOf(err, this.#record.row.uuid);
        await this.#end(phase, step, { result: '', error }, startedAt);
    }

    /** The wait after so many attempts, in ms: doubled each time, and spread so that jobs do not come back together. */
    #delay(attempts: number): number {
        const { retryDelay, maxRetryDelay } = this.#parts.config;
        const full = Math.min(retryDelay * 2 ** (attempts - 1), maxRetryDelay);
        return Math.round(full * (0.5 + Math.random() / 2));
    }
}
