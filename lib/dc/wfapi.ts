import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { Config, WfapiConfig } from '../config/types';
import { withoutSecrets } from '../config/credentials';
import { ApiError } from '../errors';
import type { Job, JobCaller, JobFilter, JobService, NewJob } from '../jobs/driver';
import { isUuid } from '../manifest';
import { ServiceFailure, type ServiceContext } from './driver';
import { pause } from './pause';
import { ServiceClient } from './service-client';
import { WfapiWatcher } from './wfapi-watcher';
import { WfapiWorkflows } from './wfapi-workflows';
import { workflowOf } from './workflow-source';

/** Jobs that the service gives at once. */
const MOST_JOBS = 1000;

/** What of a job is not shown: the source of its tasks. */
const SOURCES = ['chain', 'onerror', 'oncancel'];

export interface WfapiOptions {
    config: Pick<Config, 'services' | 'maxSockets'>;
    wfapi: WfapiConfig;
    serverName: string;
    clock: Clock;
    log: Logger;
}

/**
 * Jobs in the workflow service of a datacenter (vm-images.md §6, §7).
 *
 * Each process of a server watches it for itself and gives it the workflows, in the background. Other jobs than those of
 * `wfapi.workflows` are none of this server's: it neither shows nor cancels them.
 */
export class Wfapi implements JobService {
    readonly url: string;
    readonly #options: WfapiOptions;
    readonly #client: ServiceClient;
    readonly #watcher: WfapiWatcher;
    readonly #workflows: WfapiWorkflows;
    readonly #closing = new AbortController();
    #loading: Promise<unknown> | undefined;
    /** The last question had no good answer. */
    #failing = false;

    constructor(options: WfapiOptions) {
        const { config, wfapi, serverName, clock, log } = options;
        const { url, forceReplace, forceMd5Check, pingInterval } = wfapi;
        this.url = url;
        this.#options = options;
        const client = new ServiceClient({ name: 'WFAPI', url, config, serverName, acceptVersion: '*' });
        this.#client = client;
        this.#watcher = new WfapiWatcher({ client, clock, log, interval: pingInterval });
        const replace = forceReplace ? 'always' : forceMd5Check ? 'different' : 'never';
        this.#workflows = new WfapiWorkflows({ client, log, replace });
    }

    /** Begins to look for the service, which may be out of reach, and to give it the workflows. */
    start(): void {
        this.#watcher.start();
        this.#loading = this.#loadWorkflows(this.#closing.signal);
    }

    async stop(): Promise<void> {
        this.#closing.abort(new ServiceFailure('The server is being stopped.'));
        await this.#watcher.stop();
        await this.#loading;
        await this.#client.close();
    }

    get connected(): boolean {
        return this.#watcher.connected;
    }

    assertAvailable(task?: string): void {
        if (!this.connected) {
            throw unavailable('The workflow service cannot be reached at the moment; try again later.');
        }
        if (task === undefined || this.#workflows.uuid(task) !== undefined) {
            return;
        }
        const { workflows } = this.#options.wfapi;
        throw unavailable(
            workflows.includes(task)
                ? `The workflow service does not have the workflow "${task}" yet; try again later.`
                : `Jobs of the kind "${task}" are not available: they are not among "wfapi.workflows".`,
        );
    }

