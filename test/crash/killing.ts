/** What tests have in common that kill servers. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { LocalDatabase } from '../../lib/db/local';
import type { FaultPoint } from '../../lib/fault';
import { quietLog } from '../support/local-database';
import type { ServerOptions } from '../support/server';

/** Every operation is killed at every one of its steps. */
export const FULL = process.env.CRASH_FULL === '1';

/** How long what is left may stay, in ms. */
export const CLEAN_WITHIN = 10_000;

const AT_ONCE = 3;

/** Has a server note the fault points that it reaches, and kill itself at the one with this number (from 1). */
export const faulty = (log: string, at?: number): Pick<ServerOptions, 'nodeArguments' | 'environment'> => ({
    nodeArguments: ['-r', join(__dirname, '../support/arm-fault.js')],
    environment: {
        IMGAPI_TEST_FAULT_LOG: log,
        ...(at !== undefined && { IMGAPI_TEST_FAULT_AT: String(at) }),
    },
});

export async function notedPoints(log: string): Promise<FaultPoint[]> {
    return (await readFile(log, 'utf8')).trimEnd().split('\n') as FaultPoint[];
}

/** Works on the database of a folder, beside servers that may be using it. */
export async function withDatabase<T>(
    dataDir: string,
    work: (database: LocalDatabase) => Promise<T>,
): Promise<T> {
    const clock = { now: () => Date.now(), uuid: () => 'not used' };
    const database = new LocalDatabase({ databaseDir: dataDir, dataDir, log: quietLog, clock });
    await database.open();
    try {
        return await work(database);
    } finally {
        await database.close();
    }
}

/** Waits until no object is to be given up or deleted any more: the database has forgotten them all. */
export async function untilNothingPending(dataDir: string): Promise<void> {
    await withDatabase(dataDir, async (database) => {
        const end = Date.now() + CLEAN_WITHIN;
        for (;;) {
            const isLive = (await database.pending.oldestBeat()) !== undefined;
            const condemned = await database.pending.condemn(0, 100);
            if (!isLive && condemned.length === 0) {
                return;
            }
            assert.ok(Date.now() < end, `still pending: ${JSON.stringify({ isLive, condemned })}`);
            await wait(20);
        }
    });
}

export async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    const queue = [...items];
    const worker = async () => {
        for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
            await work(item);
        }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
