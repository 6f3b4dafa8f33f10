/** Images whose files and icons are in different storages (storage.md §3 and §4), and storages that are taken away. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { RawImage, StorageType } from '../../lib/manifest';
import { assertError, at, ICON, md5, newUuid, OTHER, OWNER, sha1, type Answer } from '../support/api';
import { Backends } from '../support/backends';
import { testImage } from '../support/images';
import { DATACENTER, type Registry } from '../support/registry';

const FILE = randomBytes(300_000);
const OTHER_FILE = randomBytes(200_000);
const OTHER_ICON = Buffer.concat([ICON, Buffer.from('another')]);

describe('Images in several storages', () => {
    let backends: Backends;
    let registry: Registry;

    before(async () => {
        backends = await Backends.start();
        registry = await backends.serve();
    });
    after(async () => {
        await registry.stop();
        await backends.stop();
    });

    const upload = (uuid: string, stor: StorageType, bytes = FILE): Promise<unknown> =>
        registry.client.upload(uuid, bytes, `compression=none&storage=${stor}`);

    async function uploadIcon(uuid: string, stor: StorageType, bytes = ICON): Promise<void> {
        const type = { 'content-type': 'image/png' };
        const answer = await registry.client.put(at(uuid, `/icon?storage=${stor}`), bytes, type);
        assert.equal(answer.status, 200, answer.text);
    }

    /** An image with its file in one and its icon in another storage. */
    async function imageIn(file: StorageType, icon?: StorageType, fields = {}): Promise<string> {
        const { uuid } = await registry.client.create(fields);
        await upload(uuid, file);
        if (icon) {
            await uploadIcon(uuid, icon);
        }
        return uuid;
    }

    /** What is there of an image: its file and icon, of these bytes in these storages, and nothing else. */
    async function assertStored(
        uuid: string,
        file: [StorageType, Buffer] | undefined,
        icon?: [StorageType, Buffer],
    ): Promise<void> {
        const record = await registry.record(uuid);
        const wanted: Partial<Record<StorageType, string[]>> = {};
        for (const [kind, found, expected] of [
            ['file', record?.files?.[0], file],
            ['icon', record?.icon, icon],
        ] as const) {
            assert.deepEqual(found && [found.stor, found.sha1], expected && [expected[0], sha1(expected[1])]);
            if (expected) {
                (wanted[expected[0]] ??= []).push(found?.object ?? '');
                assert.ok((await registry.client.get(at(uuid, `/${kind}`))).body.equals(expected[1]));
            }
        }
        await backends.untilStored(uuid, wanted);
    }

    const pairs = [
        ['local', 'manta'],
        ['manta', 'local'],
    ] as const;
    for (const [one, other] of pairs) {
        it(`have the former file removed when it is uploaded to ${other} instead of ${one}`, async () => {
            const uuid = await imageIn(one, one);
            await upload(uuid, other, OTHER_FILE);
            await assertStored(uuid, [other, OTHER_FILE], [one, ICON]);
            await uploadIcon(uuid, other, OTHER_ICON);
            await assertStored(uuid, [other, OTHER_FILE], [other, OTHER_ICON]);
            await upload(uuid, one);
            await assertStored(uuid, [one, FILE], [other, OTHER_ICON]);
        });

        it(`get another uuid, with their files in ${one} and ${other}`, async () => {
            const uuid = await imageIn(one, other);
            const moved = newUuid();
            assert.equal((await registry.client.action(uuid, 'update', { uuid: moved })).status, 200);
            await assertStored(moved, [one, FILE], [other, ICON]);
            await backends.untilStored(uuid, {});
        });

        it(`are deleted from ${one} and ${other}, first their icons`, async () => {
            const uuid = await imageIn(one, other);
            assert.equal((await registry.client.delete(at(uuid, '/icon'))).status, 200);
            await assertStored(uuid, [one, FILE]);
            await uploadIcon(uuid, other);
            assert.equal((await registry.client.delete(at(uuid))).status, 204);
            await backends.untilStored(uuid, {});
        });
    }

    describe('of which one is not there any more', () => {
        const UNSUPPORTED = [503, 'StorageUnsupported'] as const;

        async function without(
            work: (answer: (path: string) => Promise<Answer>) => Promise<void>,
        ): Promise<void> {
            await registry.stop();
            registry = await backends.serve({ storageTypes: ['local'] });
            try {
                await work((path) => registry.client.get(path));
            } finally {
                await registry.stop();
                registry = await backends.serve();
            }
        }

        it('are not read from it, copied, moved or deleted, and nothing changes', async () => {
            const both = await imageIn('manta', 'manta');
            const fileOnly = await imageIn('manta');
            const iconOnly = await imageIn('local', 'manta');
            const before = await Promise.all([both, fileOnly, iconOnly].map((uuid) => registry.record(uuid)));
            await without(async (get) => {
                assertError(await get(at(both, '/file')), ...UNSUPPORTED);
                assertError(await get(at(both, '/file?redirect=1')), ...UNSUPPORTED);
                assertError(await get(at(both, '/icon')), ...UNSUPPORTED);
                assert.equal((await registry.client.head(at(both, '/file'))).status, 503);
                assert.equal((await get(at(both))).status, 200);
                assert.ok((await get(at(iconOnly, '/file'))).body.equals(FILE));

                const { client } = registry;
                const move = `?action=change-stor&stor=local`;
                assertError(await client.post(at(fileOnly, move), {}), ...UNSUPPORTED);
                const rename = { uuid: newUuid() };
                assertError(await client.action(both, 'update', rename), ...UNSUPPORTED);
                assertError(await client.action(iconOnly, 'update', rename), ...UNSUPPORTED);
                const path = '?action=export&manta_path=/imgapi/stor/x';
                assertError(await client.post(at(fileOnly, path), {}), ...UNSUPPORTED);
                for (const uuid of [both, fileOnly, iconOnly]) {
                    assertError(await client.delete(at(uuid)), ...UNSUPPORTED);
                }
                assertError(await client.delete(at(both, '/icon')), ...UNSUPPORTED);
                const { description } = (await client.action(both, 'update', { description: 'x' })).manifest;
                assert.equal(description, 'x');
            });
            const after = await Promise.all([both, fileOnly, iconOnly].map((uuid) => registry.record(uuid)));
            assert.deepEqual(after, [{ ...before[0], description: 'x' }, ...before.slice(1)]);
            await assertStored(both, ['manta', FILE], ['manta', ICON]);
        });

        it('get another file in its place, and the former goes when the storage is back', async () => {
            const uuid = await imageIn('manta', 'manta');
            await without(async () => {
                await upload(uuid, 'local', OTHER_FILE);
                await uploadIcon(uuid, 'local', OTHER_ICON);
                assert.equal((await registry.client.get(at(uuid, '/file'))).status, 200);
            });
            await assertStored(uuid, ['local', OTHER_FILE], ['local', OTHER_ICON]);
        });
    });
});

