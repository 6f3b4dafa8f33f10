import { isDeepStrictEqual } from 'node:util';
import type Logger from 'bunyan';
import { ServiceFailure, type ServiceContext } from './driver';
import type { ServiceClient } from './service-client';
import { workflowOf, type Workflow } from './workflow-source';

export interface WorkflowsOptions {
    client: ServiceClient;
    log: Logger;
    /** Replaces workflows that the service has: all of them, or those that differ from ours. */
    replace: 'always' | 'different' | 'never';
}

/** The workflows of this server, as the workflow service knows them (vm-images.md §7). */
export class WfapiWorkflows {
    readonly #options: WorkflowsOptions;
    readonly #uuids = new Map<string, string>();

    constructor(options: WorkflowsOptions) {
        this.#options = options;
    }

    /** The uuid that the service gave the workflow of jobs of a kind; undefined until it has been given it. */
    uuid(task: string): string | undefined {
        return this.#uuids.get(task);
    }

    /**
     * Gives the workflow of jobs of a kind to the service, unless it has it, and remembers its uuid.
     *
     * @throws ServiceFailure; the signal's reason
     */
    async load(task: string, context: ServiceContext): Promise<string> {
        const workflow = workflowOf(task);
        if (!workflow) {
            throw new ServiceFailure(`This server has no workflow for jobs of the kind "${task}".`);
        }
        const uuid = await this.#place(workflow, context);
        this.#uuids.set(task, uuid);
        this.#options.log.info({ workflow: workflow.name, uuid }, 'WFAPI: a workflow is ready');
        return uuid;
    }

    async #place(workflow: Workflow, context: ServiceContext): Promise<string> {
        const existing = await this.#find(workflow.name, context);
        if (existing) {
            return this.#keepOrReplace(existing, workflow, context);
        }
        try {
            const body = await this.#send('POST', '/workflows', workflow, context);
            this.#options.log.info({ workflow: workflow.name }, 'WFAPI: added a workflow');
            return uuidOf(body);
        } catch (err) {
            const other =
                err instanceof ServiceFailure && err.status === 409
                    ? await this.#find(workflow.name, context)
                    : undefined;
            if (!other) {
                throw err;
            }
            // Another process was faster.
            return this.#keepOrReplace(other, workflow, context);
        }
    }

    async #keepOrReplace(existing: Stored, workflow: Workflow, context: ServiceContext): Promise<string> {
        const { replace, log } = this.#options;
        const { uuid } = existing;
        if (replace === 'always' || (replace === 'different' && !isSameWorkflow(existing, workflow))) {
            await this.#send('PUT', `/workflows/${uuid}`, { ...workflow, uuid }, context);
            log.info({ workflow: workflow.name, uuid }, 'WFAPI: replaced a workflow');
        }
        return uuid;
    }

    async #find(name: string, context: ServiceContext): Promise<Stored | undefined> {
        const { body } = await this.#options.client.request(
            { method: 'GET', path: '/workflows', query: { name } },
            context,
        );
        if (!Array.isArray(body)) {
            throw new ServiceFailure('WFAPI did not answer with a list of workflows.');
        }
        const found = body.find((one: unknown) => isObject(one) && one.name === name) as object | undefined;
        return found && { ...found, uuid: uuidOf(found) };
    }

    async #send(method: 'POST' | 'PUT', path: string, body: object, context: ServiceContext) {
        return (await this.#options.client.request({ method, path, body }, context)).body;
    }
}

/** A workflow as the service gave it. */
interface Stored {
    readonly uuid: string;
    readonly [member: string]: unknown;
}

function isObject(value: unknown): value is Record<string, unknown> {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function uuidOf(workflow: unknown): string {
    const uuid = isObject(workflow) ? workflow.uuid : undefined;
    // It becomes part of a path.
    if (typeof uuid !== 'string' || !/^[\w-]{1,64}$/.test(uuid)) {
        throw new ServiceFailure('WFAPI answered with a workflow that has no uuid.');
    }
    return uuid;
}

/**
 * Whether jobs of both run alike. The service gives tasks a `uuid`, keeps `modules` as text if it was told of them by
 * POST, and forgets the version.
 */
export function isSameWorkflow(stored: Readonly<Record<string, unknown>>, ours: Workflow): boolean {
    return isDeepStrictEqual(comparable(stored), comparable({ ...ours }));
}

function comparable({ name, timeout, chain, onerror, oncancel }: Readonly<Record<string, unknown>>) {
    return { name, timeout, chain: tasks(chain), onerror: tasks(onerror), oncancel: tasks(oncancel) };
}

function tasks(list: unknown): unknown {
    const value = parsed(list ?? []);
    return Array.isArray(value) ? value.map(task) : value;
}

function task(value: unknown): unknown {
    if (!isObject(value)) {
        return value;
    }
    const { name, timeout, retry, modules, body, fallback } = value;
    return { name, timeout, retry, modules: parsed(modules ?? {}), body, fallback };
}

function parsed(value: unknown): unknown {
    if (typeof value !== 'string') {
        return value;
    }
    try {
        return JSON.parse(value) as unknown;
    } catch {
        return value;
    }
}
