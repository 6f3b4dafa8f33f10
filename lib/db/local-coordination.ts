/** Leases and the replay memory of the embedded database: rows that a reboot may forget. */
import type { LeaseStore, ReplayStore } from './driver';
import type { Connection } from './local-connection';

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
