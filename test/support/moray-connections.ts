/** Connections to a real PostgreSQL for tests, with what they tell the operator. */
import type { MorayConfig, PgConfig } from '../../lib/config/types';
import { PgConnections } from '../../lib/db/moray-client/connections';
import { isMorayError, type MorayError, type MorayErrorName } from '../../lib/db/moray-client/errors';

interface LogRecord {
    readonly level: 'info' | 'warn';
    readonly message: string;
    readonly fields: object;
}

/** How long a state may take to come about, in ms. */
const PATIENCE = 20_000;
const POLL = 20;

export class TestConnections extends PgConnections {
    private constructor(
        config: PgConfig,
        readonly records: LogRecord[],
    ) {
        const write =
            (level: LogRecord['level']) =>
            (fields: object, message: string): void =>
                void records.push({ level, message, fields });
        super(config, { info: write('info'), warn: write('warn') });
    }

    static open({ pg }: MorayConfig, changes: Partial<PgConfig> = {}): TestConnections {
        return new TestConnections({ ...pg!, ...changes }, []);
    }

    /** What a statement gives, as its one row. */
    async row(text: string, values: readonly unknown[] = []): Promise<Readonly<Record<string, unknown>>> {
        const { rows } = await this.query({ text, values });
        return rows[0] ?? {};
    }

    /** Resolves when a statement works, at most ten seconds after this was called. */
    async untilReached(text = 'SELECT 1'): Promise<void> {
        await until(() =>
            this.query({ text }).then(
                () => true,
                () => false,
            ),
        );
    }
}

/** Waits until the state is there. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    const end = performance.now() + PATIENCE;
    while (!(await isSo())) {
        if (performance.now() > end) {
            throw new Error(`Not so after ${PATIENCE} ms: ${String(isSo)}`);
        }
        await new Promise((resolve) => setTimeout(resolve, POLL));
    }
}

/** The error of this name that the promise rejects with. */
export async function failure(promise: Promise<unknown>, name: MorayErrorName): Promise<MorayError> {
    let value;
    try {
        value = await promise;
    } catch (error) {
        if (isMorayError(error, name)) {
            return error;
        }
        throw error;
    }
    throw new Error(`Gave ${JSON.stringify(value)} in the place of a ${name}.`);
}
