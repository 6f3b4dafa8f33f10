/**
 * The two series of requests (metrics-and-extras.md §1), as dashboards of Triton ask for them: the buckets of the
 * histogram are under its own name, where Prometheus has the suffix `_bucket`.
 */

/** Upper ends of the buckets, in seconds, inclusive. */
const BOUNDS = [
    0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8,
    10, 20, 40, 60, 80, 100, 200, 400, 600, 800, 1000, 2000, 4000,
];
/** The same in ms, in which requests are measured. */
const LIMITS = BOUNDS.map((seconds) => Math.round(seconds * 1000));

/** Clients choose their User-Agent, so both its length and how many there are have an end. */
const LONGEST_AGENT = 64;
const MOST_AGENTS = 100;
const MOST_SERIES = 5000;
/** What the agents beyond that are called. */
const OTHER_AGENT = 'other';

type Labels = readonly [route: string, method: string, agent: string, status: string];

interface Series {
    readonly labels: Labels;
    /** ms of all requests together. */
    sum: number;
    /** Requests by bucket, not cumulative; the last one has those longer than all bounds. */
    readonly counts: number[];
}

/** What one process has counted; it goes from process to process as JSON. */
export type RequestCounts = readonly Series[];

export class RequestSeries {
    readonly #series = new Map<string, Series>();
    readonly #agents = new Set<string>();

    /**
     * Counts a request that has ended.
     *
     * @param userAgent the header; only its first word counts
     * @param duration from its arrival to the end of its answer, in ms
     */
    count(
        route: string,
        method: string,
        userAgent: string | undefined,
        status: number,
        duration: number,
    ): void {
        const agent = this.#agent(userAgent);
        const series = this.#find(route, method, agent, status) ?? this.#add(route, method, agent, status);
        series.sum += duration;
        add(series.counts, bucketOf(duration), 1);
    }

    #agent(header: string | undefined): string {
        const end = header?.indexOf(' ');
        const word = end === undefined || end === -1 ? header : header?.slice(0, end);
        if (word === undefined || word === '') {
            return 'unknown';
        }
        const agent = word.length > LONGEST_AGENT ? word.slice(0, LONGEST_AGENT) : word;
        if (this.#agents.has(agent)) {
            return agent;
        }
        if (this.#agents.size === MOST_AGENTS) {
            return OTHER_AGENT;
        }
        this.#agents.add(agent);
        return agent;
    }

    #find(route: string, method: string, agent: string, status: number): Series | undefined {
        return this.#series.get(`${route} ${method} ${status} ${agent}`);
    }

    #add(route: string, method: string, wanted: string, status: number): Series {
        const agent = this.#series.size < MOST_SERIES ? wanted : OTHER_AGENT;
        const known = agent === wanted ? undefined : this.#find(route, method, agent, status);
        const series = known ?? {
            labels: [route, method, agent, String(status)],
            sum: 0,
            counts: new Array<number>(LIMITS.length + 1).fill(0),
        };
        this.#series.set(`${route} ${method} ${status} ${agent}`, series);
        return series;
    }

    get counts(): RequestCounts {
        return [...this.#series.values()];
    }
}

/** Nearly all requests are in one of the first buckets, so the search begins there. */
function bucketOf(duration: number): number {
    const bucket = LIMITS.findIndex((limit) => duration <= limit);
    return bucket === -1 ? LIMITS.length : bucket;
}

function add(counts: number[], bucket: number, count: number): void {
    counts[bucket] = (counts[bucket] ?? 0) + count;
}

/** What several processes have counted together. */
export function addCounts(all: readonly RequestCounts[]): RequestCounts {
    const sums = new Map<string, Series>();
    for (const { labels, sum, counts } of all.flat()) {
        const key = JSON.stringify(labels);
        const known = sums.get(key);
        if (known) {
            known.sum += sum;
            counts.forEach((count, bucket) => add(known.counts, bucket, count));
        } else {
            sums.set(key, { labels, sum, counts: [...counts] });
        }
    }
    return [...sums.values()];
}

/** Labels that all series of a server have; those that are empty are left out. */
export interface StaticLabels {
    readonly datacenter?: string | undefined;
    readonly instance?: string | undefined;
    readonly server?: string | undefined;
    readonly service?: string | undefined;
}

const escape = (value: string): string =>
    value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

const label = (name: string, value: string): string => `${name}="${escape(value)}"`;

const COMPLETED = 'http_requests_completed';
const DURATION = 'http_request_duration_seconds';

/**
 * The series in the text format of Prometheus.
 *
 * @param withSuffix also gives the buckets under the name that Prometheus has for them
 */
export function requestText(
    counts: RequestCounts,
    staticLabels: StaticLabels,
    { withSuffix }: { withSuffix: boolean },
): string {
    const { datacenter, instance, server, service } = staticLabels;
    const common = Object.entries({ datacenter, instance, server, service, buckets_version: '1' })
        .filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '')
        .map(([name, value]) => label(name, value));
    const completed: string[] = [];
    const durations: string[] = [];
    for (const { labels, sum, counts: buckets } of counts) {
        const [route, method, agent, status] = labels;
        const own = [
            label('route', route),
            label('method', method),
            label('user_agent', agent),
            label('status_code', status),
            ...common,
        ].join(',');
        const cumulative: number[] = [];
        for (const count of buckets) {
            cumulative.push((cumulative.at(-1) ?? 0) + count);
        }
        const total = cumulative.at(-1) ?? 0;
        completed.push(`${COMPLETED}{${own}} ${total}`);
        for (const name of withSuffix ? [DURATION, `${DURATION}_bucket`] : [DURATION]) {
            BOUNDS.forEach((bound, bucket) =>
                durations.push(`${name}{${own},le="${bound}"} ${cumulative[bucket]}`),
            );
            durations.push(`${name}{le="+Inf",${own}} ${total}`);
        }
        durations.push(`${DURATION}_count{${own}} ${total}`, `${DURATION}_sum{${own}} ${sum / 1000}`);
    }
    return [
        `# HELP ${COMPLETED} count of requests completed`,
        `# TYPE ${COMPLETED} counter`,
        ...completed,
        `# HELP ${DURATION} total time to process requests`,
        `# TYPE ${DURATION} histogram`,
        ...durations,
        '',
    ].join('\n');
}
