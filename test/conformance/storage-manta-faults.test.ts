/** Every way in which the connection to Manta breaks, at every operation: the outcome is one that the driver promises. */
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { ApiError, type ErrorCode } from '../../lib/errors';
import { archiveKey, imageKey, type StorageDriver } from '../../lib/storage/driver';
import type { MantaStorageOptions } from '../../lib/storage/manta';
import { FaultProxy, type Fault } from '../support/fault-proxy';
import { MantaAccount } from '../support/manta-storage';
import type { MantaServer } from '../support/manta-server';
import { contentOf, inChunks, keysIn, put } from './storage';

/** Directories of images, which nothing is to be left of. */
const IMAGE = /\/images\/[^/]+\/[^/]+$/;
/** Only where a fault takes this long: a busy machine may be slow as well. */
const SHORT = { connect: 400, answer: 400, idle: 400, pause: 5 };

const BYTES = randomBytes(400_000);
const FORMER = Buffer.from('the former object');

const answer = (status: number, code: string): Fault => ({
    kind: 'answer',
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ code, message: 'injected' }),
});

const faults = {
    reset: { kind: 'reset' },
    stall: { kind: 'stall' },
    'lost answer': { kind: 'lost-answer' },
    'slow answer': { kind: 'slow', delay: 100 },
    '500': answer(500, 'InternalError'),
    // With that code, too, when no storage node is left.
    '503': answer(503, 'InternalError'),
    throttled: answer(503, 'ThrottledError'),
    'a page of a proxy': { kind: 'answer', status: 502, body: '<html>Bad Gateway</html>' },
    '409': answer(409, 'ConcurrentRequest'),
    '507': answer(507, 'NotEnoughSpace'),
    'cut upload': { kind: 'cut-upload', after: 300_000 },
    'wrong byte sent': { kind: 'corrupt-upload', at: 300_000 },
    'wrong MD5 acknowledged': { kind: 'headers', headers: { 'computed-md5': '1B2M2Y8AsgTpgAmY7PhCfg==' } },
    'cut answer': { kind: 'cut-answer', after: 100, by: 'reset' },
    'late cut answer': { kind: 'cut-answer', after: 300_000, by: 'reset' },
    'short answer': { kind: 'cut-answer', after: 300_000, by: 'end' },
    'stalled answer': { kind: 'stall-answer', after: 300_000 },
    'wrong byte received': { kind: 'corrupt-answer', at: 300_000 },
    'first byte wrong': { kind: 'corrupt-answer', at: 0 },
    'no length': { kind: 'headers', headers: { 'content-length': undefined } },
    'no etag': { kind: 'headers', headers: { etag: undefined } },
} satisfies Record<string, Fault>;

type FaultName = keyof typeof faults;

/** How an operation ends when a fault happens once, and when it happens every time; if it is tried. */
type Outcomes = Partial<Record<FaultName, [once: 'ok' | ErrorCode, always?: 'ok' | ErrorCode]>>;

/** What every request may meet. */
const COMMON: Outcomes = {
    reset: ['ok', 'StorageIsDown'],
    stall: ['ok'],
    'slow answer': ['ok'],
    '500': ['ok', 'StorageIsDown'],
    '503': ['ok', 'StorageIsDown'],
    throttled: ['ok'],
    'a page of a proxy': ['ok', 'StorageIsDown'],
};

const ARRIVING: Outcomes = {
    'cut upload': ['StorageIsDown'],
    'wrong byte sent': ['StorageIsDown'],
    'wrong MD5 acknowledged': ['ok'],
    // It looks whether the object is there.
    'lost answer': ['ok', 'ok'],
    '409': ['ok'],
    '507': ['InsufficientStorage'],
};

const LEAVING: Outcomes = {
    'lost answer': ['ok', 'StorageIsDown'],
    'cut answer': ['ok', 'StorageIsDown'],
    'late cut answer': ['ok'],
    'short answer': ['ok'],
    'stalled answer': ['ok'],
    'wrong byte received': ['StorageIsDown'],
    'first byte wrong': ['StorageIsDown'],
    'no length': ['ok', 'StorageIsDown'],
    'no etag': ['ok', 'StorageIsDown'],
};

