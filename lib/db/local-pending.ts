/** Pending objects in the embedded database. */
import type { StorageType } from '../manifest';
import { PendingObjectLost, type PendingObject, type PendingStore } from './driver';
import type { Connection } from './local-connection';
import type { SqlRow } from './sqlite';

const SQL = {
    add: 'INSERT INTO pending_objects (id, image, storage, key, beat, condemned) VALUES (?, ?, ?, ?, ?, 0)',
    settle: 'DELETE FROM pending_objects WHERE id = ? AND condemned = 0',
    condemnNew:
        'INSERT INTO pending_objects (id, image, storage, key, beat, condemned) VALUES (?, ?, ?, ?, ?, 1) ' +
        'ON CONFLICT (id) DO UPDATE SET condemned = 1',
    beat:
        'UPDATE pending_objects SET beat = max(beat, ?) ' +
        'WHERE condemned = 0 AND id IN (SELECT value FROM json_each(?))',
    live: 'SELECT id FROM pending_objects WHERE condemned = 0 AND id IN (SELECT value FROM json_each(?))',
    condemn: 'UPDATE pending_objects SET condemned = 1 WHERE condemned = 0 AND beat <= ?',
    condemned:
        'SELECT id, image, storage, key FROM pending_objects WHERE condemned = 1 ORDER BY beat, id LIMIT ?',
    abandon: 'UPDATE pending_objects SET condemned = 1 WHERE id IN (SELECT value FROM json_each(?))',
    remove: 'DELETE FROM pending_objects WHERE id IN (SELECT value FROM json_each(?))',
    has: 'SELECT 1 FROM pending_objects WHERE storage = ? AND key = ?',
    oldestBeat: 'SELECT min(beat) FROM pending_objects WHERE condemned = 0',
};

/** The statements that take part in the transaction of an image change. */
export class Pending {
    constructor(private readonly connection: Connection) {}

    /** @throws PendingObjectLost for the first one that is not live */
    settle(ids: readonly string[]): void {
        for (const id of ids) {
            if (this.connection.prepare(SQL.settle).run([id]) === 0) {
                throw new PendingObjectLost(id);
            }
        }
    }

    condemnNew(objects: readonly PendingObject[], now: number): void {
        for (const { id, image, storage, key } of objects) {
            this.connection.prepare(SQL.condemnNew).run([id, image, storage, key, now]);
        }
    }
}

export class LocalPending implements PendingStore {
    constructor(private readonly connection: Connection) {}

    async add({ id, image, storage, key }: PendingObject, now: number): Promise<void> {
        await this.connection.write(() =>
            this.connection.prepare(SQL.add).run([id, image, storage, key, now]),
        );
    }

    async beat(ids: readonly string[], now: number): Promise<string[]> {
        const list = JSON.stringify(ids);
        const live = await this.connection.write(() => {
            this.connection.prepare(SQL.beat).run([now, list]);
            return new Set(
                this.connection
                    .prepare(SQL.live)
                    .all([list])
                    .map(([id]) => id),
            );
        }, 'process');
        return ids.filter((id) => !live.has(id));
    }

    async condemn(silentSince: number, limit: number): Promise<PendingObject[]> {
        return this.connection.write(() => {
            this.connection.prepare(SQL.condemn).run([silentSince]);
            return this.connection.prepare(SQL.condemned).all([limit]).map(toObject);
        });
    }

    async abandon(ids: readonly string[]): Promise<void> {
        await this.connection.write(() => this.connection.prepare(SQL.abandon).run([JSON.stringify(ids)]));
    }

    async remove(ids: readonly string[]): Promise<void> {
        await this.connection.write(() => this.connection.prepare(SQL.remove).run([JSON.stringify(ids)]));
    }

    async has(storage: StorageType, key: string): Promise<boolean> {
        const row = await this.connection.read(() => this.connection.prepare(SQL.has).get([storage, key]));
        return row !== undefined;
    }

    async oldestBeat(): Promise<number | undefined> {
        const row = await this.connection.read(() => this.connection.prepare(SQL.oldestBeat).get());
        return typeof row?.[0] === 'number' ? row[0] : undefined;
    }
}

export function toObject([id, image, storage, key]: SqlRow): PendingObject {
    return {
        id: String(id),
        image: String(image),
        storage: storage as StorageType,
        key: String(key),
    };
}
