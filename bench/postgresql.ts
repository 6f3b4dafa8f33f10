/** A PostgreSQL server of the benchmark, with databases full of images as Moray would have written them. */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import type { PgConfig } from '../lib/config/types';
import { openDatabase } from '../lib/db/index';
import { morayEtag } from '../lib/db/etag';
import type { RawImage } from '../lib/manifest';
import { startDependency } from './dependency';
import { record } from './seed';
import type { Workplace } from './workplace';

/** Images written with one statement. */
const BATCH = 2000;

const POOL = {
    size: 10,
    connectTimeout: 3000,
    statementTimeout: 60_000,
    idleTimeout: 60_000,
    recheckInterval: 500,
} satisfies PgConfig['pool'];

/** Index columns that the records here have a value for. */
const COLUMNS = [
    ...['uuid', 'name', 'version', 'owner', 'state', 'tags', 'acl', 'activated', 'disabled', 'public'],
    ...['os', 'type', 'published_at'],
] as const;

/** Each row has what Moray's own write would give it (moray.md §2.2); `_id` and `_vnode` are left to their defaults. */
const INSERT = ['_key', '_value', '_etag', '_mtime', ...COLUMNS].join(', ');
const SEED = `INSERT INTO imgapi_images (${INSERT}) SELECT ${INSERT} FROM json_populate_recordset(NULL::imgapi_images, $1)`;

function rowOf(raw: RawImage): object {
    const json = JSON.stringify(raw);
    const columns = COLUMNS.map((column) => [column, raw[column] ?? null] as const);
    return {
        _key: raw.uuid,
        _value: json,
        _etag: morayEtag(json),
        // Written when it was published, as most are.
        _mtime: Date.parse(raw.published_at ?? ''),
        ...Object.fromEntries(columns),
    };
}

export class PostgresServer {
    private constructor(
        private readonly folder: string,
        private readonly moray: URL,
        private readonly superuser: string,
        readonly stop: () => Promise<void>,
    ) {}

    /** undefined, said on stderr, if there is none on this machine. */
    static start(workplace: Workplace): PostgresServer | undefined {
        const postgresql = startDependency(workplace, 'postgresql');
        if (!postgresql) {
            return undefined;
        }
        const { folder, printed, stop } = postgresql;
        const [moray = '', superuser = ''] = printed;
        return new PostgresServer(folder, new URL(moray), superuser, stop);
    }

    /** Its processes of this moment. */
    pids(): number[] {
        const parent = parseInt(readFileSync(join(this.folder, 'data/postmaster.pid'), 'utf8'), 10);
        return [parent, ...childrenOf(parent)];
    }

    /** Makes a database with so many images; gives its URL. */
    async seeded(images: number): Promise<string> {
        const name = `images_${images}`;
        await this.#run(this.superuser, (client) =>
            client.query(`CREATE DATABASE ${name} OWNER moray TEMPLATE template0`),
        );
        const url = new URL(`/${name}`, this.moray).href;
        const quiet = { info: () => undefined, warn: () => undefined };
        const database = await openDatabase(
            { databaseType: 'moray', dataDir: '', databaseDir: '', moray: morayConfig(url) },
            quiet,
            { now: () => Date.now(), uuid: randomUUID },
        );
        await database.check();
        await database.close();
        await this.#run(url, async (client) => {
            for (let first = 0; first < images; first += BATCH) {
                const length = Math.min(BATCH, images - first);
                const rows = Array.from({ length }, (_, index) => rowOf(record(first + index, images)));
                await client.query(SEED, [JSON.stringify(rows)]);
            }
            // What the daily maintenance of a database does.
            await client.query('VACUUM ANALYZE imgapi_images');
        });
        return url;
    }

    async #run(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
        const client = new Client({ connectionString: url });
        await client.connect();
        try {
            await work(client);
        } finally {
            await client.end();
        }
    }
}

/** The block `moray` of a server, with the times in ms. */
function morayConfig(connectionString: string): { pg: PgConfig } {
    return { pg: { connectionString, pool: POOL } };
}

/** Processes whose parent this is. */
export function childrenOf(parent: number): number[] {
    return readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .map(Number)
        .filter((pid) => parentOf(pid) === parent);
}

function parentOf(pid: number): number | undefined {
    try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    } catch {
        // It has ended.
        return undefined;
    }
}
