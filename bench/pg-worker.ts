/** The floor of what a server asks of PostgreSQL, a process of its own: the bare query by `pg`, and nothing else. */
import { createHash } from 'node:crypto';
import { Pool } from 'pg';
import { answerCalls } from './helper';

export interface QueryWork {
    readonly connectionString: string;
    /** One statement, prepared once a connection. */
    readonly text: string;
    /** They take turns. */
    readonly values: readonly (readonly unknown[])[];
    readonly count: number;
    readonly connections: number;
}

const pools = new Map<string, Pool>();

/** Gives the rows of the first answer. */
async function run({ connectionString, text, values, count, connections }: QueryWork): Promise<number> {
    let pool = pools.get(connectionString);
    if (!pool) {
        pool = new Pool({ connectionString, max: connections });
        // The server may end before this process does.
        pool.on('error', () => undefined);
        pools.set(connectionString, pool);
    }
    const used = pool;
    let next = 0;
    const name = `bench-${createHash('md5').update(text).digest('hex')}`;
    let rows: number | undefined;
    await Promise.all(
        Array.from({ length: connections }, async () => {
            while (next < count) {
                const answer = await used.query({
                    text,
                    name,
                    values: [...(values[next++ % values.length] ?? [])],
                });
                rows ??= answer.rows.length;
            }
        }),
    );
    return rows ?? 0;
}

answerCalls(run);
