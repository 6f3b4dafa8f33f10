/** Leases and the replay memory of the embedded database, rows that a reboot may forget; and when tasks were done. */
import type { LeaseStore, ReplayStore, TaskStore } from './driver';
import type { Connection } from './local-connection';
import { readMeta, TASK_PREFIX, writeMeta } from './local-schema';

const SQL = {
    acquire:
        'INSERT INTO leases (name, holder, expires) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE ' +
        'SET holder = excluded.holder, expires = excluded.expires ' +
        'WHERE leases.holder = excluded.holder OR leases.expires <= ?',
    release: 'DELETE FROM leases WHERE name = ? AND holder = ?',
    remember:
        'INSERT INTO replay (value, expires) VALUES (?, ?) ON CONFLICT (value) DO UPDATE ' +
        'SET expires = excluded.expires WHERE replay.expires <= ?',
    prune: 'DELETE FROM replay WHERE expires <= ?',
};

export class LocalLeases implements LeaseStore {
    constructor(private readonly connection: Connection) {}

    async acquire(name: string, holder: string, ttl: number, now: number): Promise<boolean> {
        const changed = await this.connection.write(
            () => this.connection.prepare(SQL.acquire).run([name, holder, now + ttl, now]),
            'process',
        );
        return changed === 1;
    }

    async release(name: string, holder: string): Promise<void> {
        await this.connection.write(
            () => this.connection.prepare(SQL.release).run([name, holder]),
            'process',
        );
    }
}

/** A few rows of the table that holds one value each. */
export class LocalTasks implements TaskStore {
    constructor(private readonly connection: Connection) {}

    async doneAt(name: string): Promise<number | undefined> {
        const at = await this.connection.read(() => readMeta(this.connection, TASK_PREFIX + name));
        return at === undefined ? undefined : Number(at);
    }

    async done(name: string, now: number): Promise<void> {
        await this.connection.write(() => writeMeta(this.connection, TASK_PREFIX + name, String(now)));
    }
}

export class LocalReplay implements ReplayStore {
    constructor(private readonly connection: Connection) {}

    async remember(value: string, expires: number, now: number): Promise<boolean> {
        const changed = await this.connection.write(
            () => this.connection.prepare(SQL.remember).run([value, expires, now]),
            'process',
        );
        return changed === 1;
    }

    async prune(now: number): Promise<number> {
        return this.connection.write(() => this.connection.prepare(SQL.prune).run([now]), 'process');
    }
}
