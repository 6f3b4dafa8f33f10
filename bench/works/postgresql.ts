/** What reads cost where the images are in PostgreSQL, beside the bare query by `pg`, and what many images add to it. */
import { BareServer, fetchWhole, listLength } from '../bare';
import type { Context } from '../context';
import { Helper } from '../helper';
import { units, type Measure } from '../measure';
import type { QueryWork } from '../pg-worker';
import { childrenOf, PostgresServer } from '../postgresql';
import { cpuSeconds, cpuSecondsOf } from '../process-usage';
import type { Registry } from '../registry';
import { measureInTurn, median, medianRatio } from '../rounds';
import { filterKinds, imageUuid } from '../seed';
import { cpuPerRequest } from './cpu-per-request';

const MOST = 2;
/** More than this is growth, not noise. */
const MOST_GROWTH = 1.15;

/** Kept connections to one process, and of the bare query to PostgreSQL. */
const CONNECTIONS = 8;
const WORKERS = 2;
/** Different requests of a kind: images, lists that are asked for again and again, and more than any server remembers. */
const DIFFERENT = { images: 100, lists: 10, fresh: 600 };
/**
 * Requests of a round and of the warm-up, for each small read of one elsewhere: there are many kinds here. Lists are
 * warmed up for longer than they are measured: after 700 of them the compiler takes half of the processor.
 */
const SHARE = {
    read: { count: 1 / 3, warmUp: 1 / 3 },
    list: { count: 1 / 20, warmUp: 1 / 6 },
    fresh: { count: 1 / 30, warmUp: 1 / 15 },
};

const LISTED = 'WHERE activated = true AND disabled = false';
const ORDERED = 'ORDER BY published_at ASC LIMIT';

interface Kind {
    readonly work: string;
    readonly paths: readonly string[];
    readonly text: string;
    readonly values: readonly (readonly unknown[])[];
    readonly share: keyof typeof SHARE;
}

/** Kinds of requests to a database of so many images, each with the query that gives its rows and no more. */
function kinds(images: number, limit: number): Kind[] {
    const upTo = (length: number): number[] => Array.from({ length }, (_, n) => n);
    const numbers = upTo(DIFFERENT.images);
    const filters = new Map(filterKinds(images).map(({ name, query }) => [name, query]));
    const list = (
        work: string,
        filter: string,
        condition: string,
        valueOf: (text: string) => unknown,
        share: 'list' | 'fresh' = 'list',
    ): Kind => {
        const queries = upTo(DIFFERENT[share === 'list' ? 'lists' : 'fresh']).map(
            (n) => filters.get(filter)?.(n) ?? '',
        );
        return {
            work,
            paths: queries.map((query) => `/images?limit=${limit}&${query}`),
            text: `SELECT * FROM imgapi_images ${LISTED} AND ${condition} ${ORDERED} ${limit}`,
            values: queries.map((query) => [valueOf(query.slice(query.indexOf('=') + 1))]),
            share,
        };
    };
    return [
        {
            work: 'GET /images/UUID',
            paths: numbers.map((n) => `/images/${imageUuid(n % images)}`),
            text: 'SELECT * FROM imgapi_images WHERE _key = $1',
            values: numbers.map((n) => [imageUuid(n % images)]),
            share: 'read',
        },
        {
            work: `list of ${limit}`,
            paths: [`/images?limit=${limit}`],
            text: `SELECT * FROM imgapi_images ${LISTED} ${ORDERED} ${limit}`,
            values: [[]],
            share: 'list',
        },
        list(`list of ${limit} by owner`, 'owner', 'owner = $1', (text) => text),
        list(`list of ${limit} by tag`, 'tag.KEY=VALUE', 'tags @> $1', (text) => [`role=${text}`]),
        list(`list of ${limit} by owner, not remembered`, 'owner', 'owner = $1', (text) => text, 'fresh'),
    ];
}

/** What is compared, its values and those of its floor, and the most that the ratio may be. */
type Comparison = [
    what: string,
    values: readonly number[],
    floor: readonly number[],
    most: number | undefined,
];

/** Seconds of processor time for one request. */
interface Cost {
    /** Of the server with its workers. */
    readonly own: number;
    /** With that of PostgreSQL. */
    readonly total: number;
}

/** Seconds of processor time of each process so far. */
function usage(pids: readonly number[]): Map<number, number> {
    const used = new Map<number, number>();
    for (const pid of pids) {
        try {
            used.set(pid, cpuSeconds(pid));
        } catch {
            // It has ended: PostgreSQL starts and ends some as it likes.
        }
    }
    return used;
}

/** What the processes that are there now have used since; of those that have ended it is not known. */
function usedSince(before: ReadonlyMap<number, number>, pids: readonly number[]): number {
    return [...usage(pids)].reduce((sum, [pid, seconds]) => sum + seconds - (before.get(pid) ?? 0), 0);
}

class Subject {
    readonly count: number;
    readonly warmUp: number;

    constructor(
        private readonly context: Context,
        readonly registry: Registry,
        private readonly server: PostgresServer,
        readonly kind: Kind,
        /** How many times as much as one process elsewhere it is given, at a time and in all. */
        private readonly times = 1,
    ) {
        const { requests, warmUp } = context.scale;
        const share = SHARE[kind.share];
        this.count = Math.max(1, Math.round(requests * share.count)) * times;
        this.warmUp = Math.max(1, Math.round(warmUp * share.warmUp)) * times;
    }

