/** Jobs: list, get, cancel, and those of an image (vm-images.md §6, imports.md §4). */
import { ServiceFailure } from '../dc/driver';
import { ApiError, errorRow, invalidParameter } from '../errors';
import { show } from '../images/json';
import {
    EXECUTIONS,
    type Execution,
    type Job,
    type JobCaller,
    type JobFilter,
    type NewJob,
} from '../jobs/driver';
import { isUuid } from '../manifest';
import { assertInChannel } from './authorize';
import type { Call } from './call';
import { MOST_JOBS } from './parameters';

function caller({ id, signal }: Call): JobCaller {
    return { requestId: id, signal };
}

/** The URL that clients are told to look for jobs at: the `workflow-api` header. */
export function workflowApiUrl(call: Call): string {
    return call.services.jobs.url ?? call.origin;
}

/**
 * Makes a job (vm-images.md §2 step 19). What the workflow service refuses is passed on, where this route can answer so.
 *
 * @throws ApiError ServiceUnavailableError, or what the service said
 */
export async function createJob(call: Call, job: NewJob): Promise<Job> {
    return passedOn(call, () => call.services.jobs.create(job, caller(call)));
}

/** Answers with a job that has been made, and its image. */
export function sendJob(call: Call, { uuid, image_uuid }: Pick<Job, 'uuid' | 'image_uuid'>): void {
    call.send(200, { image_uuid, job_uuid: uuid }, { 'workflow-api': workflowApiUrl(call) });
}

/**
 * A refusal of the workflow service becomes this route's, if the route has one of that code. Faults do not, and what the
 * service does not find is not what the client asked for.
 */
async function passedOn<T>(call: Call, ask: () => Promise<T>): Promise<T> {
    try {
        return await ask();
    } catch (err) {
        const failure =
            err instanceof ApiError && err.cause instanceof ServiceFailure ? err.cause : undefined;
        const { status = 500, body } = failure ?? {};
        const code = call.route.errors.find((known) => known === body?.code);
        if (body && code && status === errorRow(code).status && status < 500 && status !== 404) {
            throw new ApiError(code, body.message, { cause: err });
        }
        throw err;
    }
}

function execution(call: Call): Execution | undefined {
    const value = call.query.one('execution');
    if (value === undefined) {
        return undefined;
    }
    const known = EXECUTIONS.find((one) => one === value);
    if (!known) {
        throw invalidParameter(
            `Parameter "execution" is ${show(value)}; it takes one of ${EXECUTIONS.join(', ')}.`,
            'execution',
        );
    }
    return known;
}

/** A parameter that is a whole number within these bounds. */
function wholeNumber(call: Call, name: string, least: number, most: number): number | undefined {
    const value = call.query.one(name);
    if (value === undefined) {
        return undefined;
    }
    const number = /^\d{1,15}$/.test(value) ? Number(value) : NaN;
    if (!(number >= least && number <= most)) {
        const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
        throw invalidParameter(
            `Parameter "${name}" is ${show(value)}; it takes a whole number ${range}.`,
            name,
        );
    }
    return number;
}

function jobFilter(call: Call): JobFilter {
    const filter = { execution: execution(call), task: call.query.one('task') };
    return {
        ...(filter.execution !== undefined && { execution: filter.execution }),
        ...(filter.task !== undefined && { task: filter.task }),
    };
}

export async function listJobs(call: Call): Promise<void> {
    const image = call.query.uuid('image_uuid');
    const filter = { ...jobFilter(call), ...(image !== undefined && { imageUuid: image }) };
    const limit = wholeNumber(call, 'limit', 1, MOST_JOBS) ?? MOST_JOBS;
    const offset = wholeNumber(call, 'offset', 0, Number.MAX_SAFE_INTEGER) ?? 0;
    call.send(200, await call.services.jobs.list(filter, { limit, offset }, caller(call)));
}

/** The job of the path. @throws ApiError ResourceNotFound */
async function found(call: Call, find: (uuid: string) => Promise<Job | undefined>): Promise<Job> {
    const uuid = call.pathParameter;
    const job = isUuid(uuid) ? await find(uuid) : undefined;
    if (!job) {
        throw new ApiError('ResourceNotFound', `Job "${uuid}" does not exist.`);
    }
    return job;
}

/** Whoever knows the uuid of a job may look at it: clients poll without credentials. */
export async function getJob(call: Call): Promise<void> {
    const { jobs } = call.services;
    call.send(200, await found(call, (uuid) => jobs.get(uuid, caller(call))));
}

/**
 * Answers with the job. One that has ended already stays as it is.
 *
 * @throws ApiError NotAuthorized if the job makes images of a channel that is none of the caller's: to cancel it
 *   deletes them
 */
export async function cancelJob(call: Call): Promise<void> {
    const { jobs } = call.services;
    const { params } = await found(call, (uuid) => jobs.get(uuid, caller(call)));
    if (typeof params.channel === 'string') {
        assertInChannel(call, params.channel);
    }
    call.send(200, await found(call, (uuid) => jobs.cancel(uuid, caller(call))));
}

/** An execution that there is none of is refused as the workflow service does it, if there is one. */
function imageJobFilter(call: Call): JobFilter {
    try {
        return jobFilter(call);
    } catch (err) {
        if (call.services.jobs.url !== undefined && err instanceof ApiError) {
            throw new ApiError('ConflictError', err.message);
        }
        throw err;
    }
}

/**
 * The jobs of an image (vm-images.md §6). It asks for no credentials, so outside a datacenter, whose network is the
 * operators' own, it shows none to anybody.
 */
export async function listImageJobs(call: Call): Promise<void> {
    const { config, jobs } = call.services;
    if (config.mode !== 'dc') {
        throw new ApiError(
            'ServiceUnavailableError',
            'There is no workflow service here to list the jobs of an image; GET /jobs lists them.',
        );
    }
    jobs.assertAvailable();
    const filter = { ...imageJobFilter(call), imageUuid: call.uuid };
    call.send(200, await passedOn(call, () => jobs.list(filter, { limit: MOST_JOBS }, caller(call))));
}