interface Operation {
    /** The requests that the fault happens to. */
    on: RegExp;
    outcomes: Outcomes;
    run: (driver: StorageDriver) => Promise<unknown>;
}

describe('storage in Manta when things go wrong', () => {
    const image = 'abcdef00-1111-4222-8333-444444444444';
    const existing = imageKey(image, `file0-${randomUUID()}`);
    const archived = archiveKey(image);
    let fresh: string;
    /** A new one of an image that has none yet. */
    let elsewhere: string;
    let account: MantaAccount;
    let manta: MantaServer;
    let proxy: FaultProxy;
    let direct: StorageDriver;
    let driver: StorageDriver;

    before(async () => {
        account = new MantaAccount();
        manta = await account.serve();
        proxy = await FaultProxy.start(manta.url);
        direct = account.storage(manta.url);
        await direct.open();
    });
    after(async () => {
        await direct.close();
        await proxy.stop();
        await manta.stop();
        account.remove();
    });
    beforeEach(async () => {
        fresh = imageKey(image, `file0-${randomUUID()}`);
        elsewhere = imageKey('bcdef000-1111-4222-8333-444444444444', `file0-${randomUUID()}`);
        await put(direct, existing, BYTES);
        await put(direct, archived, FORMER);
        driver = await reach({});
    });
    afterEach(async () => {
        proxy.clear();
        await driver.close();
        manta.objects.forEach((path) => manta.remove(path));
    });

    /** A driver that is in touch with Manta, through the proxy. */
    async function reach(options: Partial<MantaStorageOptions>): Promise<StorageDriver> {
        const made = account.storage(proxy.url, options);
        await made.open();
        await made.check();
        return made;
    }

    const operations: Record<string, Operation> = {
        'receiving a new object': {
            on: /^PUT .*\/file0-/,
            outcomes: { ...COMMON, ...ARRIVING },
            run: (storage) => put(storage, fresh, BYTES),
        },
        'receiving an object in the place of another': {
            on: /^PUT .*\.json$/,
            outcomes: {
                reset: ['ok', 'StorageIsDown'],
                'lost answer': ['ok'],
                '500': ['ok', 'StorageIsDown'],
            },
            run: (storage) => put(storage, archived, BYTES),
        },
        'making directories': {
            on: /^PUT .*\/(imgapi|images|bcd|bcdef000[^/]*)$/,
            outcomes: { ...COMMON, 'lost answer': ['ok'], '409': ['ok'] },
            run: (storage) => put(storage, elsewhere, BYTES),
        },
        'reading an object': {
            on: /^GET .*\/file0-/,
            outcomes: { ...COMMON, ...LEAVING },
            run: async (storage) => {
                assert.ok(BYTES.equals(await contentOf(storage, existing)));
            },
        },
        'reading a part of an object': {
            on: /^GET .*\/file0-/,
            outcomes: {
                reset: ['ok'],
                'late cut answer': ['ok'],
                'stalled answer': ['ok'],
                'short answer': ['ok'],
            },
            run: async (storage) => {
                const part = await contentOf(storage, existing, 5, 399_000);
                assert.ok(BYTES.subarray(5, 399_001).equals(part));
            },
        },
        'looking at an object': {
            on: /^HEAD .*\/file0-/,
            outcomes: {
                ...COMMON,
                'lost answer': ['ok', 'StorageIsDown'],
                'no etag': ['ok', 'StorageIsDown'],
            },
            run: async (storage) => assert.equal((await storage.stat(existing))?.size, BYTES.length),
        },
        listing: {
            on: /^GET .*limit=/,
            outcomes: {
                ...COMMON,
                'lost answer': ['ok'],
                'cut answer': ['ok', 'StorageIsDown'],
                'first byte wrong': ['ok', 'StorageIsDown'],
            },
            run: async (storage) => assert.deepEqual(await keysIn(storage, 'images/'), [existing]),
        },
        'deleting an object': {
            on: /^DELETE .*\/file0-/,
            outcomes: { ...COMMON, 'lost answer': ['ok'] },
            run: async (storage) => {
                await storage.delete(existing);
                assert.equal(await direct.stat(existing), undefined);
            },
        },
        'deleting the last object of an image': {
            on: /^DELETE .*\/abcdef00[^/]*$/,
            // The directory stays then, which does no harm.
            outcomes: { reset: ['ok'], '500': ['ok'], 'lost answer': ['ok'] },
            run: (storage) => storage.delete(existing),
        },
        'copying, at its source': {
            on: /^GET .*\/file0-/,
            outcomes: {
                reset: ['ok', 'StorageIsDown'],
                'late cut answer': ['ok'],
                'wrong byte received': ['StorageIsDown'],
            },
            run: (storage) => storage.copy(existing, fresh),
        },
        'copying, at its target': {
            on: /^PUT .*\/file0-/,
            outcomes: {
                reset: ['ok', 'StorageIsDown'],
                'cut upload': ['StorageIsDown'],
                // Manta is told the MD5 beforehand.
                'wrong byte sent': ['StorageIsDown'],
                'lost answer': ['ok'],
                '507': ['InsufficientStorage'],
            },
            run: (storage) => storage.copy(existing, fresh),
        },
    };

    /** What there is of a key is whole, and one of these. */
    async function assertWhole(key: string, ...contents: (Buffer | undefined)[]): Promise<void> {
        const found = (await direct.stat(key)) && (await contentOf(direct, key));
        assert.ok(
            contents.some((content) =>
                content === undefined ? found === undefined : found?.equals(content),
            ),
            `${key} has ${String(found?.length)} bytes`,
        );
    }

    async function endOf(work: Promise<unknown>): Promise<'ok' | ErrorCode> {
        try {
            await work;
            return 'ok';
        } catch (error) {
            assert.ok(error instanceof ApiError, String(error));
            return error.code;
        }
    }

    for (const [name, { on, outcomes, run }] of Object.entries(operations)) {
        describe(name, () => {
            const cases = Object.entries(outcomes).flatMap(([fault, [once, always]]) => [
                { fault: fault as FaultName, times: 1, ends: once },
                ...(always === undefined
                    ? []
                    : [{ fault: fault as FaultName, times: Infinity, ends: always }]),
            ]);
            for (const { fault, times, ends } of cases) {
                it(`ends with ${ends} after: ${fault} ${times === 1 ? 'once' : 'every time'}`, async () => {
                    if (fault.startsWith('stall')) {
                        await driver.close();
                        driver = await reach({ timeouts: SHORT });
                    }
                    const injected = proxy.inject({ on, fault: faults[fault], times });
                    assert.equal(await endOf(run(driver)), ends);
                    assert.ok(injected.hits > 0, 'the fault did not happen');
                    injected.end();
                    await assertWhole(existing, BYTES, ...(name.startsWith('deleting') ? [undefined] : []));
                    await assertWhole(fresh, BYTES, undefined);
                    await assertWhole(elsewhere, BYTES, undefined);
                    await assertWhole(archived, FORMER, BYTES);
                    if (ends !== 'ok') {
                        // As whoever made the key does, at the latest the sweep.
                        await driver.delete(fresh);
                    }
                    await direct.delete(existing);
                    await direct.delete(fresh);
                    await direct.delete(elsewhere);
                    for (const key of await keysIn(direct, 'archive/')) {
                        await direct.delete(key);
                    }
                    assert.deepEqual(manta.objects, []);
                    assert.deepEqual(
                        manta.directories.filter((path) => IMAGE.test(path)),
                        [],
                    );
                });
            }
        });
    }

    it('starts nothing again that was started before it was told to stop', async () => {
        for (const kind of ['stall', 'reset'] as const) {
            const controller = new AbortController();
            const reason = new Error('stopped');
            const { hit } = proxy.inject({ on: /^PUT .*\/file0-/, fault: { kind }, times: Infinity });
            const staging = driver.stage(fresh, inChunks(BYTES, 65_536), { signal: controller.signal });
            await hit;
            controller.abort(reason);
            await assert.rejects(staging, (error) => error === reason);
            proxy.clear();
        }
        await driver.delete(existing);
        await driver.delete(archived);
        assert.deepEqual(manta.objects, []);
    });
});
