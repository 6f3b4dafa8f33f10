/** The promises of lib/storage/driver.ts, to be run on every storage driver. */
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { ApiError, type ErrorCode } from '../../lib/errors';
import { archiveKey, imageKey, type ObjectInfo, type StorageDriver } from '../../lib/storage/driver';

/** A storage for one run of the suite: empty, and opened by the suite. */
export interface StorageUnderTest {
    driver: StorageDriver;
    /** Another driver on the same place, and one on a place of its own, as other processes make them; not opened. */
    twin: StorageDriver;
    stranger: StorageDriver;
    /** Names of whatever a test has left that `list` might not show; must be empty after every test. */
    leftovers?(): Promise<string[]>;
    /** Called after the driver was closed. */
    remove(): Promise<void>;
}

const MIB = 1024 * 1024;

/** Bytes in chunks of the given sizes, taken in turn. */
export async function* inChunks(bytes: Buffer, ...sizes: number[]): AsyncGenerator<Buffer> {
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = sizes[turn % sizes.length]!;
        yield Buffer.from(bytes.subarray(at, at + size));
        at += size;
    }
}

export async function contentOf(
    driver: StorageDriver,
    key: string,
    start?: number,
    end?: number,
): Promise<Buffer> {
    const reader = await driver.read(key, { start, end });
    assert.ok(reader, `${key} is not there`);
    const chunks: Buffer[] = [];
    for await (const chunk of reader.body) {
        chunks.push(Buffer.from(chunk));
    }
    return Buffer.concat(chunks);
}

export async function keysIn(driver: StorageDriver, prefix: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of driver.list(prefix)) {
        keys.push(key);
    }
    return keys.sort();
}

export async function put(driver: StorageDriver, key: string, bytes: Buffer): Promise<ObjectInfo> {
    const staged = await driver.stage(key, inChunks(bytes, 64 * 1024));
    return staged.commit();
}

export function apiError(code: ErrorCode): (error: unknown) => boolean {
    return (error) => {
        assert.ok(error instanceof ApiError, `not an ApiError: ${String(error)}`);
        assert.equal(error.code, code);
        return true;
    };
}

/** A source that gives its bytes, says so, and then nothing for ever: an upload that hangs. */
function hanging(bytes: Buffer): { source: AsyncIterable<Uint8Array>; hangs: Promise<void> } {
    let say: () => void;
    const hangs = new Promise<void>((resolve) => (say = resolve));
    async function* source(): AsyncGenerator<Uint8Array> {
        yield bytes;
        say();
        await new Promise(() => undefined);
    }
    return { source: source(), hangs };
}

