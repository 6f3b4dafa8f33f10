/** Jobs in PostgreSQL. */
import { EtagConflict, type JobStore, type StoredJob } from './driver';
import { morayEtag } from './etag';
import type { Row, Session } from './moray-client/types';

const TABLE = 'imgapi_server_jobs';
const COLUMNS = ['uuid', 'image_uuid', 'task', 'execution', 'created_at', 'due_at', 'finished_at', 'value'];
const ALL = [...COLUMNS, 'etag'];
const SELECT = `SELECT ${ALL.join(', ')} FROM ${TABLE}`;
const PLACES = ALL.map((_column, index) => `$${index + 1}`).join(', ');

const SQL = {
    find: `${SELECT} WHERE uuid = $1`,
    insert: `INSERT INTO ${TABLE} (${ALL.join(', ')}) VALUES (${PLACES}) ON CONFLICT (uuid) DO NOTHING`,
    update:
        `UPDATE ${TABLE} SET (${ALL.join(', ')}) = ROW(${PLACES}) ` +
        `WHERE uuid = $1 AND etag = $${ALL.length + 1}`,
    due: `${SELECT} WHERE due_at <= $1 ORDER BY due_at, uuid LIMIT $2 OFFSET $3`,
    count: `SELECT execution, count(*) AS count FROM ${TABLE} GROUP BY execution`,
    // One that is being written or deleted elsewhere is left to the next time.
    prune:
        `DELETE FROM ${TABLE} WHERE uuid IN (SELECT uuid FROM ${TABLE} WHERE finished_at <= $1 AND due_at IS NULL ` +
        'ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)',
};

export class MorayJobs implements JobStore {
    constructor(private readonly session: Session) {}

    async put(job: Omit<StoredJob, 'etag'>, etag: string | null): Promise<StoredJob> {
        const { uuid, imageUuid, task, execution, createdAt, dueAt = null, finishedAt = null } = job;
        const value = JSON.stringify(job.value);
        const columns = [uuid, imageUuid, task, execution, createdAt, dueAt, finishedAt, value];
        const row = [...columns, morayEtag(JSON.stringify(columns))];
        const { count } = await this.session.query(
            etag === null
                ? { text: SQL.insert, values: row, name: 'imgapi-job-insert' }
                : { text: SQL.update, values: [...row, etag], name: 'imgapi-job-update' },
        );
        if (count === 0) {
            throw new EtagConflict(uuid);
        }
        return toJob(Object.fromEntries(ALL.map((column, index) => [column, row[index]])));
    }

    async get(uuid: string): Promise<StoredJob | undefined> {
        const { rows } = await this.session.query({
            text: SQL.find,
            values: [uuid],
            name: 'imgapi-job-find',
        });
        return rows[0] && toJob(rows[0]);
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
        const conditions = wanted.map(([column], index) => `${column} = $${index + 3}`).join(' AND ');
        const values = wanted.map(([, value]) => value);
        if (values.some((value) => value.includes('\0'))) {
            // PostgreSQL has no such text, so no job has it, and it refuses to look for it.
            return [];
        }
        const { rows } = await this.session.query({
            text:
                `${SELECT} ${conditions && `WHERE ${conditions} `}` +
                'ORDER BY created_at DESC, uuid DESC LIMIT $1 OFFSET $2',
            values: [limit, offset, ...values],
            name: ['imgapi-job-list', ...wanted.map(([column]) => column)].join('-'),
        });
        return rows.map(toJob);
    }

    async due(now: number, { limit, offset = 0 }: { limit: number; offset?: number }): Promise<StoredJob[]> {
        const { rows } = await this.session.query({
            text: SQL.due,
            values: [now, limit, offset],
            name: 'imgapi-job-due',
        });
        return rows.map(toJob);
    }

    async countByExecution(): Promise<Record<string, number>> {
        const { rows } = await this.session.query({ text: SQL.count });
        return Object.fromEntries(rows.map(({ execution, count }) => [String(execution), Number(count)]));
    }

    async prune(finishedBefore: number, limit: number): Promise<number> {
        const { count } = await this.session.query({
            text: SQL.prune,
            values: [finishedBefore, limit],
            name: 'imgapi-job-prune',
        });
        return count;
    }
}

function toJob(row: Row): StoredJob {
    return {
        uuid: String(row.uuid),
        imageUuid: String(row.image_uuid),
        task: String(row.task),
        execution: String(row.execution),
        createdAt: Number(row.created_at),
        dueAt: time(row.due_at),
        finishedAt: time(row.finished_at),
        etag: String(row.etag),
        value: JSON.parse(String(row.value)) as Record<string, unknown>,
    };
}

/** A bigint may come as a number or as its digits. */
function time(column: unknown): number | undefined {
    return column === null || column === undefined ? undefined : Number(column);
}
