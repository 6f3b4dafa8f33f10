/** VMAPI, which knows machines, and CNAPI, which knows compute nodes (vm-images.md §2.1). */
import type { Config } from '../config/types';
import { ApiError } from '../errors';
import { AnswerObject } from './answer';
import {
    ServiceFailure,
    type ComputeNode,
    type ComputeServices,
    type Machine,
    type ServiceContext,
} from './driver';
import { ServiceClient } from './service-client';

export interface ComputeOptions {
    config: Pick<Config, 'vmapi' | 'cnapi' | 'services' | 'maxSockets'>;
    /** Sent as `user-agent`. */
    serverName: string;
}

type Service = 'vmapi' | 'cnapi';

const NAMES: Readonly<Record<Service, string>> = { vmapi: 'VMAPI', cnapi: 'CNAPI' };

export class Compute implements ComputeServices {
    readonly #clients: Readonly<Record<Service, ServiceClient | undefined>>;

    /** Connects to nothing before it is asked. */
    constructor({ config, serverName }: ComputeOptions) {
        const client = (service: Service) => {
            const url = config[service]?.url ?? '';
            return url === ''
                ? undefined
                : new ServiceClient({ name: NAMES[service], url, config, serverName });
        };
        this.#clients = { vmapi: client('vmapi'), cnapi: client('cnapi') };
    }

    async machine(uuid: string, context: ServiceContext, account?: string): Promise<Machine> {
        const query = { owner_uuid: account };
        return machineOf(uuid, await this.#get('vmapi', `/vms/${uuid}`, uuid, context, query));
    }

    async computeNode(uuid: string, context: ServiceContext): Promise<ComputeNode> {
        const server = await this.#get('cnapi', `/servers/${uuid}`, uuid, context);
        return {
            sdcVersion: server.object('sysinfo')?.text('SDC Version'),
            platform: server.text('current_platform'),
        };
    }

    async close(): Promise<void> {
        await Promise.all(Object.values(this.#clients).map(async (client) => client?.close()));
    }

    /** The object of that uuid. */
    async #get(
        service: Service,
        path: string,
        uuid: string,
        context: ServiceContext,
        query?: Record<string, string | undefined>,
    ): Promise<AnswerObject> {
        const client = this.#clients[service];
        const name = NAMES[service];
        if (!client) {
            throw new ApiError(
                'ServiceUnavailableError',
                `Images of machines need ${name}, and the configuration does not say where that is ("${service}.url").`,
            );
        }
        const { body } = await client.request({ method: 'GET', path, ...(query && { query }) }, context);
        const object = new AnswerObject(name, body);
        if ((object.uuid('uuid') ?? uuid) !== uuid) {
            throw new ServiceFailure(`${name} answered GET ${path} with another uuid.`);
        }
        return object;
    }
}

function machineOf(uuid: string, vm: AnswerObject): Machine {
    return {
        uuid,
        serverUuid: vm.uuid('server_uuid'),
        brand: vm.text('brand'),
        docker: vm.truthy('docker'),
        kernelVersion: vm.text('kernel_version'),
        imageUuid: vm.uuid('image_uuid'),
        diskImages: vm.objects('disks').flatMap((disk) => disk.uuid('image_uuid') ?? []),
    };
}
