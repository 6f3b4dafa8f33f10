/** What those who watch the server can look at, and where (daemon.md §4, metrics-and-extras.md §1). */
import type Logger from 'bunyan';
import type { Health } from '../../api/health';
import type { Config } from '../../config/types';
import type { RequestSeries } from '../../metrics/request-series';
import type { ServerMetrics } from '../../metrics/server-metrics';
import type { Images } from '../../images/images';
import type { LogSink } from '../../log';
import type { StorageSet } from '../../storage/driver';
import { RECENT_LOG, type Processes } from '../../workers/driver';
import type { Identity } from '../call';
import { DatabaseCounts, type CountsParts } from './counts';
import { healthzPage, readyzPage } from './health-pages';
import { logsPage } from './logs-page';
import { MetricsPages } from './metrics-pages';
import { answerStatus } from './process-status';
import { WatchServer, type Page } from './server';
import { statusPage } from './status';
import { StorageSpaces } from './storage-space';
import { StorageUsage } from './storage-usage';

/** Where metrics are in a datacenter: its monitoring looks for them there. */
const DATACENTER_PORT = 8881;

export interface WatchParts extends Omit<CountsParts, 'images'> {
    config: Config;
    health: Health;
    processes: Processes;
    identity: Identity;
    log: Logger;
    images: Images;
    imageCounts: CountsParts['images'];
    storages: StorageSet;
    /** Keeps the newest records, if this process is the one that does. */
    sink: LogSink;
    /** What is counted of requests; undefined if nobody looks at it. */
    series: RequestSeries | undefined;
    /** What else is measured, for the admin listener. */
    metrics: ServerMetrics | undefined;
}

/** Whether the configuration has a place where the series of requests are shown. */
export function showsRequests({ admin, mode, adminIp = '' }: Config): boolean {
    return admin !== undefined || (mode === 'dc' && adminIp !== '');
}

/**
 * Opens the listeners of the configuration. With several workers each one listens, on the same sockets, and answers for
 * all of them.
 *
 * @returns what closes them
 * @throws Error if one of them cannot listen; none is open then
 */
export async function openWatchServers(parts: WatchParts): Promise<() => Promise<void>> {
    const { config, series } = parts;
    const servers: WatchServer[] = [];
    const close = async () => {
        await Promise.all(servers.map((server) => server.close()));
    };
    const open = async (pages: Record<string, Page>, port: number, address: string, key: string) => {
        const server = new WatchServer({ pages, serverName: parts.identity.serverName, log: parts.log });
        const actual = await server.listen(port, address, key);
        servers.push(server);
        return actual.port;
    };
    try {
        if (series) {
            await openAll({ ...parts, series }, open);
        }
    } catch (err) {
        await close();
        throw err;
    }
    if (config.mode === 'dc' && (config.adminIp ?? '') === '') {
        parts.log.warn('config.adminIp is missing: the metrics of a datacenter are off');
    }
    return close;
}

type Open = (pages: Record<string, Page>, port: number, address: string, key: string) => Promise<number>;

async function openAll(parts: WatchParts & { series: RequestSeries }, open: Open): Promise<void> {
    const { config, health, processes, series, metrics, identity, imageCounts, jobs, sink, log } = parts;
    const { serverText } = metrics ? await import('../../metrics/server-metrics.js') : {};
    const counts = new DatabaseCounts({ images: imageCounts, jobs, log });
    const storages = parts.storages.all();
    const spaces = new StorageSpaces(storages, log);
    const pages = new MetricsPages({
        config,
        processes,
        series,
        server: metrics && serverText && { metrics, text: serverText },
        health,
        counts,
        spaces,
    });
    if (config.mode === 'dc' && config.adminIp !== undefined && config.adminIp !== '') {
        await open({ '/metrics': pages.requestsPage }, DATACENTER_PORT, config.adminIp, 'adminIp');
    }
    if (!config.admin) {
        return;
    }
    answerStatus(processes);
    const { recent } = sink;
    if (recent) {
        processes.answer(RECENT_LOG, ({ level, last }) => recent.newest(level, last));
    }
    const usage = new StorageUsage({
        records: () => parts.images.records(),
        storages,
        spaces,
        log,
    });
    const { port, address } = config.admin;
    const actual = await open(
        {
            '/': statusPage({ config, processes, identity, health, counts, usage, metrics: pages }),
            '/healthz': healthzPage(health),
            '/readyz': readyzPage(health),
            '/metrics': pages.allPage,
            '/logs': logsPage(processes),
        },
        port,
        address,
        'admin.port',
    );
    const host = address.includes(':') ? `[${address}]` : address;
    log.info(`Health, metrics and status at <http://${host}:${actual}/>.`);
}
