/** A server in mode dc (manifest.md §4, endpoints.md §2 and §3). */
import assert from 'node:assert/strict';
import { VERSION } from '../../lib/version';
import { at } from '../support/api';
import { DATACENTER, Registry } from '../support/registry';

describe('Mode dc', () => {
    let registry: Registry;

    before(async () => {
        registry = await Registry.start({ ...DATACENTER, authType: 'none' });
    });
    after(() => registry.stop());

    it('tells everybody its process in a ping', async () => {
        const { json } = await registry.anonymous.get('/ping');
        const { pid } = registry.server.child;
        assert.deepEqual(json, { ping: 'pong', version: VERSION, imgapi: true, pid });
    });

    it('has public and private images, with billing tags and traits', async () => {
        for (const isPublic of [true, false]) {
            const fields = { public: isPublic, billing_tags: ['xl'], traits: { ssd: true } };
            const { uuid } = await registry.client.create(fields);
            const { manifest } = await registry.anonymous.get(at(uuid));
            assert.equal(manifest.public, isPublic);
            assert.deepEqual(manifest.billing_tags, ['xl']);
        }
    });

    it('lists what is asked for, with operator fields, without a signature', async () => {
        const { uuid } = await registry.client.create();
        await registry.client.upload(uuid);
        const { manifests } = await registry.anonymous.get('/images?state=unactivated&inclAdminFields=true');
        assert.equal(manifests.find((image) => image.uuid === uuid)?.files[0]?.stor, 'local');
    });

    it('does not log the password of the account directory', () => {
        assert.ok(!JSON.stringify(registry.server.log).includes('secret-of-ufds'));
    });
});
