/** CloneImage (endpoints.md §3, imports.md §9). */
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UNSET_OWNER_UUID, type RawFile, type RawImage } from '../../lib/manifest';
import {
    assertError,
    at,
    ICON,
    md5,
    newUuid,
    OTHER,
    OWNER,
    sha1,
    STRANGER,
    UNKNOWN,
    type Answer,
    type Client,
    type Manifest,
} from '../support/api';
import { CHANNELS } from '../support/channels';
import { testImage, testUuid } from '../support/images';
import { DATACENTER, Registry } from '../support/registry';

const ADMIN = '352971aa-31ba-496c-9ade-a379feaecd52';
/** Owns what is shared, and has it cloned for OTHER. */
const account = `account=${OTHER}`;

const fileOf = (bytes: Buffer, fields: Partial<RawFile> = {}): RawFile => ({
    sha1: sha1(bytes),
    size: bytes.length,
    contentMD5: md5(bytes),
    mtime: '2016-01-01T00:00:00.000Z',
    stor: 'local',
    compression: 'gzip',
    ...fields,
});

describe('CloneImage', () => {
    let registry: Registry;
    let client: Client;
    before(async () => {
        registry = await Registry.start({ ...DATACENTER, adminUuid: ADMIN });
        client = registry.client;
    });
    after(() => registry.stop());

    let number = 0;

    /** An active image of OWNER, shared with OTHER, with a file of its own. */
    async function shared(fields: Partial<RawImage> = {}): Promise<RawImage> {
        const bytes = Buffer.from(`the file of image ${++number}`);
        const raw = testImage(number, {
            owner: OWNER,
            public: false,
            acl: [STRANGER, OTHER],
            files: [fileOf(bytes, { dataset_guid: '123' })],
            ...fields,
        });
        await registry.plant(raw);
        await registry.plantObject(raw.uuid, 'file0', bytes);
        return raw;
    }

    const clone = (uuid: string, query = account): Promise<Answer> =>
        client.post(at(uuid, `/clone?${query}`));

    const fileBytes = async (uuid: string) => (await client.get(at(uuid, '/file'))).text;
    const uuids = async () => new Set((await client.get('/images?state=all')).uuids);
    const folders = async () => {
        const images = join(registry.dataDir, 'images');
        // The folders that those of the images are in stay where they are (storage.md §4).
        return (await readdir(images, { recursive: true })).filter((path) => path.includes('/')).sort();
    };

    /** Does something that adds images; gives those. */
    async function addedBy(work: () => Promise<unknown>): Promise<Manifest[]> {
        const before = await uuids();
        await work();
        const { manifests } = await client.get('/images?state=all&inclAdminFields=true');
        return manifests.filter(({ uuid }) => !before.has(uuid));
    }

    /** The work ends with an error, and adds neither images nor files. */
    async function addsNothing(work: () => Promise<unknown>): Promise<void> {
        const before = [await uuids(), await folders()];
        await work();
        assert.deepEqual([await uuids(), await folders()], before);
    }

    describe('of a single image', () => {
        it('gives the account an image of its own', async () => {
            const source = await shared({ description: 'What it is', tags: ['a=b'], tagsObj: { a: 'b' } });
            const before = await registry.snapshot(source.uuid);
            const answer = await clone(source.uuid);
            const { manifest } = answer;
            const original = (await client.get(at(source.uuid))).manifest;
            assert.deepEqual(manifest, {
                ...Object.fromEntries(Object.entries(original).filter(([key]) => key !== 'acl')),
                uuid: manifest.uuid,
                owner: OTHER,
                published_at: manifest.published_at,
            });
            assert.notEqual(manifest.uuid, source.uuid);
            assert.match(manifest.uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
            assert.ok(Math.abs(Date.parse(String(manifest.published_at)) - Date.now()) < 10_000);
            assert.equal(answer.headers.etag, undefined);
            assert.equal((await client.get(at(manifest.uuid, `?${account}`))).text, answer.text);
            assert.deepEqual(await registry.snapshot(source.uuid), before, 'the source is as it was');
        });

        it('copies the file', async () => {
            const source = await shared();
            const { uuid } = (await clone(source.uuid)).manifest;
            assert.equal(await fileBytes(uuid), `the file of image ${number}`);
            const record = await registry.record(uuid);
            const { object, ...file } = record!.files![0]!;
            assert.deepEqual(file, source.files![0]);
            assert.match(String(object), /^file0-[0-9a-f-]{36}$/);
            assert.deepEqual(await registry.stored(uuid), [object]);
            assert.equal((await client.delete(at(source.uuid))).status, 204);
            assert.equal(await fileBytes(uuid), `the file of image ${number}`, 'it outlives the source');
        });

        it('leaves out the icon, the urn, which is unique, an expiry and the job of an import', async () => {
            const icon = {
                size: ICON.length,
                contentType: 'image/png',
                contentMD5: md5(ICON),
                sha1: sha1(ICON),
            };
            const source = await shared({
                icon,
                urn: 'sdc:sdc:cloned:1',
                expires_at: '2030-01-01T00:00:00.000Z',
                import_job: newUuid(),
            });
            await registry.plantObject(source.uuid, 'icon', ICON);
            const { manifest } = await clone(source.uuid);
            assert.equal(manifest.icon, undefined);
            assert.equal(manifest.urn, undefined);
            const record = await registry.record(manifest.uuid);
            for (const field of ['icon', 'urn', 'expires_at', 'import_job']) {
                assert.ok(record && !(field in record), field);
            }
            assert.equal((await registry.stored(manifest.uuid)).length, 1);
        });

        it('archives the manifest', async () => {
            const { uuid } = (await clone((await shared()).uuid)).manifest;
            const path = join(registry.dataDir, 'archive', uuid.slice(0, 3), `${uuid}.json`);
            const archived = await readFile(path, 'utf8');
            assert.equal(archived, (await client.get(at(uuid), { 'accept-version': '*' })).text);
        });

        it('keeps it disabled if it is', async () => {
            const source = await shared({ disabled: true, state: 'disabled' });
            const { manifest } = await clone(source.uuid);
            assert.equal(manifest.disabled, true);
            assert.equal(manifest.state, 'disabled');
        });

        it('copies an image of the administrator that is shared', async () => {
            const { uuid, owner } = (await clone((await shared({ owner: ADMIN })).uuid)).manifest;
            assert.equal(owner, OTHER);
            assert.equal(await fileBytes(uuid), `the file of image ${number}`);
        });

        it('may be done by the owner for another account, and again', async () => {
            const source = await shared();
            const [one, two] = [await clone(source.uuid), await clone(source.uuid)];
            assert.notEqual(one.manifest.uuid, two.manifest.uuid);
        });

        it('takes the body that clients send', async () => {
            const { uuid } = await shared();
            const answer = await client.post(at(uuid, `/clone?${account}`), {}, { 'content-md5': md5('{}') });
            assert.equal(answer.status, 200, answer.text);
        });
    });

    describe('of an image with origins', () => {
        it('copies them up to the first one of the administrator', async () => {
            const kept = await shared({ owner: ADMIN, acl: [], public: true });
            const base = await shared({ acl: [], origin: kept.uuid });
            const middle = await shared({ owner: STRANGER, acl: [], origin: base.uuid });
            const top = await shared({ origin: middle.uuid });
            const added = await addedBy(async () => assert.equal((await clone(top.uuid)).status, 200));
            const byName = new Map(added.map((manifest) => [manifest.name, manifest]));
            assert.equal(added.length, 3);
            const copyOf = ({ name }: RawImage): Manifest => byName.get(name)!;
            assert.equal(copyOf(top).origin, copyOf(middle).uuid);
            assert.equal(copyOf(middle).origin, copyOf(base).uuid);
            assert.equal(copyOf(base).origin, kept.uuid);
            assert.deepEqual(
                [top, middle, base].map((raw) => [copyOf(raw).state, copyOf(raw).disabled]),
                [
                    ['active', false],
                    ['disabled', true],
                    ['disabled', true],
                ],
            );
            for (const raw of [top, middle, base]) {
                const { uuid, owner, acl, files } = copyOf(raw);
                assert.deepEqual({ owner, acl }, { owner: OTHER, acl: undefined });
                assert.equal(sha1(await fileBytes(uuid)), raw.files?.[0]?.sha1);
                assert.equal(files[0]?.sha1, raw.files?.[0]?.sha1);
                assert.equal((await registry.stored(uuid)).length, 1);
            }
        });

        it('leaves origins without an owner where they are', async () => {
            const kept = await shared({ owner: UNSET_OWNER_UUID, acl: [], origin: UNKNOWN });
            const top = await shared({ origin: kept.uuid });
            const added = await addedBy(async () => {
                assert.equal((await clone(top.uuid)).manifest.origin, kept.uuid);
            });
            assert.equal(added.length, 1);
        });

        it('copies those of the account itself as well', async () => {
            const base = await shared({ owner: OTHER, acl: [] });
            const top = await shared({ origin: base.uuid });
            const added = await addedBy(() => clone(top.uuid));
            assert.equal(added.length, 2);
        });

        it('copies disabled ones', async () => {
            const base = await shared({ acl: [], disabled: true, state: 'disabled' });
            const top = await shared({ origin: base.uuid });
            assert.equal((await clone(top.uuid)).status, 200);
        });

        it('fails if one of them is not there, or not fit to be shown', async () => {
            const broken = testImage(++number, { owner: OWNER, os: 'no-such-os' });
            await registry.plant(broken);
            for (const origin of [UNKNOWN, broken.uuid]) {
                const base = await shared({ acl: [], origin });
                const top = await shared({ origin: base.uuid });
                await addsNothing(async () => {
                    assertError(await clone(top.uuid), 422, 'OriginDoesNotExist');
                });
            }
        });

        it('fails if one of them is not activated', async () => {
            const base = await shared({ acl: [], activated: false, state: 'unactivated' });
            const top = await shared({ origin: base.uuid });
            await addsNothing(async () => assertError(await clone(top.uuid), 422, 'OriginIsNotActive'));
        });

        it('fails if one of them cannot be cloned', async () => {
            const docker = await shared({ acl: [], type: 'docker' });
            const top = await shared({ origin: docker.uuid });
            assertError(await clone(top.uuid), 422, 'ValidationFailed', 'type:Invalid');
        });

        it('copies at most 100 images, and does not follow a circle for ever', async () => {
            const raws = Array.from({ length: 101 }, (_, index) =>
                testImage(5000 + index, {
                    owner: OWNER,
                    acl: [OTHER],
                    files: [],
                    ...(index > 0 && { origin: testUuid(5000 + index - 1) }),
                }),
            );
            await registry.plant(...raws);
            await addsNothing(async () => assertError(await clone(testUuid(5100)), 500, 'InternalError'));
            const added = await addedBy(async () => {
                assert.equal((await clone(testUuid(5099))).status, 200);
            });
            assert.equal(added.length, 100);
            await registry.plant({ ...raws[0]!, origin: testUuid(5001) });
            await addsNothing(async () => assertError(await clone(testUuid(5001)), 500, 'InternalError'));
        });
    });

    describe('is refused', () => {
        it('without a signature, and for images that are not there', async () => {
            const { uuid } = await shared();
            assertError(
                await registry.anonymous.post(at(uuid, `/clone?${account}`)),
                401,
                'UnauthorizedError',
            );
            assertError(await clone(UNKNOWN), 404, 'ResourceNotFound');
            assertError(await clone('x'), 404, 'ResourceNotFound');
        });

        it('without an account, or one that is no uuid', async () => {
            const { uuid } = await shared({ activated: false, state: 'unactivated' });
            for (const query of ['', 'account=', 'account=x', `account=${OTHER.toUpperCase()}`]) {
                assertError(await clone(uuid, query), 422, 'InvalidParameter', 'account:Invalid');
            }
        });

        it('for an account that may not see it', async () => {
            const { uuid } = await shared();
            assertError(await clone(uuid, `account=${newUuid()}`), 404, 'ResourceNotFound');
        });

        it('unless it is activated', async () => {
            const { uuid } = await shared({ owner: OTHER, acl: [], activated: false, state: 'unactivated' });
            assertError(await clone(uuid), 422, 'ValidationFailed', 'active:Invalid');
        });

        it('unless it is shared with the account, be that its owner or the image public', async () => {
            const own = await shared({ owner: OTHER, acl: [], type: 'docker' });
            assertError(await clone(own.uuid), 422, 'ImageNotShared');
            const open = await shared({ public: true, acl: [STRANGER] });
            assertError(await clone(open.uuid), 422, 'ImageNotShared');
        });

        it('for Docker images, and for images with several files', async () => {
            const docker = await shared({ type: 'docker' });
            assertError(await clone(docker.uuid), 422, 'ValidationFailed', 'type:Invalid');
            const file = fileOf(Buffer.from('x'));
            const several = await shared({ type: 'lxd', files: [file, file] });
            assertError(await clone(several.uuid), 400, 'NotImplemented');
        });

        it('where the server does not have the storage of a file, with nothing left', async () => {
            const base = await shared({ acl: [], files: [fileOf(Buffer.from('x'), { stor: 'manta' })] });
            const top = await shared({ origin: base.uuid });
            await addsNothing(async () => assertError(await clone(top.uuid), 503, 'StorageUnsupported'));
        });

        it('where the bytes of a file are missing, with nothing left', async () => {
            const base = await shared({ acl: [] });
            const top = await shared({ origin: base.uuid });
            await registry.unlinkObject(top.uuid, 'file0');
            await addsNothing(async () => assertError(await clone(top.uuid), 500, 'InternalError'));
        });
    });

    describe('while others are at work', () => {
        it('makes a copy for each of many requests', async () => {
            const base = await shared({ acl: [] });
            const top = await shared({ origin: base.uuid });
            const added = await addedBy(async () => {
                const answers = await Promise.all(Array.from({ length: 12 }, () => clone(top.uuid)));
                assert.ok(answers.every(({ status }) => status === 200));
                assert.equal(new Set(answers.map(({ manifest }) => manifest.origin)).size, 12);
            });
            assert.equal(added.length, 24);
        });

        /** Every image has its file and its origin. */
        async function assertWhole(images: readonly Manifest[]): Promise<void> {
            const known = await uuids();
            for (const { uuid, origin, files } of images) {
                assert.ok(origin === undefined || known.has(origin as string), 'its origin is there');
                assert.equal(sha1(await fileBytes(uuid)), files[0]?.sha1);
            }
        }

        it('is all there or not at all when the chain is deleted meanwhile', async () => {
            for (let round = 0; round < 12; round++) {
                const base = await shared({ acl: [] });
                const top = await shared({ origin: base.uuid });
                const added = await addedBy(async () => {
                    const cloning = clone(top.uuid);
                    // Lets the clone get ahead by a little more every round.
                    for (let pings = 0; pings < round % 10; pings++) {
                        await client.get('/ping');
                    }
                    const deleted = await client.delete(at(top.uuid));
                    assert.equal(deleted.status, 204);
                    assert.equal((await client.delete(at(base.uuid))).status, 204);
                    const answer = await cloning;
                    if (answer.status !== 200) {
                        assertError(answer, 404, 'ResourceNotFound');
                    }
                });
                assert.ok(added.length === 0 || added.length === 2, String(added.length));
                await assertWhole(added);
            }
        });

        it('is not given to an account that the image is no longer shared with', async () => {
            for (let round = 0; round < 20; round++) {
                const top = await shared();
                const cloning = clone(top.uuid);
                for (let pings = 0; pings < round % 5; pings++) {
                    await client.get('/ping');
                }
                const unshared = await client.post(at(top.uuid, '/acl?action=remove'), [OTHER]);
                assert.equal(unshared.status, 200);
                const answer = await cloning;
                if (answer.status !== 200) {
                    assertError(answer, 404, 'ResourceNotFound');
                }
            }
        });

        it('gets through while the image is changed again and again', async () => {
            const top = await shared();
            const state = { done: false };
            const changing = (async () => {
                for (let round = 0; !state.done; round++) {
                    const answer = await client.action(top.uuid, 'update', { description: `Round ${round}` });
                    assert.equal(answer.status, 200, answer.text);
                }
            })();
            const answers = [];
            for (let round = 0; round < 10; round++) {
                answers.push(await clone(top.uuid));
            }
            state.done = true;
            await changing;
            assert.deepEqual(
                answers.map(({ status }) => status),
                answers.map(() => 200),
            );
        });
    });
});

describe('CloneImage on a server with channels', () => {
    let registry: Registry;
    before(async () => {
        registry = await Registry.start({ ...DATACENTER, channels: CHANNELS });
    });
    after(() => registry.stop());

    it('makes copies in the channels of what they are made from', async () => {
        const { client } = registry;
        const origin = testImage(1, { owner: OWNER, files: [], channels: ['release'] });
        const source = testImage(2, {
            owner: OWNER,
            acl: [OTHER],
            files: [],
            channels: ['dev', 'release'],
            origin: origin.uuid,
        });
        await registry.plant(origin, source);
        const path = at(source.uuid, `/clone?${account}`);
        assertError(await client.post(`${path}&channel=x`), 422, 'ValidationFailed', 'channel:Invalid');
        assert.equal((await client.post(path)).manifest.channels, undefined, 'version 1 has no channels');
        const answer = await client.post(path, undefined, { 'accept-version': '~2' });
        assert.deepEqual(answer.manifest.channels, ['dev', 'release']);
        const copied = await registry.record(String(answer.manifest.origin));
        assert.deepEqual(copied?.channels, ['release']);
    });

    it('finds the image only in its channels', async () => {
        const source = testImage(3, { owner: OWNER, acl: [OTHER], files: [], channels: ['release'] });
        await registry.plant(source);
        const answer = await registry.client.post(at(source.uuid, `/clone?${account}`));
        assertError(answer, 404, 'ResourceNotFound');
    });
});

describe('CloneImage outside a datacenter', () => {
    for (const mode of ['public', 'private']) {
        it(`is not there in mode ${mode}`, async () => {
            const registry = await Registry.start({ mode });
            try {
                const image = await registry.client.createActive({ public: mode === 'public', acl: [OTHER] });
                for (const uuid of [image.uuid, 'x']) {
                    const answer = await registry.client.post(at(uuid, `/clone?${account}`));
                    assertError(answer, 404, 'ResourceNotFound');
                    assert.match(answer.error.message, /\/clone does not exist/);
                }
                const get = await registry.anonymous.get(at(image.uuid, '/clone'));
                assertError(get, 404, 'ResourceNotFound');
            } finally {
                await registry.stop();
            }
        });
    }
});
