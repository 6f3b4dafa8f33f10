/** Jobs in the embedded database. */
import { EtagConflict, type JobStore, type StoredJob } from './driver';
import { morayEtag } from './etag';
import type { Connection } from './local-connection';
import type { SqlRow, SqlValue } from './sqlite';

const COLUMNS = ['uuid', 'image_uuid', 'task', 'execution', 'created_at', 'due_at', 'finished_at', 'value'];
const SELECT = `SELECT ${COLUMNS.join(', ')}, etag FROM jobs`;

const SQL = {
    find: `${SELECT} WHERE uuid = ?`,
    put:
        `INSERT INTO jobs (${COLUMNS.join(', ')}, etag) VALUES (${COLUMNS.map(() => '?').join(', ')}, ?) ` +
        'ON CONFLICT (uuid) DO UPDATE SET ' +
        [...COLUMNS, 'etag'].map((column) => `${column} = excluded.${column}`).join(', '),
    due: `${SELECT} WHERE due_at <= ? ORDER BY due_at, uuid LIMIT ? OFFSET ?`,
    count: 'SELECT execution, count(*) FROM jobs GROUP BY execution',
    prune:
        'DELETE FROM jobs WHERE uuid IN ' +
        '(SELECT uuid FROM jobs WHERE finished_at <= ? AND due_at IS NULL ORDER BY finished_at LIMIT ?)',
};

export class LocalJobs implements JobStore {
    constructor(private readonly connection: Connection) {}

    async put(job: Omit<StoredJob, 'etag'>, etag: string | null): Promise<StoredJob> {
        const { uuid, imageUuid, task, execution, createdAt, dueAt = null, finishedAt = null } = job;
        const value = JSON.stringify(job.value);
        const columns = [uuid, imageUuid, task, execution, createdAt, dueAt, finishedAt, value];
        const row = [...columns, morayEtag(JSON.stringify(columns))];
        return this.connection.write(() => {
            const former = this.connection.prepare(SQL.find).get([uuid]);
            if (etag !== (former ? toJob(former).etag : null)) {
                throw new EtagConflict(uuid);
            }
            this.connection.prepare(SQL.put).run(row);
            return toJob(row);
        });
    }

    async get(uuid: string): Promise<StoredJob | undefined> {
        const row = await this.connection.read(() => this.connection.prepare(SQL.find).get([uuid]));
        return row && toJob(row);
    }

    async list(
        where: { imageUuid?: string; task?: string; execution?: string },
        { limit, offset = 0 }: { limit: number; offset?: number },
    ): Promise<StoredJob[]> {
        const wanted = [
            ['image_uuid', where.imageUuid],
            ['task', where.task],
            ['execution', where.execution],
        ].filter((pair): pair is [string, string] => pair[1] !== undefined);
        const conditions = wanted.map(([column]) => `${column} = ?`).join(' AND ');
        const sql =
            `${SELECT} ${conditions && `WHERE ${conditions} `}` +
            'ORDER BY created_at DESC, uuid DESC LIMIT ? OFFSET ?';
        return this.#all(sql, [...wanted.map(([, value]) => value), limit, offset]);
    }

    async due(now: number, { limit, offset = 0 }: { limit: number; offset?: number }): Promise<StoredJob[]> {
        return this.#all(SQL.due, [now, limit, offset]);
    }

    async countByExecution(): Promise<Record<string, number>> {
        const rows = await this.connection.read(() => this.connection.prepare(SQL.count).all());
        return Object.fromEntries(rows.map(([execution, count]) => [String(execution), Number(count)]));
    }

    async prune(finishedBefore: number, limit: number): Promise<number> {
        return this.connection.write(() => this.connection.prepare(SQL.prune).run([finishedBefore, limit]));
    }

    async #all(sql: string, params: SqlValue[]): Promise<StoredJob[]> {
        const rows = await this.connection.read(() => this.connection.prepare(sql).all(params));
        return rows.map(toJob);
    }
}

function toJob(row: SqlRow): StoredJob {
    const [uuid, imageUuid, task, execution, createdAt, dueAt, finishedAt, value, etag] = row;
    return {
        uuid: String(uuid),
        imageUuid: String(imageUuid),
        task: String(task),
        execution: String(execution),
        createdAt: Number(createdAt),
        dueAt: time(dueAt),
        finishedAt: time(finishedAt),
        etag: String(etag),
        value: JSON.parse(String(value)) as Record<string, unknown>,
    };
}

function time(column: SqlValue | undefined): number | undefined {
    return typeof column === 'number' ? column : undefined;
}
