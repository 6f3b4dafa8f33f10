/** Origins: an image is never without the one it is built on, however requests meet (endpoints.md §3 CreateImage, DeleteImage). */
import assert from 'node:assert/strict';
import { assertError, at, MANIFEST } from '../support/api';
import { Registry } from '../support/registry';

describe('Origins', () => {
    let registry: Registry;
    before(async () => {
        registry = await Registry.start();
    });
    after(() => registry.stop());

    it('that are deleted while an image is created on them leave no image without its origin', async () => {
        const { client } = registry;
        for (let round = 0; round < 40; round++) {
            const origin = await client.createActive();
            const body = { ...MANIFEST, origin: origin.uuid };
            const creating = client.post('/images', body);
            // Lets the create get ahead by a little more every round.
            for (let pings = 0; pings < round % 8; pings++) {
                await client.get('/ping');
            }
            const [created, deleted] = await Promise.all([creating, client.delete(at(origin.uuid))]);
            if (created.status === 200) {
                assertError(deleted, 422, 'ImageHasDependentImages');
            } else {
                assertError(created, 422, 'OriginDoesNotExist');
                assert.equal(deleted.status, 204);
            }
        }
    });
});
