/** AdminImportImage with the manifest in the body (imports.md §2, manifest.md §6 and §8). */
import assert from 'node:assert/strict';
import { assertError, at, FILE, MANIFEST, newUuid, OTHER, OWNER, UNKNOWN, type Answer } from '../support/api';
import { CHANNELS } from '../support/channels';
import { testImage, without } from '../support/images';
import { Registry } from '../support/registry';

const UNSET = '00000000-0000-0000-0000-000000000000';
const PUBLISHED = '2013-05-07T12:00:00.123Z';

/** The manifest of an image that was made elsewhere. */
const foreign = (fields: Record<string, unknown> = {}): Record<string, unknown> => ({
    v: 2,
    uuid: newUuid(),
    ...MANIFEST,
    published_at: PUBLISHED,
    ...fields,
});

/** A manifest of version 1, as old servers give it. */
const version1 = (fields: Record<string, unknown> = {}): Record<string, unknown> => ({
    uuid: newUuid(),
    name: 'old',
    version: '1.0.0',
    type: 'zone-dataset',
    os: 'smartos',
    creator_uuid: OWNER,
    vendor_uuid: OWNER,
    created_at: '2011-02-03T04:05Z',
    platform_type: 'smartos',
    urn: 'sdc:sdc:old:1.0.0',
    files: [{ path: 'old-1.0.0.zfs.bz2', sha1: 'a', size: 1, url: 'http://192.0.2.1/x' }],
    ...fields,
});

