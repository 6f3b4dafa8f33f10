/**
 * A stand-in for the workflow service, for what the real one (deps/wfapi) does not do: to fail, to be slow and to lie. It
 * keeps workflows and jobs as vm-images.md §6 and §7 say, and runs none.
 */
import { randomUUID } from 'node:crypto';
import { notFound, ServiceStandIn, type ReceivedRequest, type ServiceReply } from './service-stand-in';

export interface StoredWorkflow {
    uuid: string;
    name: string;
    timeout: number;
    chain: StoredTask[];
    onerror?: StoredTask[];
    oncancel?: StoredTask[];
    version?: string;
}

interface StoredTask {
    uuid?: string;
    name: string;
    timeout?: number;
    body: string;
    modules?: unknown;
}

export interface StoredJob {
    uuid: string;
    execution: string;
    task?: string;
    image_uuid?: string;
    params: Record<string, unknown>;
    created_at: string;
    [member: string]: unknown;
}

const EXECUTIONS = ['queued', 'failed', 'succeeded', 'running', 'canceled'];
/** Of a new workflow it keeps these; of one that is replaced, all. */
const KEPT = ['name', 'uuid', 'timeout', 'chain', 'onerror', 'oncancel', 'max_attempts'];
const MOST_JOBS = 1000;

const conflict = (code: string, message: string): ServiceReply => ({ status: 409, body: { code, message } });

export class WorkflowStandIn {
    readonly workflows = new Map<string, StoredWorkflow>();
    readonly jobs = new Map<string, StoredJob>();
    /** Called before each request is answered; what it gives is the answer. */
    before: ((request: ReceivedRequest) => ServiceReply | undefined) | undefined;
    #service: ServiceStandIn | undefined;

    private constructor() {
        // Started by `start` only.
    }

