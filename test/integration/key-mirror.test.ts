/** Mirrors of the key files of an object store (auth.md §5), with a folder of this machine as the store. */
import assert from 'node:assert/strict';
import { lstat, mkdir, readdir, readFile, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MirrorKeysOptions } from '../../lib/auth/mirror-keys';
import type { ObjectInfo, ObjectReader, StorageDriver } from '../../lib/storage/driver';
import { createLocalStorage } from '../../lib/storage/local';
import { altered, mirrorPlace, putObject, type MirrorPlace } from '../support/key-places';
import { localDatabase } from '../support/local-database';
import { fingerprint, OpenKeys } from '../support/open-keys';
import { testKeys } from '../support/registry';

const MARKER = '.source.json';
const DOWN = new Error('the object store is down');

/** A promise that stays open until it is told. */
function gate(): { opened: Promise<void>; open: () => void } {
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    return { opened, open };
}

describe('Mirrors of key files', () => {
    const [one, two] = testKeys();
    const ONE = fingerprint(one.publicLine);
    const TWO = fingerprint(two.publicLine);
    let place: MirrorPlace;
    let opened: OpenKeys[];

    beforeEach(async () => {
        place = await mirrorPlace();
        opened = [];
    });
    afterEach(async () => {
        await Promise.all(opened.map(({ source }) => source.close()));
        await place.remove();
    });

    /** Opens a mirror; its first poll may still be going on. */
    async function open(options: Partial<MirrorKeysOptions> = {}): Promise<OpenKeys> {
        const keys = await OpenKeys.on((log) => place.mirror({ log, ...options }));
        opened.push(keys);
        return keys;
    }
    /** … and has it polled. */
    async function polled(options: Partial<MirrorKeysOptions> = {}): Promise<OpenKeys> {
        const keys = await open(options);
        await keys.source.reload();
        return keys;
    }
    const path = (name: string): string => join(place.folder, name);
    const names = async (): Promise<string[]> => (await readdir(place.folder)).sort();
    const messages = (keys: OpenKeys): string[] => keys.warnings.map(({ text }) => text);
    const COMPLETE = [MARKER, '.synced'];

    describe('fetch', () => {
        it('only the files <user>.keys of keys/ and the older authkeys/', async () => {
            for (const name of [
                'alice.keys',
                '.bob.keys',
                '.keys',
                'carol.key',
                'deep/dave.keys',
                'erin.keys.new',
            ]) {
                await place.putObject(`keys/${name}`, one.publicLine);
            }
            await place.putObject('authkeys/frank.keys', two.publicLine);
            await place.putObject('grace.keys', two.publicLine);
            const keys = await polled();
            assert.deepEqual(keys.users(), { alice: [ONE], frank: [TWO] });
            assert.deepEqual(await names(), [...COMPLETE, 'alice.keys', 'frank.keys']);
        });

        it('the keys of both where a name is in both', async () => {
            await place.putObject('keys/alice.keys', `\uFEFF${one.publicLine}`);
            await place.putObject('authkeys/alice.keys', `# no newline at the end\n${two.publicLine}`);
            const keys = await polled();
            assert.deepEqual(keys.users(), { alice: [TWO, ONE] });
            assert.deepEqual(keys.warnings, []);
            await place.store.delete('authkeys/alice.keys');
            await keys.source.reload();
            assert.deepEqual(keys.users(), { alice: [ONE] });
        });

        it('a file that has changed and kept its size', async () => {
            const [first, second] = ['#1', '#2'].map((comment) => `${one.publicLine}\n${comment}\n`);
            await place.put('alice', first!);
            const keys = await polled();
            await place.put('alice', second!);
            await keys.source.reload();
            assert.equal(await readFile(path('alice.keys'), 'utf8'), second);
        });

        it('nothing that is here already', async () => {
            const reads: string[] = [];
            const driver = altered(place.store, {
                read: (key, options) => {
                    reads.push(key);
                    return place.store.read(key, options);
                },
            });
            await place.put('alice', one.publicLine);
            const keys = await polled({ driver });
            await keys.source.reload();
            assert.deepEqual(reads, ['keys/alice.keys']);
        });

        it('a file whose content comes in chunks that share their memory', async () => {
            const text = `${one.publicLine}\n${two.publicLine}\n`;
            await place.put('alice', text);
            const driver = altered(place.store, {
                read: async (key, options) => {
                    const reader = (await place.store.read(key, options))!;
                    return { info: reader.info, body: inOneBuffer(reader) };
                },
            });
            const keys = await polled({ driver });
            assert.deepEqual(keys.users(), { alice: [ONE, TWO] });
            assert.equal(await readFile(path('alice.keys'), 'utf8'), text);
        });
        async function* inOneBuffer(reader: ObjectReader): AsyncGenerator<Buffer> {
            const memory = Buffer.alloc(100);
            for await (const chunk of reader.body) {
                for (let at = 0; at < chunk.length; at += memory.length) {
                    const size = chunk.copy(memory, 0, at);
                    yield memory.subarray(0, size);
                }
            }
            memory.fill(0);
        }

        it('again and again by themselves', async () => {
            await place.put('alice', one.publicLine);
            const keys = await open({ interval: 20 });
            await keys.until(({ alice }) => alice?.join() === ONE);
            await place.put('alice', two.publicLine);
            await keys.until(({ alice }) => alice?.join() === TWO);
            await place.drop('alice');
            await keys.until(({ alice }) => alice === undefined);
            assert.deepEqual(keys.warnings, []);
        });
    });

    describe('revoke', () => {
        it('a user whose file is deleted, everywhere', async () => {
            await place.put('alice', one.publicLine);
            await place.put('bob', one.publicLine);
            const [first, second] = [await polled(), await polled()];
            await place.drop('alice');
            await first.source.reload();
            assert.deepEqual(first.users(), { bob: [ONE] });
            await second.until(({ alice }) => alice === undefined);
            assert.deepEqual(await names(), [...COMPLETE, 'bob.keys']);
            assert.deepEqual((await open()).users(), { bob: [ONE] });
        });

        it('all, where nothing is left in the object store', async () => {
            await place.put('alice', one.publicLine);
            const keys = await polled();
            await place.drop('alice');
            await keys.source.reload();
            assert.deepEqual(keys.users(), {});
            assert.deepEqual(await names(), COMPLETE);
        });

        it('before anything is fetched', async () => {
            await place.put('alice', one.publicLine);
            const hanging = gate();
            const driver = altered(place.store, {
                read: async (key, options) => {
                    if (key.endsWith('bob.keys')) {
                        await hanging.opened;
                    }
                    return place.store.read(key, options);
                },
            });
            const keys = await polled({ driver });
            await place.drop('alice');
            await place.put('bob', one.publicLine);
            const reloaded = keys.source.reload();
            await keys.until(({ alice }) => alice === undefined);
            assert.deepEqual(keys.users(), {});
            hanging.open();
            await reloaded;
            assert.deepEqual(keys.users(), { bob: [ONE] });
        });
    });

    describe('at the start', () => {
        it('have the keys of before, and do not wait for the object store', async () => {
            await place.put('alice', one.publicLine);
            await (await polled()).source.close();
            await place.put('bob', one.publicLine);
            const hanging = gate();
            const driver = altered(place.store, {
                async *list(prefix) {
                    await hanging.opened;
                    yield* place.store.list(prefix);
                },
            });
            const keys = await open({ driver });
            assert.deepEqual(keys.users(), { alice: [ONE] });
            hanging.open();
            await keys.until(({ bob }) => bob?.join() === ONE);
        });

        it('can be closed again while the object store does not answer', async () => {
            const asked = gate();
            const driver = altered(place.store, {
                async *list() {
                    asked.open();
                    await new Promise(() => undefined);
                    yield* [];
                },
            });
            const keys = await open({ driver });
            await asked.opened;
            await keys.source.close();
            assert.deepEqual(messages(keys), []);
        });
    });

    describe('while the object store fails', () => {
        /** The store, which does as it is told. */
        function moody(): {
            driver: StorageDriver;
            mood: { fails?: 'list' | 'half a list' | 'read' | 'half a read' };
        } {
            const mood: { fails?: 'list' | 'half a list' | 'read' | 'half a read' } = {};
            async function* list(prefix: string): AsyncGenerator<ObjectInfo> {
                if (mood.fails === 'list') {
                    throw DOWN;
                }
                for await (const info of place.store.list(prefix)) {
                    yield info;
                    if (mood.fails === 'half a list') {
                        throw DOWN;
                    }
                }
            }
            async function* body(reader: ObjectReader): AsyncGenerator<Buffer> {
                for await (const chunk of reader.body) {
                    if (mood.fails === 'half a read') {
                        yield chunk.subarray(0, 10);
                        throw DOWN;
                    }
                    yield chunk;
                }
            }
            const read: StorageDriver['read'] = async (key, options) => {
                const bob = key.endsWith('bob.keys');
                if (bob && mood.fails === 'read') {
                    throw DOWN;
                }
                const reader = (await place.store.read(key, options))!;
                return { info: reader.info, body: bob ? body(reader) : reader.body };
            };
            return { driver: altered(place.store, { list, read }), mood };
        }

        for (const fails of ['list', 'half a list'] as const) {
            it(`with ${fails}, nothing is touched`, async () => {
                const { driver, mood } = moody();
                await place.put('alice', one.publicLine);
                await place.put('bob', one.publicLine);
                const keys = await polled({ driver });
                const before = await readFile(path(MARKER));
                mood.fails = fails;
                await place.drop('alice');
                await place.put('carol', one.publicLine);
                await assert.rejects(keys.source.reload(), /down/);
                await assert.rejects(keys.source.reload(), /down/);
                assert.deepEqual(keys.users(), { alice: [ONE], bob: [ONE] });
                assert.deepEqual(await names(), [...COMPLETE, 'alice.keys', 'bob.keys']);
                assert.deepEqual(await readFile(path(MARKER)), before);
                assert.equal(messages(keys).length, 1, 'an outage is told once');

                mood.fails = undefined;
                await keys.source.reload();
                assert.deepEqual(keys.users(), { bob: [ONE], carol: [ONE] });
            });
        }

        for (const fails of ['read', 'half a read'] as const) {
            it(`with ${fails} of a file, it stays as it was and the others go on`, async () => {
                const { driver, mood } = moody();
                await place.put('alice', one.publicLine);
                await place.put('bob', one.publicLine);
                await place.put('dave', one.publicLine);
                const keys = await polled({ driver });
                mood.fails = fails;
                await place.put('alice', two.publicLine);
                await place.put('bob', two.publicLine);
                await place.put('carol', two.publicLine);
                await place.drop('dave');
                await assert.rejects(keys.source.reload(), /bob\.keys \(the object store is down\)/);
                assert.deepEqual(keys.users(), { alice: [TWO], bob: [ONE], carol: [TWO] });
                assert.deepEqual(await names(), [...COMPLETE, 'alice.keys', 'bob.keys', 'carol.keys']);

                mood.fails = undefined;
                await keys.source.reload();
                assert.deepEqual(keys.users().bob, [TWO]);
            });
        }

        it('go on by themselves', async () => {
            const { driver, mood } = moody();
            mood.fails = 'list';
            const keys = await open({ driver, interval: 10 });
            await assert.rejects(keys.source.reload(), /down/);
            await place.put('alice', one.publicLine);
            mood.fails = undefined;
            await keys.until(({ alice }) => alice?.join() === ONE);
        });

        it('do without files that are too large, also two together, or gone meanwhile', async () => {
            const large = `${one.publicLine}\n#${'x'.repeat(600 * 1024)}`;
            await place.put('alice', large);
            await place.putObject('authkeys/alice.keys', large);
            await place.put('bob', `${large}${large}`);
            await place.put('carol', one.publicLine);
            await place.put('dave', one.publicLine);
            const driver = altered(place.store, {
                read: async (key, options) =>
                    key.endsWith('dave.keys') ? undefined : place.store.read(key, options),
            });
            const keys = await open({ driver });
            await assert.rejects(keys.source.reload(), (err: Error) => {
                assert.match(err.message, /alice\.keys \(.*1048576/);
                assert.match(err.message, /bob\.keys \(.*1048576/);
                assert.match(err.message, /dave\.keys \(.*deleted/);
                return true;
            });
            assert.deepEqual(keys.users(), { carol: [ONE] });
        });
    });

    describe('of another object store', () => {
        let other: StorageDriver;
        beforeEach(async () => {
            await mkdir(join(place.root, 'other'));
            other = createLocalStorage({ dataDir: join(place.root, 'other') });
            await other.open();
            await place.put('alice', one.publicLine);
            await (await polled()).source.close();
        });
        afterEach(() => other.close());

        it('delete nothing, and say what to do', async () => {
            await putObject(other, 'keys/bob.keys', one.publicLine);
            const before = await readFile(path(MARKER));
            const keys = await open({ driver: other });
            await assert.rejects(keys.source.reload(), (err: Error) => {
                for (const part of [
                    place.folder,
                    place.store.location,
                    other.location,
                    'alice.keys',
                    path(MARKER),
                ]) {
                    assert.ok(err.message.includes(part), `${part} in: ${err.message}`);
                }
                return true;
            });
            assert.deepEqual(keys.users(), { alice: [ONE] });
            assert.deepEqual(await names(), [...COMPLETE, 'alice.keys']);
            assert.deepEqual(await readFile(path(MARKER)), before);

            await unlink(path(MARKER));
            await keys.source.reload();
            assert.deepEqual(keys.users(), { bob: [ONE] });
            assert.deepEqual(await names(), [...COMPLETE, 'bob.keys']);
        });

        it('take it over where nothing would be deleted', async () => {
            await putObject(other, 'keys/alice.keys', two.publicLine);
            await putObject(other, 'keys/bob.keys', two.publicLine);
            const keys = await polled({ driver: other });
            assert.deepEqual(keys.users(), { alice: [TWO], bob: [TWO] });
            await other.delete('keys/alice.keys');
            await keys.source.reload();
            assert.deepEqual(keys.users(), { bob: [TWO] });
        });

        it('take nothing for the same because the other store calls it by the same etag', async () => {
            const sameEtag = (driver: StorageDriver): StorageDriver =>
                altered(driver, {
                    async *list(prefix) {
                        for await (const info of driver.list(prefix)) {
                            yield { ...info, etag: '"1"' };
                        }
                    },
                    read: async (key, options) => {
                        const { info, body } = (await driver.read(key, options))!;
                        return { info: { ...info, etag: '"1"' }, body };
                    },
                });
            await place.put('alice', one.publicLine);
            await (await polled({ driver: sameEtag(place.store) })).source.close();
            await putObject(other, 'keys/alice.keys', two.publicLine);
            const keys = await polled({ driver: sameEtag(other) });
            assert.deepEqual(keys.users(), { alice: [TWO] });
        });

        for (const damage of ['', '{', '[]', '{"source":1}', '{"source":"x","files":{"a.keys":{}}}']) {
            it(`delete nothing where the marker is ${JSON.stringify(damage)}`, async () => {
                await writeFile(path(MARKER), damage);
                await place.drop('alice');
                await place.put('bob', one.publicLine);
                const keys = await open();
                await assert.rejects(keys.source.reload(), /marker cannot be read/);
                assert.deepEqual(keys.users(), { alice: [ONE] });
                await place.put('alice', two.publicLine);
                await keys.source.reload();
                assert.deepEqual(keys.users(), { alice: [TWO], bob: [ONE] });
                await place.drop('alice');
                await keys.source.reload();
                assert.deepEqual(keys.users(), { bob: [ONE] });
            });
        }
    });

    describe('after a crash', () => {
        it('remove unfinished files, and nothing else', async () => {
            await mkdir(place.folder, { recursive: true });
            await writeFile(path('.2f6b4a0e-58f9-4c52-9f3b-5f7a1a4d3c21.part'), 'ssh-rsa A');
            await writeFile(path('.nfs0001'), '');
            await writeFile(path('README'), '');
            await polled();
            assert.deepEqual(await names(), ['.nfs0001', ...COMPLETE, 'README']);
        });

        it('make good what was missed before the marker was written', async () => {
            await place.put('alice', one.publicLine);
            await place.put('bob', one.publicLine);
            await (await polled()).source.close();
            // Fetched, or cut short, or lost, and the marker is older; a user of whom it knows nothing.
            await writeFile(path('alice.keys'), two.publicLine);
            await unlink(path('bob.keys'));
            await writeFile(path('carol.keys'), two.publicLine);
            await polled();
            assert.deepEqual((await open()).users(), { alice: [ONE], bob: [ONE] });
            await truncate(path('alice.keys'), 10);
            await unlink(path(MARKER));
            assert.deepEqual((await polled()).users(), { alice: [ONE], bob: [ONE] });
        });
    });

    describe('on a disk in disorder', () => {
        it('never write elsewhere', async () => {
            const outside = join(place.root, 'outside');
            await writeFile(outside, 'precious');
            await mkdir(place.folder, { recursive: true });
            for (const name of ['alice.keys', 'bob.keys', MARKER, '.synced']) {
                await symlink(outside, path(name));
            }
            await place.put('alice', one.publicLine);
            const keys = await open();
            await assert.rejects(keys.source.reload(), /marker cannot be read/);
            await unlink(path('bob.keys'));
            await keys.source.reload();
            assert.deepEqual(keys.users(), { alice: [ONE] });
            assert.equal(await readFile(outside, 'utf8'), 'precious');
            assert.equal(await readFile(path('alice.keys'), 'utf8'), one.publicLine);
        });

        it('have files of their own, also where a symlink leads to the right content', async () => {
            const outside = join(place.root, 'outside');
            await writeFile(outside, one.publicLine);
            await mkdir(place.folder, { recursive: true });
            await symlink(outside, path('alice.keys'));
            await place.put('alice', one.publicLine);
            await polled();
            assert.ok((await lstat(path('alice.keys'))).isFile());
        });

        it('go on with the others where one cannot be put in its place', async () => {
            await mkdir(path('alice.keys'), { recursive: true });
            await mkdir(path('dave.keys'));
            await place.put('alice', one.publicLine);
            await place.put('bob', one.publicLine);
            const keys = await open();
            await assert.rejects(keys.source.reload(), /alice\.keys \(EISDIR/);
            assert.deepEqual(keys.users().bob, [ONE]);
            assert.deepEqual(
                (await names()).filter((name) => name.endsWith('.part')),
                [],
            );
            await rm(path('alice.keys'), { recursive: true });
            await keys.source.reload();
            assert.deepEqual(keys.users().alice, [ONE]);
        });

        it('wait for a folder that can be written to', async () => {
            await mkdir(join(place.folder, '..'), { recursive: true });
            await writeFile(place.folder, 'in the way');
            await place.put('alice', one.publicLine);
            const keys = await open({ interval: 20 });
            await assert.rejects(keys.source.reload(), /EEXIST|ENOTDIR/);
            await unlink(place.folder);
            await keys.until(({ alice }) => alice?.join() === ONE);
        });
    });

    describe('of the original server', () => {
        let formerFolder: string;
        beforeEach(async () => {
            formerFolder = join(place.root, 'etc', 'authkeys', 'manta');
            await mkdir(formerFolder, { recursive: true });
            await writeFile(join(formerFolder, 'alice.keys'), one.publicLine);
            await writeFile(join(formerFolder, 'revoked.keys'), one.publicLine);
            await place.put('alice', two.publicLine);
        });

        it('count until the new one has been fetched, and never again', async () => {
            const state = { isDown: true };
            const driver = altered(place.store, {
                async *list(prefix) {
                    if (state.isDown) {
                        throw DOWN;
                    }
                    yield* place.store.list(prefix);
                },
            });
            const keys = await open({ driver, formerFolder });
            await assert.rejects(keys.source.reload(), /down/);
            assert.deepEqual(keys.users(), { alice: [ONE], revoked: [ONE] });
            state.isDown = false;
            await keys.source.reload();
            assert.deepEqual(keys.users(), { alice: [TWO] });

            // As an operator does who takes over another object store.
            state.isDown = true;
            await unlink(path(MARKER));
            assert.deepEqual((await open({ driver, formerFolder })).users(), { alice: [TWO] });
        });

        it('count until all of the new one has been fetched', async () => {
            await place.put('bob', Buffer.from([0]));
            const keys = await open({ formerFolder });
            await assert.rejects(keys.source.reload(), /bob\.keys/);
            assert.deepEqual(keys.users(), { alice: [ONE, TWO], revoked: [ONE] });
            await place.put('bob', one.publicLine);
            await keys.source.reload();
            assert.deepEqual(keys.users(), { alice: [TWO], bob: [ONE] });
        });

        it('stop to count in the other processes as well', async () => {
            const driver = altered(place.store, {
                async *list() {
                    yield* [];
                    throw DOWN;
                },
            });
            const other = await open({ driver, formerFolder });
            assert.ok(other.users().revoked);
            await polled({ formerFolder });
            await other.until((users) => JSON.stringify(users) === JSON.stringify({ alice: [TWO] }));
        });
    });

    it('of several processes in one folder do not disturb each other', async () => {
        const database = localDatabase(place.root);
        await database.open();
        try {
            const all = [await polled(), await polled({ leases: database.leases }), await polled()];
            for (let round = 0; round < 5; round++) {
                const users = ['alice', 'bob', 'carol'].filter((_, n) => (n + round) % 3 > 0);
                for (const user of ['alice', 'bob', 'carol']) {
                    await (users.includes(user) ? place.put(user, one.publicLine) : place.drop(user));
                }
                await Promise.all(all.map(({ source }) => source.reload()));
                for (const keys of all) {
                    assert.deepEqual(Object.keys(keys.users()).sort(), users);
                    assert.deepEqual(messages(keys), []);
                }
                assert.deepEqual(await names(), [...COMPLETE, ...users.map((user) => `${user}.keys`)]);
            }
        } finally {
            await Promise.all(opened.map(({ source }) => source.close()));
            await database.close();
        }
    });
});
