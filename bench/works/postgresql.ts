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

/** Kept connections to the server, and of the bare query to PostgreSQL. */
const CONNECTIONS = 8;
/** Different requests of a kind: images, and lists that are asked for again and again. */
const DIFFERENT = { images: 100, lists: 10 };
/** Requests of a round, for each small read of one elsewhere: there are many kinds here. */
const SHARE = { read: 1 / 3, list: 1 / 30 };

const LISTED = 'WHERE activated = true AND disabled = false';
const ORDERED = 'ORDER BY published_at ASC LIMIT';

interface Kind {
    readonly work: string;
    readonly paths: readonly string[];
    readonly text: string;
    readonly values: readonly (readonly unknown[])[];
    readonly isList: boolean;
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
    ): Kind => {
        const queries = upTo(DIFFERENT.lists).map((n) => filters.get(filter)?.(n) ?? '');
        return {
            work,
            paths: queries.map((query) => `/images?limit=${limit}&${query}`),
            text: `SELECT * FROM imgapi_images ${LISTED} AND ${condition} ${ORDERED} ${limit}`,
            values: queries.map((query) => [valueOf(query.slice(query.indexOf('=') + 1))]),
            isList: true,
        };
    };
    return [
        {
            work: 'GET /images/UUID',
            paths: numbers.map((n) => `/images/${imageUuid(n % images)}`),
            text: 'SELECT * FROM imgapi_images WHERE _key = $1',
            values: numbers.map((n) => [imageUuid(n % images)]),
            isList: false,
        },
        {
            work: `list of ${limit}`,
            paths: [`/images?limit=${limit}`],
            text: `SELECT * FROM imgapi_images ${LISTED} ${ORDERED} ${limit}`,
            values: [[]],
            isList: true,
        },
        list(`list of ${limit} by owner`, 'owner', 'owner = $1', (text) => text),
        list(`list of ${limit} by tag`, 'tag.KEY=VALUE', 'tags @> $1', (text) => [`role=${text}`]),
    ];
}

/** Seconds of processor time for one request. */
interface Cost {
    /** Of the server with its workers. */
    readonly own: number;
    /** With that of PostgreSQL. */
    readonly total: number;
}

const used = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);

class Subject {
    readonly count: number;
    readonly warmUp: number;

    constructor(
        private readonly context: Context,
        readonly registry: Registry,
        private readonly server: PostgresServer,
        readonly kind: Kind,
    ) {
        const { requests, warmUp } = context.scale;
        const share = kind.isList ? SHARE.list : SHARE.read;
        this.count = Math.max(1, Math.round(requests * share));
        this.warmUp = Math.max(1, Math.round(warmUp * share));
    }

    ask(count: number): Promise<unknown> {
        const { paths } = this.kind;
        const { port } = this.registry;
        return this.context.load.call({ method: 'GET', port, paths, count, connections: CONNECTIONS });
    }

    async perRequest(): Promise<Cost> {
        const { pid } = this.registry;
        const now = (): Cost => {
            const own = used([pid, ...childrenOf(pid)]);
            return { own, total: own + used(this.server.pids()) };
        };
        const before = now();
        // With the pause after it.
        await cpuSecondsOf(pid, () => this.ask(this.count));
        const { own, total } = now();
        return { own: (own - before.own) / this.count, total: (total - before.total) / this.count };
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
        two: await start('two', urls.many, { cluster: { workers: 2 } }),
    };
    const bare: Helper<QueryWork, number> = Helper.start(workplace, 'pg-worker.js');
    const sender = BareServer.start(workplace);
    const few = kinds(fewImages, filteredLimit);
    const measures: Measure[] = [];
    for (const [index, kind] of kinds(manyImages, filteredLimit).entries()) {
        const subjectOf = (registry: Registry, asked = kind) => new Subject(context, registry, server, asked);
        const many = subjectOf(registries.many);
        const small = subjectOf(registries.few, few[index]);
        const two = subjectOf(registries.two);
        const query = (count: number): Promise<number> => {
            const { text, values } = kind;
            return bare.call({ connectionString: urls.many, text, values, count, connections: CONNECTIONS });
        };
        await assertSame(registries.many.port, kind, await query(1));
        for (const subject of [many, small, two]) {
            // Each of two workers gets half of it.
            await subject.ask(subject.warmUp * (subject === two ? 2 : 1));
        }
        await query(many.warmUp);
        const [path = ''] = kind.paths;
        const bareHttp = { port: await sender.imitate(registries.many.port, path), pid: sender.pid };
        await cpuPerRequest(context, bareHttp, path, many.warmUp);
        const costs: Record<'many' | 'small' | 'two', Cost[]> = { many: [], small: [], two: [] };
        const [, , , floors, sending] = await measureInTurn(scale.rounds, [
            async () => costs.many.push(await many.perRequest()),
            async () => costs.small.push(await small.perRequest()),
            async () => costs.two.push(await two.perRequest()),
            async () => (await cpuSecondsOf(bare.pid, () => query(many.count))) / many.count,
            () => cpuPerRequest(context, bareHttp, path, many.count),
        ]);
        const both = floors.map((floor, round) => floor + (sending[round] ?? 0));
        const own = (of: readonly Cost[]): number[] => of.map((cost) => cost.own);
        const total = (of: readonly Cost[]): number[] => of.map((cost) => cost.total);
        for (const [what, values, floor, most] of [
            ['beside the bare query', own(costs.many), floors, MOST],
            ['beside the bare query and bare node:http', own(costs.many), both, MOST],
            [
                'with the database, many stored against few',
                total(costs.many),
                total(costs.small),
                MOST_GROWTH,
            ],
            ['two workers against one process', own(costs.two), own(costs.many), MOST_GROWTH],
        ] as const) {
            measures.push({
                work: `PostgreSQL: ${kind.work}, ${what}`,
                value: median(values) * 1e6,
                floor: median(floor) * 1e6,
                ratio: medianRatio(values, floor),
                unit: units.microseconds,
                target: { of: 'ratio', most },
            });
        }
    }
    await Promise.all([...Object.values(registries), bare, sender].map((each) => each.stop()));
    await server.stop();
    return measures;
}

/** @throws Error if the server answers with another number of images than the query */
async function assertSame(port: number, { paths, isList, work }: Kind, rows: number): Promise<void> {
    const [path = ''] = paths;
    if (!isList) {
        await fetchWhole(port, path);
    }
    const found = isList ? await listLength(port, path) : 1;
    if (found !== rows) {
        throw new Error(`${work}: the server finds ${found}, the bare query ${rows}.`);
    }
}
