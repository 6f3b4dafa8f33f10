import assert from 'node:assert/strict';
import { AccountCache } from '../../lib/dc/account-cache';
import type { Account, AccountDirectory } from '../../lib/dc/driver';
import { newUuid, OTHER, OWNER, UNKNOWN } from '../support/api';

const LIFETIME = 1000;

/** A directory that a test fills, and that notes what it is asked. */
class Accounts implements AccountDirectory {
    readonly connected = true;
    readonly asked: string[] = [];
    readonly known = new Set<string>([OWNER, OTHER]);
    /** What an answer waits for. */
    before: () => Promise<void> = async () => undefined;

    async find(uuid: string): Promise<Account | undefined> {
        this.asked.push(uuid);
        const account = this.known.has(uuid) ? { uuid, login: `login-${uuid.slice(0, 4)}` } : undefined;
        await this.before();
        return account;
    }
    dropCache(): void {
        this.asked.length = 0;
    }
    async open(): Promise<void> {
        // Nothing to do.
    }
    async close(): Promise<void> {
        // Nothing to do.
    }
}

describe('AccountCache (ufds.md §4)', () => {
    let accounts: Accounts;
    let now: number;
    let cache: AccountCache;
    beforeEach(() => {
        accounts = new Accounts();
        now = 5000;
        cache = new AccountCache(accounts, LIFETIME, () => now);
    });

    it('asks once for an account that is there, until its time is over', async () => {
        for (const later of [0, 1, LIFETIME - 1]) {
            now = 5000 + later;
            assert.equal((await cache.find(OWNER))?.uuid, OWNER);
        }
        assert.deepEqual(accounts.asked, [OWNER]);
        accounts.known.delete(OWNER);
        now = 5000 + LIFETIME + 1;
        assert.equal(await cache.find(OWNER), undefined);
        assert.deepEqual(accounts.asked, [OWNER, OWNER]);
    });

    it('does not count from when it was used last', async () => {
        for (let later = 0; later <= 3 * LIFETIME; later += LIFETIME / 2 + 1) {
            now = 5000 + later;
            await cache.find(OWNER);
        }
        assert.equal(accounts.asked.length, 3);
    });

    it('counts from when the directory was asked, however late it answers', async () => {
        accounts.before = async () => {
            now += LIFETIME;
            accounts.known.delete(OWNER);
        };
        assert.equal((await cache.find(OWNER))?.uuid, OWNER);
        now++;
        assert.equal(await cache.find(OWNER), undefined);
    });

    it('asks every time for an account that is not there', async () => {
        assert.equal(await cache.find(UNKNOWN), undefined);
        accounts.known.add(UNKNOWN);
        assert.equal((await cache.find(UNKNOWN))?.uuid, UNKNOWN);
    });

    it('does not remember that the directory could not be asked', async () => {
        accounts.before = () => Promise.reject(new Error('down'));
        await assert.rejects(cache.find(OWNER), /down/);
        await assert.rejects(cache.find(OWNER), /down/);
        accounts.before = async () => undefined;
        assert.equal((await cache.find(OWNER))?.uuid, OWNER);
        assert.equal(accounts.asked.length, 3);
    });

    it('gives what it remembers while the directory cannot be asked', async () => {
        await cache.find(OWNER);
        accounts.before = () => Promise.reject(new Error('down'));
        assert.equal((await cache.find(OWNER))?.uuid, OWNER);
        await assert.rejects(cache.find(OTHER), /down/);
    });

    it('remembers 1,000 accounts, those that were asked for last', async () => {
        const uuids = Array.from({ length: 1001 }, newUuid);
        for (const uuid of uuids) {
            accounts.known.add(uuid);
            await cache.find(uuid);
        }
        await cache.find(uuids.at(-1) ?? '');
        await cache.find(uuids[1] ?? '');
        assert.equal(accounts.asked.length, 1001);
        await cache.find(uuids[0] ?? '');
        assert.equal(accounts.asked.length, 1002);
    });

    it('forgets when it is told to', async () => {
        await cache.find(OWNER);
        cache.dropCache();
        await cache.find(OWNER);
        assert.deepEqual(accounts.asked, [OWNER]);
    });
});
