/** AddImageIcon, GetImageIcon and DeleteImageIcon (endpoints.md §3 Icons). */
import assert from 'node:assert/strict';
import { assertError, at, ICON, md5, OTHER, OWNER, sha1, UNKNOWN, type Manifest } from '../support/api';
import { Registry } from '../support/registry';

const LARGEST = 128 * 1024;

describe('Icons', () => {
    let registry: Registry;
    let image: Manifest;

    before(async () => {
        registry = await Registry.start();
    });
    beforeEach(async () => {
        image = await registry.client.create();
    });
    after(() => registry.stop());

    async function* chunked(bytes: Buffer): AsyncGenerator<Buffer> {
        yield bytes;
    }
    const put = (body: Parameters<Registry['client']['put']>[1], type = 'image/png', query = '') =>
        registry.client.put(at(image.uuid, `/icon${query}`), body, { 'content-type': type });
    const get = (headers = {}) => registry.anonymous.get(at(image.uuid, '/icon'), headers);

    describe('AddImageIcon', () => {
        for (const type of ['image/jpeg', 'image/gif', 'image/png']) {
            it(`takes ${type}, which comes back`, async () => {
                const answer = await put(ICON, type, `?sha1=${sha1(ICON)}`);
                assert.equal(answer.manifest.icon, true);
                assert.equal((await registry.client.get(at(image.uuid))).text, answer.text);
                const icon = await get();
                assert.deepEqual(icon.body, ICON);
                assert.equal(icon.headers['content-type'], type);
                assert.equal(icon.headers['content-length'], String(ICON.length));
                assert.equal(icon.headers['content-md5'], md5(ICON));
                assert.equal(icon.headers.etag, sha1(ICON));
                assert.ok(icon.headers['last-modified']);
            });
        }

        it('replaces an icon and leaves nothing of the former one', async () => {
            await put(ICON);
            await put(Buffer.from('another'), 'image/gif');
            assert.equal((await get()).text, 'another');
            assert.equal((await registry.stored(image.uuid)).length, 1);
        });

        it('works on activated images, and keeps the file', async () => {
            image = await registry.client.createActive();
            assert.equal((await put(ICON)).manifest.files.length, 1);
            assert.equal((await registry.client.get(at(image.uuid, '/file'))).status, 200);
        });

        it('takes exactly 128 KiB, and chunks', async () => {
            assert.equal((await put(Buffer.alloc(LARGEST, 1))).status, 200);
            assert.equal((await put(chunked(ICON))).status, 200);
        });

        const refused: Record<string, () => ReturnType<typeof put>> = {
            'another content type': () => put(ICON, 'image/svg+xml'),
            'a content type with parameters': () => put(ICON, 'image/png; charset=binary'),
            'no content type': () => registry.client.put(at(image.uuid, '/icon'), ICON),
            'an announced size over 128 KiB': () => put(Buffer.alloc(LARGEST + 1)),
            'a chunked size over 128 KiB': () => put(chunked(Buffer.alloc(LARGEST + 1))),
            'an empty icon': () => put(Buffer.alloc(0)),
            'an empty chunked icon': () => put(chunked(Buffer.alloc(0))),
            'another sha1': () => put(ICON, 'image/png', `?sha1=${sha1('other')}`),
            'the sha1 in upper case': () => put(ICON, 'image/png', `?sha1=${sha1(ICON).toUpperCase()}`),
        };
        for (const [name, ask] of Object.entries(refused)) {
            it(`refuses ${name}: 400, and the former icon stays`, async () => {
                await registry.client.uploadIcon(image.uuid);
                const former = await registry.snapshot(image.uuid);
                assertError(await ask(), 400, 'Upload');
                assert.deepEqual(await registry.snapshot(image.uuid), former);
                assert.deepEqual((await get()).body, ICON);
            });
        }

        it('refuses a wrong storage', async () => {
            assertError(
                await put(ICON, 'image/png', '?storage=tape'),
                422,
                'InvalidParameter',
                'storage:Invalid',
            );
            const answer = await put(ICON, 'image/png', `?storage=local&account=${OWNER}`);
            assertError(answer, 422, 'InvalidParameter', 'storage:NotAllowed');
            assert.equal((await put(ICON, 'image/png', '?storage=local')).status, 200);
        });

        it('is for the owner', async () => {
            assertError(await put(ICON, 'image/png', `?account=${OTHER}`), 404, 'ResourceNotFound');
            image = await registry.client.createActive();
            assertError(await put(ICON, 'image/png', `?account=${OTHER}`), 422, 'NotImageOwner');
            assert.equal((await put(ICON, 'image/png', `?account=${OWNER}`)).status, 200);
        });
    });

    describe('GetImageIcon', () => {
        it('is 404 without an icon or image', async () => {
            assertError(await get(), 404, 'ResourceNotFound');
            assertError(await registry.anonymous.get(at(UNKNOWN, '/icon')), 404, 'ResourceNotFound');
        });

        it('honours conditions and ranges', async () => {
            await put(ICON);
            assert.equal((await get({ 'if-none-match': `"${sha1(ICON)}"` })).status, 304);
            assertError(await get({ 'if-match': 'x' }), 412, 'PreconditionFailed');
            const part = await get({ range: 'bytes=1-3' });
            assert.equal(part.status, 206);
            assert.equal(part.text, 'PNG');
            assertError(await get({ range: 'bytes=500-' }), 416, 'RequestedRangeNotSatisfiable');
        });
    });

    describe('DeleteImageIcon', () => {
        it('gives the manifest without the icon', async () => {
            const before = (await registry.client.get(at(image.uuid))).text;
            await put(ICON);
            const answer = await registry.client.delete(at(image.uuid, '/icon'));
            assert.ok(!('icon' in answer.manifest));
            assert.equal(answer.text, before);
            assert.ok(answer.headers.etag);
            assert.deepEqual(await registry.stored(image.uuid), []);
            assertError(await get(), 404, 'ResourceNotFound');
            assertError(await registry.client.delete(at(image.uuid, '/icon')), 404, 'ResourceNotFound');
        });

        it('is for the owner', async () => {
            image = await registry.client.createActive();
            await put(ICON);
            const remove = (account: string) =>
                registry.client.delete(at(image.uuid, `/icon?account=${account}`));
            assertError(await remove(OTHER), 422, 'NotImageOwner');
            assertError(await remove('x'), 422, 'InvalidParameter', 'account:Invalid');
            assert.equal((await remove(OWNER)).status, 200);
        });
    });
});
