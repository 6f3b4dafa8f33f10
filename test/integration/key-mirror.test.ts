/** Mirrors of the key files of an object store (auth.md §5), with a folder of this machine as the store. */
import assert from 'node:assert/strict';
import { mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectReader } from '../../lib/storage/driver';
import { gate } from '../support/gate';
import { altered, type MirrorPlace } from '../support/key-places';
import { localDatabase } from '../support/local-database';
import { COMPLETE, DOWN, MARKER, Mirrors, unlistable } from '../support/mirrors';
import { fingerprint } from '../support/open-keys';
import { testKeys } from '../support/registry';

describe('Mirrors of key files', () => {
    const [one, two] = testKeys();
    const ONE = fingerprint(one.publicLine);
    const TWO = fingerprint(two.publicLine);
    let mirrors: Mirrors;
    let place: MirrorPlace;

    beforeEach(async () => {
        mirrors = await Mirrors.make();
        ({ place } = mirrors);
    });
    afterEach(() => mirrors.remove());

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
            const keys = await mirrors.polled();
            assert.deepEqual(keys.users(), { alice: [ONE], frank: [TWO] });
            assert.deepEqual(await mirrors.names(), [...COMPLETE, 'alice.keys', 'frank.keys']);
        });

        it('the keys of both where a name is in both', async () => {
            await place.putObject('keys/alice.keys', `\uFEFF${one.publicLine}`);
            await place.putObject('authkeys/alice.keys', `# no newline at the end\n${two.publicLine}`);
            const keys = await mirrors.polled();
            assert.deepEqual(keys.users(), { alice: [TWO, ONE] });
            assert.deepEqual(keys.warnings, []);
            await place.store.delete('authkeys/alice.keys');
            await keys.source.reload();
            assert.deepEqual(keys.users(), { alice: [ONE] });
        });

        it('a file that has changed and kept its size', async () => {
            const [first, second] = ['#1', '#2'].map((comment) => `${one.publicLine}\n${comment}\n`);
            await place.put('alice', first!);
            const keys = await mirrors.polled();
            await place.put('alice', second!);
            await keys.source.reload();
            assert.equal(await readFile(mirrors.path('alice.keys'), 'utf8'), second);
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
            const keys = await mirrors.polled({ driver });
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
            const keys = await mirrors.polled({ driver });
            assert.deepEqual(keys.users(), { alice: [ONE, TWO] });
            assert.equal(await readFile(mirrors.path('alice.keys'), 'utf8'), text);
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
            const keys = await mirrors.open({ interval: 20 });
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
            const [first, second] = [await mirrors.polled(), await mirrors.polled()];
            await place.drop('alice');
            await first.source.reload();
            assert.deepEqual(first.users(), { bob: [ONE] });
            await second.until(({ alice }) => alice === undefined);
            assert.deepEqual(await mirrors.names(), [...COMPLETE, 'bob.keys']);
            assert.deepEqual((await mirrors.open()).users(), { bob: [ONE] });
        });

        it('all, where nothing is left in the object store', async () => {
            await place.put('alice', one.publicLine);
            const keys = await mirrors.polled();
            await place.drop('alice');
            await keys.source.reload();
            assert.deepEqual(keys.users(), {});
            assert.deepEqual(await mirrors.names(), COMPLETE);
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
            const keys = await mirrors.polled({ driver });
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
            await (await mirrors.polled()).source.close();
            await place.put('bob', one.publicLine);
            const hanging = gate();
            const driver = altered(place.store, {
                async *list(prefix) {
                    await hanging.opened;
                    yield* place.store.list(prefix);
                },
            });
            const keys = await mirrors.open({ driver });
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
            const keys = await mirrors.open({ driver });
            await asked.opened;
            await keys.source.close();
            assert.deepEqual(keys.warnings, []);
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
            const keys = await mirrors.open({ driver, formerFolder });
            await assert.rejects(keys.source.reload(), /down/);
            assert.deepEqual(keys.users(), { alice: [ONE], revoked: [ONE] });
            state.isDown = false;
            await keys.source.reload();
            assert.deepEqual(keys.users(), { alice: [TWO] });

            // As an operator does who takes over another object store.
            state.isDown = true;
            await unlink(mirrors.path(MARKER));
            assert.deepEqual((await mirrors.open({ driver, formerFolder })).users(), { alice: [TWO] });
        });

        it('count until all of the new one has been fetched', async () => {
            await place.put('bob', Buffer.from([0]));
            const keys = await mirrors.open({ formerFolder });
            await assert.rejects(keys.source.reload(), /bob\.keys/);
            assert.deepEqual(keys.users(), { alice: [ONE, TWO], revoked: [ONE] });
            await place.put('bob', one.publicLine);
            await keys.source.reload();
            assert.deepEqual(keys.users(), { alice: [TWO], bob: [ONE] });
        });

        it('stop to count in the other processes as well', async () => {
            const other = await mirrors.open({ driver: unlistable(place.store), formerFolder });
            assert.ok(other.users().revoked);
            await mirrors.polled({ formerFolder });
            await other.until((users) => JSON.stringify(users) === JSON.stringify({ alice: [TWO] }));
        });
    });

    it('of several processes in one folder do not disturb each other', async () => {
        const database = localDatabase(place.root);
        await database.open();
        try {
            const all = [
                await mirrors.polled(),
                await mirrors.polled({ leases: database.leases }),
                await mirrors.polled(),
            ];
            for (let round = 0; round < 5; round++) {
                const users = ['alice', 'bob', 'carol'].filter((_, n) => (n + round) % 3 > 0);
                for (const user of ['alice', 'bob', 'carol']) {
                    await (users.includes(user) ? place.put(user, one.publicLine) : place.drop(user));
                }
                await Promise.all(all.map(({ source }) => source.reload()));
                for (const keys of all) {
                    assert.deepEqual(Object.keys(keys.users()).sort(), users);
                    assert.deepEqual(keys.warnings, []);
                }
                assert.deepEqual(await mirrors.names(), [
                    ...COMPLETE,
                    ...users.map((user) => `${user}.keys`),
                ]);
            }
        } finally {
            await mirrors.close();
            await database.close();
        }
    });
});