describe('Clones of images in several storages', () => {
    let backends: Backends;
    let registry: Registry;

    before(async () => {
        backends = await Backends.start(undefined, `/imgapi/stor/imgapi/${DATACENTER.datacenterName}`);
        registry = await backends.serve({ ...DATACENTER, authType: 'none' });
    });
    after(async () => {
        await registry.stop();
        await backends.stop();
    });

    /** A chain of images that are shared, from the top down, each with its file in the storage. */
    async function chain(storages: readonly StorageType[]): Promise<string> {
        let origin: string | undefined;
        for (const stor of storages.toReversed()) {
            const [uuid, object] = [newUuid(), `file0-${newUuid()}`];
            const bytes = Buffer.from(`the file of ${uuid}`);
            const file = {
                sha1: sha1(bytes),
                size: bytes.length,
                contentMD5: md5(bytes),
                compression: 'none',
            };
            await backends.damage(stor, uuid, object, bytes);
            const fields = { owner: OWNER, acl: [OTHER], files: [{ ...file, stor, object }] };
            await registry.plant(testImage(1, { uuid, ...fields, ...(origin !== undefined && { origin }) }));
            origin = uuid;
        }
        return origin ?? '';
    }

    const clone = (uuid: string): Promise<Answer> =>
        registry.client.post(at(uuid, `/clone?account=${OTHER}`));

    it('have each file in the storage that its original is in', async () => {
        const storages = ['manta', 'local', 'local', 'manta', 'manta'] as const;
        let original: string | undefined = await chain(storages);
        let copy: string | undefined = (await clone(original)).manifest.uuid;
        for (const stor of storages) {
            assert.ok(original !== undefined && copy !== undefined);
            const from: RawImage | undefined = await registry.record(original);
            const made: RawImage | undefined = await registry.record(copy);
            const object = made?.files?.[0]?.object ?? '';
            assert.deepEqual(made?.files, [{ ...from?.files?.[0], stor, object }]);
            await backends.untilStored(copy, { [stor]: [object] });
            const { body } = await registry.client.get(at(copy, '/file'));
            assert.equal(body.toString(), `the file of ${original}`);
            await backends.untilStored(original, { [stor]: [from?.files?.[0]?.object ?? ''] });
            [original, copy] = [from?.origin, made.origin];
        }
        assert.deepEqual([original, copy], [undefined, undefined]);
    });

    it('leave nothing in any of them if one cannot be reached', async () => {
        const uuid = await chain(['local', 'manta']);
        const { uuids } = await registry.client.get('/images?state=all');
        const objects = backends.manta.objects;
        await backends.proxies.manta?.goAway();
        try {
            assertError(await clone(uuid), 503, 'StorageIsDown');
        } finally {
            await backends.proxies.manta?.comeBack();
        }
        assert.deepEqual((await registry.client.get('/images?state=all')).uuids, uuids);
        assert.deepEqual(backends.manta.objects, objects);
        assert.equal((await clone(uuid)).status, 200);
    });
});
