/** Jobs: work that goes on after the request that asked for it was answered (imports.md §4, vm-images.md §6). */
import type Logger from 'bunyan';

export const EXECUTIONS = ['queued', 'running', 'succeeded', 'failed', 'canceled'] as const;
export type Execution = (typeof EXECUTIONS)[number];

/** A job as the workflow API shows it (vm-images.md §6); times are ISO texts. */
export interface Job {
    readonly uuid: string;
    readonly name: string;
    readonly task: string;
    readonly image_uuid: string;
    readonly target: string;
    readonly execution: Execution;
    readonly params: Readonly<Record<string, unknown>>;
    readonly created_at: string;
    readonly chain_results: readonly StepResult[];
    readonly [key: string]: unknown;
}

export interface StepResult {
    readonly name: string;
    readonly result: string;
    readonly error: string | { code?: string; message: string };
    readonly started_at: string;
    readonly finished_at: string;
}

export interface NewJob {
    task: string;
    imageUuid: string;
    target: string;
    params: Record<string, unknown>;
}

export interface JobFilter {
    imageUuid?: string;
    task?: string;
    execution?: Execution;
}

/** Whose request a call is part of. */
export interface JobCaller {
    /** Sent along to the service. */
    readonly requestId: string;
    /** Ends the call at once: it throws the signal's reason. To create or cancel a job is not ended so. */
    readonly signal: AbortSignal;
}

/**
 * Where jobs run: in this server, or in the workflow API of a datacenter.
 *
 * All that asks throws ApiError ServiceUnavailableError if there is no good answer; what the service has said stands in
 * its cause.
 */
export interface JobService {
    /** URL of the service if it is not this server. */
    readonly url: string | undefined;
    /** Whether the service can be asked at the moment; undefined if it is this server. */
    readonly connected: boolean | undefined;
    /**
     * @param task the kind of job that is wanted; without one, any
     * @throws ApiError ServiceUnavailableError if such jobs cannot be taken now, or never by this service
     */
    assertAvailable(task?: string): void;
    /** Durable when it resolves. */
    create(job: NewJob, caller: JobCaller): Promise<Job>;
    get(uuid: string, caller: JobCaller): Promise<Job | undefined>;
    /**
     * Newest first. A service that is not this server lists one kind after the other, in the order of
     * `wfapi.workflows`, and `limit` and `offset` count for each.
     */
    list(filter: JobFilter, options: { limit: number; offset?: number }, caller: JobCaller): Promise<Job[]>;
    /** Undefined if there is no such job. One that has ended already stays as it is. */
    cancel(uuid: string, caller: JobCaller): Promise<Job | undefined>;
}

/** What a step of a running job works with. */
export interface JobContext {
    readonly uuid: string;
    readonly params: Readonly<Record<string, unknown>>;
    readonly log: Logger;
    /** Aborted when the job is canceled, its time is up, or the process stops. */
    readonly signal: AbortSignal;
    /** Tells how far a transfer is, in bytes; `total` if it is known. Written now and then, at the latest with the next step. */
    progress(done: number, total: number | undefined): void;
}

/**
 * A step, to be run until it has succeeded once. A process may die at any point of it: run again, it goes on from what
 * it finds. Gives the sentence shown as the result. A failure is shown to callers if it is an ApiError; of any other
 * only the log tells more than that there was one.
 */
export interface JobStep {
    /** No other step of its list has it. */
    readonly name: string;
    /** Of one attempt, in ms. */
    readonly timeout: number;
    readonly run: (context: JobContext) => Promise<string>;
}

/** A kind of job that this server can run itself. */
export interface JobDefinition {
    readonly task: string;
    /** Name and version, as jobs show it. */
    readonly name: string;
    readonly chain: readonly JobStep[];
    /** Run when a step has failed for good. */
    readonly onerror: readonly JobStep[];
    /** Run when the job was canceled. */
    readonly oncancel: readonly JobStep[];
    /** Whether a failure would come again however often the step is tried. */
    readonly isPermanent: (err: unknown) => boolean;
}
