/** The S3 driver behind a network and a server that fail in every way they can. */
import { CopyObjectCommand } from '@aws-sdk/client-s3';
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { createS3Storage } from '../../lib/storage/s3';
import { imageFolder, imageKey, type StorageDriver } from '../../lib/storage/driver';
import { FaultProxy, type Fault, type Injected, type SeenRequest } from '../support/fault-proxy';
import { RadosGateway } from '../support/radosgw';
import { recordingLog } from '../support/recording-log';
import { apiError, contentOf, inChunks, keysIn, put } from './storage';

const MIB = 1024 * 1024;
const SMALL = randomBytes(100_000);
/** Two parts. */
const LARGE = randomBytes(5 * MIB + 100_000);

/** The bucket that has both, to copy them from. */
const ORIGINALS = 'originals';

/** How long the driver waits where it is to see a server that says nothing, in ms. */
const SOON = 500;
/** How long it waits elsewhere: longer than a busy machine may take for an answer. */
const LATE = 20_000;

/** How often the SDK sends a request. */
const REPETITIONS = 3;

/** A pause that no test can wait for, in ms. */
const NEVER = 3_600_000;

/** As S3 says it. */
const refusal = (status: number, code: string): Fault => ({
    kind: 'answer',
    status,
    headers: { 'content-type': 'application/xml' },
    body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>no</Message></Error>`,
});

/** What is done with an object of an image of its own, and which request of that is to meet a fault. */
interface Operation {
    readonly name: string;
    /** Tests `<METHOD> <path>`. */
    readonly on: RegExp;
    /** What has to be there before. */
    readonly content?: Buffer;
    /** The request has a body, or its answer has. */
    readonly sends?: true;
    readonly receives?: true;
    /** Fails unless what was asked for has come about. */
    act(driver: StorageDriver, image: string): Promise<void>;
}

describe('S3 storage behind faults', () => {
    let server: RadosGateway;
    let proxy: FaultProxy;
    /** Goes through the proxy. */
    let driver: StorageDriver;
    let direct: StorageDriver;
    let log: { level: number; msg: string; code?: string; request?: string }[];

    const file = (image: string): string => imageKey(image, `file0-${image}`);
    const other = (image: string): string => imageKey(image, `icon-${image}`);

    before(async function () {
        server = await RadosGateway.start(this);
        proxy = await FaultProxy.start(server.url);
        await server.makeBucket(ORIGINALS);
        const originals = openDriver(server.url, LATE, [], ORIGINALS);
        await put(originals, 'small', SMALL);
        await put(originals, 'large', LARGE);
        await originals.close();
    });
    after(async () => {
        // Neither is there if the server could not be started.
        await (proxy as FaultProxy | undefined)?.stop();
        await (server as RadosGateway | undefined)?.stop();
    });
    beforeEach(async () => {
        log = [];
        driver = openDriver(proxy.url);
        direct = openDriver(server.url);
    });
    afterEach(async () => {
        await driver.close();
        await direct.close();
        proxy.clear();
        await server.empty();
    });

    function openDriver(
        endpoint: string,
        idleTimeout = LATE,
        pauses: readonly number[] = [1],
        bucket = server.bucket,
    ): StorageDriver {
        const place = { ...server.config, bucket, endpoint };
        return createS3Storage({
            config: { ...place, partSize: 5 * MIB, idleTimeout, presignRedirect: true },
            maxSockets: 100,
            log: recordingLog(log),
            pauses,
            copy: { mostAtOnce: 5 * MIB, part: 5 * MIB },
        });
    }

    /** Has S3 put a copy there, which is faster than to send it. */
    async function plant(key: string, bytes: Buffer): Promise<void> {
        const CopySource = `${ORIGINALS}/${bytes === SMALL ? 'small' : 'large'}`;
        await server.client.send(new CopyObjectCommand({ Bucket: server.bucket, Key: key, CopySource }));
    }

    async function store(through: StorageDriver, key: string, bytes: Buffer): Promise<void> {
        const info = await put(through, key, bytes);
        assert.equal(info.size, bytes.length);
        assert.ok(bytes.equals(await contentOf(direct, key)), 'what is stored is not what was sent');
    }

    const storeSmall = {
        sends: true,
        act: (to: StorageDriver, image: string) => store(to, file(image), SMALL),
    } as const;
    const storeLarge = { act: (to: StorageDriver, image: string) => store(to, file(image), LARGE) };
    const copyLarge = {
        content: LARGE,
        act: async (through: StorageDriver, image: string) => {
            await through.copy(file(image), other(image));
            assert.ok(LARGE.equals(await contentOf(direct, other(image))));
        },
    };
    const readWhole = (content: Buffer): Pick<Operation, 'content' | 'receives' | 'act'> => ({
        content,
        receives: true,
        act: async (from, image) => assert.ok(content.equals(await contentOf(from, file(image)))),
    });
    const list = {
        content: SMALL,
        receives: true,
        act: async (through: StorageDriver, image: string) =>
            assert.deepEqual(await keysIn(through, imageFolder(image)), [file(image)]),
    } as const;

    const operations: Operation[] = [
        { name: 'storing a small object', on: /^PUT .*x-id=PutObject/, ...storeSmall },
        { name: 'looking at what was stored', on: /^HEAD /, act: storeSmall.act },
        { name: 'beginning a large object', on: /^POST .*\?uploads/, receives: true, ...storeLarge },
        { name: 'sending a part of it', on: /^PUT .*partNumber=2/, sends: true, ...storeLarge },
        { name: 'completing it', on: /^POST .*uploadId=/, sends: true, receives: true, ...storeLarge },
        { name: 'reading a small object', on: /^GET .*x-id=GetObject/, ...readWhole(SMALL) },
        { name: 'reading a large one', on: /^GET .*x-id=GetObject/, ...readWhole(LARGE) },
        {
            name: 'reading a range',
            on: /^GET .*x-id=GetObject/,
            content: LARGE,
            receives: true,
            act: async (from, image) => {
                const part = await contentOf(from, file(image), MIB, 3 * MIB);
                assert.ok(part.equals(LARGE.subarray(MIB, 3 * MIB + 1)));
            },
        },
        {
            name: 'deleting',
            on: /^DELETE .*x-id=DeleteObject/,
            content: SMALL,
            act: async (through, image) => {
                await through.delete(file(image));
                assert.equal(await direct.stat(file(image)), undefined);
            },
        },
        {
            name: 'copying',
            on: /^PUT .*x-id=CopyObject/,
            content: SMALL,
            receives: true,
            act: async (through, image) => {
                await through.copy(file(image), other(image));
                assert.ok(SMALL.equals(await contentOf(direct, other(image))));
            },
        },
        { name: 'copying a part', on: /^PUT .*partNumber=2/, receives: true, ...copyLarge },
        { name: 'completing a copy', on: /^POST .*uploadId=/, receives: true, ...copyLarge },
        { name: 'listing objects', on: /^GET .*list-type=2/, ...list },
        { name: 'listing uploads', on: /^GET .*[?&]uploads/, ...list },
    ];

    /** Runs all of the operations at once, each with the fault at its request. */
    async function run(
        fault: Fault,
        times: number,
        of: (operation: Operation) => boolean,
        check: (outcome: Promise<void>, injected: Injected, operation: Operation) => Promise<void>,
    ): Promise<void> {
        await Promise.all(
            operations.filter(of).map(async (operation) => {
                const image = randomUUID();
                if (operation.content) {
                    await plant(file(image), operation.content);
                }
                const injected = proxy.inject({
                    on: ({ method, path }: SeenRequest) =>
                        path.includes(image) && operation.on.test(`${method} ${path}`),
                    fault,
                    times,
                });
                await check(operation.act(driver, image), injected, operation);
                injected.end();
                // As the sweep does it with what a pending row names.
                await direct.delete(file(image));
                await direct.delete(other(image));
            }),
        );
    }

    const any = (): boolean => true;
    const sends = ({ sends }: Operation): boolean => sends === true;
    const receives = ({ receives }: Operation): boolean => receives === true;
    const reads = ({ on }: Operation): boolean => on.test('GET /x-id=GetObject');

    /** Whether the server is silent, which nobody can tell from a busy machine. */
    const isSilence = ({ kind }: Fault): boolean => kind === 'stall' || kind === 'stall-answer';

    const faults: [string, Fault, (operation: Operation) => boolean][] = [
        ['a connection that is reset', { kind: 'reset' }, any],
        ['a server that says nothing', { kind: 'stall' }, any],
        ['an error of the server', refusal(500, 'InternalError'), any],
        ['a server that is busy', refusal(503, 'SlowDown'), any],
        [
            'a gateway before the server that fails',
            { kind: 'answer', status: 502, body: '<html>bad</html>' },
            any,
        ],
        ['an answer that is lost', { kind: 'lost-answer' }, any],
        ['an upload that is cut off', { kind: 'cut-upload', after: 100 }, sends],
        ['an upload that arrives damaged', { kind: 'corrupt-upload', at: 100 }, sends],
        ['an answer that is cut off', { kind: 'cut-answer', after: 50, by: 'reset' }, receives],
        ['an answer that ends too early', { kind: 'cut-answer', after: 50, by: 'end' }, receives],
        ['an answer that does not go on', { kind: 'stall-answer', after: 50 }, receives],
    ];

    for (const [name, fault, of] of faults) {
        it(`survives ${name}, and gives up with an error where it goes on`, async () => {
            const once = (): Promise<void> =>
                run(fault, 1, of, async (outcome, injected, operation) => {
                    await assert.doesNotReject(outcome, operation.name);
                    assert.equal(injected.hits, 1, `${operation.name} was not tried with the fault`);
                });
            const always = (): Promise<void> =>
                run(fault, Infinity, of, async (outcome, injected, operation) => {
                    await assert.rejects(outcome, apiError('StorageIsDown'), operation.name);
                    assert.ok(injected.hits > 1, `${operation.name} was not tried again`);
                });
            if (isSilence(fault)) {
                driver = openDriver(proxy.url, SOON);
                await once();
                await always();
            } else {
                await Promise.all([once(), always()]);
            }
            assert.deepEqual(await server.contents(), [], 'something is left');
        });
    }

    it('waits for a server that is slow', async () => {
        await run({ kind: 'slow', delay: 100 }, Infinity, any, async (outcome) => outcome);
        assert.deepEqual(await server.contents(), []);
    });

    it('goes on with a download where it broke, however often, while there is progress', async () => {
        const image = randomUUID();
        await plant(file(image), LARGE);
        const cut = proxy.inject({
            on: /^GET .*x-id=GetObject/,
            fault: { kind: 'cut-answer', after: MIB + 1, by: 'end' },
            times: 5,
        });
        assert.ok(LARGE.equals(await contentOf(driver, file(image))));
        assert.equal(cut.hits, 5);
        const ranges = proxy.requests.map(({ headers }) => headers.range);
        assert.equal(ranges[0], undefined);
        assert.ok(
            ranges.slice(1).every((range) => /^bytes=[1-9]\d*-/.test(range ?? '')),
            ranges.join(),
        );
        assert.ok(proxy.requests.slice(1).every(({ headers }) => headers['if-match'] !== undefined));
    });

    it('goes on with a download after an outage that is longer than one request is repeated for', async () => {
        driver = openDriver(proxy.url, LATE, [1, 1]);
        const image = randomUUID();
        await plant(file(image), LARGE);
        const on = /^GET .*x-id=GetObject/;
        proxy.inject({ on, fault: { kind: 'cut-answer', after: 2 * MIB, by: 'reset' } });
        const outage = proxy.inject({ on, fault: { kind: 'reset' }, times: REPETITIONS });
        assert.ok(LARGE.equals(await contentOf(driver, file(image))));
        assert.equal(outage.hits, REPETITIONS);
    });

    it('never joins two objects when one is replaced while it is read', async () => {
        const key = imageKey(randomUUID(), 'file0');
        await plant(key, LARGE);
        proxy.inject({ on: /^GET /, fault: { kind: 'cut-answer', after: 2 * MIB, by: 'reset' } });
        const reader = await driver.read(key);
        await put(direct, key, Buffer.from(LARGE).reverse());
        await assert.rejects(async () => {
            for await (const chunk of reader!.body) {
                assert.ok(chunk.length > 0);
            }
        }, apiError('StorageIsDown'));
    });

    it('knows an upload that was completed although the server forgot it with its answer', async () => {
        const image = randomUUID();
        const on = /^POST .*uploadId=/;
        proxy.inject({ on, fault: { kind: 'lost-answer' } });
        proxy.inject({ on, fault: refusal(404, 'NoSuchUpload') });
        await store(driver, file(image), LARGE);
    });

    it('fails an upload that somebody else has ended', async () => {
        const image = randomUUID();
        proxy.inject({ on: /^POST .*uploadId=/, fault: refusal(404, 'NoSuchUpload'), times: Infinity });
        await assert.rejects(put(driver, file(image), LARGE), apiError('StorageIsDown'));
        assert.deepEqual(await server.contents(), []);
    });

    it('clears away an upload that was begun twice, because the first answer was lost', async () => {
        const image = randomUUID();
        proxy.inject({ on: /^POST .*\?uploads/, fault: { kind: 'lost-answer' } });
        await store(driver, file(image), LARGE);
        const listed = await keysIn(driver, imageFolder(image));
        const unfinished = imageKey(image, `file0.${image}`);
        assert.deepEqual(listed, [file(image), unfinished]);
        await driver.delete(unfinished);
        assert.deepEqual(await server.contents(), [file(image)]);
        assert.ok(LARGE.equals(await contentOf(driver, file(image))));
    });

    it('does not give a small object out that arrives damaged', async () => {
        const small = (operation: Operation): boolean => reads(operation) && operation.content === SMALL;
        const fault: Fault = { kind: 'corrupt-answer', at: 5000 };
        await run(fault, 1, small, async (outcome) => outcome);
        await run(fault, Infinity, small, (outcome) => assert.rejects(outcome, apiError('StorageIsDown')));
    });

    it('leaves nothing of an upload that the server takes no part of any more', async () => {
        const image = randomUUID();
        proxy.inject({ on: /partNumber=2/, fault: { kind: 'reset' }, times: Infinity });
        await assert.rejects(put(driver, file(image), LARGE), apiError('StorageIsDown'));
        assert.deepEqual(await server.contents(), []);
    });

    it('ends an upload at once when it is aborted while the server is silent', async () => {
        const stall = proxy.inject({ on: /partNumber=1/, fault: { kind: 'stall' }, times: Infinity });
        const controller = new AbortController();
        const reason = new Error('stopped');
        const staging = driver.stage(file(randomUUID()), inChunks(LARGE, 65_536), {
            signal: controller.signal,
        });
        await Promise.all([
            assert.rejects(staging, (error) => error === reason),
            stall.hit.then(() => controller.abort(reason)),
        ]);
        assert.deepEqual(await server.contents(), []);
    });

    it('says once in the log that the server is gone, and once that it is back', async () => {
        await proxy.goAway();
        const image = randomUUID();
        for (let n = 0; n < 3; n++) {
            await assert.rejects(driver.stat(file(image)), apiError('StorageIsDown'));
            await assert.rejects(driver.check(), apiError('StorageIsDown'));
        }
        const [told, ...more] = log.filter(({ level }) => level >= 40);
        assert.deepEqual(more, []);
        assert.equal(told!.msg, 'S3: not usable; trying on');
        assert.equal(told!.code, 'ECONNREFUSED');
        await proxy.comeBack();
        assert.equal(await driver.stat(file(image)), undefined);
        assert.equal(log.filter(({ msg }) => msg === 'S3: usable again').length, 1);
    });

    const wrongs: [string, string, number, RegExp][] = [
        [
            'NoSuchBucket',
            'a bucket that is not there',
            404,
            /no bucket "images": create it, or correct "s3\.bucket"/,
        ],
        ['InvalidAccessKeyId', 'an unknown access key', 403, /correct "s3\.accessKeyId"/],
        ['SignatureDoesNotMatch', 'a wrong secret', 403, /correct "s3\.secretAccessKey"/],
        ['AccessDenied', 'a user without permission', 403, /do not permit what is needed/],
        ['RequestTimeTooSkewed', 'a clock that is wrong', 403, /clocks .* differ/],
        ['ExpiredToken', 'credentials that have expired', 400, /have expired/],
        ['PermanentRedirect', 'another region', 301, /not in region "us-east-1": correct "s3\.region"/],
    ];
    for (const [code, name, status, advice] of wrongs) {
        it(`tells what to do about ${name}, and tells clients no more than that`, async () => {
            proxy.inject({ on: () => true, fault: refusal(status, code), times: Infinity });
            await driver.open();
            const image = randomUUID();
            for (const call of [
                () => driver.check(),
                () => driver.stat(file(image)),
                () => driver.read(file(image)),
                () => driver.delete(file(image)),
                () => driver.copy(file(image), other(image)),
                () => keysIn(driver, 'images/'),
                () => put(driver, file(image), SMALL),
            ]) {
                await assert.rejects(call(), (error) => {
                    assert.doesNotMatch((error as Error).message, /bucket|key|secret|clock|region/);
                    return apiError('InternalError')(error);
                });
            }
            const told = log.filter(({ level }) => level >= 50);
            // What is not permitted is told of each kind of request.
            const requests = new Set(told.map(({ request }) => request));
            assert.deepEqual([told.length, requests.size > 1], [requests.size, code === 'AccessDenied']);
            told.forEach(({ msg }) => assert.match(msg, advice));
            proxy.clear();
            await driver.check();
        });
    }

    it('tells at once that a bucket is full, and once in the log', async () => {
        driver = openDriver(proxy.url, LATE, [NEVER]);
        const full = proxy.inject({
            on: /^PUT /,
            fault: refusal(403, 'QuotaExceeded'),
            times: Infinity,
        });
        for (const bytes of [SMALL, LARGE, SMALL]) {
            await assert.rejects(put(driver, file(randomUUID()), bytes), apiError('InsufficientStorage'));
        }
        assert.deepEqual(await server.contents(), []);
        // The remains were deleted meanwhile, which says nothing of new ones.
        const told = log.map(({ request, msg }) => `${request ?? ''}: ${msg}`);
        const advice = 'it has no room left for bucket "images": delete images, or raise the quota';
        assert.deepEqual(
            told.sort(),
            ['PutObject', 'UploadPart'].map((request) => `${request}: S3: not usable: ${advice}`),
        );
        full.end();
        await store(driver, file(randomUUID()), SMALL);
        await store(driver, file(randomUUID()), LARGE);
        assert.equal(log.at(-1)?.msg, 'S3: usable again');
    });

    it('signs URLs by the clock of S3 where that of this machine is wrong', async () => {
        const image = randomUUID();
        const HOUR = 3_600_000;
        const date = new Date(Date.now() + HOUR).toUTCString();
        await plant(file(image), SMALL);
        proxy.inject({ on: /^HEAD /, fault: { kind: 'headers', headers: { date } } });
        await driver.stat(file(image));
        const url = new URL((await driver.presign?.(file(image), { expiresIn: 900 })) ?? '');
        const [, ...parts] =
            /^(....)(..)(..T..)(..)(..Z)$/.exec(url.searchParams.get('X-Amz-Date') ?? '') ?? [];
        const signed = Date.parse(`${parts.slice(0, 3).join('-')}:${parts.slice(3).join(':')}`);
        assert.ok(Math.abs(signed - Date.parse(date)) < HOUR / 2, url.href);
    });
});
