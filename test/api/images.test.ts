/** CreateImage, GetImage and DeleteImage (endpoints.md §3, manifest.md §2 and §6). */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
    assertError,
    at,
    FILE,
    MANIFEST,
    newUuid,
    OTHER,
    OWNER,
    sha1,
    STRANGER,
    UNKNOWN,
} from '../support/api';
import { testImage, testUuid } from '../support/images';
import { Registry } from '../support/registry';

describe('Images', () => {
    let registry: Registry;

    before(async () => {
        registry = await Registry.start();
    });
    after(() => registry.stop());

    const without = (field: keyof typeof MANIFEST) =>
        Object.fromEntries(Object.entries(MANIFEST).filter(([name]) => name !== field));

    describe('CreateImage', () => {
        const create = (body: unknown, query = '') => registry.client.post(`/images${query}`, body);

        it('gives the new image in the form of GetImage, with its ETag', async () => {
            const answer = await create(MANIFEST);
            const { uuid } = answer.manifest;
            assert.deepEqual(answer.manifest, {
                v: 2,
                uuid,
                owner: OWNER,
                name: 'base',
                version: '1.0.0',
                state: 'unactivated',
                disabled: false,
                public: true,
                type: 'zone-dataset',
                os: 'smartos',
                files: [],
            });
            assert.equal(answer.headers.etag, sha1(JSON.stringify(answer.json)));
            const get = await registry.anonymous.get(at(uuid));
            assert.equal(get.text, answer.text);
            assert.equal(get.headers.etag, answer.headers.etag);
        });

        it('takes every field that a client may set', async () => {
            const fields = {
                description: 'An image.',
                homepage: 'https://example.com/image',
                eula: 'http://example.com/eula',
                acl: [OTHER],
                requirements: {
                    networks: [{ name: 'net0', description: 'public' }],
                    min_ram: 256,
                    ssh_key: true,
                },
                users: [{ name: 'root' }],
                generate_passwords: false,
                inherited_directories: ['/opt'],
                tags: { role: 'web', size: 5, on: true, more: { a: [1] } },
            };
            const manifest = await registry.client.create({
                ...fields,
                billing_tags: ['xl'],
                traits: { ssd: true },
            });
            for (const [name, value] of Object.entries(fields)) {
                assert.deepEqual(manifest[name], value, name);
            }
            assert.equal(manifest.billing_tags, undefined, 'public servers do not show billing tags');
            const record = await registry.record(manifest.uuid);
            assert.deepEqual(record?.billing_tags, ['xl']);
            assert.deepEqual(record.traits, { ssd: true });
        });

        it('takes a zvol with its fields', async () => {
            const fields = {
                type: 'zvol',
                nic_driver: 'virtio',
                disk_driver: 'virtio',
                cpu_type: 'host',
                image_size: '10240',
            };
            const manifest = await registry.client.create(fields);
            assert.equal(manifest.image_size, 10240);
            assert.equal(manifest.nic_driver, 'virtio');
        });

        it('takes booleans as texts and drops empty texts', async () => {
            const manifest = await registry.client.create({
                disabled: 'true',
                public: 'true',
                description: '',
            });
            assert.equal(manifest.disabled, true);
            assert.equal(manifest.state, 'unactivated');
            assert.ok(!('description' in manifest));
        });

        it('passes over files, icon and channels of the body', async () => {
            const files = [{ sha1: 'x', size: 1, compression: 'none' }];
            const manifest = await registry.client.create({ files, icon: true, channels: ['dev'] });
            assert.deepEqual(manifest.files, []);
            assert.ok(!('icon' in manifest) && !('channels' in manifest));
        });

        it('takes the owner from the account', async () => {
            const { manifest } = await create(without('owner'), `?account=${OTHER}`);
            assert.equal(manifest.owner, OTHER);
        });

        it('takes an origin in any state', async () => {
            const origin = await registry.client.create();
            assert.equal((await registry.client.create({ origin: origin.uuid })).origin, origin.uuid);
        });

        const refused: Record<string, [unknown, string, number, string, ...string[]]> = {
            'an account that is no uuid': [
                MANIFEST,
                '?account=x',
                422,
                'InvalidParameter',
                'account:Invalid',
            ],
            'an owner that is not the account': [
                MANIFEST,
                `?account=${OTHER}`,
                422,
                'InvalidParameter',
                'owner:Invalid',
            ],
            'a state': [{ ...MANIFEST, state: 'active' }, '', 422, 'ValidationFailed', 'state:NotAllowed'],
            'no owner': [without('owner'), '', 422, 'ValidationFailed', 'owner:MissingParameter'],
            'an owner that is no uuid': [
                { ...MANIFEST, owner: 'me' },
                '',
                422,
                'ValidationFailed',
                'owner:Invalid',
            ],
            'an origin that does not exist': [
                { ...MANIFEST, origin: UNKNOWN },
                '',
                422,
                'OriginDoesNotExist',
            ],
            'an origin that is no text': [
                { ...MANIFEST, origin: 5 },
                '',
                422,
                'ValidationFailed',
                'origin:Invalid',
            ],
            'no body': [undefined, '', 422, 'ValidationFailed', 'body:MissingParameter'],
            'fields nobody knows': [
                { ...MANIFEST, wrong: 1, uuid: UNKNOWN, activated: true, published_at: 'x', urn: 'a:b:c:d' },
                '',
                422,
                'InvalidParameter',
                'wrong:Invalid',
                'uuid:Invalid',
                'activated:Invalid',
                'published_at:Invalid',
                'urn:Invalid',
            ],
            'zvol fields on another type': [
                { ...MANIFEST, image_size: 5 },
                '',
                422,
                'InvalidParameter',
                'image_size:Invalid',
            ],
            'several mistakes, in the order of the contract': [
                { ...MANIFEST, homepage: 'ftp://x', os: 'dos', name: 'a&b', acl: ['x'], version: 'ä' },
                '',
                422,
                'ValidationFailed',
                'name:Invalid',
                'version:Invalid',
                'os:Invalid',
                'homepage:Invalid',
                'acl:Invalid',
            ],
            'a zvol without its fields': [
                { ...MANIFEST, type: 'zvol' },
                '',
                422,
                'ValidationFailed',
                'nic_driver:MissingParameter',
                'disk_driver:MissingParameter',
                'cpu_type:MissingParameter',
                'image_size:Invalid',
            ],
            'an unknown action': [MANIFEST, '?action=make-coffee', 422, 'InvalidParameter', 'action:Invalid'],
        };
        for (const [name, [body, query, status, code, ...fields]] of Object.entries(refused)) {
            it(`refuses ${name}`, async () => {
                assertError(await create(body, query), status, code, ...fields);
            });
        }

        for (const field of ['name', 'version', 'type', 'os'] as const) {
            it(`refuses an image without ${field}`, async () => {
                assertError(
                    await create(without(field)),
                    422,
                    'ValidationFailed',
                    `${field}:MissingParameter`,
                );
            });
        }

        const invalid: Record<string, unknown[]> = {
            v: ['x', -1],
            name: ['', null, 5, 'x'.repeat(1025), 'a:b'],
            version: [null, 'x'.repeat(513), '1 0'],
            description: ['x'.repeat(10241)],
            homepage: ['example.com', 'javascript:alert(1)', `http://x/${'a'.repeat(1024)}`],
            eula: ['x'],
            disabled: ['yes', null],
            public: [false, 'x'],
            type: ['null', 'lxc'],
            os: ['null', 'hurd'],
            error: ['text'],
            acl: ['x', [5], [OTHER.toUpperCase()]],
            users: [{}, [null], [{ name: 'a', x: 1 }]],
            billing_tags: [{}, [5], ['x'.repeat(129)]],
            traits: [[], null, { a: 5 }],
            tags: [null, 'x', [], { a: 'x'.repeat(102400) }],
            generate_passwords: ['perhaps'],
            inherited_directories: ['x', [5]],
            requirements: [null, 'x', 5],
        };
        for (const [field, values] of Object.entries(invalid)) {
            it(`refuses an invalid ${field}`, async () => {
                for (const value of values) {
                    const answer = await create({ ...MANIFEST, [field]: value });
                    assertError(answer, 422, 'ValidationFailed', `${field}:Invalid`);
                }
            });
        }

        it('refuses invalid requirements by their own names', async () => {
            for (const [requirements, ...fields] of [
                [{ min_ram: 1.5, other: 1 }, 'requirements.min_ram:Invalid', 'other:Invalid'],
                [{ min_ram: 5, max_ram: 4 }, 'requirements.max_ram:Invalid'],
                [{ bootrom: 'bios' }, 'requirements.bootrom:MissingParameter'],
                [{ min_platform: { '7.0': 'soon' } }, 'requirements.min_platform:Invalid'],
            ] as const) {
                assertError(await create({ ...MANIFEST, requirements }), 422, 'ValidationFailed', ...fields);
            }
        });

        it('reads the body only after the signature', async () => {
            const answer = await registry.anonymous.request('POST', '/images', {
                headers: { 'content-type': 'application/json' },
                body: '{',
            });
            assertError(answer, 401, 'UnauthorizedError');
        });
    });

    describe('GetImage', () => {
        it('shows images in every state to everybody who has the uuid', async () => {
            const { uuid } = await registry.client.create({ disabled: true });
            for (const client of [registry.anonymous, registry.client]) {
                assert.equal((await client.get(at(uuid))).manifest.state, 'unactivated');
            }
        });

        it('is 404 for an image that is not there or whose uuid is none', async () => {
            for (const uuid of [UNKNOWN, 'x', UNKNOWN.replace('0', 'A')]) {
                assertError(await registry.client.get(at(uuid)), 404, 'ResourceNotFound');
            }
        });

        it('is 404 for a stored image that breaks the rules', async () => {
            const bad = testImage(50, { public: false });
            await registry.plant(bad);
            for (const path of ['', '/file', '/icon']) {
                assertError(await registry.client.get(at(bad.uuid, path)), 404, 'ResourceNotFound');
            }
        });

        it('shows an account its own images, and activated ones that are public or shared', async () => {
            const unactivated = await registry.client.create({ acl: [OTHER] });
            const active = await registry.client.createActive({});
            await registry.client.action(active.uuid, 'disable');
            const seen = async (uuid: string, account: string) =>
                (await registry.client.get(at(uuid, `?account=${account}`))).status;
            assert.equal(await seen(unactivated.uuid, OWNER), 200);
            assert.equal(await seen(unactivated.uuid, OTHER), 404);
            assert.equal(await seen(active.uuid, STRANGER), 200, 'public, activated, though disabled');
        });

        it('is 422 for an account that is no uuid, even of an unknown image', async () => {
            for (const uuid of [UNKNOWN, (await registry.client.create()).uuid]) {
                const answer = await registry.client.get(at(uuid, '?account=me'));
                assertError(answer, 422, 'InvalidParameter', 'account:Invalid');
            }
        });

        it('adds operator fields for signed requests only', async () => {
            const { uuid } = await registry.client.createActive();
            const path = at(uuid, '?inclAdminFields=true');
            const plain = await registry.client.get(at(uuid));
            const full = await registry.client.get(path);
            assert.equal(full.manifest.files[0]?.stor, 'local');
            assert.equal(plain.manifest.files[0]?.stor, undefined);
            assertError(await registry.anonymous.get(path), 401, 'UnauthorizedError');
            assert.equal((await registry.anonymous.get(at(uuid, '?inclAdminFields=false'))).status, 200);
            const wrong = await registry.client.get(at(uuid, '?inclAdminFields=1'));
            assertError(wrong, 422, 'InvalidParameter', 'inclAdminFields:Invalid');
        });

        it('honours conditions', async () => {
            const { uuid } = await registry.client.create();
            const { headers } = await registry.client.get(at(uuid));
            const etag = String(headers.etag);
            for (const value of [etag, `"${etag}"`, `W/"${etag}"`, `"other", "${etag}"`, '*']) {
                const same = await registry.client.get(at(uuid), { 'if-none-match': value });
                assert.equal(same.status, 304, value);
                assert.equal(same.headers.etag, undefined);
                assert.equal(same.body.length, 0);
                assert.equal((await registry.client.get(at(uuid), { 'if-match': value })).status, 200);
            }
            assert.equal((await registry.client.get(at(uuid), { 'if-none-match': 'other' })).status, 200);
            assertError(
                await registry.client.get(at(uuid), { 'if-match': 'other' }),
                412,
                'PreconditionFailed',
            );
        });

        it('sees the change of another process at once', async () => {
            const image = testImage(51, { activated: false, state: 'unactivated' });
            await registry.plant(image);
            assert.equal((await registry.client.get(at(image.uuid))).manifest.name, image.name);
            await registry.plant({ ...image, name: 'renamed' });
            assert.equal((await registry.client.get(at(image.uuid))).manifest.name, 'renamed');
        });
    });

    describe('DeleteImage', () => {
        it('takes away the record and everything stored', async () => {
            const { uuid } = await registry.client.createActive();
            await registry.client.uploadIcon(uuid);
            assert.equal((await registry.stored(uuid)).length, 2);
            const answer = await registry.client.delete(at(uuid));
            assert.equal(answer.status, 204);
            assert.equal(answer.body.length, 0);
            assert.deepEqual(await registry.stored(uuid), []);
            assert.equal(await registry.record(uuid), undefined);
            for (const path of ['', '/file', '/icon']) {
                assertError(await registry.client.get(at(uuid, path)), 404, 'ResourceNotFound');
            }
            assertError(await registry.client.delete(at(uuid)), 404, 'ResourceNotFound');
        });

        it('is refused to an account that is not the owner', async () => {
            const { uuid } = await registry.client.createActive();
            assertError(await registry.client.delete(at(uuid, `?account=${OTHER}`)), 422, 'NotImageOwner');
            const hidden = await registry.client.create();
            assertError(
                await registry.client.delete(at(hidden.uuid, `?account=${OTHER}`)),
                404,
                'ResourceNotFound',
            );
            assert.equal((await registry.client.delete(at(uuid, `?account=${OWNER}`))).status, 204);
        });

        it('is 422 for a force_all_channels that is no boolean', async () => {
            const { uuid } = await registry.client.create();
            await registry.plant(testImage(90, { origin: uuid, files: [] }));
            const answer = await registry.client.delete(at(uuid, '?force_all_channels=yes'));
            assertError(answer, 422, 'InvalidParameter', 'force_all_channels:Invalid');
        });

        it('keeps the archived manifest', async () => {
            const { uuid } = await registry.client.createActive();
            const { text } = await registry.client.get(at(uuid), { 'accept-version': '*' });
            await registry.client.delete(at(uuid));
            const path = join(registry.dataDir, 'archive', uuid.slice(0, 3), `${uuid}.json`);
            assert.equal(await readFile(path, 'utf8'), text);
        });

        it('succeeds where a file is gone already', async () => {
            const { uuid } = await registry.client.createActive();
            const [object] = await registry.stored(uuid);
            await registry.unlinkObject(uuid, object!);
            assert.equal((await registry.client.delete(at(uuid))).status, 204);
            assertError(await registry.client.get(at(uuid)), 404, 'ResourceNotFound');
        });

        it('is refused while other images are built on it, and names the first of them', async () => {
            const { uuid } = await registry.client.create();
            const children = Array.from({ length: 12 }, (_, n) =>
                testImage(100 + n, { origin: uuid, activated: false, state: 'unactivated' }),
            );
            await registry.plant(...children.slice(0, 2));
            const two = await registry.client.delete(at(uuid));
            assertError(two, 422, 'ImageHasDependentImages');
            assert.match(two.error.message, new RegExp(`${testUuid(100)}, ${testUuid(101)}\\.$`));
            await registry.plant(...children.slice(2));
            const many = await registry.client.delete(at(uuid));
            assert.match(many.error.message, /12/);
            assert.match(many.error.message, /7 more/);
            assert.equal(many.error.message.match(/-0000-4000-8000-/g)?.length, 5);
            for (const child of children) {
                assert.equal((await registry.client.delete(at(child.uuid))).status, 204);
            }
            assert.equal((await registry.client.delete(at(uuid))).status, 204);
        });

        it('leaves the files of others alone', async () => {
            const [one, two] = [await registry.client.createActive(), await registry.client.createActive()];
            await registry.client.delete(at(one.uuid));
            assert.deepEqual((await registry.anonymous.get(at(two.uuid, '/file'))).body, FILE);
            assert.notEqual(one.uuid, newUuid());
        });
    });
});