describe('AdminImportImage', () => {
    let registry: Registry;
    before(async () => {
        registry = await Registry.start();
    });
    after(() => registry.stop());

    const importing = (
        body: Record<string, unknown> | undefined,
        { query = '', uuid = String(body?.uuid), headers = {} } = {},
    ): Promise<Answer> => registry.client.post(at(uuid, `?action=import${query}`), body, headers);

    it('keeps uuid, date and urn of an image, which is unactivated and nobody’s here', async () => {
        const urn = `sdc:sdc:base:${newUuid()}`;
        const body = foreign({
            urn,
            state: 'active',
            files: [{ sha1: 'x', size: 1 }],
            channels: ['dev'],
            icon: true,
        });
        const answer = await importing(body);
        const { manifest } = answer;
        assert.equal(manifest.uuid, body.uuid);
        assert.equal(manifest.published_at, PUBLISHED);
        assert.equal(manifest.urn, urn);
        assert.equal(manifest.state, 'unactivated');
        assert.equal(manifest.owner, UNSET);
        assert.deepEqual(manifest.files, []);
        assert.equal(manifest.icon, undefined);
        const got = await registry.client.get(at(manifest.uuid));
        assert.equal(got.text, answer.text);
        assert.equal(got.headers.etag, answer.headers.etag);
        const record = await registry.record(manifest.uuid);
        assert.equal(record?.activated, false);
        assert.equal(record.channels, undefined);
    });

    it('keeps the date when the image is activated', async () => {
        const { uuid } = (await importing(foreign())).manifest;
        await registry.client.upload(uuid);
        const { manifest } = await registry.client.action(uuid, 'activate');
        assert.equal(manifest.published_at, PUBLISHED);
    });

    it('reads manifests of version 1', async () => {
        const { manifest } = await importing(version1());
        assert.equal(manifest.v, 2);
        assert.equal(manifest.published_at, '2011-02-03T04:05:00Z');
        assert.equal(manifest.public, true);
        assert.equal(manifest.owner, UNSET);
        assert.equal(manifest.urn, 'sdc:sdc:old:1.0.0');
        assert.deepEqual(manifest.files, []);
    });

    it('takes an origin that is here in any state', async () => {
        const { uuid: origin } = await registry.client.create();
        assert.equal((await importing(foreign({ origin }))).manifest.origin, origin);
    });

    describe('refuses, in this order,', () => {
        it('what is asked for an account', async () => {
            const answer = await importing(undefined, { uuid: newUuid(), query: '&account=x' });
            assertError(answer, 403, 'OperatorOnly');
        });

        it('no body, or one that is not of this image', async () => {
            const query = '&skip_owner_check=zz';
            const uuid = newUuid();
            assertError(
                await importing(undefined, { uuid, query }),
                422,
                'ValidationFailed',
                'body:MissingParameter',
            );
            for (const other of [newUuid(), undefined, null, 5, [uuid]]) {
                const answer = await importing(foreign({ uuid: other }), { uuid, query });
                assertError(answer, 422, 'InvalidParameter', 'uuid:Invalid');
            }
        });

        it('a skip_owner_check that is neither true nor false', async () => {
            const { uuid } = await registry.client.create();
            const answer = await importing(foreign({ uuid }), { query: '&skip_owner_check=zz' });
            assertError(answer, 422, 'InvalidParameter', 'skip_owner_check:Invalid');
            assert.equal((await importing(foreign(), { query: '&skip_owner_check=' })).status, 200);
        });

        it('a uuid that is taken', async () => {
            const { uuid } = await registry.client.createActive();
            for (const fields of [{}, { origin: UNKNOWN }]) {
                assertError(await importing(foreign({ uuid, ...fields })), 409, 'ImageUuidAlreadyExists');
            }
        });

        it('an origin that is not here', async () => {
            assertError(await importing(foreign({ origin: UNKNOWN, foo: 1 })), 422, 'OriginDoesNotExist');
            const answer = await importing(foreign({ origin: 5 }));
            assertError(answer, 422, 'ValidationFailed', 'origin:Invalid');
        });

        it('fields it does not know, and a date that is no text', async () => {
            const answer = await importing(foreign({ foo: 1, bar: 2, published_at: 7 }));
            assertError(answer, 422, 'InvalidParameter', 'published_at:Invalid');
            const extra = await importing(foreign({ foo: 1, nic_driver: 'virtio', name: null }));
            assertError(extra, 422, 'InvalidParameter', 'foo:Invalid', 'nic_driver:Invalid');
        });

        it('an image that breaks the rules', async () => {
            const body = foreign({ v: undefined, name: undefined, public: false });
            assertError(
                await importing(body),
                422,
                'ValidationFailed',
                'v:MissingParameter',
                'name:MissingParameter',
                'public:Invalid',
            );
            assert.equal((await registry.client.get(at(String(body.uuid)))).status, 404);
        });
    });

    it('adds an image once when it is asked to many times at once', async () => {
        const body = foreign();
        const answers = await Promise.all(Array.from({ length: 12 }, () => importing(body)));
        const statuses = answers.map(({ status }) => status).sort();
        assert.deepEqual(statuses, [200, ...Array<number>(11).fill(409)]);
    });

    describe('of a placeholder', () => {
        /** An image that is still being made, with what it may have by then. */
        async function placeholder(): Promise<string> {
            const { uuid } = await registry.client.create();
            await registry.client.upload(uuid);
            await registry.client.uploadIcon(uuid);
            await registry.client.action(uuid, 'update', { state: 'creating' });
            return uuid;
        }

        it('takes its place, with an ETag, and nothing of it is left', async () => {
            const uuid = await placeholder();
            const answer = await importing(foreign({ uuid, name: 'finished' }));
            assert.equal(answer.manifest.name, 'finished');
            assert.equal(answer.manifest.state, 'unactivated');
            assert.deepEqual(answer.manifest.files, []);
            assert.equal(answer.headers.etag, (await registry.client.get(at(uuid))).headers.etag);
            await registry.untilStored(uuid, []);
            await registry.client.upload(uuid);
            assert.equal((await registry.client.action(uuid, 'activate')).manifest.state, 'active');
        });

        it('keeps when it may be given up, until it is activated', async () => {
            const expires = '2999-01-01T00:00:00.000Z';
            const raw = testImage(7001, { state: 'creating', activated: false, expires_at: expires });
            await registry.plant(without(raw, 'published_at'));
            await importing(foreign({ uuid: raw.uuid }));
            assert.equal((await registry.record(raw.uuid))?.expires_at, expires);
            await registry.client.upload(raw.uuid);
            await registry.client.action(raw.uuid, 'activate');
            assert.equal((await registry.record(raw.uuid))?.expires_at, undefined);
        });

        it('leaves it as it was when the manifest is not good', async () => {
            const uuid = await placeholder();
            const before = await registry.snapshot(uuid);
            assertError(await importing(foreign({ uuid, origin: UNKNOWN })), 422, 'OriginDoesNotExist');
            assertError(await importing(foreign({ uuid, os: 'x' })), 422, 'ValidationFailed', 'os:Invalid');
            assert.deepEqual(await registry.snapshot(uuid), before);
        });

        it('happens once when asked for many times at once', async () => {
            const uuid = await placeholder();
            const answers = await Promise.all(Array.from({ length: 8 }, () => importing(foreign({ uuid }))));
            assert.deepEqual(answers.map(({ status }) => status).sort(), [
                200,
                ...Array<number>(7).fill(409),
            ]);
        });
    });

    describe('of an LX image by an old imgadm', () => {
        const lx = (fields: Record<string, unknown> = {}) =>
            foreign({
                type: 'lx-dataset',
                os: 'linux',
                requirements: { min_platform: { '7.0': '20160225T122859Z' }, brand: 'lx' },
                ...fields,
            });
        const requirements = async (body: Record<string, unknown>, agent: string) =>
            (await importing(body, { headers: { 'user-agent': agent } })).manifest.requirements;

        it('drops the platform it asks for', async () => {
            assert.deepEqual(await requirements(lx(), 'imgadm/3.7.3 (node/0.8.26; OpenSSL/1.0.1g)'), {
                brand: 'lx',
            });
        });

        it('takes that of the origin', async () => {
            const platform = { '7.0': '20140101T000000Z' };
            const { uuid: origin } = (await importing(lx({ requirements: { min_platform: platform } })))
                .manifest;
            assert.deepEqual(await requirements(lx({ origin }), 'imgadm/2.6.9 (x)'), {
                brand: 'lx',
                min_platform: platform,
            });
        });

        it('keeps it for newer ones and for others', async () => {
            for (const agent of ['imgadm/3.7.4 (x)', 'imgadm/3.10.0 (x)', 'curl/8.0', 'imgadm/3.7.3']) {
                assert.deepEqual(await requirements(lx(), agent), lx().requirements, agent);
            }
        });
    });
});

