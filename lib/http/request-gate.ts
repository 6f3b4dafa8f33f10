import type { EventEmitter } from 'node:events';
import { ApiError } from '../errors';
import type { PermitHolder, PermitSource } from '../workers/driver';
import { ClientGone } from './body';

/** What a client that was turned away is told to wait, in seconds. */
const RETRY_AFTER = 5;

interface Waiting {
    enter(): void;
    turnAway(err: Error): void;
}

/**
 * Lets in as many requests at once as there are permits (`limits.requests`). The others wait in the order in which they
 * came, as the source of the permits has it: with several workers, those of the others come in between.
 */
export class RequestGate implements PermitHolder {
    readonly #source: PermitSource;
    #held = 0;
    #used = 0;
    #tight = false;
    #lastId = 0;
    readonly #waiting = new Map<number, Waiting>();

    /** @param connect gives the source of this gate's permits */
    constructor(connect: (gate: PermitHolder) => PermitSource) {
        this.#source = connect(this);
    }

    /**
     * Lets a request in, until its answer closes.
     *
     * @returns undefined if it may go on at once
     * @throws ApiError ServiceUnavailableError if too many are waiting; ClientGone if the client did not want to wait
     */
    enter(answer: EventEmitter): Promise<void> | undefined {
        if (this.#held > this.#used && this.#waiting.size === 0) {
            this.#used++;
            answer.once('close', this.#leave);
            return undefined;
        }
        return this.#wait(answer);
    }

    async #wait(answer: EventEmitter): Promise<void> {
        const id = ++this.#lastId;
        let gone = (): void => undefined;
        const turn = new Promise<void>((resolve, reject) => {
            this.#waiting.set(id, {
                enter: () => {
                    answer.once('close', this.#leave);
                    resolve();
                },
                turnAway: reject,
            });
            gone = () => {
                if (this.#waiting.delete(id)) {
                    this.#source.cancel(id);
                    reject(new ClientGone());
                }
            };
        });
        answer.once('close', gone);
        this.#source.want(id);
        try {
            await turn;
        } finally {
            answer.off('close', gone);
        }
    }

    readonly #leave = (): void => {
        this.#used--;
        if (this.#tight || this.#waiting.size > 0) {
            this.#held--;
            this.#source.giveBack(1);
        }
    };

    grant(count: number): void {
        this.#held += count;
        for (const [id, waiting] of this.#waiting) {
            if (this.#held === this.#used) {
                return;
            }
            this.#waiting.delete(id);
            this.#used++;
            waiting.enter();
        }
        if (this.#tight) {
            this.#giveBackIdle(false);
        }
    }

    refuse(id: number): void {
        const waiting = this.#waiting.get(id);
        this.#waiting.delete(id);
        waiting?.turnAway(
            new ApiError(
                'ServiceUnavailableError',
                'The server is busy: as many requests as it takes are under way, and as many as may are waiting. Try again later.',
                { headers: { 'Retry-After': String(RETRY_AFTER) } },
            ),
        );
    }

    tighten(on: boolean): void {
        this.#tight = on;
        if (on) {
            this.#giveBackIdle(true);
        }
    }

    #giveBackIdle(confirms: boolean): void {
        const idle = this.#held - this.#used;
        this.#held = this.#used;
        if (idle > 0 || confirms) {
            this.#source.giveBack(idle, confirms);
        }
    }
}
