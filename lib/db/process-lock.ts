/** A lock that one process at a time has, and that ends with it however it ends. */
import { openSqlite, sqliteCode, SQLITE } from './sqlite';

export interface ProcessLock {
    release(): void;
}

/**
 * Takes the lock. It is one of the system on a file, so a process that was killed does not keep it.
 *
 * @returns undefined if another process has it
 * @throws Error if there can be no file there
 */
export function takeProcessLock(file: string): ProcessLock | undefined {
    const sqlite = openSqlite(file);
    try {
        sqlite.exec('PRAGMA busy_timeout = 0');
        sqlite.exec('BEGIN EXCLUSIVE');
        return { release: () => sqlite.close() };
    } catch (error) {
        sqlite.close();
        if (sqliteCode(error) === SQLITE.BUSY) {
            return undefined;
        }
        throw error;
    }
}
