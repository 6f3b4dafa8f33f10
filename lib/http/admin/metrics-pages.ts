import type { Health } from '../../api/health';
import type { Config } from '../../config/types';
import { addCounts, requestText, type RequestCounts, type RequestSeries } from '../../metrics/request-series';
import type { ProcessMetrics, ServerMetrics, serverText } from '../../metrics/server-metrics';
import { VERSION } from '../../version';
import { topic, type Processes } from '../../workers/driver';
import type { DatabaseCounts } from './counts';
import type { Page, PageAnswer } from './server';
import type { StorageSpaces } from './storage-space';

/** What a process answers about its metrics; those beside the series of requests only if they are wanted. */
interface Measured {
    readonly requests: RequestCounts;
    readonly process?: ProcessMetrics;
}

const METRICS = topic<{ all: boolean }, Measured>('metrics');

export interface MetricsParts {
    config: Config;
    processes: Processes;
    series: RequestSeries;
    /** With the text form of what it measures; undefined if there is no admin listener. */
    server: { metrics: ServerMetrics; text: typeof serverText } | undefined;
    health: Health;
    counts: DatabaseCounts;
    spaces: StorageSpaces;
}

export class MetricsPages {
    constructor(private readonly parts: MetricsParts) {
        const { processes, series, server } = parts;
        processes.answer(METRICS, async ({ all }) => ({
            requests: series.counts,
            ...(all && server && { process: await server.metrics.measured() }),
        }));
    }

    async #gather(all: boolean): Promise<Measured[]> {
        const gathered = await this.parts.processes.gather(METRICS, { all });
        return gathered.flatMap((one) => ('answer' in one ? [one.answer] : []));
    }

    /** Requests that have ended in all processes, and those of them that were answered with a fault of the server. */
    async totals(): Promise<{ total: number; failed: number }> {
        const totals = { total: 0, failed: 0 };
        for (const { labels, counts } of (await this.#gather(false)).flatMap(({ requests }) => requests)) {
            const count = counts.reduce((sum, one) => sum + one, 0);
            totals.total += count;
            totals.failed += Number(labels[3]) >= 500 ? count : 0;
        }
        return totals;
    }

    #requestText(measured: readonly Measured[]): string {
        const { datacenterName, instanceUuid, serverUuid, serviceName, metrics } = this.parts.config;
        return requestText(
            addCounts(measured.map(({ requests }) => requests)),
            {
                datacenter: datacenterName,
                instance: instanceUuid,
                server: serverUuid,
                service: serviceName,
            },
            { withSuffix: metrics.bucketSuffix },
        );
    }

    /** GET /metrics in a datacenter: the two series of requests, and nothing else. */
    readonly requestsPage: Page = async () => answer(this.#requestText(await this.#gather(false)));

    /** GET /metrics on the admin listener. */
    readonly allPage: Page = async () => {
        const { config, server, health, counts, spaces } = this.parts;
        const [measured, { findings }, counted, known] = await Promise.all([
            this.#gather(true),
            health.all(),
            counts.get(),
            spaces.get(),
        ]);
        const isUp = Object.entries(findings).map(([name, finding]): [string, boolean] => [
            name,
            finding === 'ok',
        ]);
        const rest = await server?.text(
            measured.map(({ process }) => process ?? []),
            {
                version: VERSION,
                mode: config.mode,
                processes: measured.length,
                ...counted,
                free: Object.fromEntries([...known].map(([type, { free }]) => [type, free])),
                dependencies: Object.fromEntries(isUp),
            },
        );
        return answer(this.#requestText(measured) + (rest ?? ''));
    };
}

function answer(body: string): PageAnswer {
    return { status: 200, type: 'text/plain; version=0.0.4', body };
}
