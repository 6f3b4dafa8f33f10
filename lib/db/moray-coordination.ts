/** Leases, the replay memory and the times of tasks in PostgreSQL. */
import type { LeaseStore, ReplayStore, TaskStore } from './driver';
import type { DatabaseClock } from './moray-clock';
import type { Session } from './moray-client/types';

/** The database's clock in ms; not that of the transaction, which stands still. */
export const NOW = 'floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

const SQL = {
    acquire:
        'WITH taken AS (INSERT INTO imgapi_server_leases AS l (name, holder, expires) VALUES ($1, $2, $3::bigint) ' +
        'ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires ' +
        'WHERE l.holder = excluded.holder OR l.expires <= $4::bigint RETURNING 1) ' +
        `SELECT EXISTS (SELECT 1 FROM taken) AS taken, ${NOW} AS time`,
    release: 'DELETE FROM imgapi_server_leases WHERE name = $1 AND holder = $2',
    time: `SELECT ${NOW} AS time`,
    doneAt: 'SELECT done_at FROM imgapi_server_tasks WHERE name = $1',
    done:
        'INSERT INTO imgapi_server_tasks (name, done_at) VALUES ($1, $2) ' +
        'ON CONFLICT (name) DO UPDATE SET done_at = excluded.done_at',
    remember:
        'INSERT INTO imgapi_server_replay AS r (value, expires) VALUES ($1, $2::bigint) ' +
        'ON CONFLICT (value) DO UPDATE SET expires = excluded.expires WHERE r.expires <= $3::bigint',
    prune: 'DELETE FROM imgapi_server_replay WHERE expires <= $1',
};

export class MorayLeases implements LeaseStore {
    constructor(
        private readonly session: Session,
        private readonly clock: DatabaseClock,
    ) {}

    /** Every call says what the time is in the database, so a host whose clock is put right is soon seen to be. */
    async acquire(name: string, holder: string, ttl: number, now: number): Promise<boolean> {
        const { taken } = await this.clock.measure(async () => {
            const time = this.clock.toDatabase(now);
            const { rows } = await this.session.query({
                text: SQL.acquire,
                values: [name, holder, time + ttl, time],
                name: 'imgapi-lease-acquire',
            });
            return { taken: rows[0]?.taken === true, time: Number(rows[0]?.time) };
        });
        return taken;
    }

    async release(name: string, holder: string): Promise<void> {
        await this.session.query({ text: SQL.release, values: [name, holder], name: 'imgapi-lease-release' });
    }
}

/** How often the clocks are compared at first, if answers are so slow that they tell little. */
const MEASUREMENTS = 5;

/** Compares the clocks; before the first lease or pending object. */
export async function measureClock(session: Session, clock: DatabaseClock): Promise<void> {
    for (let tries = 0; tries < MEASUREMENTS && (tries === 0 || !clock.isMeasured); tries++) {
        await clock.measure(async () => {
            const { rows } = await session.query({ text: SQL.time });
            return { time: Number(rows[0]?.time) };
        });
    }
}

export class MorayTasks implements TaskStore {
    constructor(private readonly session: Session) {}

    async doneAt(name: string): Promise<number | undefined> {
        const { rows } = await this.session.query({
            text: SQL.doneAt,
            values: [name],
            name: 'imgapi-task-done-at',
        });
        return rows[0] && Number(rows[0].done_at);
    }

    async done(name: string, now: number): Promise<void> {
        await this.session.query({ text: SQL.done, values: [name, now], name: 'imgapi-task-done' });
    }
}

/** Times come from the dates of signatures, so they are not corrected: see docs/decisions. */
export class MorayReplay implements ReplayStore {
    constructor(private readonly session: Session) {}

    async remember(value: string, expires: number, now: number): Promise<boolean> {
        const { count } = await this.session.query({
            text: SQL.remember,
            values: [value, expires, now],
            name: 'imgapi-replay-remember',
        });
        return count === 1;
    }

    async prune(now: number): Promise<number> {
        const { count } = await this.session.query({
            text: SQL.prune,
            values: [now],
            name: 'imgapi-replay-prune',
        });
        return count;
    }
}
