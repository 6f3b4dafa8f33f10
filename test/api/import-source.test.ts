/** Imports from another repository, as one request each (imports.md §3, endpoints.md §3 AddImageFile with `source`). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { assertError, at, FILE, md5, newUuid, sha1, UNKNOWN, type Answer } from '../support/api';
import { CHANNELS } from '../support/channels';
import { testImage, testUuid } from '../support/images';
import { Registry } from '../support/registry';

const LOOPBACK = { outbound: { allow: ['127.0.0.1'] } };

describe('A second registry as source', () => {
    let source: Registry;
    let target: Registry;
    before(async () => {
        source = await Registry.start();
        target = await Registry.start(LOOPBACK);
    });
    after(async () => {
        await target.stop();
        await source.stop();
    });

    const from = (uuid: string, what: 'import' | 'file', query = ''): string =>
        what === 'import'
            ? at(uuid, `?action=import&source=${encodeURIComponent(source.url)}${query}`)
            : at(uuid, `/file?source=${encodeURIComponent(source.url)}${query}`);
    const importing = (uuid: string, query = ''): Promise<Answer> =>
        target.client.post(from(uuid, 'import', query), {});
    const fetching = (uuid: string, query = ''): Promise<Answer> =>
        target.client.request('PUT', from(uuid, 'file', query), {
            body: '{}',
            headers: { 'content-type': 'application/json', 'content-md5': md5('{}') },
        });

    it('gives its manifest, without icon and files, unactivated', async () => {
        const { uuid } = await source.client.createActive({ tags: { role: 'os' }, description: 'Größe' });
        await source.client.uploadIcon(uuid);
        const original = (await source.client.get(at(uuid))).manifest;
        const answer = await importing(uuid);
        const { manifest } = answer;
        assert.deepEqual(manifest, {
            ...Object.fromEntries(Object.entries(original).filter(([key]) => key !== 'icon')),
            owner: '00000000-0000-0000-0000-000000000000',
            state: 'unactivated',
            files: [],
        });
        const got = await target.client.get(at(uuid));
        assert.equal(got.headers.etag, answer.headers.etag);
        assert.equal(got.text, answer.text);
    });

    it('gives its file, byte for byte, with what its manifest says of it', async () => {
        const bytes = randomBytes(3 << 20);
        const { uuid } = await source.client.create();
        await source.client.upload(uuid, bytes, 'compression=gzip&dataset_guid=1234567890');
        await source.client.action(uuid, 'activate');
        await importing(uuid);
        const answer = await fetching(uuid);
        assert.deepEqual(answer.manifest.files, [
            { sha1: sha1(bytes), size: bytes.length, compression: 'gzip', dataset_guid: '1234567890' },
        ]);
        assert.equal(answer.headers.etag, (await target.client.get(at(uuid))).headers.etag);
        await target.client.action(uuid, 'activate');
        const file = await target.client.get(at(uuid, '/file'));
        assert.deepEqual(file.body, bytes);
        assert.equal(file.headers['content-md5'], md5(bytes));
        assert.equal((await target.stored(uuid)).length, 1);
    });

    it('gives both files of an image that has two', async () => {
        const [meta, root] = [randomBytes(5000), randomBytes(300_000)];
        const raw = testImage(4711, {
            type: 'lxd',
            os: 'linux',
            files: [meta, root].map((bytes) => ({
                sha1: sha1(bytes),
                size: bytes.length,
                contentMD5: md5(bytes),
                mtime: '2024-01-01T00:00:00.000Z',
                stor: 'local',
                compression: 'xz',
            })),
        });
        await source.plant(raw);
        await source.plantObject(raw.uuid, 'file0', meta);
        await source.plantObject(raw.uuid, 'file1', root);
        await importing(raw.uuid);
        assert.equal((await fetching(raw.uuid)).manifest.files.length, 2);
        await target.client.action(raw.uuid, 'activate');
        assert.deepEqual((await target.client.get(at(raw.uuid, '/file'))).body, meta);
        assert.deepEqual((await target.client.get(at(raw.uuid, '/file?index=1'))).body, root);
        assert.deepEqual((await target.client.get(at(raw.uuid, '/file1'))).body, root);
        // Fetched again in the place of others, nothing of the former is left.
        await target.client.delete(at(raw.uuid));
        await target.untilStored(raw.uuid, []);
    });

    it('replaces a file that was uploaded before', async () => {
        const { uuid } = await source.client.createActive();
        await importing(uuid);
        await target.client.upload(uuid, randomBytes(1000));
        await fetching(uuid);
        assert.deepEqual((await target.client.get(at(uuid, '/file'))).body, FILE);
        assert.equal((await target.stored(uuid)).length, 1);
    });

    it('does not need the origin to be here', async () => {
        const { uuid: origin } = await source.client.createActive();
        const { uuid } = await source.client.createActive({ origin });
        assert.equal((await importing(uuid)).manifest.origin, origin);
    });

    describe('Errors of an import from it', () => {
        it('come in the contract’s order', async () => {
            const { uuid } = await target.client.create();
            assertError(await importing(uuid, '&account=x&skip_owner_check=zz'), 403, 'OperatorOnly');
            assertError(
                await importing(uuid, '&skip_owner_check=zz'),
                422,
                'InvalidParameter',
                'skip_owner_check:Invalid',
            );
            assertError(await importing(uuid), 503, 'RemoteSourceError');
            const { uuid: taken } = await source.client.createActive();
            await importing(taken);
            assertError(await importing(taken), 409, 'ImageUuidAlreadyExists');
            await target.client.action(taken, 'update', { state: 'creating' });
            assertError(await importing(taken), 409, 'ImageUuidAlreadyExists');
        });

        it('name what is wrong with the source', async () => {
            for (const url of ['x', 'ftp://127.0.0.1/', 'file:///etc/passwd', 'http://', 'javascript:1']) {
                const query = `source=${encodeURIComponent(url)}`;
                for (const answer of [
                    await target.client.post(at(UNKNOWN, `?action=import&${query}`), {}),
                    await target.client.post(at(UNKNOWN, `?action=import-remote&${query}`), {}),
                ]) {
                    assertError(answer, 422, 'InvalidParameter', 'source:Invalid');
                }
            }
            const closed = encodeURIComponent('http://127.0.0.1:9/');
            const answer = await target.client.post(at(UNKNOWN, `?action=import&source=${closed}`), {});
            assertError(answer, 503, 'RemoteSourceError');
        });

        it('tell what the source answered', async () => {
            const answer = await importing(UNKNOWN);
            assertError(answer, 503, 'RemoteSourceError');
            assert.match(answer.error.message, /Image \S+ does not exist/);
        });

        it('are those of the rules here', async () => {
            const other = await Registry.start({ mode: 'private' });
            try {
                const { uuid } = await other.client.createActive({ public: false });
                const url = encodeURIComponent(other.url);
                const answer = await target.client.post(at(uuid, `?action=import&source=${url}`), {});
                assertError(answer, 422, 'ValidationFailed', 'public:Invalid');
            } finally {
                await other.stop();
            }
        });
    });

    describe('Errors of a file from it', () => {
        it('come in the contract’s order', async () => {
            const { uuid } = await target.client.createActive();
            assertError(await fetching(uuid, '&storage=zz'), 422, 'ImageFilesImmutable');
            const { uuid: fresh } = await target.client.create();
            assertError(await fetching(fresh, '&storage=zz'), 422, 'InvalidParameter', 'storage:Invalid');
            assertError(await fetching(fresh), 503, 'RemoteSourceError');
            assertError(await fetching(UNKNOWN), 404, 'ResourceNotFound');
        });

        it('tell of an image that has no file there', async () => {
            const { uuid } = await source.client.create();
            await importing(uuid);
            assertError(await fetching(uuid), 503, 'RemoteSourceError');
        });

        it('leave nothing behind', async () => {
            const raw = testImage(4713, {
                files: [{ sha1: sha1(FILE), size: FILE.length, stor: 'local', compression: 'none' }],
            });
            await source.plant(raw);
            await importing(raw.uuid);
            const before = await target.snapshot(raw.uuid);
            // Its bytes are gone at the source.
            assertError(await fetching(raw.uuid), 503, 'RemoteSourceError');
            // They are others.
            await source.plantObject(raw.uuid, 'file0', randomBytes(FILE.length));
            assertError(await fetching(raw.uuid), 400, 'Download');
            assert.deepEqual(await target.snapshot(raw.uuid), before);
            await source.plantObject(raw.uuid, 'file0', FILE);
            assert.equal((await fetching(raw.uuid)).status, 200);
        });
    });
});

describe('Channels of a source', () => {
    it('are asked for with every request, and ours are given', async () => {
        const source = await Registry.start({ channels: CHANNELS });
        const target = await Registry.start({ ...LOOPBACK, channels: [{ ...CHANNELS[0], name: 'mine' }] });
        try {
            const { uuid } = (await source.client.post('/images?channel=release', testBody())).manifest;
            await source.client.put(at(uuid, '/file?compression=none&channel=release'), FILE);
            await source.client.action(uuid, 'activate&channel=release');
            const at2 = (query: string) =>
                encodeURIComponent(`${source.url}/${query}`).replaceAll('%2F%3F', '%3F');
            const hidden = await target.client.post(at(uuid, `?action=import&source=${at2('')}`), {});
            assertError(hidden, 503, 'RemoteSourceError');
            for (const channel of ['release', '*']) {
                const query = `source=${at2(`?channel=${channel}`)}`;
                const answer = await target.client.post(at(uuid, `?action=import&${query}`), {});
                // Always in the form of version 2.
                assert.deepEqual(answer.manifest.channels, ['mine']);
                assert.equal((await target.client.put(at(uuid, `/file?${query}`), '{}')).status, 200);
                assert.deepEqual((await target.client.get(at(uuid, '/file'))).body, FILE);
                await target.client.delete(at(uuid));
            }
        } finally {
            await target.stop();
            await source.stop();
        }
    });

    const testBody = (): Record<string, unknown> => ({
        name: 'base',
        version: newUuid(),
        type: 'zone-dataset',
        os: 'smartos',
        public: true,
        owner: testUuid(1),
    });
});
