/** UpdateImage (manifest.md §9, endpoints.md §3 update). */
import assert from 'node:assert/strict';
import { assertError, at, FILE, newUuid, OTHER, OWNER, UNKNOWN, type Manifest } from '../support/api';
import { testImage } from '../support/images';
import { Registry } from '../support/registry';

describe('UpdateImage', () => {
    let registry: Registry;
    let image: Manifest;
    let active: Manifest;

    before(async () => {
        registry = await Registry.start();
        image = await registry.client.create();
        active = await registry.client.createActive();
    });
    after(() => registry.stop());

    const update = (uuid: string, body: unknown, query = '') =>
        registry.client.post(at(uuid, `?action=update${query}`), body);

    describe('fields', () => {
        const values: Record<string, unknown> = {
            name: 'renamed',
            version: '2.0.0',
            description: 'Other words.',
            homepage: 'https://example.com/other',
            eula: 'https://example.com/terms',
            os: 'linux',
            acl: [OTHER],
            requirements: { min_ram: 512 },
            users: [{ name: 'admin' }],
            tags: { role: 'db', more: [1] },
            generate_passwords: false,
            inherited_directories: ['/opt/local'],
            owner: OTHER,
            public: true,
        };
        for (const [field, value] of Object.entries(values)) {
            it(`${field} changes, on activated images too, and stays changed`, async () => {
                for (const { uuid } of [image, active]) {
                    const answer = await update(uuid, { [field]: value });
                    assert.deepEqual(answer.manifest[field], value);
                    const get = await registry.client.get(at(uuid));
                    assert.equal(get.text, answer.text);
                    assert.equal(get.headers.etag, answer.headers.etag);
                }
            });
        }

        it('may be changed by the owning account, the owner as well', async () => {
            const { uuid } = await registry.client.create();
            const answer = await update(
                uuid,
                { owner: OTHER, description: 'Given away.' },
                `&account=${OWNER}`,
            );
            assert.equal(answer.manifest.owner, OTHER);
        });

        it('of a zvol change', async () => {
            const fields = {
                nic_driver: 'virtio',
                disk_driver: 'virtio',
                cpu_type: 'host',
                image_size: 1024,
            };
            const { uuid } = await registry.client.create({ type: 'zvol', ...fields });
            const changed = { nic_driver: 'ide', disk_driver: 'scsi', cpu_type: 'qemu64', image_size: 2048 };
            const { manifest } = await update(uuid, changed);
            for (const [field, value] of Object.entries(changed)) {
                assert.equal(manifest[field], value, field);
            }
        });

        it('go away when they are null; tags entirely', async () => {
            const { uuid } = await registry.client.create({
                description: 'x',
                tags: { a: 'b' },
                users: [{ name: 'x' }],
            });
            const { manifest } = await update(uuid, { description: null, tags: null, users: null });
            assert.ok(!('description' in manifest) && !('tags' in manifest) && !('users' in manifest));
            assert.equal((await registry.client.get('/images?state=all&tag.a=b')).manifests.length, 0);
        });

        it('for operators change without an account', async () => {
            const { uuid } = await registry.client.create();
            await update(uuid, {
                billing_tags: ['xl'],
                traits: { ssd: true },
                state: 'failed',
                error: { code: 'X' },
            });
            const record = await registry.record(uuid);
            assert.deepEqual(record?.billing_tags, ['xl']);
            assert.deepEqual(record.traits, { ssd: true });
            const { manifest } = await registry.client.get(at(uuid));
            assert.equal(manifest.state, 'failed');
            assert.deepEqual(manifest.error, { code: 'X' });
        });

        it('of tags are found by lists', async () => {
            const { uuid } = await registry.client.create();
            await update(uuid, { tags: { found: 'yes', long: 'x'.repeat(200) } });
            assert.deepEqual((await registry.client.get('/images?state=all&tag.found=yes')).uuids, [uuid]);
        });
    });

    describe('files', () => {
        it('take digests, and nothing else', async () => {
            const { uuid } = await registry.client.create();
            const { files } = await registry.client.upload(uuid);
            const digest = `sha256:${'a'.repeat(64)}`;
            const answer = await update(uuid, {
                files: [{ ...files[0], digest, uncompressedDigest: digest }],
            });
            assert.deepEqual(answer.manifest.files, files, 'digests are not served');
            const [stored] = (await registry.record(uuid))?.files ?? [];
            assert.equal(stored?.digest, digest);
            assert.equal(stored.uncompressedDigest, digest);
            const refused = await update(uuid, { files: [{ ...files[0], size: 5 }] });
            assertError(refused, 422, 'ValidationFailed', 'files:NotAllowed');
        });

        it('of an image without one are refused', async () => {
            const { uuid } = await registry.client.create();
            for (const files of [[{ digest: 'sha256:x' }], [], 'x', [null]]) {
                assertError(await update(uuid, { files }), 422, 'ValidationFailed', 'files:Invalid');
            }
        });
    });

    describe('errors', () => {
        const refused: Record<string, [unknown, string, ...string[]]> = {
            'no body': [undefined, '', 'body:MissingParameter'],
            'a text as the body': ['text', '', 'body:MissingParameter'],
            'null as the body': [null, '', 'body:MissingParameter'],
            'unknown and fixed fields, in the order of the body': [
                {
                    type: 'zvol',
                    disabled: true,
                    activated: true,
                    wrong: 1,
                    v: 3,
                    urn: 'x',
                    published_at: 'x',
                    icon: {},
                },
                '',
                ...['type', 'disabled', 'activated', 'wrong', 'v', 'urn', 'published_at', 'icon'].map(
                    (name) => `${name}:NotAllowed`,
                ),
            ],
            'an array as the body': [[1], '', '0:NotAllowed'],
            "fields for operators from an account, in the contract's order": [
                {
                    uuid: UNKNOWN,
                    origin: UNKNOWN,
                    files: [],
                    traits: {},
                    billing_tags: [],
                    error: {},
                    state: 'failed',
                },
                `&account=${OWNER}`,
                ...['state', 'error', 'billing_tags', 'traits', 'files', 'origin', 'uuid'].map(
                    (name) => `${name}:NotAllowed`,
                ),
            ],
            'an invalid value': [
                { name: 'a:b', homepage: 'x', state: 'sleeping' },
                '',
                'name:Invalid',
                'state:Invalid',
                'homepage:Invalid',
            ],
            'a missing required field': [{ name: null }, '', 'name:MissingParameter'],
            'a private image on a public server': [{ public: false }, '', 'public:Invalid'],
            'fields of a zvol on another type': [{ nic_driver: 'virtio' }, '', 'nic_driver:Invalid'],
            'an origin that is no uuid': [{ origin: 'x' }, '', 'origin:Invalid'],
        };
        for (const [name, [body, query, ...fields]] of Object.entries(refused)) {
            it(`${name}: 422, and nothing changed`, async () => {
                const { uuid } = await registry.client.create();
                const former = await registry.record(uuid);
                assertError(await update(uuid, body, query), 422, 'ValidationFailed', ...fields);
                assert.deepEqual(await registry.record(uuid), former);
            });
        }

        it('an empty body: 422 without fields', async () => {
            for (const body of [{}, []]) {
                const answer = await update(image.uuid, body);
                assert.equal(answer.status, 422);
                assert.equal(answer.error.code, 'ValidationFailed');
                assert.deepEqual(answer.error.errors, []);
            }
        });

        it('uuid, origin and files of an activated image: 422', async () => {
            const body = { files: active.files, origin: UNKNOWN, uuid: UNKNOWN };
            assertError(
                await update(active.uuid, body),
                422,
                'ValidationFailed',
                'files:NotAllowed',
                'origin:NotAllowed',
                'uuid:NotAllowed',
            );
        });

        it('__proto__ and constructor are fields like others', async () => {
            const answer = await registry.client.request('POST', at(image.uuid, '?action=update'), {
                headers: { 'content-type': 'application/json' },
                body: '{"__proto__":{"state":"active"},"constructor":1}',
            });
            assertError(answer, 422, 'ValidationFailed', '__proto__:NotAllowed', 'constructor:NotAllowed');
        });

        it('another account: 404 without, 422 with access', async () => {
            const { uuid } = await registry.client.create();
            assertError(await update(uuid, { name: 'x' }, `&account=${OTHER}`), 404, 'ResourceNotFound');
            const visible = await registry.client.createActive();
            assertError(await update(visible.uuid, { name: 'x' }, `&account=${OTHER}`), 422, 'NotImageOwner');
            assertError(
                await update(uuid, { name: 'x' }, '&account=x'),
                422,
                'InvalidParameter',
                'account:Invalid',
            );
        });

        it('a failed condition: 412, and nothing changed', async () => {
            const { uuid } = await registry.client.create();
            const post = (headers: Record<string, string>) =>
                registry.client.post(at(uuid, '?action=update'), { name: 'changed' }, headers);
            const etag = String((await registry.client.get(at(uuid))).headers.etag);
            assertError(await post({ 'if-match': 'other' }), 412, 'PreconditionFailed');
            assertError(await post({ 'if-none-match': etag }), 412, 'PreconditionFailed');
            assertError(await post({ 'if-none-match': '*' }), 412, 'PreconditionFailed');
            assert.equal((await registry.record(uuid))?.name, 'base');
            assert.equal((await post({ 'if-match': `"${etag}"` })).manifest.name, 'changed');
            assertError(await post({ 'if-match': etag }), 412, 'PreconditionFailed');
        });
    });

    describe('uuid', () => {
        it('moves the image with its file and icon', async () => {
            const { uuid } = await registry.client.create();
            await registry.client.upload(uuid);
            await registry.client.uploadIcon(uuid);
            const other = newUuid();
            const { manifest } = await update(uuid, { uuid: other, name: 'moved' });
            assert.equal(manifest.uuid, other);
            assert.equal(manifest.name, 'moved');
            assert.deepEqual((await registry.client.get(at(other, '/file'))).body, FILE);
            assert.equal((await registry.client.get(at(other, '/icon'))).status, 200);
            assertError(await registry.client.get(at(uuid)), 404, 'ResourceNotFound');
            assert.deepEqual(await registry.stored(uuid), []);
            assert.equal((await registry.stored(other)).length, 2);
        });

        it('of another image: 409, and both stay', async () => {
            const { uuid } = await registry.client.create();
            await registry.client.upload(uuid);
            const before = [await registry.snapshot(uuid), await registry.snapshot(active.uuid)];
            assertError(await update(uuid, { uuid: active.uuid }), 409, 'ImageUuidAlreadyExists');
            assert.deepEqual([await registry.snapshot(uuid), await registry.snapshot(active.uuid)], before);
        });

        it('of an image without a file: 422', async () => {
            const { uuid } = await registry.client.create();
            assertError(await update(uuid, { uuid: newUuid() }), 422, 'ValidationFailed', 'uuid:Invalid');
        });

        it('that is none: 422', async () => {
            const { uuid } = await registry.client.create();
            await registry.client.upload(uuid);
            assertError(await update(uuid, { uuid: '../../etc' }), 422, 'ValidationFailed', 'uuid:Invalid');
        });

        it('of an image with several files: 400', async () => {
            const file = { sha1: 'a'.repeat(40), size: 1, stor: 'local' as const, compression: 'none' };
            const lxd = testImage(70, {
                type: 'lxd',
                activated: false,
                state: 'unactivated',
                files: [file, file],
            });
            await registry.plant(lxd);
            assertError(await update(lxd.uuid, { uuid: newUuid() }), 400, 'NotImplemented');
        });

        it('of an image whose stored file is missing: 500, and nothing changed', async () => {
            const file = { sha1: 'a'.repeat(40), size: 1, stor: 'local' as const, compression: 'none' };
            const broken = testImage(71, { activated: false, state: 'unactivated', files: [file] });
            await registry.plant(broken);
            assertError(await update(broken.uuid, { uuid: newUuid() }), 500, 'InternalError');
            assert.equal((await registry.client.get(at(broken.uuid))).status, 200);
        });
    });
});
