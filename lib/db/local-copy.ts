/** The embedded database as one side of a copy. */
import { existsSync } from 'node:fs';
import {
    ChangedMeanwhile,
    COPY_MARK,
    parseMark,
    type Activity,
    type CopyMark,
    type CopySide,
} from './copy-side';
import type { JobStore, PendingObject } from './driver';
import { databaseFile, LocalDatabase, type LocalDatabaseOptions } from './local';
import { isUsedElsewhere, type Connection } from './local-connection';
import { toObject } from './local-pending';
import { deleteMeta, readMeta, TASK_PREFIX, writeMeta } from './local-schema';
import { UnseenRawFiles } from './raw-files';
import type { SqlRow, SqlValue } from './sqlite';

const SQL = {
    countImages: 'SELECT count(*) FROM imgapi_images',
    uploads: 'SELECT count(*) FROM pending_objects WHERE condemned = 0 AND beat > ?',
    leases: 'SELECT name FROM leases WHERE expires > ? ORDER BY name',
    pending: 'SELECT id, image, storage, key FROM pending_objects',
    tasks: 'SELECT substr(name, ?), value FROM meta WHERE substr(name, 1, ?) = ?',
    remembered: 'SELECT value, expires FROM replay',
    deleteJobs: 'DELETE FROM jobs WHERE uuid IN (SELECT value FROM json_each(?))',
};

export class LocalCopySide implements CopySide {
    readonly type = 'local';
    readonly place: string;
    readonly database: LocalDatabase;

    constructor(private readonly options: LocalDatabaseOptions) {
        this.place = databaseFile(options);
        this.database = new LocalDatabase(options);
    }

    get jobs(): JobStore {
        return this.database.jobs;
    }

    async exists(): Promise<boolean> {
        return existsSync(this.place);
    }

    /** @throws UnseenRawFiles as well: a server would not start on it, or take those files over */
    async open(): Promise<void> {
        await this.database.connect();
        const { rawFiles } = this.database;
        const unseen = await rawFiles.unseen();
        if (unseen.length > 0) {
            await this.close();
            throw new UnseenRawFiles(rawFiles.folder, unseen);
        }
    }

    async close(): Promise<void> {
        await this.database.close();
    }

    async otherUsers(): Promise<string | undefined> {
        return existsSync(this.place) && isUsedElsewhere(this.place) ? 'another process' : undefined;
    }

    async activity(silence: number): Promise<Activity> {
        const now = this.options.clock.now();
        const [row] = await this.#all(SQL.uploads, [now - silence]);
        const leases = await this.#all(SQL.leases, [now]);
        return { uploads: Number(row?.[0]), leases: leases.map(([name]) => String(name)) };
    }

    async mark(): Promise<CopyMark | undefined> {
        return parseMark(await this.#read((connection) => readMeta(connection, COPY_MARK)));
    }

    async setMark(mark: CopyMark): Promise<void> {
        await this.#write((connection) => writeMeta(connection, COPY_MARK, JSON.stringify(mark)));
    }

    async readId(): Promise<string> {
        return (await this.#read((connection) => readMeta(connection, 'id'))) ?? '';
    }

    async countImages(): Promise<number> {
        const [row] = await this.#all(SQL.countImages);
        return Number(row?.[0]);
    }

    async pending(): Promise<PendingObject[]> {
        return (await this.#all(SQL.pending)).map(toObject);
    }

    async tasks(): Promise<Map<string, number>> {
        const { length } = TASK_PREFIX;
        return numbers(await this.#all(SQL.tasks, [length + 1, length, TASK_PREFIX]));
    }

    async remembered(): Promise<Map<string, number>> {
        return numbers(await this.#all(SQL.remembered));
    }

    async deleteJobs(uuids: readonly string[]): Promise<void> {
        await this.#write((connection) => connection.prepare(SQL.deleteJobs).run([JSON.stringify(uuids)]));
    }

    async fingerprint(): Promise<string> {
        return this.#read(fingerprint);
    }

    async release(mark: CopyMark, newId: string, expected: string): Promise<void> {
        await this.#write((connection) => {
            if (fingerprint(connection) !== expected) {
                throw new ChangedMeanwhile();
            }
            writeMeta(connection, 'id', newId);
            writeMeta(connection, COPY_MARK, JSON.stringify(mark));
        });
    }

    async adopt(id: string): Promise<void> {
        await this.#write((connection) => {
            writeMeta(connection, 'id', id);
            deleteMeta(connection, COPY_MARK);
        });
    }

    async #read<T>(work: (connection: Connection) => T): Promise<T> {
        const { connection } = this.database;
        return connection.read(() => work(connection));
    }

    async #write<T>(work: (connection: Connection) => T): Promise<T> {
        const { connection } = this.database;
        return connection.write(() => work(connection));
    }

    async #all(sql: string, params: readonly SqlValue[] = []): Promise<SqlRow[]> {
        return this.#read((connection) => connection.prepare(sql).all(params));
    }
}

function fingerprint(connection: Connection): string {
    return readMeta(connection, 'generation') ?? '';
}

function numbers(rows: readonly SqlRow[]): Map<string, number> {
    return new Map(rows.map(([name, number]) => [String(name), Number(number)]));
}