    ask(count: number): Promise<unknown> {
        const { paths } = this.kind;
        const { port } = this.registry;
        const connections = CONNECTIONS * this.times;
        return this.context.load.call({ method: 'GET', port, paths, count, connections });
    }

    async perRequest(): Promise<Cost> {
        const { pid } = this.registry;
        const processes = [pid, ...childrenOf(pid)];
        const before = { own: usage(processes), database: usage(this.server.pids()) };
        // With the pause after it.
        await cpuSecondsOf(pid, () => this.ask(this.count));
        const own = usedSince(before.own, processes);
        const total = own + usedSince(before.database, this.server.pids());
        return { own: own / this.count, total: total / this.count };
    }
}

/** Empty if there is no PostgreSQL on this machine. */
export async function postgresql(context: Context): Promise<Measure[]> {
    const { workplace, scale } = context;
    const { fewImages, manyImages, filteredLimit } = scale;
    const server = PostgresServer.start(workplace);
    if (!server) {
        return [];
    }
    const urls = { few: await server.seeded(fewImages), many: await server.seeded(manyImages) };
    const start = (name: string, connectionString: string, config: object = {}): Promise<Registry> =>
        context.startRegistry(workplace.file(`postgresql-${name}`), {
            config: { databaseType: 'moray', moray: { pg: { connectionString } }, ...config },
            firstPath: `/images/${imageUuid(0)}`,
        });
    const registries = {
        few: await start('few', urls.few),
        many: await start('many', urls.many),
        two: await start('two', urls.many, { cluster: { workers: WORKERS } }),
    };
    const bare: Helper<QueryWork, number> = Helper.start(workplace, 'pg-worker.js');
    const sender = BareServer.start(workplace);
    const few = kinds(fewImages, filteredLimit);
    const measures: Measure[] = [];
    for (const [index, kind] of kinds(manyImages, filteredLimit).entries()) {
        const many = new Subject(context, registries.many, server, kind);
        const small = new Subject(context, registries.few, server, few[index] ?? kind);
        // Each of the workers gets what one process gets elsewhere, or both together do.
        const two = new Subject(context, registries.two, server, kind, WORKERS);
        const shared = new Subject(context, registries.two, server, kind);
        const query = (count: number): Promise<number> => {
            const { text, values } = kind;
            return bare.call({ connectionString: urls.many, text, values, count, connections: CONNECTIONS });
        };
        await assertSame(registries.many.port, kind, await query(1));
        for (const subject of [many, small, two]) {
            await subject.ask(subject.warmUp);
        }
        await query(many.warmUp);
        const [path = ''] = kind.paths;
        const bareHttp = { port: await sender.imitate(registries.many.port, path), pid: sender.pid };
        await cpuPerRequest(context, bareHttp, path, many.warmUp);
        const costs = { many: [] as Cost[], small: [] as Cost[], two: [] as Cost[], shared: [] as Cost[] };
        const [, , , , floors, sending] = await measureInTurn(scale.rounds, [
            async () => costs.many.push(await many.perRequest()),
            async () => costs.small.push(await small.perRequest()),
            async () => costs.two.push(await two.perRequest()),
            async () => costs.shared.push(await shared.perRequest()),
            async () => (await cpuSecondsOf(bare.pid, () => query(many.count))) / many.count,
            () => cpuPerRequest(context, bareHttp, path, many.count),
        ]);
        const both = floors.map((floor, round) => floor + (sending[round] ?? 0));
        const own = (of: readonly Cost[]): number[] => of.map((cost) => cost.own);
        const total = (of: readonly Cost[]): number[] => of.map((cost) => cost.total);
        const besides: Comparison[] = [
            ['beside the bare query', own(costs.many), floors, MOST],
            ['beside the bare query and bare node:http', own(costs.many), both, MOST],
        ];
        const others: Comparison[] = [
            ['many stored against few', own(costs.many), own(costs.small), MOST_GROWTH],
            [
                'with the database, many stored against few',
                total(costs.many),
                total(costs.small),
                MOST_GROWTH,
            ],
            ['two workers against one process', own(costs.two), own(costs.many), MOST_GROWTH],
            ['two workers with the load of one process', own(costs.shared), own(costs.many), undefined],
        ];
        // A database of few images has not enough different lists.
        const isFresh = kind.share === 'fresh';
        for (const [what, values, floor, most] of isFresh ? besides : [...besides, ...others]) {
            measures.push({
                work: `PostgreSQL: ${kind.work}, ${what}`,
                value: median(values) * 1e6,
                floor: median(floor) * 1e6,
                ratio: medianRatio(values, floor),
                unit: units.microseconds,
                ...(most !== undefined && !isFresh && { target: { of: 'ratio', most } }),
            });
        }
    }
    await Promise.all([...Object.values(registries), bare, sender].map((each) => each.stop()));
    await server.stop();
    return measures;
}

/** @throws Error if the server answers with another number of images than the query */
async function assertSame(port: number, { paths, share, work }: Kind, rows: number): Promise<void> {
    const [path = ''] = paths;
    const isList = share !== 'read';
    if (!isList) {
        await fetchWhole(port, path);
    }
    const found = isList ? await listLength(port, path) : 1;
    if (found !== rows) {
        throw new Error(`${work}: the server finds ${found}, the bare query ${rows}.`);
    }
}