    async create(job: NewJob, { requestId }: JobCaller): Promise<Job> {
        this.assertAvailable(job.task);
        // Whether or not the client waits for the answer: half a job would be worse.
        const context = { requestId, signal: this.#closing.signal };
        try {
            return await this.#post(job, this.#workflows.uuid(job.task), context);
        } catch (err) {
            if (!isMissing(err)) {
                throw this.#failed(err, context);
            }
        }
        try {
            // Somebody has deleted the workflow.
            return await this.#post(job, await this.#workflows.load(job.task, context), context);
        } catch (err) {
            throw this.#failed(err, context);
        }
    }

    async #post(
        { task, imageUuid, target, params }: NewJob,
        workflow: string | undefined,
        context: ServiceContext,
    ): Promise<Job> {
        const body = { ...params, task, target, workflow, image_uuid: imageUuid };
        return jobOf((await this.#client.request({ method: 'POST', path: '/jobs', body }, context)).body);
    }

    async get(uuid: string, { requestId, signal }: JobCaller): Promise<Job | undefined> {
        this.assertAvailable();
        return this.#ask({ requestId, signal }, (context) => this.#find(uuid, context));
    }

    async list(
        filter: JobFilter,
        { limit, offset = 0 }: { limit: number; offset?: number },
        { requestId, signal }: JobCaller,
    ): Promise<Job[]> {
        this.assertAvailable();
        const tasks = this.#options.wfapi.workflows.filter((task) => task === (filter.task ?? task));
        return this.#ask({ requestId, signal }, async (context) => {
            const lists = await Promise.all(
                tasks.map(async (task) => {
                    const query = {
                        image_uuid: filter.imageUuid,
                        execution: filter.execution,
                        task,
                        ...((limit < MOST_JOBS || offset > 0) && {
                            limit: String(limit),
                            offset: String(offset),
                        }),
                    };
                    const { body } = await this.#client.request(
                        { method: 'GET', path: '/jobs', query },
                        context,
                    );
                    return jobsOf(body).slice(0, limit);
                }),
            );
            return lists.flat();
        });
    }

    async cancel(uuid: string, { requestId }: JobCaller): Promise<Job | undefined> {
        this.assertAvailable();
        return this.#ask({ requestId, signal: this.#closing.signal }, async (context) => {
            const job = await this.#find(uuid, context);
            if (!job || !['queued', 'running'].includes(job.execution)) {
                return job;
            }
            try {
                const path = `/jobs/${uuid}/cancel`;
                return jobOf((await this.#client.request({ method: 'POST', path }, context)).body);
            } catch (err) {
                // It has just ended.
                if (err instanceof ServiceFailure && err.status === 409) {
                    return this.#find(uuid, context);
                }
                throw err;
            }
        });
    }

    async #find(uuid: string, context: ServiceContext): Promise<Job | undefined> {
        try {
            const { body } = await this.#client.request({ method: 'GET', path: `/jobs/${uuid}` }, context);
            const job = jobOf(body);
            return this.#options.wfapi.workflows.includes(job.task) ? job : undefined;
        } catch (err) {
            if (isMissing(err)) {
                return undefined;
            }
            throw err;
        }
    }

    async #ask<T>(context: ServiceContext, question: (context: ServiceContext) => Promise<T>): Promise<T> {
        try {
            const answer = await question(context);
            this.#failing = false;
            return answer;
        } catch (err) {
            throw this.#failed(err, context);
        }
    }

    /** What to throw after a failure of the service. Of an outage the log has the first one. */
    #failed(err: unknown, { signal, requestId }: ServiceContext): unknown {
        if (!(err instanceof ServiceFailure) || (signal.aborted && signal !== this.#closing.signal)) {
            return err;
        }
        const isRefusal = err.status !== undefined && err.status < 500;
        this.#options.log[this.#failing || isRefusal ? 'debug' : 'warn'](
            { err, req_id: requestId },
            'WFAPI: a question had no good answer',
        );
        this.#failing = true;
        return unavailable('The workflow service did not do as it was asked; try again later.', err);
    }

    /** Gives the service the workflows. Never fails. */
    async #loadWorkflows(closing: AbortSignal): Promise<void> {
        const { wfapi, log } = this.#options;
        const unknown = wfapi.workflows.filter((task) => !workflowOf(task));
        if (unknown.length > 0) {
            log.warn({ workflows: unknown }, 'WFAPI: this server has no workflows of these names');
        }
        const known = wfapi.workflows.filter((task) => workflowOf(task));
        await Promise.all(known.map((task) => this.#loadWorkflow(task, closing)));
    }

    /** Tries for ever. */
    async #loadWorkflow(task: string, closing: AbortSignal): Promise<void> {
        const { wfapi, clock, log } = this.#options;
        let delay = wfapi.retry.minTimeout;
        let failures = 0;
        while (this.#workflows.uuid(task) === undefined) {
            await this.#watcher.untilConnected();
            try {
                await this.#workflows.load(task, { requestId: clock.uuid(), signal: closing });
            } catch (err) {
                if (closing.aborted) {
                    return;
                }
                log[failures++ === 0 ? 'warn' : 'debug'](
                    { err, workflow: task },
                    'WFAPI: a workflow could not be given to it; trying on',
                );
                await pause(delay, closing);
                delay = Math.min(2 * delay, wfapi.retry.maxTimeout);
            }
        }
    }
}

function isMissing(err: unknown): boolean {
    return err instanceof ServiceFailure && err.status === 404;
}

function unavailable(message: string, cause?: ServiceFailure): ApiError {
    return new ApiError('ServiceUnavailableError', message, { cause });
}

/** A job as the service gives it, fit to be shown. @throws ServiceFailure if it is none */
function jobOf(given: unknown): Job {
    const job = given as Partial<Job> | null | undefined;
    if (typeof job !== 'object' || job === null || typeof job.uuid !== 'string' || !isUuid(job.uuid)) {
        throw new ServiceFailure('WFAPI answered with what is no job.');
    }
    const { started } = job;
    const members = Object.entries(job).filter(([name]) => !SOURCES.includes(name));
    return withoutSecrets({
        params: {},
        chain_results: [],
        ...Object.fromEntries(members),
        ...(typeof started === 'number' && { started: new Date(started).toISOString() }),
    }) as Job;
}

function jobsOf(given: unknown): Job[] {
    if (!Array.isArray(given)) {
        throw new ServiceFailure('WFAPI did not answer with a list of jobs.');
    }
    return given.map(jobOf);
}