describe('AdminImportImage by mode', () => {
    const modes: { config: Record<string, unknown>; isPublic: boolean; owner: string }[] = [
        { config: { mode: 'public' }, isPublic: true, owner: UNSET },
        { config: { mode: 'private' }, isPublic: false, owner: UNSET },
    ];
    for (const { config, isPublic, owner } of modes) {
        it(`${String(config.mode)}: sets the owner and judges by the rules of the mode`, async () => {
            const registry = await Registry.start(config);
            try {
                const { client } = registry;
                const send = (body: Record<string, unknown>) =>
                    client.post(at(String(body.uuid), '?action=import'), body);
                assert.equal((await send(foreign({ public: isPublic }))).manifest.owner, owner);
                const wrong = await send(foreign({ public: !isPublic }));
                assertError(wrong, 422, 'ValidationFailed', 'public:Invalid');
                const old = await send(version1({ public: isPublic, restricted_to_uuid: OTHER }));
                assert.equal(old.manifest.owner, owner);
            } finally {
                await registry.stop();
            }
        });
    }

    it('puts the image in the channel of the request', async () => {
        const registry = await Registry.start({ channels: CHANNELS });
        try {
            const body = foreign({ channels: ['elsewhere'] });
            const uuid = String(body.uuid);
            const v2 = { 'accept-version': '~2' };
            const answer = await registry.client.post(at(uuid, '?action=import&channel=release'), body, v2);
            assert.deepEqual(answer.manifest.channels, ['release']);
            assert.equal((await registry.client.get(at(uuid))).status, 404);
            await registry.client.put(at(uuid, '/file?compression=none&channel=release'), FILE);
            assert.deepEqual((await registry.client.get(at(uuid, '/file?channel=release'))).body, FILE);
        } finally {
            await registry.stop();
        }
    });
});
