/** AddImageAcl and RemoveImageAcl (endpoints.md §3 acl). */
import assert from 'node:assert/strict';
import { assertError, at, newUuid, OTHER, OWNER, STRANGER, type Manifest } from '../support/api';
import { Registry } from '../support/registry';

describe('Access lists', () => {
    let registry: Registry;
    let image: Manifest;

    before(async () => {
        registry = await Registry.start({ mode: 'private' });
    });
    beforeEach(async () => {
        image = await registry.client.create({ public: false });
    });
    after(() => registry.stop());

    const acl = (body: unknown, query = '') => registry.client.post(at(image.uuid, `/acl${query}`), body);

    it('grow as sets that keep their order', async () => {
        assert.deepEqual((await acl([OTHER])).manifest.acl, [OTHER]);
        const answer = await acl([STRANGER, OTHER, STRANGER], '?action=add');
        assert.deepEqual(answer.manifest.acl, [OTHER, STRANGER]);
        const get = await registry.client.get(at(image.uuid));
        assert.equal(get.text, answer.text);
        assert.equal(get.headers.etag, answer.headers.etag);
    });

    it('shrink, and are not served when they are empty', async () => {
        await acl([OTHER, STRANGER]);
        assert.deepEqual((await acl([OTHER, newUuid()], '?action=remove')).manifest.acl, [STRANGER]);
        assert.ok(!('acl' in (await acl([STRANGER], '?action=remove')).manifest));
        assert.deepEqual((await registry.record(image.uuid))?.acl, []);
    });

    it('take an empty array', async () => {
        assert.equal((await acl([])).status, 200);
        assert.equal((await acl([], '?action=remove')).status, 200);
    });

    it('let the account see the activated image', async () => {
        const active = await registry.client.createActive({ public: false });
        const seen = async () => (await registry.client.get(at(active.uuid, `?account=${OTHER}`))).status;
        assert.equal(await seen(), 404);
        await registry.client.post(at(active.uuid, '/acl'), [OTHER]);
        assert.equal(await seen(), 200);
        assert.equal((await registry.client.get(at(active.uuid, `/file?account=${OTHER}`))).status, 200);
        await registry.client.post(at(active.uuid, '/acl?action=remove'), [OTHER]);
        assert.equal(await seen(), 404);
    });

    for (const action of ['', '?action=add', '?action=remove']) {
        it(`refuse what is no array of uuids (${action || 'no action'})`, async () => {
            for (const body of [
                undefined,
                {},
                null,
                OTHER,
                [OTHER, 'x'],
                [5],
                [null],
                [[OTHER]],
                [OTHER.toUpperCase()],
            ]) {
                assertError(await acl(body, action), 422, 'InvalidParameter', 'acl:Invalid');
            }
            assert.deepEqual((await registry.record(image.uuid))?.acl, []);
        });
    }

    it('refuse other actions', async () => {
        for (const action of ['set', 'Add']) {
            assertError(await acl([OTHER], `?action=${action}`), 422, 'InvalidParameter', 'action:Invalid');
        }
    });

    it('are changed by their owner only', async () => {
        assert.deepEqual((await acl([OTHER], `?account=${OWNER}`)).manifest.acl, [OTHER]);
        assertError(await acl([OTHER], `?account=${OTHER}`), 404, 'ResourceNotFound');
        const active = await registry.client.createActive({ public: false, acl: [OTHER] });
        const answer = await registry.client.post(at(active.uuid, `/acl?account=${OTHER}`), [STRANGER]);
        assertError(answer, 422, 'NotImageOwner');
    });

    it('lose nothing when many change them at once', async () => {
        const accounts = Array.from({ length: 20 }, newUuid);
        const answers = await Promise.all(accounts.map((account) => acl([account])));
        assert.ok(answers.every(({ status }) => status === 200));
        assert.deepEqual([...((await registry.record(image.uuid))?.acl ?? [])].sort(), accounts.sort());
    });
});
