import type { Health } from '../../api/health';
import type { Config } from '../../config/types';
import { VERSION } from '../../version';
import type { Processes } from '../../workers/driver';
import type { Identity } from '../call';
import type { DatabaseCounts } from './counts';
import { newestRecords } from './logs-page';
import type { MetricsPages } from './metrics-pages';
import { gatherStatus } from './process-status';
import type { Page } from './server';
import { statusHtml, type LogRecord } from './status-page';
import { CONTENT_SECURITY } from './status-style';
import type { StorageUsage } from './storage-usage';
import { insecurities } from '../../config/insecurities';

/** Records of the log among which requests are looked for, and how many of each kind are shown. */
const LOOKED_AT = 300;
const SHOWN = 15;
const WARN = 40;

export interface StatusParts {
    config: Config;
    processes: Processes;
    identity: Identity;
    health: Health;
    counts: DatabaseCounts;
    usage: StorageUsage;
    metrics: MetricsPages;
}

/** GET / of the admin listener. */
export function statusPage(parts: StatusParts): Page {
    const { config, processes, identity, health, counts, usage, metrics } = parts;
    return async () => {
        const [found, counted, storages, statuses, requests, records, troubles] = await Promise.all([
            health.all(),
            counts.get(),
            usage.get(),
            gatherStatus(processes),
            metrics.totals(),
            newestRecords(processes, 0, LOOKED_AT),
            newestRecords(processes, WARN, SHOWN),
        ]);
        const html = statusHtml({
            ...identity,
            version: VERSION,
            mode: config.mode,
            at: new Date(),
            ...found,
            warnings: insecurities(config),
            processes: statuses,
            requests,
            ...counted,
            storages,
            recentRequests: records
                .map(parse)
                .filter(({ audit }) => audit === true)
                .slice(-SHOWN),
            troubles: troubles.map(parse),
        });
        return {
            status: 200,
            type: 'text/html; charset=utf-8',
            body: html,
            headers: { 'Content-Security-Policy': CONTENT_SECURITY },
        };
    };
}

const parse = (line: string): LogRecord => JSON.parse(line) as LogRecord;
