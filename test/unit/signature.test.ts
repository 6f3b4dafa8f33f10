/** The verifier of signatures: what takes a clock, a database or keys that no server has. */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import type { SignedRequest } from '../../lib/auth/driver';
import type { KeySource } from '../../lib/auth/key-source';
import { KeyStore } from '../../lib/auth/key-store';
import { parseKey, type KeyRing, type VerifyKey } from '../../lib/auth/keys';
import { Roles } from '../../lib/auth/roles';
import { SignatureAuthenticator } from '../../lib/auth/signature';
import { UsedSignatures } from '../../lib/auth/used-signatures';
import type { LeaseStore, ReplayStore } from '../../lib/db/driver';
import { ApiError, type ErrorCode } from '../../lib/errors';
import { signedHeaders, type Signing } from '../support/keys';
import { recordingLog } from '../support/recording-log';
import { testKeys } from '../support/registry';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

function sourceOf(keys: KeyRing): KeySource {
    const done = () => Promise.resolve();
    return { name: 'test', keys, open: done, close: done, reload: done };
}

const leases: LeaseStore = {
    acquire: () => Promise.resolve(true),
    release: () => Promise.resolve(),
};

interface Remembered {
    value: string;
    expires: number;
    now: number;
}

/** A memory of what was used that can be looked at, or that fails. */
class TestReplay implements ReplayStore {
    readonly remembered: Remembered[] = [];
    failure: ErrorCode | undefined;
    onPrune: (now: number) => void = () => undefined;

    remember(value: string, expires: number, now: number): Promise<boolean> {
        if (this.failure !== undefined) {
            return Promise.reject(new ApiError(this.failure, 'the test said so'));
        }
        const used = this.remembered.some((former) => former.value === value);
        this.remembered.push({ value, expires, now });
        return Promise.resolve(!used);
    }

    prune(now: number): Promise<number> {
        this.onPrune(now);
        return Promise.resolve(0);
    }
}

