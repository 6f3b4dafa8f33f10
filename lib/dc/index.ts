import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { Config } from '../config/types';
import type { AccountDirectory } from './driver';
import { Wfapi } from './wfapi';

/**
 * The directory of accounts, which connects by itself. Undefined outside a datacenter, where there are no accounts
 * (manifest.md §4) and its code is not even loaded. Whoever opens it closes it.
 *
 * @throws ConfigError
 */
export async function openAccountDirectory(
    { mode, ufds }: Config,
    log: Logger,
): Promise<AccountDirectory | undefined> {
    if (mode !== 'dc' || !ufds) {
        return undefined;
    }
    const { Ufds } = await import('./ufds.js');
    const directory = new Ufds(ufds, log);
    await directory.open();
    if (ufds.cache === 0) {
        return directory;
    }
    const { AccountCache } = await import('./account-cache.js');
    return new AccountCache(directory, ufds.cache);
}

/** The workflow service, which looks for itself whether it can be reached; undefined without `wfapi`. Whoever starts it stops it. */
export function createWorkflowService(
    config: Config,
    parts: { log: Logger; clock: Clock; serverName: string },
): Wfapi | undefined {
    const { wfapi } = config;
    return wfapi && new Wfapi({ config, wfapi, ...parts });
}
