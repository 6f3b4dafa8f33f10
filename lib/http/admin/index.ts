/** What those who watch the server can look at, and where (daemon.md §4, metrics-and-extras.md §1). */
import type Logger from 'bunyan';
import type { Health } from '../../api/health';
import { isLoopback } from '../../config/loopback';
import type { Config } from '../../config/types';
import type { Identity } from '../call';
import { healthzPage, readyzPage } from './health-pages';
import { WatchServer } from './server';

export interface WatchParts {
    config: Config;
    health: Health;
    identity: Identity;
    log: Logger;
}

/**
 * Opens the listeners of the configuration. With several workers each one listens, on the same sockets, and answers for
 * all of them.
 *
 * @returns what closes them
 * @throws Error if one of them cannot listen; none is open then
 */
export async function openWatchServers(parts: WatchParts): Promise<() => Promise<void>> {
    const { config, health, identity, log } = parts;
    const { serverName } = identity;
    if (!config.admin) {
        return () => Promise.resolve();
    }
    const { port, address } = config.admin;
    const server = new WatchServer({
        pages: { '/healthz': healthzPage(health), '/readyz': readyzPage(health) },
        serverName,
        log,
    });
    const { port: actual } = await server.listen(port, address, 'admin.port');
    const host = address.includes(':') ? `[${address}]` : address;
    log.info(`Health, metrics and status at <http://${host}:${actual}/>.`);
    if (!isLoopback(address)) {
        log.warn(
            { address },
            'the admin listener is not on a loopback address: whoever reaches it sees requests, log records and the ' +
                'state of this server',
        );
    }
    return () => server.close();
}
