/** One connection, lent for one use. */
import type { PoolClient, QueryConfig } from 'pg';
import { MorayError } from './errors';
import { isFarewell, toFailure, uncertain } from './failures';
import type { Answer, Row, Statement } from './types';

export interface LeaseOptions {
    /** What ended the connection, if it has ended. */
    readonly lossOf: () => Error | undefined;
    /** A statement has had no answer for `silence` ms. */
    readonly onSilence: () => void;
    readonly silence: number;
    /** What the server has been told, in ms. */
    readonly statementTimeout: number;
}

/** How much longer than a statement may take the answer is waited for, in ms: the server has to be gone then. */
const GRACE = 2000;

interface Ran extends Answer {
    /** The tag of what was done, such as COMMIT. */
    readonly command: string;
}

export class Lease {
    /** The last error that the database or the connection gave. */
    failure: unknown;
    /** Statements are not prepared: those of other connections have turned out not to fit any more. */
    isUnprepared = false;
    /** The transaction is one that only reads. */
    isReadOnly = false;
    readonly #client: PoolClient;
    readonly #options: LeaseOptions;
    /** Statements are run one at a time, in the order they were given. */
    #last: Promise<unknown> = Promise.resolve();
    #isOver = false;
    #isDone = false;

    constructor(client: PoolClient, options: LeaseOptions) {
        this.#client = client;
        this.#options = options;
    }

    /** Whether the connection is of no use any more. */
    get isLost(): boolean {
        return this.#options.lossOf() !== undefined || this.#isOver || isFarewell(this.failure);
    }

    /** Runs a statement. @throws unknown, as {@link toFailure} gives it */
    query(statement: Statement): Promise<Ran> {
        const running = this.#last.then(() => this.#run(statement));
        this.#last = running.catch(() => undefined);
        return running;
    }

    async #run({ text, values = [], name }: Statement): Promise<Ran> {
        if (this.#isDone) {
            throw new Error('The transaction has ended.');
        }
        const config: QueryConfig<unknown[]> & { queryMode: 'extended' } = {
            text,
            values: [...values],
            ...(name !== undefined && !this.isUnprepared && { name }),
            // One statement only, whatever the text holds.
            queryMode: 'extended',
        };
        const unwatch = this.#watch();
        try {
            const { rows, rowCount, command } = await this.#client.query<Row>(config);
            return { rows, count: rowCount ?? 0, command };
        } catch (error) {
            this.failure = this.#options.lossOf() ?? error;
            if (this.#isOver) {
                const waited = this.#options.statementTimeout + GRACE;
                const message = `PostgreSQL gave no answer for ${waited} ms`;
                throw new MorayError('QueryTimeoutError', message, { cause: error });
            }
            throw toFailure(this.failure, { isLost: this.isLost, isReadOnly: this.isReadOnly });
        } finally {
            unwatch();
        }
    }

    /** The server ends statements that take too long; if it does not, the connection is ended. */
    #watch(): () => void {
        const { silence, statementTimeout, onSilence } = this.#options;
        let timer = setTimeout(() => {
            onSilence();
            timer = setTimeout(
                () => {
                    this.#isOver = true;
                    this.#client.connection.stream.destroy();
                },
                statementTimeout + GRACE - silence,
            );
        }, silence);
        return () => clearTimeout(timer);
    }

    /**
     * Commits the transaction.
     *
     * @throws MorayError with `outcomeUnknown` if it is not certain that it was committed, and neither that it was not
     */
    async commit(): Promise<void> {
        const warnings: string[] = [];
        // When a commit is told not to wait for the standby any longer, it says so and counts as done.
        const listen = ({
            severity,
            message = '',
        }: {
            severity?: string | undefined;
            message?: string | undefined;
        }) => {
            if (severity === 'WARNING') {
                warnings.push(message);
            }
        };
        this.#client.on('notice', listen);
        try {
            const { command } = await this.query({ text: 'COMMIT' });
            if (command !== 'COMMIT') {
                throw toFailure(
                    this.failure ?? new MorayError('InternalError', 'the transaction had failed'),
                    {
                        isLost: false,
                    },
                );
            }
        } catch (error) {
            throw this.isLost ? uncertain(error) : error;
        } finally {
            this.#client.removeListener('notice', listen);
        }
        if (warnings.length > 0) {
            throw new MorayError('NoDatabasePeersError', `the commit may get lost: ${warnings.join('; ')}`, {
                outcomeUnknown: true,
            });
        }
    }

    /** Undoes the transaction; without a connection, the server does so. */
    async rollback(): Promise<void> {
        if (!this.isLost) {
            const { failure } = this;
            await this.query({ text: 'ROLLBACK' }).catch(() => undefined);
            this.failure = failure ?? this.failure;
        }
    }

    /** Gives the connection back, for others if it is fit for use. */
    release(): void {
        this.#isDone = true;
        // In the middle of a transaction or a statement it is not.
        this.#client.release(this.isLost || this.isUnprepared || this.#client.getTransactionStatus() !== 'I');
    }
}