    static async start(port?: number): Promise<WorkflowStandIn> {
        const standIn = new WorkflowStandIn();
        standIn.#service = await ServiceStandIn.start(
            (request) => standIn.before?.(request) ?? standIn.#answer(request),
            port,
        );
        return standIn;
    }

    get service(): ServiceStandIn {
        return this.#service!;
    }

    /** The block `wfapi` of a server. */
    get config(): Record<string, unknown> & { workflows: string[] } {
        return {
            url: this.service.url,
            workflows: ['create-from-vm', 'import-remote-image'],
            pingInterval: '50ms',
            retry: { minTimeout: '20ms', maxTimeout: '100ms' },
        };
    }

    /** The requests so far that are no looks whether it is there, as `GET /workflows`. */
    get asked(): string[] {
        return this.service.requests
            .map(({ method, path }) => `${method} ${path.replace(/[0-9a-f-]{36}/, 'U')}`)
            .filter((line) => !['GET /ping', 'GET /workflows/workflow-check'].includes(line));
    }

    addJob(fields: Partial<StoredJob>): StoredJob {
        const job: StoredJob = {
            uuid: randomUUID(),
            workflow_uuid: randomUUID(),
            name: 'of-the-test',
            execution: 'queued',
            params: {},
            target: '/test',
            exec_after: new Date().toISOString(),
            created_at: new Date().toISOString(),
            timeout: 60,
            num_attempts: 0,
            chain_results: [],
            ...fields,
        };
        this.jobs.set(job.uuid, job);
        return job;
    }

    #answer(request: ReceivedRequest): ServiceReply {
        const { method, path } = request;
        const [, resource = '', uuid, action] = /^\/(\w+)(?:\/([^/]+))?(?:\/(\w+))?$/.exec(path) ?? [];
        switch (
            `${method} ${resource}${uuid === undefined ? '' : '/U'}${action === undefined ? '' : `/${action}`}`
        ) {
            case 'GET ping':
                return { body: { pid: 1, backend: 'up' } };
            case 'GET workflows':
                return {
                    body: [...this.workflows.values()].filter(
                        ({ name }) => name === request.query.get('name'),
                    ),
                };
            case 'GET workflows/U':
                return this.#workflow(uuid);
            case 'POST workflows':
                return this.#addWorkflow(request.body as StoredWorkflow);
            case 'PUT workflows/U':
                return this.#replaceWorkflow(String(uuid), request.body as StoredWorkflow);
            case 'GET jobs':
                return this.#list(request.query);
            case 'POST jobs':
                return this.#create(request.body as Record<string, unknown>);
            case 'GET jobs/U':
                return this.#job(uuid);
            case 'POST jobs/U/cancel':
                return this.#cancel(uuid);
            default:
                return notFound(path);
        }
    }

    #workflow(uuid = ''): ServiceReply {
        const workflow = this.workflows.get(uuid);
        return workflow ? { body: workflow } : notFound(`Workflow ${uuid}`);
    }

    #addWorkflow(given: StoredWorkflow): ServiceReply {
        if ([...this.workflows.values()].some(({ name }) => name === given.name)) {
            return conflict('InvalidArgument', `Workflow.name must be unique: ${given.name}`);
        }
        const kept = Object.fromEntries(Object.entries(given).filter(([name]) => KEPT.includes(name)));
        const tasks = (list: StoredTask[] = []): StoredTask[] =>
            list.map((task) => ({ ...task, uuid: randomUUID(), modules: JSON.stringify(task.modules) }));
        const workflow = {
            ...kept,
            uuid: randomUUID(),
            max_attempts: 10,
            chain: tasks(given.chain),
            onerror: tasks(given.onerror),
            oncancel: tasks(given.oncancel),
        } as unknown as StoredWorkflow;
        this.workflows.set(workflow.uuid, workflow);
        return { status: 201, body: workflow };
    }

    #replaceWorkflow(uuid: string, given: StoredWorkflow): ServiceReply {
        if (!this.workflows.has(uuid)) {
            return notFound(`Workflow ${uuid}`);
        }
        this.workflows.set(uuid, { ...given, uuid });
        return { body: given };
    }

    #list(query: URLSearchParams): ServiceReply {
        const execution = query.get('execution');
        if (execution !== null && !EXECUTIONS.includes(execution)) {
            return conflict('ConflictError', `Execution must be one of ${EXECUTIONS.join(', ')}`);
        }
        const limit = Math.min(Number(query.get('limit') ?? MOST_JOBS), MOST_JOBS);
        const offset = Number(query.get('offset') ?? 0);
        const found = [...this.jobs.values()]
            .filter((job) =>
                ['image_uuid', 'task', 'execution'].every(
                    (name) => !query.has(name) || job[name] === query.get(name),
                ),
            )
            .sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
        return { body: found.slice(offset, offset + limit) };
    }

    #create({ workflow, target, task, image_uuid, ...params }: Record<string, unknown>): ServiceReply {
        const known = this.workflows.get(String(workflow));
        if (!known) {
            return notFound(`Workflow ${String(workflow)}`);
        }
        const indexed = { task, image_uuid } as { task: string; image_uuid: string };
        const { chain, onerror, oncancel } = known;
        const body = this.addJob({
            ...indexed,
            ...{ name: known.name, workflow_uuid: known.uuid, target, chain, onerror, oncancel },
            params: { ...params, ...indexed },
        });
        return { status: 201, body };
    }

    #job(uuid = ''): ServiceReply {
        const job = this.jobs.get(uuid);
        return job ? { body: job } : notFound(`Job ${uuid}`);
    }

    #cancel(uuid = ''): ServiceReply {
        const job = this.jobs.get(uuid);
        if (!job) {
            return notFound(`Job ${uuid}`);
        }
        if (job.execution === 'succeeded' || job.execution === 'failed') {
            return conflict('ConflictError', 'Finished jobs cannot be canceled');
        }
        job.execution = 'canceled';
        return { body: job };
    }
}
