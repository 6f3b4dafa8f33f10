/**
 * The shared database: PostgreSQL in Moray's layout, used by any number of processes on any number of hosts, and by
 * Moray itself (moray.md).
 */
import type { Clock } from '../clock';
import type { ConnectionUsage, Database } from './driver';
import type { Connections } from './moray-client/types';
import { DatabaseClock } from './moray-clock';
import { MorayLeases, MorayReplay, MorayTasks } from './moray-coordination';
import { unavailable } from './moray-errors';
import { MorayImages } from './moray-images';
import { MorayJobs } from './moray-jobs';
import { MorayPending, Pending } from './moray-pending';
import { Reach, type ReachLog } from './moray-reach';
import { readDatabaseId, type SchemaOptions } from './moray-schema';

export interface MorayDatabaseOptions extends SchemaOptions {
    /** To the database; closed with this. */
    connections: Connections;
    log: ReachLog;
    clock: Clock;
}

export class MorayDatabase implements Database {
    readonly type = 'moray';
    readonly images: MorayImages;
    readonly pending: MorayPending;
    readonly leases: MorayLeases;
    readonly tasks: MorayTasks;
    readonly jobs: MorayJobs;
    readonly replay: MorayReplay;
    readonly #reach: Reach;

    readonly #options: SchemaOptions;
    readonly #connections: Connections;

    constructor({ connections, log, clock, ...options }: MorayDatabaseOptions) {
        this.#options = options;
        this.#connections = connections;
        const databaseClock = new DatabaseClock(clock, log);
        const reach = new Reach({ connections, clock, databaseClock, log, ...options });
        const { session } = reach;
        this.#reach = reach;
        this.images = new MorayImages({ reach, pending: new Pending(databaseClock), clock, log });
        this.pending = new MorayPending(session, databaseClock);
        this.leases = new MorayLeases(session, databaseClock);
        this.tasks = new MorayTasks(session);
        this.jobs = new MorayJobs(session);
        this.replay = new MorayReplay(session);
    }

    get id(): string {
        const { reached } = this.#reach;
        if (!reached) {
            throw unavailable('The image database has not been reached yet; try again later.');
        }
        return reached.id;
    }

    /** Sets up what is not there yet. Out of reach, the database is set up later; the log says so. */
    async open(): Promise<void> {
        await this.#reach.open();
    }

    async close(): Promise<void> {
        await this.#reach.close();
    }

    get connectionUsage(): ConnectionUsage | undefined {
        return this.#connections.usage;
    }

    async check(): Promise<void> {
        await this.#reach.use(async ({ connections, id }) => {
            if ((await readDatabaseId(connections, this.#options)) !== id) {
                throw unavailable('The image database is not the one that was opened.');
            }
        });
    }
}