/** Runs the suite on a driver. `open` makes an empty storage; it is called once. */
export function describeStorage(name: string, open: () => Promise<StorageUnderTest>): void {
    describe(`storage driver ${name}`, () => {
        let storage: StorageUnderTest;
        let driver: StorageDriver;
        const image = randomUUID();
        const used = new Set<string>();
        const newKey = (of = image): string => {
            const key = imageKey(of, `file0-${randomUUID()}`);
            used.add(key);
            return key;
        };

        before(async () => {
            storage = await open();
            driver = storage.driver;
            await driver.open();
        });
        after(async () => {
            await driver.close();
            await storage.remove();
        });
        afterEach(async function () {
            for (const key of used) {
                await driver.delete(key);
            }
            used.clear();
            if (this.currentTest?.state !== 'failed') {
                const left = [...(await keysIn(driver, 'images/')), ...(await keysIn(driver, 'archive/'))];
                left.push(...((await storage.leftovers?.()) ?? []));
                assert.deepEqual(left, [], 'the test has left something behind');
            }
        });

        it('can be opened again and used', async () => {
            await driver.open();
            await driver.check();
        });

        it('has a location that tells its place from others, and no secret', () => {
            const { twin, stranger } = storage;
            assert.equal(twin.location, driver.location);
            assert.notEqual(stranger.location, driver.location);
            for (const { location } of [driver, stranger]) {
                const { username, password, search, hash } = new URL(location);
                assert.deepEqual([username, password, search, hash], ['', '', '', '']);
            }
        });

        describe('stage', () => {
            it('has an object under its key once it is committed', async () => {
                const key = newKey();
                const bytes = randomBytes(100_000);
                const staged = await driver.stage(key, inChunks(bytes, 1000));
                assert.equal(staged.size, bytes.length);
                if (driver.capabilities.hidesStaged) {
                    assert.equal(await driver.stat(key), undefined);
                    assert.equal(await driver.read(key), undefined);
                } else {
                    assert.equal((await driver.stat(key))?.size, bytes.length);
                    assert.ok(bytes.equals(await contentOf(driver, key)));
                }
                const info = await staged.commit();
                assert.equal(info.key, key);
                assert.equal(info.size, bytes.length);
                assert.ok(Math.abs(info.mtime.getTime() - Date.now()) < 60_000);
                assert.deepEqual(await driver.stat(key), info);
                assert.ok(bytes.equals(await contentOf(driver, key)));
            });

            const sizes = [0, 1, 65_536, 262_143, 262_144, 262_145, MIB - 1, MIB, MIB + 1, 5 * MIB + 3];
            for (const size of sizes) {
                it(`keeps ${size} bytes as they are`, async () => {
                    const bytes = randomBytes(size);
                    for (const chunks of [[65_536], [1, 70_000, 13, 8192, 8191], [2 * MIB], [700]]) {
                        const key = newKey();
                        await (await driver.stage(key, inChunks(bytes, ...chunks))).commit();
                        assert.ok(
                            bytes.equals(await contentOf(driver, key)),
                            `in chunks of ${chunks.join()}`,
                        );
                    }
                });
            }

            it('takes what another reader gives', async () => {
                const from = newKey();
                const to = newKey();
                const bytes = randomBytes(5 * MIB + 77);
                await put(driver, from, bytes);
                const reader = await driver.read(from);
                await (await driver.stage(to, reader!.body)).commit();
                assert.ok(bytes.equals(await contentOf(driver, to)));
            });

            it('replaces an object as a whole', async () => {
                const key = archiveKey(image);
                used.add(key);
                const before = await put(driver, key, Buffer.from('the first and longer one'));
                const after = await put(driver, key, Buffer.from('the second'));
                assert.notEqual(before.etag, after.etag);
                assert.equal((await contentOf(driver, key)).toString(), 'the second');
            });

            it('leaves what is under a name without an id as it is until the commit', async () => {
                const key = archiveKey(image);
                const id = randomUUID();
                used.add(key);
                const first = await driver.stage(key, inChunks(Buffer.from('first'), 2));
                assert.equal(await driver.stat(key), undefined);
                assert.equal(await driver.read(key), undefined);
                const before = await first.commit();
                const second = await driver.stage(key, inChunks(Buffer.from('second'), 2), { id });
                assert.deepEqual(await driver.stat(key), before);
                assert.equal((await contentOf(driver, key)).toString(), 'first');
                assert.deepEqual(await keysIn(driver, 'archive/'), [key, `${key}.${id}`]);
                await second.commit();
                assert.equal((await contentOf(driver, key)).toString(), 'second');
                assert.deepEqual(await keysIn(driver, 'archive/'), [key]);
            });

            it('lists an unfinished one under a name without an id until it is deleted', async () => {
                const key = archiveKey(image);
                const id = randomUUID();
                await driver.stage(key, inChunks(Buffer.from('{}'), 1), { id });
                await driver.delete(key);
                assert.deepEqual(await keysIn(driver, 'archive/'), [`${key}.${id}`]);
                await driver.delete(`${key}.${id}`);
                assert.deepEqual(await keysIn(driver, 'archive/'), []);
            });

            it('checks size and MD5', async () => {
                const key = newKey();
                const bytes = randomBytes(300_000);
                const contentMD5 = createHash('md5').update(bytes).digest('base64');
                const source = (): AsyncIterable<Buffer> => inChunks(bytes, 65_536);
                for (const wrong of [
                    { size: 299_999 },
                    { size: 300_001 },
                    { size: 0 },
                    { contentMD5: createHash('md5').digest('base64') },
                ]) {
                    await assert.rejects(driver.stage(key, source(), wrong), apiError('Download'));
                    assert.deepEqual(await keysIn(driver, 'images/'), []);
                }
                await (await driver.stage(key, source(), { size: 300_000, contentMD5 })).commit();
                assert.ok(bytes.equals(await contentOf(driver, key)));
            });

            it('leaves nothing behind and the former object intact when the source fails', async () => {
                const key = imageKey(image, 'file0');
                used.add(key);
                await put(driver, key, Buffer.from('former'));
                const failure = new Error('the client has gone');
                async function* failing(): AsyncGenerator<Buffer> {
                    yield randomBytes(2 * MIB);
                    throw failure;
                }
                await assert.rejects(driver.stage(key, failing()), (error) => error === failure);
                assert.deepEqual(await keysIn(driver, 'images/'), [key]);
                assert.equal((await contentOf(driver, key)).toString(), 'former');
            });

            it('ends with the reason of the signal while the source hangs', async () => {
                const controller = new AbortController();
                const { source, hangs } = hanging(randomBytes(MIB));
                const staging = driver.stage(newKey(), source, { signal: controller.signal });
                await hangs;
                const reason = new Error('stopped');
                controller.abort(reason);
                await assert.rejects(staging, (error) => error === reason);
                assert.deepEqual(await keysIn(driver, 'images/'), []);
            });

            it('does not begin if the signal is aborted already', async () => {
                const reason = new Error('stopped');
                await assert.rejects(
                    driver.stage(newKey(), inChunks(Buffer.from('x'), 1), {
                        signal: AbortSignal.abort(reason),
                    }),
                    (error) => error === reason,
                );
                assert.deepEqual(await keysIn(driver, 'images/'), []);
            });

            it('closes the source when it fails', async () => {
                let closed: () => void;
                const closing = new Promise<void>((resolve) => (closed = resolve));
                async function* source(): AsyncGenerator<Buffer> {
                    try {
                        for (;;) {
                            yield randomBytes(1000);
                        }
                    } finally {
                        closed();
                    }
                }
                await assert.rejects(
                    driver.stage(newKey(), source(), { size: 10_000 }),
                    apiError('Download'),
                );
                await closing;
            });

            it('can be discarded', async () => {
                const staged = await driver.stage(newKey(), inChunks(randomBytes(1000), 100));
                await staged.discard();
                assert.deepEqual(await keysIn(driver, 'images/'), []);
            });

            it('is undone by deleting the key, as after a crash', async () => {
                const key = newKey();
                await driver.stage(key, inChunks(randomBytes(1000), 100));
                await driver.delete(key);
                assert.deepEqual(await keysIn(driver, 'images/'), []);
            });

            it('goes on while others fail and are deleted beside it', async () => {
                const failing = async (): Promise<void> => {
                    const key = newKey();
                    await assert.rejects(driver.stage(key, inChunks(randomBytes(10), 10), { size: 9 }));
                    await driver.delete(key);
                };
                const working = async (): Promise<void> => {
                    const key = newKey();
                    await put(driver, key, Buffer.from(key));
                    assert.equal((await contentOf(driver, key)).toString(), key);
                    await driver.delete(key);
                };
                for (let round = 0; round < 10; round++) {
                    await Promise.all(Array.from({ length: 12 }, (_, n) => (n % 2 ? failing() : working())));
                }
            });
        });

        describe('read', () => {
            const bytes = randomBytes(3 * MIB + 5);
            const last = bytes.length - 1;
            let key: string;
            beforeEach(async () => {
                key = newKey();
                await put(driver, key, bytes);
            });

            it('gives undefined for an absent object', async () => {
                assert.equal(await driver.read(imageKey(image, 'file1')), undefined);
                assert.equal(await driver.read(imageKey(randomUUID(), 'file0')), undefined);
                assert.equal(await driver.stat(imageKey(randomUUID(), 'file0')), undefined);
            });

            it('tells what it reads', async () => {
                const reader = await driver.read(key, { start: 5, end: 6 });
                assert.deepEqual(reader!.info, await driver.stat(key));
                await contentOf(driver, key);
                for await (const chunk of reader!.body) {
                    assert.equal(chunk.length, 2);
                }
            });

            for (const [start, end] of [
                [0, 0],
                [0, undefined],
                [undefined, 99],
                [MIB - 1, MIB],
                [MIB, 2 * MIB - 1],
                [1, last - 1],
                [last, last],
                [last, undefined],
            ]) {
                it(`gives bytes ${start ?? ''} to ${end ?? ''}`, async () => {
                    const part = await contentOf(driver, key, start, end);
                    assert.ok(part.equals(bytes.subarray(start ?? 0, (end ?? last) + 1)));
                });
            }

            it('serves many readers at once, each its own bytes', async () => {
                const others = await Promise.all(
                    [1, 2, 3, 4].map(async (n) => {
                        const other = { key: newKey(), bytes: Buffer.alloc(2 * MIB + n, n) };
                        await put(driver, other.key, other.bytes);
                        return other;
                    }),
                );
                await Promise.all(
                    [...others, ...others, { key, bytes }].map(async (object) => {
                        assert.ok(object.bytes.equals(await contentOf(driver, object.key)));
                    }),
                );
            });

            it('gives all of the bytes to a slow consumer', async () => {
                const reader = await driver.read(key);
                const chunks: Buffer[] = [];
                for await (const chunk of reader!.body) {
                    for (let wait = 0; wait < 20; wait++) {
                        await driver.stat(key);
                    }
                    chunks.push(Buffer.from(chunk));
                }
                assert.ok(bytes.equals(Buffer.concat(chunks)));
            });

            it('can be ended early, and the object be read and deleted afterwards', async () => {
                for (let round = 0; round < 20; round++) {
                    const reader = await driver.read(key);
                    for await (const chunk of reader!.body) {
                        assert.ok(chunk.equals(bytes.subarray(0, chunk.length)));
                        break;
                    }
                }
                assert.ok(bytes.equals(await contentOf(driver, key)));
                await driver.delete(key);
            });

            it('ends with the reason of the signal', async () => {
                const controller = new AbortController();
                const reason = new Error('the client has gone');
                const reader = await driver.read(key, { signal: controller.signal });
                await assert.rejects(
                    async () => {
                        for await (const chunk of reader!.body) {
                            assert.ok(chunk.length > 0);
                            controller.abort(reason);
                        }
                    },
                    (error) => error === reason,
                );
                await assert.rejects(
                    driver.read(key, { signal: controller.signal }),
                    (error) => error === reason,
                );
            });
        });

        describe('delete', () => {
            it('counts an absent object as deleted', async () => {
                const key = newKey();
                await driver.delete(key);
                await put(driver, key, Buffer.from('x'));
                await driver.delete(key);
                await driver.delete(key);
                assert.equal(await driver.stat(key), undefined);
            });

            it('leaves the other objects of the image alone', async () => {
                const [one, two] = [newKey(), newKey()];
                const plain = imageKey(image, 'file0');
                used.add(plain);
                await put(driver, one, Buffer.from('one'));
                await put(driver, plain, Buffer.from('plain'));
                const staged = await driver.stage(two, inChunks(Buffer.from('two'), 1));
                await driver.delete(plain);
                await driver.delete(one);
                await staged.commit();
                assert.deepEqual(await keysIn(driver, 'images/'), [two]);
            });
        });

        describe('copy', () => {
            it('leaves an object as it is that is copied to itself', async () => {
                const key = newKey();
                const bytes = randomBytes(1000);
                await put(driver, key, bytes);
                assert.equal((await driver.copy(key, key))?.size, bytes.length);
                assert.ok(bytes.equals(await contentOf(driver, key)));
            });

            it('makes an object that lives on its own', async () => {
                const [from, to] = [newKey(), newKey(randomUUID())];
                const bytes = randomBytes(MIB + 1);
                await put(driver, from, bytes);
                const info = await driver.copy(from, to);
                assert.deepEqual(info, await driver.stat(to));
                assert.equal(info?.size, bytes.length);
                await driver.delete(from);
                assert.ok(bytes.equals(await contentOf(driver, to)));
            });

            it('replaces an object as a whole, however often', async () => {
                const [from, to] = [newKey(), newKey()];
                await put(driver, from, Buffer.from('new'));
                await put(driver, to, Buffer.from('older'));
                await driver.copy(from, to);
                await driver.copy(from, to);
                assert.equal((await contentOf(driver, to)).toString(), 'new');
                assert.deepEqual(await keysIn(driver, 'images/'), [from, to].sort());
            });

            it('gives undefined if there is nothing to copy, and leaves no trace', async () => {
                assert.equal(await driver.copy(newKey(), newKey(randomUUID())), undefined);
            });
        });

        describe('list', () => {
            it('gives the objects below a prefix, unfinished ones included', async () => {
                const other = randomUUID();
                const [one, two, three] = [newKey(), newKey(), newKey(other)];
                await put(driver, one, Buffer.from('1'));
                await put(driver, three, Buffer.from('333'));
                await driver.stage(two, inChunks(Buffer.from('22'), 1));
                const folder = one.slice(0, one.lastIndexOf('/') + 1);
                const listed = await keysIn(driver, folder);
                assert.equal(listed.length, 2);
                assert.ok(listed.includes(one));
                assert.ok(listed.every((key) => key.startsWith(folder)));
                assert.equal((await keysIn(driver, 'images/')).length, 3);
                assert.deepEqual(await keysIn(driver, 'archive/'), []);
                assert.deepEqual(await keysIn(driver, `images/${randomUUID()}/`), []);
                for await (const info of driver.list(three.slice(0, three.lastIndexOf('/') + 1))) {
                    assert.deepEqual(info, await driver.stat(three));
                }
            });

            it('can be ended early', async () => {
                for (const key of [newKey(), newKey(), newKey()]) {
                    await put(driver, key, Buffer.from('x'));
                }
                for await (const { size } of driver.list('images/')) {
                    assert.equal(size, 1);
                    break;
                }
            });
        });

        it('has places to export to exactly where the capabilities say so', () => {
            assert.equal(driver.exports !== undefined, driver.capabilities.export);
        });

        describe('presign', () => {
            it('gives a URL of the storage itself, exactly where the capabilities say so', async () => {
                assert.equal(driver.presign !== undefined, driver.capabilities.presign);
                if (!driver.presign) {
                    return;
                }
                const key = newKey();
                const bytes = randomBytes(1000);
                await put(driver, key, bytes);
                const url = await driver.presign(key, { expiresIn: 60, contentType: 'text/x-test' });
                const whole = await fetch(url);
                assert.equal(whole.status, 200);
                assert.equal(whole.headers.get('content-type'), 'text/x-test');
                assert.ok(bytes.equals(Buffer.from(await whole.arrayBuffer())));
                const part = await fetch(url, { headers: { range: 'bytes=10-19' } });
                assert.equal(part.status, 206);
                assert.ok(bytes.subarray(10, 20).equals(Buffer.from(await part.arrayBuffer())));
                assert.equal((await fetch(url, { method: 'DELETE' })).status, 403);
                assert.equal((await fetch(url.replace(key, newKey()))).status, 403);
            });
        });

        describe('keys', () => {
            const bad = [
                '',
                '/',
                'a/',
                '/a',
                'a//b',
                '.',
                '..',
                'images/../a',
                'a/./b',
                'a\\b',
                'a b',
                'a\0b',
                'ä',
            ];
            for (const key of bad) {
                it(`refuses ${JSON.stringify(key)} everywhere`, async () => {
                    const good = imageKey(image, 'file0');
                    await assert.rejects(driver.stage(key, inChunks(Buffer.from('x'), 1)), TypeError);
                    await assert.rejects(driver.read(key), TypeError);
                    await assert.rejects(driver.stat(key), TypeError);
                    await assert.rejects(driver.delete(key), TypeError);
                    await assert.rejects(driver.copy(key, good), TypeError);
                    await assert.rejects(driver.copy(good, key), TypeError);
                    await assert.rejects(keysIn(driver, `${key}/`), TypeError);
                    if (driver.presign) {
                        await assert.rejects(driver.presign(key, { expiresIn: 60 }), TypeError);
                    }
                });
            }

            it('refuses a prefix that is not one of whole segments', async () => {
                await assert.rejects(keysIn(driver, 'images/a'), TypeError);
                await assert.rejects(keysIn(driver, ''), TypeError);
            });
        });
    });
}
