import type Logger from 'bunyan';
import { Agent, Pool } from 'undici';
import type { Config } from '../config/types';
import { parseUrl } from '../config/outbound';
import { directConnector, Proxy } from './connect';
import type { Remotes } from './driver';
import { fetchBody } from './exchange';
import { Repository, type Route } from './repository';
import { systemResolver, Targets, type Resolve } from './targets';

export interface RemotesOptions {
    config: Config;
    log: Logger;
    /** What requests call this server. */
    serverName: string;
    /** Finds the addresses of host names; by default as the operating system does. */
    resolve?: Resolve;
    /** Certificates (PEM) of the authorities that count; by default those that Node.js knows. */
    ca?: string;
}

/** Idle connections are kept this long, and at most as long as servers say. ms */
const KEEP_ALIVE = 4000;
const LONGEST_KEEP_ALIVE = 30_000;

/** The clients of other servers. Nothing is connected before it is asked for. */
export function createRemotes({ config, log, serverName, resolve, ca }: RemotesOptions): Remotes {
    const { outbound } = config;
    const targets = new Targets(config, log, resolve ?? systemResolver());
    const connecting = { targets, timeout: outbound.connectTimeout, ca };
    const pool = {
        connections: config.maxSockets,
        keepAliveTimeout: KEEP_ALIVE,
        keepAliveMaxTimeout: LONGEST_KEEP_ALIVE,
    };
    // Two agents, so that no connection with an unverified certificate is ever used for a download.
    const downloads = new Agent({ ...pool, connect: directConnector({ ...connecting, verify: true }) });
    const verify = config.allowInsecure !== true;
    const proxyUrl = parseUrl(config.httpProxy ?? '');
    const proxy = proxyUrl && new Proxy(proxyUrl);
    const repositories = new Agent({
        ...pool,
        connect: proxy
            ? proxy.tunnelConnector({ ...connecting, verify })
            : directConnector({ ...connecting, verify }),
    });
    const askedByUrl = proxy && {
        proxy,
        dispatcher: new Pool(proxy.origin, { ...pool, connect: proxy.connector(connecting) }),
    };

    const route: Route = async (url, headers, signal) => {
        if (proxy) {
            await targets.judgeAsFarAsKnown(url, outbound.connectTimeout, signal);
        }
        const path = `${url.pathname}${url.search}`;
        if (!askedByUrl || url.protocol === 'https:') {
            return { dispatcher: repositories, origin: url.origin, path, headers };
        }
        return {
            dispatcher: askedByUrl.dispatcher,
            origin: askedByUrl.proxy.origin,
            path: `${url.origin}${path}`,
            headers: { ...headers, ...askedByUrl.proxy.headers, host: url.host },
        };
    };

    return {
        repository: (text) =>
            new Repository({
                url: targets.parse(text, ['http:', 'https:']),
                route,
                serverName,
                outbound,
                jsonBytes: config.limits.jsonBytes,
            }),
        download: async (text, context) => {
            const url = targets.parse(text, ['https:']);
            return fetchBody(
                {
                    dispatcher: downloads,
                    origin: url.origin,
                    path: `${url.pathname}${url.search}`,
                    headers: { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': serverName },
                    host: url.host,
                    outbound,
                },
                context,
            );
        },
        close: async () => {
            await Promise.all([
                downloads.destroy(),
                repositories.destroy(),
                askedByUrl?.dispatcher.destroy(),
            ]);
        },
    };
}
