import { createHash } from 'node:crypto';
import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { LeaseStore, ReplayStore } from '../db/driver';
import { ApiError } from '../errors';
import { LeasedTask } from '../leased-task';
import { refusal } from './refusal';

/** How often signatures that are too old to be used again are forgotten, in ms. */
const PRUNE_INTERVAL = 120_000;

/** The first time comes this long after the start, in ms. */
const FIRST_DELAY = 1000;

/** How far the clock of another server may be behind this one's, which prunes for it, in ms. */
const CLOCKS_APART = 300_000;

export interface UsedSignaturesOptions {
    replay: ReplayStore;
    leases: LeaseStore;
    /** Id of this process among the holders of leases. */
    holder: string;
    clock: Clock;
    log: Logger;
}

/** The signatures that were used, where each may be only once (`auth.replayWindow`). */
export class UsedSignatures {
    #pruning: LeasedTask | undefined;

    constructor(private readonly options: UsedSignaturesOptions) {}

    open(): void {
        const { replay, clock } = this.options;
        this.#pruning = new LeasedTask({
            ...this.options,
            name: 'prune-replay',
            run: async () => {
                await replay.prune(clock.now() - CLOCKS_APART);
            },
            nextIn: () => PRUNE_INTERVAL,
        });
        this.#pruning.start(FIRST_DELAY);
    }

    async close(): Promise<void> {
        await this.#pruning?.stop();
    }

    /**
     * Uses up a signature that has verified.
     *
     * What is remembered is the key and the text, not the signature: of one ECDSA signature anybody can make another
     * that verifies as well, and what is one in base64 is up to whoever decodes it.
     *
     * @param expires when its date is refused anyway, in ms
     * @throws ApiError UnauthorizedError if it was used before; ServiceUnavailableError if that cannot be known
     */
    async use(fingerprint: string, text: string, expires: number, now: number): Promise<void> {
        const value = createHash('sha256')
            .update(fingerprint)
            .update('\n')
            .update(text, 'utf8')
            .digest('hex');
        if (!(await this.#remember(value, expires, now))) {
            throw refusal(
                'The signature was used before, and this server takes each one once: sign the request anew, with a ' +
                    'later date or over a header whose value is another one each time.',
                'used',
            );
        }
    }

    async #remember(value: string, expires: number, now: number): Promise<boolean> {
        try {
            return await this.options.replay.remember(value, expires, now);
        } catch (err) {
            if (err instanceof ApiError && err.code === 'InsufficientStorage') {
                throw new ApiError(
                    'ServiceUnavailableError',
                    'It cannot be recorded that the signature was used: the disk of the database is full.',
                    { cause: err },
                );
            }
            throw err;
        }
    }
}
