import { LRUCache } from 'lru-cache';
import type { Account, AccountDirectory } from './driver';

/** Accounts remembered at most; the one looked up longest ago goes first. */
const MOST_ACCOUNTS = 1000;

/**
 * A directory of accounts whose answers count for a while (`ufds.cache`, ufds.md §4).
 *
 * Only accounts that are there are remembered: one that has just been made counts at once. One that was deleted goes on
 * counting for `lifetime` at most, measured from when the directory was asked, not from when it answered. Each process
 * remembers for itself.
 */
export class AccountCache implements AccountDirectory {
    readonly #directory: AccountDirectory;
    readonly #accounts: LRUCache<string, Account>;

    readonly #now: () => number;

    /**
     * @param lifetime ms, at least 1
     * @param now a clock that nobody sets, in ms
     */
    constructor(directory: AccountDirectory, lifetime: number, now = () => performance.now()) {
        this.#directory = directory;
        this.#now = now;
        this.#accounts = new LRUCache({ max: MOST_ACCOUNTS, ttl: lifetime, ttlResolution: 0, perf: { now } });
    }

    get connected(): boolean {
        return this.#directory.connected;
    }

    async find(uuid: string): Promise<Account | undefined> {
        const known = this.#accounts.get(uuid);
        if (known) {
            return known;
        }
        const start = this.#now();
        const found = await this.#directory.find(uuid);
        if (found) {
            this.#accounts.set(uuid, found, { start });
        }
        return found;
    }

    dropCache(): void {
        this.#accounts.clear();
        this.#directory.dropCache();
    }

    open(): Promise<void> {
        return this.#directory.open();
    }

    close(): Promise<void> {
        return this.#directory.close();
    }
}
