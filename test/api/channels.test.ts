/** What a server with channels does on the routes that others have as well (endpoints.md §2 and §3, manifest.md §5). */
import assert from 'node:assert/strict';
import { assertError, at, FILE, MANIFEST, sha1, type Manifest } from '../support/api';
import { testImage } from '../support/images';
import { CHANNELS, Registry } from '../support/registry';

describe('Channels', () => {
    let registry: Registry;
    let image: Manifest;

    before(async () => {
        registry = await Registry.start({ channels: CHANNELS });
    });
    beforeEach(async () => {
        image = await registry.client.createActive();
    });
    after(() => registry.stop());

    const get = (query = '', headers = {}) => registry.client.get(at(image.uuid, query), headers);
    const both = () => registry.client.action(image.uuid, 'update', { channels: ['dev', 'release'] });

    it('are served to version 2 only', async () => {
        for (const version of ['~2', '*', '>=1', '^1||^2', '', '2.0.0']) {
            assert.deepEqual(
                (await get('', { 'accept-version': version })).manifest.channels,
                ['dev'],
                version,
            );
        }
        for (const version of ['~1', '1.0.0']) {
            assert.equal(
                (await get('', { 'accept-version': version })).manifest.channels,
                undefined,
                version,
            );
        }
        assert.equal((await get()).manifest.channels, undefined);
    });

    it('are part of the ETag of the version that has them', async () => {
        const [one, two] = [await get(), await get('', { 'accept-version': '~2' })];
        assert.equal(one.headers.etag, sha1(JSON.stringify(one.json)));
        assert.equal(two.headers.etag, sha1(JSON.stringify(two.json)));
        assert.notEqual(one.headers.etag, two.headers.etag);
        const list = await registry.client.get('/images', { 'accept-version': '~2' });
        assert.ok(list.manifests.every(({ channels }) => channels?.includes('dev')));
    });

    it('hide an image from requests in other ones', async () => {
        assert.equal((await get('?channel=dev')).status, 200);
        assert.equal((await get('?channel=')).status, 200);
        for (const all of ['*', '%2A']) {
            assert.equal((await get(`?channel=${all}`)).status, 200);
        }
        assertError(await get('?channel=release'), 404, 'ResourceNotFound');
        assertError(await get('/file?channel=release'), 404, 'ResourceNotFound');
        assert.deepEqual((await registry.client.get('/images?channel=release')).manifests, []);
        assert.ok((await registry.client.get('/images?channel=*')).uuids.includes(image.uuid));
    });

    it('that are not configured are 422 everywhere; for writes * is one of them', async () => {
        for (const path of [
            '/images?channel=x',
            at(image.uuid, '?channel=x'),
            at(image.uuid, '/file?channel=x'),
        ]) {
            assertError(await registry.client.get(path), 422, 'ValidationFailed', 'channel:Invalid');
        }
        for (const channel of ['x', '*']) {
            for (const path of ['/images', at(image.uuid), at(image.uuid, '/acl')]) {
                const answer = await registry.client.post(`${path}?channel=${channel}`, MANIFEST);
                assertError(answer, 422, 'ValidationFailed', 'channel:Invalid');
            }
            assertError(
                await registry.client.delete(at(image.uuid, `?channel=${channel}`)),
                422,
                'ValidationFailed',
                'channel:Invalid',
            );
            const upload = await registry.client.put(at(image.uuid, `/file?channel=${channel}`), FILE);
            assertError(upload, 422, 'ValidationFailed', 'channel:Invalid');
        }
    });

    it('given twice are 422', async () => {
        const answer = await registry.client.get('/images?channel=dev&channel=dev');
        assertError(answer, 422, 'InvalidParameter', 'channel:Invalid');
    });

    it('are the default one or the one asked for in a new image', async () => {
        const create = await registry.client.post('/images?channel=release', MANIFEST, {
            'accept-version': '*',
        });
        assert.deepEqual(create.manifest.channels, ['release']);
    });

    it('lose an image one by one when it is deleted', async () => {
        await both();
        assert.equal((await registry.client.delete(at(image.uuid, '?channel=release'))).status, 204);
        assertError(await get('?channel=release'), 404, 'ResourceNotFound');
        assert.equal((await get('?channel=dev')).status, 200);
        assert.equal((await registry.client.delete(at(image.uuid))).status, 204);
        assert.equal(await registry.record(image.uuid), undefined);
    });

    it('lose it all at once with force_all_channels', async () => {
        await both();
        assert.equal((await registry.client.delete(at(image.uuid, '?force_all_channels=true'))).status, 204);
        assert.equal(await registry.record(image.uuid), undefined);
        assert.deepEqual(await registry.stored(image.uuid), []);
    });

    it('keep an image as long as another one of the same channel is built on it', async () => {
        await both();
        const child = testImage(2, { origin: image.uuid, channels: ['release'], files: [] });
        await registry.plant(child);
        for (const query of ['?channel=release', '?channel=release&force_all_channels=true']) {
            const answer = await registry.client.delete(at(image.uuid, query));
            assertError(answer, 422, 'ImageHasDependentImages');
        }
        assert.equal((await registry.client.delete(at(image.uuid, '?channel=dev'))).status, 204);
        assertError(await get(), 404, 'ResourceNotFound');
        assert.deepEqual((await registry.record(image.uuid))?.channels, ['release']);
        assertError(await registry.client.delete(at(image.uuid)), 404, 'ResourceNotFound');
        assert.equal((await registry.client.delete(at(child.uuid, '?channel=release'))).status, 204);
        assert.equal((await registry.client.delete(at(image.uuid, '?channel=release'))).status, 204);
        assert.equal(await registry.record(image.uuid), undefined);
    });

    it('are not looked at before force_all_channels is a boolean', async () => {
        await both();
        const answer = await registry.client.delete(at(image.uuid, '?force_all_channels='));
        assertError(answer, 422, 'InvalidParameter', 'force_all_channels:Invalid');
        assert.deepEqual((await registry.record(image.uuid))?.channels, ['dev', 'release']);
    });

    it('make an image without any invisible, with * too', async () => {
        const lost = testImage(1);
        await registry.plant(lost);
        assertError(await registry.client.get(at(lost.uuid, '?channel=*')), 404, 'ResourceNotFound');
        assert.ok(!(await registry.client.get('/images?channel=*')).uuids.includes(lost.uuid));
    });

    it('have to be named on a server without a default', async () => {
        const strict = await Registry.start({
            channels: CHANNELS.map(({ name, description }) => ({ name, description })),
        });
        try {
            for (const path of ['/images', '/images?channel=', at(image.uuid), at(image.uuid, '/file')]) {
                assertError(
                    await strict.client.get(path),
                    422,
                    'ValidationFailed',
                    'channel:MissingParameter',
                );
            }
            assertError(
                await strict.client.post('/images', MANIFEST),
                422,
                'ValidationFailed',
                'channel:MissingParameter',
            );
            assert.equal((await strict.client.get('/images?channel=*')).status, 200);
            assert.equal((await strict.client.get('/ping')).status, 200);
        } finally {
            await strict.stop();
        }
    });
});
