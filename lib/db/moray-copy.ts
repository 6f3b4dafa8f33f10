/** PostgreSQL as one side of a copy. */
import type { Clock } from '../clock';
import {
    ChangedMeanwhile,
    COPY_MARK,
    parseMark,
    type Activity,
    type CopyMark,
    type CopySide,
} from './copy-side';
import type { JobStore, PendingObject } from './driver';
import { MorayDatabase } from './moray';
import type { Connections, Row, Session } from './moray-client/types';
import { NOW } from './moray-coordination';
import { inOurTerms } from './moray-errors';
import { IMAGES_TABLE } from './moray-layout';
import { toObject } from './moray-pending';
import type { ReachLog } from './moray-reach';
import { deleteMeta, hasTable, META_TABLE, readMeta, writeMeta } from './moray-schema';

const SQL = {
    others:
        'SELECT count(*) AS others FROM pg_catalog.pg_stat_activity ' +
        "WHERE datname = current_database() AND application_name = 'imgapi'",
    countImages: `SELECT count(*) AS images FROM ${IMAGES_TABLE}`,
    uploads: `SELECT count(*) AS uploads FROM imgapi_server_pending WHERE NOT condemned AND beat > ${NOW} - $1::bigint`,
    leases: `SELECT name FROM imgapi_server_leases WHERE expires > ${NOW} ORDER BY name`,
    pending: 'SELECT id, image, storage, key FROM imgapi_server_pending',
    tasks: 'SELECT name, done_at AS number FROM imgapi_server_tasks',
    remembered: 'SELECT value AS name, expires AS number FROM imgapi_server_replay',
    deleteJobs: 'DELETE FROM imgapi_server_jobs WHERE uuid = ANY($1::text[])',
    // Nobody changes images until the end of the transaction, Moray included.
    lockImages: `LOCK TABLE ${IMAGES_TABLE} IN SHARE MODE`,
    fingerprint:
        "SELECT count(*) || '-' || coalesce(sum(('x' || substr(md5(_key || _etag || coalesce(_mtime, 0)), 1, 8))" +
        `::bit(32)::bigint), 0) AS fingerprint FROM ${IMAGES_TABLE}`,
};

export interface MorayCopySideOptions {
    /** To the database; closed with this. By the name `imgapiadm`, not as those of servers. */
    connections: Connections;
    place: string;
    log: ReachLog;
    clock: Clock;
}

export class MorayCopySide implements CopySide {
    readonly type = 'moray';
    readonly place: string;
    readonly #options: MorayCopySideOptions;
    readonly #connections: Connections;
    #database: MorayDatabase | undefined;
    #hasJobs = false;

    constructor(options: MorayCopySideOptions) {
        this.place = options.place;
        this.#options = options;
        this.#connections = options.connections;
    }

    get database(): MorayDatabase {
        if (!this.#database) {
            throw new Error(`${this.place} has not been opened.`);
        }
        return this.#database;
    }

    get jobs(): JobStore | undefined {
        return this.#hasJobs ? this.database.jobs : undefined;
    }

    /** A bucket that Moray has made is enough: the tables beside it are made when it is opened. */
    async exists(): Promise<boolean> {
        return this.#run((session) => hasTable(session, IMAGES_TABLE));
    }

    /** @throws ApiError, also if it is out of reach, which servers would wait for */
    async open({ forReading } = { forReading: false }): Promise<void> {
        const { connections, log, clock } = this.#options;
        const options = { isMarkIgnored: true, isReadOnly: forReading };
        this.#database = new MorayDatabase({ connections, log, clock, ...options });
        await this.#database.open();
        this.#hasJobs = await this.#run((session) => hasTable(session, META_TABLE));
        if (this.#hasJobs) {
            await this.#database.check();
        }
    }

    async close(): Promise<void> {
        await (this.#database ?? this.#connections).close();
    }

    async otherUsers(): Promise<string | undefined> {
        const [row] = await this.#rows(SQL.others);
        const others = Number(row?.others);
        return others > 0 ? `servers, which have ${others} connection(s) to it` : undefined;
    }

    async activity(silence: number): Promise<Activity> {
        const [row] = await this.#rows(SQL.uploads, [silence]);
        const leases = await this.#rows(SQL.leases);
        return { uploads: Number(row?.uploads), leases: leases.map(({ name }) => String(name)) };
    }

    async mark(): Promise<CopyMark | undefined> {
        return this.#run(async (session) =>
            (await hasTable(session, META_TABLE)) ? parseMark(await readMeta(session, COPY_MARK)) : undefined,
        );
    }

    async setMark(mark: CopyMark): Promise<void> {
        await this.#run((session) => writeMeta(session, COPY_MARK, JSON.stringify(mark)));
    }

    async readId(): Promise<string> {
        return this.#hasJobs ? ((await this.#run((session) => readMeta(session, 'id'))) ?? '') : '';
    }

    async countImages(): Promise<number> {
        const [row] = await this.#rows(SQL.countImages);
        return Number(row?.images);
    }

    async pending(): Promise<PendingObject[]> {
        return (await this.#rows(SQL.pending)).map(toObject);
    }

    async tasks(): Promise<Map<string, number>> {
        return numbers(await this.#rows(SQL.tasks));
    }

    async remembered(): Promise<Map<string, number>> {
        return numbers(await this.#rows(SQL.remembered));
    }

    async deleteJobs(uuids: readonly string[]): Promise<void> {
        await this.#rows(SQL.deleteJobs, [uuids]);
    }

    async fingerprint(): Promise<string> {
        return this.#run(fingerprint);
    }

    async release(mark: CopyMark, newId: string, expected: string): Promise<void> {
        await this.#transaction(async (session) => {
            await session.query({ text: SQL.lockImages });
            if ((await fingerprint(session)) !== expected) {
                throw new ChangedMeanwhile();
            }
            await writeMeta(session, 'id', newId);
            await writeMeta(session, COPY_MARK, JSON.stringify(mark));
        });
    }

    async adopt(id: string): Promise<void> {
        await this.#transaction(async (session) => {
            await writeMeta(session, 'id', id);
            await deleteMeta(session, COPY_MARK);
        });
    }

    async #run<T>(work: (session: Session) => Promise<T>): Promise<T> {
        try {
            return await work(this.#connections);
        } catch (error) {
            throw inOurTerms(error);
        }
    }

    async #transaction(work: (session: Session) => Promise<void>): Promise<void> {
        await this.#run(() => this.#connections.transaction(work));
    }

    async #rows(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
        return this.#run(async (session) => (await session.query({ text, values })).rows);
    }
}

async function fingerprint(session: Session): Promise<string> {
    const { rows } = await session.query({ text: SQL.fingerprint });
    return String(rows[0]?.fingerprint);
}

function numbers(rows: readonly Row[]): Map<string, number> {
    return new Map(rows.map(({ name, number }) => [String(name), Number(number)]));
}
