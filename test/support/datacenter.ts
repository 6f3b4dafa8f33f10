/**
 * Stand-ins for the services of a datacenter that make images of machines: VMAPI, CNAPI and a compute node, as far as
 * vm-images.md §2.1 and §4.1 tell of them.
 */
import { randomUUID } from 'node:crypto';
import { ComputeNode, type CreateImageParameters } from './compute-node';
import { notFound, ServiceStandIn, type ReceivedRequest, type ServiceReply } from './service-stand-in';

/** A machine as VMAPI shows it. */
export interface Vm {
    readonly uuid: string;
    readonly owner_uuid: string;
    readonly server_uuid?: string;
    readonly brand: string;
    readonly state?: string;
    readonly docker?: boolean;
    readonly kernel_version?: string;
    readonly image_uuid?: string;
    readonly disks?: readonly { readonly image_uuid?: string; readonly size?: number }[];
}

/** A compute node as CNAPI shows it. */
export interface ServerRecord {
    readonly uuid: string;
    readonly sysinfo?: Record<string, unknown>;
    readonly current_platform?: string;
}

/** A task of CNAPI. */
export interface CnapiTask {
    readonly id: string;
    readonly server_uuid: string;
    status: 'active' | 'complete' | 'failure';
    readonly history: { name: string; event: unknown }[];
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The parameters that CNAPI takes to have an image of a machine made, with the type each has to have. */
const TAKEN: readonly (readonly [name: string, type: string, required: boolean])[] = [
    ['compression', 'string', true],
    ['imgapi_url', 'string', true],
    ['manifest', 'object', true],
    ['jobid', 'string', false],
    ['prepare_image_script', 'string', false],
    ['incremental', 'boolean', false],
    ['max_origin_depth', 'number', false],
];

export class Datacenter {
    readonly vms = new Map<string, Vm>();
    readonly servers = new Map<string, ServerRecord>();
    readonly tasks = new Map<string, CnapiTask>();
    /** Machines and servers that are gone once they have been asked for. */
    readonly passing = new Set<string>();
    /** Works on the tasks of all servers. */
    readonly node = new ComputeNode();
    #vmapi: ServiceStandIn | undefined;
    #cnapi: ServiceStandIn | undefined;

    private constructor() {
        // Started by `start` only.
    }

    static async start(): Promise<Datacenter> {
        const datacenter = new Datacenter();
        datacenter.#vmapi = await ServiceStandIn.start((request) => datacenter.#answerVmapi(request));
        datacenter.#cnapi = await ServiceStandIn.start((request) => datacenter.#answerCnapi(request));
        return datacenter;
    }

    get vmapi(): ServiceStandIn {
        return started(this.#vmapi);
    }

    get cnapi(): ServiceStandIn {
        return started(this.#cnapi);
    }

    /** The blocks of a server that asks these services. */
    get config(): { vmapi: { url: string }; cnapi: { url: string } } {
        return { vmapi: { url: this.vmapi.url }, cnapi: { url: this.cnapi.url } };
    }

    /** A compute node of today's, unless the fields say otherwise. */
    addServer(fields: Partial<ServerRecord> = {}): ServerRecord {
        const server: ServerRecord = {
            uuid: randomUUID(),
            sysinfo: { 'SDC Version': '7.0' },
            current_platform: '20230126T011510Z',
            ...fields,
        };
        this.servers.set(server.uuid, server);
        return server;
    }

    addVm(fields: Partial<Vm> & Pick<Vm, 'owner_uuid'>): Vm {
        const vm: Vm = { uuid: randomUUID(), brand: 'joyent', state: 'stopped', ...fields };
        this.vms.set(vm.uuid, vm);
        return vm;
    }

    async stop(): Promise<void> {
        await this.node.stop();
        await Promise.all([this.vmapi.stop(), this.cnapi.stop()]);
    }

    #answerVmapi({ method, path, query }: ReceivedRequest): ServiceReply {
        const [, uuid = ''] = /^\/vms\/([^/]+)$/.exec(path) ?? [];
        if (method !== 'GET' || uuid === '') {
            return notFound(path);
        }
        if (!UUID.test(uuid)) {
            return {
                status: 409,
                body: {
                    code: 'ValidationFailed',
                    message: 'Invalid Parameters',
                    errors: [{ field: 'uuid' }],
                },
            };
        }
        const vm = this.#seen(this.vms, uuid);
        const owner = query.get('owner_uuid');
        return vm && (owner === null || owner === vm.owner_uuid) ? { body: vm } : notFound(`VM ${uuid}`);
    }

    #answerCnapi(request: ReceivedRequest): ServiceReply {
        const { method, path } = request;
        const [, kind = '', id = '', rest = ''] = /^\/(servers|tasks)\/([^/]+)(\/.*)?$/.exec(path) ?? [];
        if (kind === 'tasks' && method === 'GET') {
            const task = this.tasks.get(id);
            return task ? { body: task } : notFound(`task ${id}`);
        }
        const server = kind === 'servers' ? this.#seen(this.servers, id) : undefined;
        const [, vm] = /^\/vms\/([^/]+)\/images$/.exec(rest) ?? [];
        if (server && rest === '' && method === 'GET') {
            return { body: server };
        }
        if (server && vm !== undefined && method === 'POST') {
            return this.#queue(server, vm, request.body);
        }
        return notFound(path);
    }

    #seen<T>(all: Map<string, T>, uuid: string): T | undefined {
        const one = all.get(uuid);
        if (this.passing.has(uuid)) {
            all.delete(uuid);
        }
        return one;
    }

    #queue(server: ServerRecord, uuid: string, body: unknown): ServiceReply {
        const given = (body ?? {}) as Record<string, unknown>;
        const wrong = TAKEN.filter(([name, type, required]) =>
            given[name] === undefined || given[name] === null
                ? required
                : typeof given[name] !== type || Array.isArray(given[name]),
        );
        if (wrong.length > 0) {
            const errors = wrong.map(([field]) => ({ field, code: 'InvalidParameter' }));
            return {
                status: 409,
                body: { code: 'ValidationFailed', message: 'Request parameters failed validation', errors },
            };
        }
        const task: CnapiTask = { id: randomUUID(), server_uuid: server.uuid, status: 'active', history: [] };
        this.tasks.set(task.id, task);
        this.node.work(this.vms.get(uuid), given as unknown as CreateImageParameters, {
            done: () => {
                task.history.push({ name: 'finish', event: { log: [] } });
                task.status = 'complete';
            },
            failed: (error) => {
                task.history.push({ name: 'error', event: { error } });
                task.history.push({ name: 'finish', event: { log: [] } });
                task.status = 'failure';
            },
        });
        return { status: 202, body: { id: task.id } };
    }
}

function started<T>(service: T | undefined): T {
    if (service === undefined) {
        throw new TypeError('The datacenter has not been started.');
    }
    return service;
}
