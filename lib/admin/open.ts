/** The parts of the server that commands work with directly, beside servers that may be running. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Clock } from '../clock';
import type { Database } from '../db/driver';
import { openDatabase } from '../db/index';
import { databaseFile } from '../db/local';
import { Images } from '../images/images';
import type { StorageType } from '../manifest';
import type { StorageDriver } from '../storage/driver';
import { createStorages, Storages } from '../storage/index';
import { CommandFailure, type CommandContext } from './command';

export const systemClock: Clock = { now: () => Date.now(), uuid: () => randomUUID() };

/** @throws CommandFailure if no server has made the database yet: a command makes none */
export function assertDatabase({ config }: Pick<CommandContext, 'config'>): void {
    if (config.databaseType === 'local' && !existsSync(databaseFile(config))) {
        throw new CommandFailure(
            `There is no database ${databaseFile(config)}: no server has run with this configuration yet.`,
        );
    }
}

/** Runs `work` on the configured database. */
export async function withDatabase<T>(
    context: Pick<CommandContext, 'config' | 'log'>,
    work: (database: Database) => Promise<T>,
): Promise<T> {
    assertDatabase(context);
    const database = await openDatabase(context.config, context.log, systemClock);
    try {
        return await work(database);
    } finally {
        await database.close();
    }
}

/** Runs `work` on the configured storages, or those of them that are wanted: the others are not even loaded. */
export async function withStorages<T>(
    { config, log }: Pick<CommandContext, 'config' | 'log'>,
    types: readonly StorageType[] | undefined,
    work: (storages: Storages) => Promise<T>,
): Promise<T> {
    const wanted = (await createStorages(config, log, types)).all();
    const opened: StorageDriver[] = [];
    try {
        for (const storage of wanted) {
            await storage.open();
            opened.push(storage);
        }
        return await work(new Storages(wanted));
    } finally {
        for (const storage of opened) {
            await storage.close();
        }
    }
}

/** What the server's own tasks work with. */
export interface Registry {
    readonly database: Database;
    readonly storages: Storages;
    readonly images: Images;
    readonly clock: Clock;
    /** Id of this process among the holders of leases. */
    readonly holder: string;
}

/** Runs `work` with the parts that a server is made of, as one process more beside its others. */
export async function withRegistry<T>(
    context: Pick<CommandContext, 'config' | 'log'>,
    work: (registry: Registry) => Promise<T>,
): Promise<T> {
    const { config, log } = context;
    const clock = systemClock;
    return withDatabase(context, (database) =>
        withStorages(context, undefined, (storages) =>
            work({
                database,
                storages,
                images: new Images({ config, database, storages, clock, log }),
                clock,
                holder: randomUUID(),
            }),
        ),
    );
}
