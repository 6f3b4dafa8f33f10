/** A client of servers that speak IMGAPI (imports.md §1). */
import { isHeaderValue } from '../header-value';
import type { Exchange } from './exchange';
import { fetchBody, fetchObject } from './exchange';
import { RemoteFailure, type RemoteBody, type RemoteContext, type RemoteRepository } from './driver';

/** How requests reach a server: directly, or through a proxy. */
export type Route = (
    url: URL,
    headers: Record<string, string>,
    signal: AbortSignal,
) => Promise<Omit<Exchange, 'outbound' | 'host'>>;

export interface RepositoryOptions {
    /** As it was given: a path stays before every request's, a channel goes with each. */
    url: URL;
    route: Route;
    serverName: string;
    outbound: Exchange['outbound'];
    /** Largest manifest taken, in bytes. */
    jsonBytes: number;
}

export class Repository implements RemoteRepository {
    readonly #options: RepositoryOptions;

    constructor(options: RepositoryOptions) {
        this.#options = options;
    }

    async getImage(uuid: string, context: RemoteContext, account?: string): Promise<Record<string, unknown>> {
        const exchange = await this.#exchange(context, uuid, '', { account });
        const manifest = await fetchObject(exchange, context, this.#options.jsonBytes);
        if (manifest.uuid !== uuid) {
            throw new RemoteFailure(`${exchange.host} was asked for image ${uuid} and sent another.`);
        }
        return manifest;
    }

    async getFile(uuid: string, index: number, context: RemoteContext): Promise<RemoteBody> {
        const exchange = await this.#exchange(context, uuid, '/file', {
            index: index > 0 ? String(index) : undefined,
        });
        return fetchBody(exchange, context);
    }

    async getIcon(uuid: string, context: RemoteContext): Promise<RemoteBody> {
        return fetchBody(await this.#exchange(context, uuid, '/icon', {}), context);
    }

    async #exchange(
        { requestId, signal }: RemoteContext,
        uuid: string,
        suffix: string,
        query: Record<string, string | undefined>,
    ): Promise<Exchange> {
        const { url: base, route, serverName, outbound } = this.#options;
        const url = new URL(base);
        url.pathname = `${base.pathname.replace(/\/+$/, '')}/images/${encodeURIComponent(uuid)}${suffix}`;
        url.search = '';
        const channel = base.searchParams.get('channel') ?? '';
        for (const [name, value] of Object.entries({ ...query, channel })) {
            if (value) {
                url.searchParams.set(name, value);
            }
        }
        const headers = {
            accept: 'application/json',
            'accept-version': '*',
            'accept-encoding': 'identity',
            'user-agent': serverName,
            ...(isHeaderValue(requestId) && { 'request-id': requestId }),
        };
        const exchange = await route(url, headers, signal);
        return { ...exchange, host: url.host, outbound };
    }
}
