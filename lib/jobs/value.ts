/** The job object in WFAPI's form (vm-images.md §6), and how it changes. */
import { createHash } from 'node:crypto';
import { withoutSecrets } from '../config/credentials';
import type { StoredJob } from '../db/driver';
import type { Execution, Job, JobDefinition, JobStep, NewJob, StepResult } from './driver';

/** How often a step that cleans up is tried, at most. */
const CLEAN_UP_ATTEMPTS = 3;

export interface JobValue extends Job {
    /** Of the kind of job: the same for all of that name. */
    readonly workflow_uuid: string;
    /** When the next attempt is due. */
    readonly exec_after: string;
    /** In seconds: of all steps together. */
    readonly timeout: number;
    /** Begun attempts of the step that is being worked on. */
    readonly num_attempts: number;
    readonly max_attempts: number;
    /** When its first step began. */
    readonly started?: string;
    readonly onerror_results: readonly StepResult[];
    readonly oncancel_results: readonly StepResult[];
    /** Of the transfer that is going on, in bytes. */
    readonly progress?: { readonly done: number; readonly total?: number | undefined };
}

/** A row of the database with its value known to be a job's. */
export interface JobRow extends Omit<StoredJob, 'etag'> {
    readonly value: JobValue;
}

/** What is to change in a row; what is absent stays. */
export interface JobChange {
    value: Partial<JobValue>;
    dueAt?: number | undefined;
    finishedAt?: number;
}

/** The three lists of steps. One is worked on at a time, to its end. */
export type Phase = 'chain' | 'onerror' | 'oncancel';

const RESULTS = {
    chain: 'chain_results',
    onerror: 'onerror_results',
    oncancel: 'oncancel_results',
} as const satisfies Record<Phase, keyof JobValue>;

const iso = (time: number): string => new Date(time).toISOString();

/** Whether nothing can change what became of the job. */
export function hasEnded(execution: string): boolean {
    return execution !== 'queued' && execution !== 'running';
}

export function newRow(
    { task, imageUuid, target, params }: NewJob,
    { name, chain }: JobDefinition,
    { uuid, now, attempts }: { uuid: string; now: number; attempts: number },
): JobRow {
    const value: JobValue = {
        uuid,
        workflow_uuid: uuidOfName(name),
        name,
        execution: 'queued',
        params: { ...params, image_uuid: imageUuid, task },
        target,
        task,
        image_uuid: imageUuid,
        exec_after: iso(now),
        created_at: iso(now),
        timeout: Math.ceil(chain.reduce((sum, { timeout }) => sum + timeout, 0) / 1000),
        num_attempts: 0,
        max_attempts: attempts,
        chain_results: [],
        onerror_results: [],
        oncancel_results: [],
    };
    return {
        uuid,
        imageUuid,
        task,
        execution: 'queued',
        createdAt: now,
        dueAt: now,
        finishedAt: undefined,
        value,
    };
}

/** The row of the database, whose value this program wrote. */
export function rowOf(stored: StoredJob): JobRow {
    return stored as StoredJob & JobRow;
}

/** The row as it is after a change. */
export function changed(row: JobRow, change: JobChange): JobRow {
    const value = { ...row.value, ...change.value };
    return {
        ...row,
        ...('dueAt' in change && { dueAt: change.dueAt }),
        ...(change.finishedAt !== undefined && { finishedAt: change.finishedAt }),
        execution: value.execution,
        value,
    };
}

/** A uuid that is the same for the same name, and for no other. */
function uuidOfName(name: string): string {
    const hash = createHash('sha1').update(`imgapi workflow ${name}`).digest('hex');
    return [
        hash.slice(0, 8),
        hash.slice(8, 12),
        `5${hash.slice(13, 16)}`,
        `a${hash.slice(17, 20)}`,
        hash.slice(20, 32),
    ].join('-');
}

/** What a job works on now. */
export function phaseOf({ execution, chain_results }: JobValue): Phase {
    if (execution === 'canceled') {
        return 'oncancel';
    }
    return chain_results.some(({ error }) => error !== '') ? 'onerror' : 'chain';
}

/** The first step that has no result yet; undefined if the phase is done. */
export function nextStep(value: JobValue, definition: JobDefinition): JobStep | undefined {
    const phase = phaseOf(value);
    const results = value[RESULTS[phase]];
    // By name, so that a later version of the program may add a step or take one away.
    return definition[phase].find((step) => !results.some(({ name }) => name === step.name));
}

/** How often the steps of a phase are tried. */
export function attemptsOf({ max_attempts }: JobValue, phase: Phase): number {
    return phase === 'chain' ? max_attempts : Math.min(max_attempts, CLEAN_UP_ATTEMPTS);
}

/** An attempt at a step begins. */
export function attemptBegun(value: JobValue, now: number): JobChange {
    const { execution, started = iso(now), num_attempts } = value;
    return {
        value: {
            ...(!hasEnded(execution) && { execution: 'running' }),
            started,
            num_attempts: num_attempts + 1,
        },
    };
}

/** An attempt counts for nothing: the process stops. */
export function attemptUndone({ num_attempts }: JobValue): JobChange {
    return { value: { num_attempts: Math.max(0, num_attempts - 1) } };
}

/** A step has its result; it was the last attempt. */
export function stepEnded(value: JobValue, phase: Phase, result: StepResult, now: number): JobChange {
    const results = RESULTS[phase];
    return {
        value: { [results]: [...value[results], result], num_attempts: 0, exec_after: iso(now) },
    };
}

/** A step is to be tried again at that time. */
export function stepPostponed(time: number): JobChange {
    return { value: { exec_after: iso(time) }, dueAt: time };
}

/** A phase has no more steps: the job has ended. */
export function phaseEnded({ execution }: JobValue, phase: Phase, now: number): JobChange {
    if (phase === 'oncancel') {
        return { value: {}, dueAt: undefined };
    }
    const outcome: Execution = phase === 'chain' ? 'succeeded' : 'failed';
    return {
        value: { execution: hasEnded(execution) ? execution : outcome },
        dueAt: undefined,
        finishedAt: now,
    };
}

/** A job is canceled. The step it was at gets an entry, because clients read there why a job did not succeed. */
export function canceled(value: JobValue, definition: JobDefinition | undefined, now: number): JobChange {
    const step = phaseOf(value) === 'chain' && definition ? nextStep(value, definition) : undefined;
    const time = iso(now);
    const entry: StepResult | undefined = step && {
        name: step.name,
        result: '',
        error: { code: 'JobCanceled', message: 'The job was canceled.' },
        started_at: time,
        finished_at: time,
    };
    return {
        value: {
            execution: 'canceled',
            chain_results: entry ? [...value.chain_results, entry] : value.chain_results,
            num_attempts: 0,
            exec_after: time,
        },
        // One that never began has nothing to clean up.
        dueAt: value.started === undefined ? undefined : now,
        finishedAt: now,
    };
}

/** The job as anybody may see it: without credentials, and with the seconds it has taken. */
export function shown({ value, finishedAt }: JobRow, now: number): Job {
    const { started } = value;
    const elapsed = started === undefined ? 0 : Math.max(0, (finishedAt ?? now) - Date.parse(started)) / 1000;
    return withoutSecrets({ ...value, elapsed }) as Job;
}
