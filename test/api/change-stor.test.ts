/** change-stor between all storages (endpoints.md §3, storage.md §4): what it leaves where, and what clients see. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorageType } from '../../lib/manifest';
import { assertError, at, md5, newUuid, sha1, type Answer, type Manifest } from '../support/api';
import { Backends, type ObjectStore } from '../support/backends';
import { testImage } from '../support/images';
import type { Registry } from '../support/registry';

const MIB = 1024 * 1024;
/** One of them is uploaded to S3 in three parts. */
const FILES = [randomBytes(1), randomBytes(300_000), randomBytes(10 * MIB + 5)];
const [, FILE] = FILES as [Buffer, Buffer, Buffer];
const FILE_NAME = /^file0-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

describe('AdminChangeImageStor between storages', () => {
    let backends: Backends;
    let registry: Registry;

    before(async function () {
        backends = await Backends.start(this);
        registry = await backends.serve();
    });
    afterEach(() => backends.heal());
    after(async () => {
        await registry.stop();
        await backends.stop();
    });

    const change = (uuid: string, stor: StorageType): Promise<Answer> =>
        registry.client.post(at(uuid, `?action=change-stor&stor=${stor}`), {});

    /** An active image with its file in a storage. */
    async function imageIn(stor: StorageType, bytes = FILE): Promise<Manifest> {
        const { uuid } = await registry.client.create();
        await registry.client.upload(uuid, bytes, `compression=none&storage=${stor}`);
        return (await registry.client.action(uuid, 'activate')).manifest;
    }

    /** The image's one object, which is in this storage. */
    async function objectIn(stor: StorageType, uuid: string): Promise<string> {
        const stored = await backends.stored(uuid);
        assert.deepEqual(Object.keys(stored), [stor]);
        const [object = '', ...others] = stored[stor] ?? [];
        assert.deepEqual(others, []);
        return object;
    }

    async function download(uuid: string): Promise<{ bytes: Buffer; headers: unknown }> {
        const { status, body, headers } = await registry.client.get(at(uuid, '/file'));
        assert.equal(status, 200);
        const shown = ['etag', 'last-modified', 'content-length', 'content-type', 'content-md5'];
        return { bytes: body, headers: shown.map((name) => headers[name]) };
    }

    /** What must not have changed when nothing was moved. */
    async function snapshot(uuid: string): Promise<unknown> {
        return { record: await registry.record(uuid), stored: await backends.stored(uuid) };
    }

    const pairs: [StorageType, StorageType][] = [
        ['local', 'manta'],
        ['manta', 'local'],
        ['local', 's3'],
        ['s3', 'local'],
        ['manta', 's3'],
        ['s3', 'manta'],
    ];
    for (const [from, to] of pairs) {
        it(`moves files of all sizes from ${from} to ${to}`, async () => {
            const moved = FILES.map(async (bytes) => {
                const { uuid } = await imageIn(from, bytes);
                const former = await objectIn(from, uuid);
                const manifest = (await registry.client.get(at(uuid))).headers.etag;
                const before = await download(uuid);

                const answer = await change(uuid, to);
                assert.equal(answer.manifest.files[0]?.stor, to);
                assert.equal(answer.headers.etag, undefined);
                const shown = await registry.client.get(at(uuid, '?inclAdminFields=true'), {
                    'accept-version': '*',
                });
                assert.equal(answer.text, shown.text, 'the form that operators see');

                const object = await objectIn(to, uuid);
                assert.match(object, FILE_NAME);
                assert.notEqual(object, former);
                assert.deepEqual(await download(uuid), before);
                assert.ok(before.bytes.equals(bytes));
                assert.equal((await registry.client.get(at(uuid))).headers.etag, manifest);
            });
            await Promise.all(moved);
        });
    }

    it('gives back what went through all of them', async () => {
        const { uuid } = await imageIn('local');
        for (const stor of ['s3', 'manta', 'local', 'manta', 's3', 'local'] as const) {
            assert.equal((await change(uuid, stor)).status, 200);
        }
        await objectIn('local', uuid);
        assert.ok((await download(uuid)).bytes.equals(FILE));
    });

    it('leaves the archived manifest as it is', async () => {
        const { uuid } = await imageIn('local');
        const path = join(backends.dataDir, 'archive', uuid.slice(0, 3), `${uuid}.json`);
        const [before, { ino }] = [await readFile(path, 'utf8'), await stat(path)];
        assert.equal((await change(uuid, 'manta')).status, 200);
        assert.equal(await readFile(path, 'utf8'), before);
        assert.equal((await stat(path)).ino, ino);
    });

    it('moves a file under the name that the original gave it, without an MD5', async () => {
        const raw = testImage(1, {
            files: [{ sha1: sha1(FILE), size: FILE.length, compression: 'none', stor: 'manta' }],
        });
        await registry.plant(raw);
        await backends.damage('manta', raw.uuid, 'file0', FILE);
        assert.equal((await change(raw.uuid, 'local')).status, 200);
        assert.match(await objectIn('local', raw.uuid), FILE_NAME);
        assert.ok((await download(raw.uuid)).bytes.equals(FILE));
        assert.equal((await change(raw.uuid, 's3')).status, 200);
        await objectIn('s3', raw.uuid);
    });

    it('moves the file of an image that is not activated, of which nothing else changes', async () => {
        const { uuid } = await registry.client.create();
        await registry.client.upload(uuid, FILE, 'compression=xz&dataset_guid=1234&storage=manta');
        const before = await registry.record(uuid);
        assert.equal((await change(uuid, 'local')).manifest.state, 'unactivated');
        const after = await registry.record(uuid);
        const [file] = before?.files ?? [];
        const object = await objectIn('local', uuid);
        assert.deepEqual(after, { ...before, files: [{ ...file, stor: 'local', object }] });
    });

    describe('of a file that is not what its record says', () => {
        const damages: [string, Buffer | undefined, Record<string, unknown>][] = [
            ['has other bytes', Buffer.from(FILE).reverse(), {}],
            [
                'has other bytes, and a record without their MD5',
                Buffer.from(FILE).reverse(),
                { contentMD5: undefined },
            ],
            ['is too short', FILE.subarray(1), {}],
            ['is too long', Buffer.concat([FILE, FILE]), {}],
            ['is missing', undefined, {}],
        ];
        for (const [what, bytes, fields] of damages) {
            it(`changes nothing if it ${what}`, async () => {
                for (const [from, to] of pairs) {
                    const uuid = newUuid();
                    const object = `file0-${newUuid()}`;
                    const about = { sha1: sha1(FILE), size: FILE.length, contentMD5: md5(FILE) };
                    const file = { ...about, compression: 'none', stor: from, object, ...fields };
                    await registry.plant(testImage(0, { uuid, files: [file] }));
                    if (bytes) {
                        await backends.damage(from, uuid, object, bytes);
                    }
                    const before = await snapshot(uuid);
                    assertError(await change(uuid, to), 500, 'InternalError');
                    await backends.untilStored(uuid, bytes ? { [from]: [object] } : {});
                    assert.deepEqual(await snapshot(uuid), before);
                }
            });
        }
    });

    describe('of a file of which other bytes come than are stored', () => {
        const BYTES = randomBytes(2 * MIB);
        const changed = { on: /^GET .*x-id=GetObject/, fault: { kind: 'corrupt-answer', at: MIB } } as const;

        it('moves it if the next time they are right', async () => {
            const { uuid } = await imageIn('s3', BYTES);
            const injected = backends.proxies.s3?.inject(changed);
            assert.equal((await change(uuid, 'local')).status, 200);
            assert.equal(injected?.hits, 1);
            await objectIn('local', uuid);
            assert.ok((await download(uuid)).bytes.equals(BYTES));
        });

        it('takes it to be damaged if they are not', async () => {
            const { uuid } = await imageIn('s3', BYTES);
            const before = await snapshot(uuid);
            backends.proxies.s3?.inject({ ...changed, times: 2 });
            assertError(await change(uuid, 'local'), 500, 'InternalError');
            await backends.untilStored(uuid, { s3: [await objectIn('s3', uuid)] });
            assert.deepEqual(await snapshot(uuid), before);
        });
    });

    describe('while an object store cannot be reached', () => {
        for (const store of ['manta', 's3'] as ObjectStore[]) {
            it(`answers 503 and changes nothing: ${store}`, async () => {
                const [there, here] = [await imageIn(store), await imageIn('local')];
                const before = [await snapshot(there.uuid), await snapshot(here.uuid)];
                await backends.proxies[store]?.goAway();
                try {
                    assertError(await change(there.uuid, 'local'), 503, 'StorageIsDown');
                    assertError(await change(here.uuid, store), 503, 'StorageIsDown');
                    assert.ok((await download(here.uuid)).bytes.equals(FILE));
                } finally {
                    await backends.proxies[store]?.comeBack();
                }
                assert.deepEqual([await snapshot(there.uuid), await snapshot(here.uuid)], before);
                assert.equal((await change(there.uuid, 'local')).status, 200);
                assert.equal((await change(here.uuid, store)).status, 200);
                await objectIn('local', there.uuid);
                await objectIn(store, here.uuid);
            });

            it(`deletes a former file later that cannot be deleted now: ${store}`, async () => {
                const { uuid } = await imageIn(store);
                const [former = ''] = (await backends.stored(uuid))[store] ?? [];
                const refusal = { kind: 'answer', status: 503 } as const;
                backends.proxies[store]?.inject({ on: /^DELETE /, fault: refusal, times: Infinity });
                assert.equal((await change(uuid, 'local')).status, 200);
                assert.ok((await download(uuid)).bytes.equals(FILE));
                assert.deepEqual((await backends.stored(uuid))[store], [former]);
                backends.heal();
                await registry.stop();
                registry = await backends.serve();
                const [object = ''] = (await backends.stored(uuid)).local ?? [];
                await backends.untilStored(uuid, { local: [object] });
            });
        }
    });
});
