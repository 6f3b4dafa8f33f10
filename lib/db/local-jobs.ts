/** Jobs in the embedded database. */
import { EtagConflict, type JobStore, type StoredJob } from './driver';
import { morayEtag } from './etag';
import type { Connection } from './local-connection';
import type { SqlRow } from './sqlite';

const COLUMNS = 'uuid, image_uuid, task, execution, created_at, etag, value';

const SQL = {
    find: `SELECT ${COLUMNS} FROM jobs WHERE uuid = ?`,
    put:
        `INSERT INTO jobs (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uuid) DO UPDATE SET ` +
        'image_uuid = excluded.image_uuid, task = excluded.task, execution = excluded.execution, ' +
        'created_at = excluded.created_at, etag = excluded.etag, value = excluded.value',
};

export class LocalJobs implements JobStore {
    constructor(private readonly connection: Connection) {}

    async put(job: Omit<StoredJob, 'etag'>, etag: string | null): Promise<StoredJob> {
        const { uuid, imageUuid, task, execution, createdAt } = job;
        const value = JSON.stringify(job.value);
        const next = morayEtag(JSON.stringify([imageUuid, task, execution, createdAt, value]));
        const row = [uuid, imageUuid, task, execution, createdAt, next, value];
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
            `SELECT ${COLUMNS} FROM jobs ${conditions && `WHERE ${conditions} `}` +
            'ORDER BY created_at, uuid LIMIT ? OFFSET ?';
        const params = [...wanted.map(([, value]) => value), limit, offset];
        const rows = await this.connection.read(() => this.connection.prepare(sql).all(params));
        return rows.map(toJob);
    }
}

function toJob([uuid, imageUuid, task, execution, createdAt, etag, value]: SqlRow): StoredJob {
    return {
        uuid: String(uuid),
        imageUuid: String(imageUuid),
        task: String(task),
        execution: String(execution),
        createdAt: Number(createdAt),
        etag: String(etag),
        value: JSON.parse(String(value)) as Record<string, unknown>,
    };
}
