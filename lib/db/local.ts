/**
 * The embedded database: one SQLite file, `<databaseDir>/imgapi.db`, that the processes of one host may share
 * (storage.md §6, §7).
 */
import path from 'node:path';
import type { Clock } from '../clock';
import { ApiError } from '../errors';
import { assertInUse, COPY_MARK, parseMark } from './copy-side';
import type { Database } from './driver';
import { Connection } from './local-connection';
import { LocalLeases, LocalReplay, LocalTasks } from './local-coordination';
import { prepareFolder } from './local-filesystem';
import { LocalImages } from './local-images';
import { LocalJobs } from './local-jobs';
import { LocalPending } from './local-pending';
import { prepareSchema, readMeta } from './local-schema';
import { exportRawFiles, type ExportResult } from './raw-export';
import { Reserve } from './reserve';
import { RawFiles, UnseenRawFiles } from './raw-files';

/** What the database tells the operator; a bunyan logger is one. */
export interface DatabaseLog {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
}

/** Path of the database file. */
export function databaseFile({ databaseDir }: { databaseDir: string }): string {
    return path.join(databaseDir, 'imgapi.db');
}

export interface LocalDatabaseOptions {
    databaseDir: string;
    /** Where the original server's `manifests/` and the image files are. */
    dataDir: string;
    log: DatabaseLog;
    clock: Clock;
}

interface Opened {
    id: string;
    connection: Connection;
    images: LocalImages;
    pending: LocalPending;
    leases: LocalLeases;
    tasks: LocalTasks;
    jobs: LocalJobs;
    replay: LocalReplay;
    rawFiles: RawFiles;
}

export class LocalDatabase implements Database {
    readonly type = 'local';
    private parts: Opened | undefined;

    constructor(private readonly options: LocalDatabaseOptions) {}

    get id(): string {
        return this.opened.id;
    }
    get images(): LocalImages {
        return this.opened.images;
    }
    get pending(): LocalPending {
        return this.opened.pending;
    }
    get leases(): LocalLeases {
        return this.opened.leases;
    }
    get tasks(): LocalTasks {
        return this.opened.tasks;
    }
    get jobs(): LocalJobs {
        return this.opened.jobs;
    }
    get replay(): LocalReplay {
        return this.opened.replay;
    }
    get connection(): Connection {
        return this.opened.connection;
    }
    get rawFiles(): RawFiles {
        return this.opened.rawFiles;
    }

    /**
     * Opens the file and sees to the original server's `.raw` files: imports them at the first start, and refuses
     * when new ones have turned up since.
     *
     * @throws UnseenRawFiles, SchemaTooNew, NetworkFilesystem, UnfinishedCopy, DatabaseMoved, ApiError
     */
    async open(): Promise<void> {
        await this.connect();
        try {
            const { connection } = this.opened;
            assertInUse(this.type, parseMark(await connection.read(() => readMeta(connection, COPY_MARK))));
            await this.seeToRawFiles();
        } catch (error) {
            await this.close();
            throw error;
        }
    }

    /** Opens the file without looking at `.raw` files, nor whether servers may use it. */
    async connect(): Promise<void> {
        const { databaseDir, dataDir, clock } = this.options;
        await prepareFolder(databaseDir);
        const connection = await Connection.open(databaseFile(this.options));
        try {
            const id = await prepareSchema(connection, clock.uuid());
            const reserve = new Reserve(path.join(databaseDir, 'imgapi.reserve'));
            reserve.keep(clock.now());
            const images = new LocalImages(connection, clock, reserve);
            this.parts = {
                id,
                connection,
                images,
                pending: new LocalPending(connection),
                leases: new LocalLeases(connection),
                tasks: new LocalTasks(connection),
                jobs: new LocalJobs(connection),
                replay: new LocalReplay(connection),
                rawFiles: new RawFiles(connection, images, path.join(dataDir, 'manifests'), () =>
                    clock.now(),
                ),
            };
        } catch (error) {
            connection.close();
            throw error;
        }
    }

    async close(): Promise<void> {
        this.parts?.connection.close();
        this.parts = undefined;
    }

    /** There are none: it is in this process. */
    readonly connectionUsage = undefined;

    async check(): Promise<void> {
        const { connection, id } = this.opened;
        const found = await connection.read(() => readMeta(connection, 'id'));
        if (found !== id) {
            throw new ApiError(
                'ServiceUnavailableError',
                'The image database is not the one that was opened.',
            );
        }
    }

    /** Writes the database back as the original server's files (raw-export.ts). */
    async exportRawFiles(): Promise<ExportResult> {
        const { connection, rawFiles } = this.opened;
        return exportRawFiles(connection, rawFiles, this.options.dataDir);
    }

    private get opened(): Opened {
        if (!this.parts) {
            throw new ApiError('ServiceUnavailableError', 'The image database is not open.');
        }
        return this.parts;
    }

    private async seeToRawFiles(): Promise<void> {
        const { log } = this.options;
        const { rawFiles } = this.opened;
        if (await rawFiles.isFirstStart()) {
            const { imported, problems } = await rawFiles.takeOver();
            for (const problem of problems) {
                log.warn(problem, 'A manifest file was left out of the import.');
            }
            if (imported > 0) {
                log.info({ folder: rawFiles.folder, imported }, 'Imported the manifest files.');
            }
            return;
        }
        const unseen = await rawFiles.unseen();
        if (unseen.length > 0) {
            throw new UnseenRawFiles(rawFiles.folder, unseen);
        }
    }
}
