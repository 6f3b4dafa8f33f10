/** Jobs: list, get, cancel, and those of an image (vm-images.md §6, imports.md §4). */
import { ApiError, invalidParameter } from '../errors';
import { show } from '../images/json';
import { EXECUTIONS, type Execution, type Job, type JobFilter } from '../jobs/driver';
import { isUuid } from '../manifest';
import { assertInChannel } from './authorize';
import type { Call } from './call';
import { MOST_JOBS } from './parameters';

/** The URL that clients are told to look for jobs at: the `workflow-api` header. */
export function workflowApiUrl(call: Call): string {
    return call.services.jobs.url ?? call.origin;
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
    call.send(200, await call.services.jobs.list(filter, { limit, offset }));
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
    call.send(200, await found(call, (uuid) => jobs.get(uuid)));
}

/**
 * Answers with the job. One that has ended already stays as it is.
 *
 * @throws ApiError NotAuthorized if the job makes images of a channel that is none of the caller's: to cancel it
 *   deletes them
 */
export async function cancelJob(call: Call): Promise<void> {
    const { jobs } = call.services;
    const { params } = await found(call, (uuid) => jobs.get(uuid));
    if (typeof params.channel === 'string') {
        assertInChannel(call, params.channel);
    }
    call.send(200, await found(call, (uuid) => jobs.cancel(uuid)));
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
    const filter = jobFilter(call);
    call.send(200, await jobs.list({ ...filter, imageUuid: call.uuid }, { limit: MOST_JOBS }));
}
