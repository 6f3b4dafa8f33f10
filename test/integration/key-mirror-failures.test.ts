/** Mirrors of key files when something goes wrong (auth.md §5): the object store, the configuration, the process, the disk. */
import assert from 'node:assert/strict';
import { lstat, mkdir, readFile, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectInfo, ObjectReader, StorageDriver } from '../../lib/storage/driver';
import { createLocalStorage } from '../../lib/storage/local';
import { altered, putObject, type MirrorPlace } from '../support/key-places';
import { COMPLETE, DOWN, MARKER, Mirrors } from '../support/mirrors';
import { fingerprint } from '../support/open-keys';
import { testKeys } from '../support/registry';

describe('Mirrors of key files, when something goes wrong:', () => {
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
                const keys = await mirrors.polled({ driver });
                const before = await readFile(mirrors.path(MARKER));
                mood.fails = fails;
                await place.drop('alice');
                await place.put('carol', one.publicLine);
                await assert.rejects(keys.source.reload(), /down/);
                await assert.rejects(keys.source.reload(), /down/);
                assert.deepEqual(keys.users(), { alice: [ONE], bob: [ONE] });
                assert.deepEqual(await mirrors.names(), [...COMPLETE, 'alice.keys', 'bob.keys']);
                assert.deepEqual(await readFile(mirrors.path(MARKER)), before);
                assert.equal(keys.warnings.length, 1, 'an outage is told once');

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
                const keys = await mirrors.polled({ driver });
                mood.fails = fails;
                await place.put('alice', two.publicLine);
                await place.put('bob', two.publicLine);
                await place.put('carol', two.publicLine);
                await place.drop('dave');
                await assert.rejects(keys.source.reload(), /bob\.keys \(the object store is down\)/);
                assert.deepEqual(keys.users(), { alice: [TWO], bob: [ONE], carol: [TWO] });
                assert.deepEqual(await mirrors.names(), [
                    ...COMPLETE,
                    'alice.keys',
                    'bob.keys',
                    'carol.keys',
                ]);

                mood.fails = undefined;
                await keys.source.reload();
                assert.deepEqual(keys.users().bob, [TWO]);
            });
        }

        it('go on by themselves', async () => {
            const { driver, mood } = moody();
            mood.fails = 'list';
            const keys = await mirrors.open({ driver, interval: 10 });
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
            const keys = await mirrors.open({ driver });
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
            await (await mirrors.polled()).source.close();
        });
        afterEach(() => other.close());

        it('delete nothing, and say what to do', async () => {
            await putObject(other, 'keys/bob.keys', one.publicLine);
            const before = await readFile(mirrors.path(MARKER));
            const keys = await mirrors.open({ driver: other });
            await assert.rejects(keys.source.reload(), (err: Error) => {
                for (const part of [
                    place.folder,
                    place.store.location,
                    other.location,
                    'alice.keys',
                    mirrors.path(MARKER),
                ]) {
                    assert.ok(err.message.includes(part), `${part} in: ${err.message}`);
                }
                return true;
            });
            assert.deepEqual(keys.users(), { alice: [ONE] });
            assert.deepEqual(await mirrors.names(), [...COMPLETE, 'alice.keys']);
            assert.deepEqual(await readFile(mirrors.path(MARKER)), before);

            await unlink(mirrors.path(MARKER));
            await keys.source.reload();
            assert.deepEqual(keys.users(), { bob: [ONE] });
            assert.deepEqual(await mirrors.names(), [...COMPLETE, 'bob.keys']);
        });

        it('take it over where nothing would be deleted', async () => {
            await putObject(other, 'keys/alice.keys', two.publicLine);
            await putObject(other, 'keys/bob.keys', two.publicLine);
            const keys = await mirrors.polled({ driver: other });
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
            await (await mirrors.polled({ driver: sameEtag(place.store) })).source.close();
            await putObject(other, 'keys/alice.keys', two.publicLine);
            const keys = await mirrors.polled({ driver: sameEtag(other) });
            assert.deepEqual(keys.users(), { alice: [TWO] });
        });

        for (const damage of ['', '{', '[]', '{"source":1}', '{"source":"x","files":{"a.keys":{}}}']) {
            it(`delete nothing where the marker is ${JSON.stringify(damage)}`, async () => {
                await writeFile(mirrors.path(MARKER), damage);
                await place.drop('alice');
                await place.put('bob', one.publicLine);
                const keys = await mirrors.open();
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
            await writeFile(mirrors.path('.2f6b4a0e-58f9-4c52-9f3b-5f7a1a4d3c21.part'), 'ssh-rsa A');
            await writeFile(mirrors.path('.nfs0001'), '');
            await writeFile(mirrors.path('README'), '');
            await mirrors.polled();
            assert.deepEqual(await mirrors.names(), ['.nfs0001', ...COMPLETE, 'README']);
        });

        it('make good what was missed before the marker was written', async () => {
            await place.put('alice', one.publicLine);
            await place.put('bob', one.publicLine);
            await (await mirrors.polled()).source.close();
            // Fetched, or cut short, or lost, and the marker is older; a user of whom it knows nothing.
            await writeFile(mirrors.path('alice.keys'), two.publicLine);
            await unlink(mirrors.path('bob.keys'));
            await writeFile(mirrors.path('carol.keys'), two.publicLine);
            await mirrors.polled();
            assert.deepEqual((await mirrors.open()).users(), { alice: [ONE], bob: [ONE] });
            await truncate(mirrors.path('alice.keys'), 10);
            await unlink(mirrors.path(MARKER));
            assert.deepEqual((await mirrors.polled()).users(), { alice: [ONE], bob: [ONE] });
        });
    });

    describe('on a disk in disorder', () => {
        it('never write elsewhere', async () => {
            const outside = join(place.root, 'outside');
            await writeFile(outside, 'precious');
            await mkdir(place.folder, { recursive: true });
            for (const name of ['alice.keys', 'bob.keys', MARKER, '.synced']) {
                await symlink(outside, mirrors.path(name));
            }
            await place.put('alice', one.publicLine);
            const keys = await mirrors.open();
            await assert.rejects(keys.source.reload(), /marker cannot be read/);
            await unlink(mirrors.path('bob.keys'));
            await keys.source.reload();
            assert.deepEqual(keys.users(), { alice: [ONE] });
            assert.equal(await readFile(outside, 'utf8'), 'precious');
            assert.equal(await readFile(mirrors.path('alice.keys'), 'utf8'), one.publicLine);
        });

        it('have files of their own, also where a symlink leads to the right content', async () => {
            const outside = join(place.root, 'outside');
            await writeFile(outside, one.publicLine);
            await mkdir(place.folder, { recursive: true });
            await symlink(outside, mirrors.path('alice.keys'));
            await place.put('alice', one.publicLine);
            await mirrors.polled();
            assert.ok((await lstat(mirrors.path('alice.keys'))).isFile());
        });

        it('go on with the others where one cannot be put in its place', async () => {
            await mkdir(mirrors.path('alice.keys'), { recursive: true });
            await mkdir(mirrors.path('dave.keys'));
            await place.put('alice', one.publicLine);
            await place.put('bob', one.publicLine);
            const keys = await mirrors.open();
            await assert.rejects(keys.source.reload(), /alice\.keys \(EISDIR/);
            assert.deepEqual(keys.users().bob, [ONE]);
            assert.deepEqual(
                (await mirrors.names()).filter((name) => name.endsWith('.part')),
                [],
            );
            await rm(mirrors.path('alice.keys'), { recursive: true });
            await keys.source.reload();
            assert.deepEqual(keys.users().alice, [ONE]);
        });

        it('wait for a folder that can be written to', async () => {
            await mkdir(join(place.folder, '..'), { recursive: true });
            await writeFile(place.folder, 'in the way');
            await place.put('alice', one.publicLine);
            const keys = await mirrors.open({ interval: 20 });
            await assert.rejects(keys.source.reload(), /EEXIST|ENOTDIR/);
            await unlink(place.folder);
            await keys.until(({ alice }) => alice?.join() === ONE);
        });
    });
});
