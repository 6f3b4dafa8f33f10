/** SAPI, which holds what the services of a datacenter are configured with (ops.md §2). */
import { ServiceFailure, type ServiceContext } from './driver';
import { ServiceClient, type ServiceClientOptions } from './service-client';

export type Metadata = Readonly<Record<string, unknown>>;

/** An application or a service. */
export interface SapiEntry {
    readonly uuid: string;
    /** The account whose machines run it. */
    readonly owner: string | undefined;
    readonly metadata: Metadata;
}

export class Sapi {
    readonly #client: ServiceClient;

    /** @param host of SAPI, with its port if that is not 80 */
    constructor(host: string, options: Pick<ServiceClientOptions, 'config' | 'serverName'>) {
        this.#client = new ServiceClient({
            ...options,
            name: 'SAPI',
            url: `http://${host}`,
            acceptVersion: '~2',
        });
    }

    /**
     * The first application of this name.
     * @param includeMaster look into the SAPI of the first datacenter of the region as well
     * @throws ServiceFailure
     */
    application(
        name: string,
        context: ServiceContext,
        { includeMaster = false } = {},
    ): Promise<SapiEntry | undefined> {
        return this.#first(
            '/applications',
            { name, ...(includeMaster && { include_master: 'true' }) },
            context,
        );
    }

    /** The first service of this name in an application. @throws ServiceFailure */
    service(name: string, application: string, context: ServiceContext): Promise<SapiEntry | undefined> {
        return this.#first('/services', { name, application_uuid: application }, context);
    }

    /** Sets these keys of a service's metadata; the others stay. @throws ServiceFailure */
    async setMetadata(service: string, metadata: Metadata, context: ServiceContext): Promise<void> {
        const path = `/services/${encodeURIComponent(service)}`;
        await this.#client.request({ method: 'PUT', path, body: { metadata } }, context);
    }

    close(): Promise<void> {
        return this.#client.close();
    }

    async #first(
        path: string,
        query: Record<string, string>,
        context: ServiceContext,
    ): Promise<SapiEntry | undefined> {
        const { status, body } = await this.#client.request({ method: 'GET', path, query }, context);
        if (!Array.isArray(body)) {
            throw new ServiceFailure(`SAPI answered with what is no list (GET ${path}).`, { status });
        }
        return body.length === 0 ? undefined : entryOf(body[0], path);
    }
}

function entryOf(value: unknown, path: string): SapiEntry {
    const { uuid, owner_uuid, metadata } = (value ?? {}) as Record<string, unknown>;
    if (typeof uuid !== 'string') {
        throw new ServiceFailure(`SAPI answered with an entry that has no uuid (GET ${path}).`);
    }
    return {
        uuid,
        owner: typeof owner_uuid === 'string' ? owner_uuid : undefined,
        metadata: typeof metadata === 'object' && metadata !== null ? (metadata as Metadata) : {},
    };
}
