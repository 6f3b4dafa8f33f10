import type { Config, LimitsConfig } from '../config/types';
import type { PermitHolder, PermitKind, PermitSource } from './driver';

export type PermitLimits = Pick<LimitsConfig, 'requests' | 'queue'>;

/** Which part of all permits a process may have at hand beyond those it needs, divided by the number of processes. */
const BATCHES = 4;

/** A process that has not said for so long whether it keeps permits hangs: the queue does not grow because of it. In ms. */
const SILENT_AFTER = 1000;

interface Account {
    readonly holder: PermitHolder;
    /** Permits that it has, used or not. */
    held: number;
    /** It has asked for permits. One that has not has none to give back; it may not even have started. */
    asked: boolean;
    /** It was told that permits are short. */
    told: boolean;
    /** How often it was told that permits are short, and has not said yet that it keeps none for later. */
    unconfirmed: number;
}

interface Wish {
    readonly account: Account;
    readonly id: number;
}

/** The limits of each kind of permits. */
export function permitLimits({
    limits: { requests, queue },
    tls,
}: Pick<Config, 'limits' | 'tls'>): Record<PermitKind, PermitLimits> {
    return { all: { requests, queue }, tls: { requests: tls.requests, queue } };
}

/**
 * The permits of `limits.requests` or `tls.requests`, and the queue for them, for all processes of a server.
 *
 * There are never more requests under way than permits: a process uses only what it was given and has not given back.
 * Nobody is refused while a process that is heard of may have permits at hand that it does not use. Those of a process
 * that dies come back by {@link detach}. All of it is a handful of numbers: nothing here waits or fails.
 */
export class PermitPool {
    #limit: number;
    #queue: number;
    /** Permits that no process has; below 0 for a while after the limit was lowered. */
    #free: number;
    /** Whether processes were told to give back what they do not use. */
    #tight = false;
    /** On the monotonic clock, in ms. */
    #tightSince = 0;
    readonly #accounts = new Map<PermitHolder, Account>();
    /** In the order in which they came, from all processes. */
    #waiting: Wish[] = [];

    constructor({ requests, queue }: PermitLimits) {
        this.#limit = requests;
        this.#free = requests;
        this.#queue = queue;
    }

    /** Takes other limits; what was granted stays so. */
    setLimits({ requests, queue }: PermitLimits): void {
        this.#free += requests - this.#limit;
        this.#limit = requests;
        this.#queue = queue;
        if (this.#free < 0) {
            this.#tighten();
        }
        this.#settle();
    }

    /** Opens an account for a process. */
    attach(holder: PermitHolder): PermitSource {
        const account: Account = { holder, held: 0, asked: false, told: false, unconfirmed: 0 };
        this.#accounts.set(holder, account);
        return {
            want: (id) => {
                // One that has died may still be heard of.
                if (!this.#accounts.has(holder)) {
                    return;
                }
                account.asked = true;
                if (this.#tight && !account.told) {
                    // The others were told before it asked for the first time.
                    account.told = true;
                    account.unconfirmed++;
                    holder.tighten(true);
                }
                this.#waiting.push({ account, id });
                this.#settle();
            },
            cancel: (id) => {
                this.#waiting = this.#waiting.filter((wish) => wish.account !== account || wish.id !== id);
                this.#settle();
            },
            giveBack: (count, confirms = false) => {
                if (this.#accounts.has(holder)) {
                    account.held -= count;
                    this.#free += count;
                    account.unconfirmed -= confirms ? 1 : 0;
                    this.#settle();
                }
            },
        };
    }

    /** The process has ended: its permits are free, and it waits no longer. */
    detach(holder: PermitHolder): void {
        const account = this.#accounts.get(holder);
        if (account) {
            this.#accounts.delete(holder);
            this.#free += account.held;
            this.#waiting = this.#waiting.filter((wish) => wish.account !== account);
            this.#settle();
        }
    }

    #settle(): void {
        while (this.#free > 0 && this.#waiting.length > 0) {
            const [first] = this.#waiting.splice(0, 1) as [Wish];
            this.#grant(first.account);
        }
        if (this.#waiting.length > 0) {
            this.#tighten();
            this.#refuse();
        } else if (this.#tight && this.#free > 0) {
            this.#tight = false;
            for (const account of this.#accounts.values()) {
                if (account.told) {
                    account.told = false;
                    account.holder.tighten(false);
                }
            }
        }
    }

    #grant(account: Account): void {
        const many = this.#accounts.size;
        const batch = many === 1 ? this.#free : Math.floor(this.#limit / (BATCHES * many));
        const count = this.#tight || this.#waiting.length > 0 ? 1 : Math.max(1, Math.min(batch, this.#free));
        this.#free -= count;
        account.held += count;
        account.holder.grant(count);
    }

    #tighten(): void {
        if (this.#tight) {
            return;
        }
        this.#tight = true;
        this.#tightSince = performance.now();
        const all = [...this.#accounts.values()].filter(({ asked }) => asked);
        // All are doubtful before the first is told: it may answer at once.
        all.forEach((account) => account.unconfirmed++);
        all.forEach((account) => {
            account.told = true;
            account.holder.tighten(true);
        });
    }

    /** Refuses those who came last, if there are too many, and nobody is known to have a permit that is not used. */
    #refuse(): void {
        if (this.#waiting.length <= this.#queue) {
            return;
        }
        const silent = performance.now() - this.#tightSince > SILENT_AFTER;
        if (silent || [...this.#accounts.values()].every(({ unconfirmed }) => unconfirmed === 0)) {
            for (const { account, id } of this.#waiting.splice(this.#queue)) {
                account.holder.refuse(id);
            }
        }
    }
}
