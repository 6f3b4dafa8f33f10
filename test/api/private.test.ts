/** A server in mode private (manifest.md §4). */
import assert from 'node:assert/strict';
import { assertError, at, FILE, OTHER, OWNER } from '../support/api';
import { Registry } from '../support/registry';

describe('Mode private', () => {
    let registry: Registry;

    before(async () => {
        registry = await Registry.start({ mode: 'private' });
    });
    after(() => registry.stop());

    it('has private images only', async () => {
        assertError(
            await registry.client.post('/images', { ...body(), public: true }),
            422,
            'ValidationFailed',
            'public:Invalid',
        );
        const { uuid } = await registry.client.create({ public: false });
        assertError(
            await registry.client.action(uuid, 'update', { public: true }),
            422,
            'ValidationFailed',
            'public:Invalid',
        );
    });

    it('makes an image private by default', async () => {
        assert.equal((await registry.client.post('/images', body())).manifest.public, false);
    });

    it('serves billing tags and traits', async () => {
        const fields = { billing_tags: ['xl'], traits: { ssd: true, sizes: ['a'] } };
        const { uuid } = await registry.client.create({ public: false, ...fields });
        const { manifest } = await registry.anonymous.get(at(uuid));
        assert.deepEqual(manifest.billing_tags, ['xl']);
        assert.deepEqual(manifest.traits, fields.traits);
    });

    it('lets everybody read by uuid and list what is active', async () => {
        const { uuid } = await registry.client.createActive({ public: false });
        assert.equal((await registry.anonymous.get(at(uuid))).status, 200);
        assert.deepEqual((await registry.anonymous.get(at(uuid, '/file'))).body, FILE);
        assert.deepEqual((await registry.anonymous.get('/images')).uuids, [uuid]);
        assert.deepEqual((await registry.anonymous.get('/images?state=unactivated')).manifests, []);
    });

    it('shows an account its own images and those shared with it', async () => {
        const { uuid } = await registry.client.createActive({ public: false });
        const seen = async (account: string) =>
            (await registry.client.get(at(uuid, `?account=${account}`))).status;
        assert.equal(await seen(OWNER), 200);
        assert.equal(await seen(OTHER), 404);
        await registry.client.post(at(uuid, '/acl'), [OTHER]);
        assert.equal(await seen(OTHER), 200);
        assert.ok((await registry.client.get(`/images?account=${OTHER}`)).uuids.includes(uuid));
    });

    function body(): Record<string, unknown> {
        return { name: 'base', version: '1', type: 'zone-dataset', os: 'smartos', owner: OWNER };
    }
});
