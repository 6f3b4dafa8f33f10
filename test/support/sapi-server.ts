/** SAPI for tests, as far as setup scripts ask it: applications, services, and metadata that is merged (ops.md §2). */
import { HttpStandIn, type StandInAnswer, type StandInRequest } from './http-stand-in';

export interface SapiApplication {
    uuid: string;
    name: string;
    owner_uuid: string;
    metadata: Record<string, unknown>;
    /** Known only to the SAPI of the region's first datacenter. */
    isOfMaster?: boolean;
}

export interface SapiService {
    uuid: string;
    name: string;
    application_uuid: string;
    metadata: Record<string, unknown>;
}

const refusal = (status: number, code: string, message: string): StandInAnswer => ({
    status,
    body: { code, message },
});

export class SapiServer {
    readonly applications: SapiApplication[] = [];
    readonly services: SapiService[] = [];

    private constructor(readonly http: HttpStandIn) {}

    static async start(): Promise<SapiServer> {
        const answer = (request: StandInRequest) => server.#answer(request);
        const server: SapiServer = new SapiServer(await HttpStandIn.start((request) => answer(request)));
        return server;
    }

    stop(): Promise<void> {
        return this.http.stop();
    }

    #answer(request: StandInRequest): StandInAnswer {
        const { method, path, query, headers } = request;
        if (headers['accept-version'] !== '~2') {
            return refusal(400, 'InvalidVersion', 'only version 2 is spoken here');
        }
        const given = (name: string, value: unknown) => !query.has(name) || query.get(name) === value;
        if (method === 'GET' && path === '/applications') {
            const withMaster = query.get('include_master') === 'true';
            const found = this.applications.filter(
                ({ name, isOfMaster = false }) => given('name', name) && (withMaster || !isOfMaster),
            );
            return { status: 200, body: found };
        }
        if (method === 'GET' && path === '/services') {
            const found = this.services.filter(
                ({ name, application_uuid }) =>
                    given('name', name) && given('application_uuid', application_uuid),
            );
            return { status: 200, body: found };
        }
        const [, uuid] = /^\/services\/([^/]+)$/.exec(path) ?? [];
        const service = this.services.find((one) => one.uuid === uuid);
        if (method === 'PUT' && uuid !== undefined) {
            return service
                ? this.#update(service, request)
                : refusal(404, 'ResourceNotFound', 'service not found');
        }
        return refusal(404, 'ResourceNotFound', `${path} does not exist`);
    }

    /** The keys that are given take the place of their own; the others stay. */
    #update(service: SapiService, { body }: StandInRequest): StandInAnswer {
        const { metadata } = (body ?? {}) as { metadata?: Record<string, unknown> };
        if (typeof metadata !== 'object') {
            return refusal(409, 'MissingParameter', 'no metadata, parameters or owner given');
        }
        Object.assign(service.metadata, metadata);
        return { status: 200, body: service };
    }
}
