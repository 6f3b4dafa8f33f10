/** Pending objects in PostgreSQL. */
import type { StorageType } from '../manifest';
import { PendingObjectLost, type PendingObject, type PendingStore } from './driver';
import type { DatabaseClock } from './moray-clock';
import type { Row, Session } from './moray-client/types';

const TABLE = 'imgapi_server_pending';
/**
 * The rows of a list, locked in one order, so that statements which touch several never wait for each other in a
 * circle.
 */
const LIVE = `SELECT id FROM ${TABLE} WHERE id = ANY($1::text[]) AND NOT condemned ORDER BY id FOR UPDATE`;

const SQL = {
    add: `INSERT INTO ${TABLE} (id, image, storage, key, beat, condemned) VALUES ($1, $2, $3, $4, $5, false)`,
    settle: `DELETE FROM ${TABLE} WHERE NOT condemned AND id IN (${LIVE}) RETURNING id`,
    condemnNew:
        `INSERT INTO ${TABLE} (id, image, storage, key, beat, condemned) ` +
        'SELECT o.*, $5::bigint, true FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS o ' +
        'ON CONFLICT (id) DO UPDATE SET condemned = true',
    beat:
        `UPDATE ${TABLE} SET beat = greatest(beat, $2::bigint) ` +
        `WHERE NOT condemned AND id IN (${LIVE}) RETURNING id`,
    // One that somebody has locked is being settled or beats at this moment: it is not silent.
    condemn:
        `UPDATE ${TABLE} SET condemned = true WHERE id IN ` +
        `(SELECT id FROM ${TABLE} WHERE NOT condemned AND beat <= $1 ORDER BY id FOR UPDATE SKIP LOCKED)`,
    condemned: `SELECT id, image, storage, key FROM ${TABLE} WHERE condemned ORDER BY beat, id LIMIT $1`,
    abandon: `UPDATE ${TABLE} SET condemned = true WHERE NOT condemned AND id IN (${LIVE})`,
    remove:
        `DELETE FROM ${TABLE} WHERE id IN ` +
        `(SELECT id FROM ${TABLE} WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE)`,
    has: `SELECT 1 FROM ${TABLE} WHERE storage = $1 AND key = $2 LIMIT 1`,
    oldestBeat: `SELECT min(beat) AS beat FROM ${TABLE} WHERE NOT condemned`,
};

/** The statements that take part in the transaction of an image change. */
export class Pending {
    constructor(private readonly clock: DatabaseClock) {}

    /** @throws PendingObjectLost for the first one that is not live */
    async settle(session: Session, ids: readonly string[]): Promise<void> {
        if (ids.length === 0) {
            return;
        }
        const { rows } = await session.query({
            text: SQL.settle,
            values: [ids],
            name: 'imgapi-pending-settle',
        });
        const settled = idsOf(rows);
        for (const id of ids) {
            // Taken out: one that is named twice was live once only.
            if (!settled.delete(id)) {
                throw new PendingObjectLost(id);
            }
        }
    }

    async condemnNew(session: Session, objects: readonly PendingObject[], now: number): Promise<void> {
        // A row can be put once in a statement, and those that others may touch as well go in one order.
        const rows = [...new Map(objects.map((object) => [object.id, object])).values()].sort((a, b) =>
            a.id < b.id ? -1 : 1,
        );
        if (rows.length === 0) {
            return;
        }
        const column = (name: keyof PendingObject): string[] => rows.map((row) => row[name]);
        await session.query({
            text: SQL.condemnNew,
            values: [
                column('id'),
                column('image'),
                column('storage'),
                column('key'),
                this.clock.toDatabase(now),
            ],
            name: 'imgapi-pending-condemn-new',
        });
    }
}

export class MorayPending implements PendingStore {
    constructor(
        private readonly session: Session,
        private readonly clock: DatabaseClock,
    ) {}

    async add({ id, image, storage, key }: PendingObject, now: number): Promise<void> {
        await this.#run('add', [id, image, storage, key, this.clock.toDatabase(now)]);
    }

    async beat(ids: readonly string[], now: number): Promise<string[]> {
        const live = idsOf(await this.#run('beat', [ids, this.clock.toDatabase(now)]));
        return ids.filter((id) => !live.has(id));
    }

    async condemn(silentSince: number, limit: number): Promise<PendingObject[]> {
        await this.#run('condemn', [this.clock.toDatabase(silentSince)]);
        return (await this.#run('condemned', [limit])).map(toObject);
    }

    async abandon(ids: readonly string[]): Promise<void> {
        await this.#run('abandon', [ids]);
    }

    async remove(ids: readonly string[]): Promise<void> {
        await this.#run('remove', [ids]);
    }

    async has(storage: StorageType, key: string): Promise<boolean> {
        return (await this.#run('has', [storage, key])).length > 0;
    }

    async oldestBeat(): Promise<number | undefined> {
        const [row] = await this.#run('oldestBeat', []);
        return row?.beat == null ? undefined : this.clock.fromDatabase(Number(row.beat));
    }

    async #run(statement: keyof typeof SQL, values: readonly unknown[]): Promise<readonly Row[]> {
        const { rows } = await this.session.query({
            text: SQL[statement],
            values,
            name: `imgapi-pending-${statement}`,
        });
        return rows;
    }
}

function idsOf(rows: readonly Row[]): Set<string> {
    return new Set(rows.map(({ id }) => String(id)));
}

export function toObject({ id, image, storage, key }: Row): PendingObject {
    return { id: String(id), image: String(image), storage: storage as StorageType, key: String(key) };
}