describe('SignatureAuthenticator', () => {
    const [key, stranger] = testKeys();
    let authenticator: SignatureAuthenticator;
    let replay: TestReplay;
    let logged: object[];
    let now = NOW;

    async function start(
        config: { replayWindow?: number } = {},
        keys: KeyRing = new Map([['alice', [parseKey(key.publicLine)]]]),
    ): Promise<void> {
        now = NOW;
        logged = [];
        replay = new TestReplay();
        const log = recordingLog(logged);
        const clock = { now: () => now, uuid: () => '' };
        authenticator = new SignatureAuthenticator({
            keys: new KeyStore([sourceOf(keys)], log),
            roles: new Roles({}),
            config: {
                reads: 'anonymous',
                hideUnpublished: false,
                roles: {},
                requireSigned: [],
                keyPollInterval: 1,
                ...config,
            },
            clock,
            log,
            used:
                config.replayWindow === undefined
                    ? undefined
                    : new UsedSignatures({ replay, leases, holder: 'test', clock, log }),
        });
        await authenticator.open();
    }
    afterEach(() => authenticator.close());

    function request(signing: Signing = {}, by = key): SignedRequest {
        const headers = signedHeaders('alice', by, { date: new Date(NOW), ...signing });
        return { method: 'GET', url: '/', httpVersion: '1.1', headers };
    }
    const authenticate = (signed: SignedRequest = request()) => authenticator.authenticate(signed, true);
    const refused = (code: ErrorCode, message: RegExp) => (error: unknown) => {
        assert.ok(error instanceof ApiError);
        assert.equal(error.code, code);
        assert.match(error.message, message);
        return true;
    };

    describe('the clock', () => {
        it('may differ by 300 s, and by not a ms more', async () => {
            await start();
            for (const [off, side] of [
                [300_000, 'behind'],
                [-300_000, 'ahead of'],
            ] as const) {
                now = NOW + off;
                assert.ok(await authenticate());
                now = NOW + off + Math.sign(off);
                await assert.rejects(
                    authenticate(),
                    refused('UnauthorizedError', new RegExp(`300\\.001 s ${side} this server's clock`)),
                );
            }
        });

        it('may differ by the window in which a signature counts, if that is less', async () => {
            await start({ replayWindow: 60_000 });
            now = NOW + 60_001;
            await assert.rejects(authenticate(), refused('UnauthorizedError', /60\.001 s behind/));
            now = NOW + 60_000;
            assert.ok(await authenticate());
        });

        it('never differs by more than 300 s', async () => {
            await start({ replayWindow: 400_000 });
            now = NOW - 300_001;
            await assert.rejects(authenticate(), refused('UnauthorizedError', /300\.001 s ahead/));
        });
    });

    describe('signatures that count once', () => {
        it('are remembered for as long as their date would be taken', async () => {
            await start({ replayWindow: 60_000 });
            for (now of [NOW - 60_000, NOW, NOW + 60_000]) {
                await authenticate().catch(() => undefined);
            }
            assert.equal(replay.remembered.length, 3);
            for (const { value, expires } of replay.remembered) {
                assert.match(value, /^[0-9a-f]{64}$/);
                assert.equal(expires, NOW + 60_001, 'the first ms at which the date is refused');
            }
        });

        it('are not remembered if they do not verify', async () => {
            await start({ replayWindow: 60_000 });
            await assert.rejects(authenticate(request({}, stranger)), refused('UnauthorizedError', /alice/));
            assert.deepEqual(replay.remembered, []);
        });

        it('are not taken while it cannot be known whether they were used', async () => {
            await start({ replayWindow: 60_000 });
            for (const failure of ['ServiceUnavailableError', 'InsufficientStorage'] as const) {
                replay.failure = failure;
                await assert.rejects(authenticate(), refused('ServiceUnavailableError', /./));
            }
        });

        it('are forgotten regularly, those last that a server with a slow clock may still take', async () => {
            await start({ replayWindow: 60_000 });
            const pruned = await new Promise<number>((resolve) => {
                replay.onPrune = resolve;
            });
            assert.equal(pruned, NOW - 300_000);
        });

        it('are not remembered unless that is asked for', async () => {
            await start();
            await authenticate();
            await authenticate();
            assert.deepEqual(replay.remembered, []);
        });
    });

    it('passes over a key with which the crypto library does not work', async () => {
        const ed25519 = createPublicKey({
            key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.alloc(32, 1).toString('base64url') },
            format: 'jwk',
        });
        const odd: VerifyKey = { key: ed25519, type: 'rsa', fingerprint: 'SHA256:odd' };
        await start({}, new Map([['alice', [odd, parseKey(key.publicLine)]]]));
        assert.ok(await authenticate());
        assert.ok(
            logged.some((record) => (record as { fingerprint?: string }).fingerprint === 'SHA256:odd'),
            'and says so in the log',
        );
    });
});

describe('KeyStore: those who stand in for users that are not there', () => {
    const [one, two] = testKeys().map(({ publicLine }) => [parseKey(publicLine)]);
    const names = Array.from({ length: 100 }, (_, n) => `user${n}`);

    async function storeOf(keys: [string, readonly VerifyKey[]][]): Promise<KeyStore> {
        const store = new KeyStore([sourceOf(new Map(keys))], recordingLog([]));
        await store.open();
        return store;
    }

    it('are some users, for each name always the same one, in every process', async () => {
        assert.ok(one && two);
        const store = await storeOf([
            ['alice', one],
            ['bob', two],
            ['nobody', []],
        ]);
        const elsewhere = await storeOf([
            ['bob', two],
            ['alice', one],
        ]);
        const chosen = names.map((name) => store.standIn(name));
        assert.deepEqual(
            chosen.map(([verifyKey]) => verifyKey),
            names.map((name) => elsewhere.standIn(name)[0]),
        );
        assert.deepEqual(new Set(chosen.flat()), new Set([...one, ...two]));
    });

    it('are none if there is nobody', async () => {
        const store = await storeOf([['nobody', []]]);
        assert.deepEqual(store.standIn('alice'), []);
    });
});
