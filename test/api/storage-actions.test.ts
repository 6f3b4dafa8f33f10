/** change-stor and export as far as they go with one storage (endpoints.md §3, imports.md §9, manta.md §6). */
import assert from 'node:assert/strict';
import type { RawImage } from '../../lib/manifest';
import {
    assertError,
    at,
    md5,
    OTHER,
    OWNER,
    UNKNOWN,
    type Answer,
    type Client,
    type Manifest,
} from '../support/api';
import { testImage } from '../support/images';
import { Registry } from '../support/registry';

const file = (fields: object = {}) => ({
    sha1: 'a'.repeat(40),
    size: 1,
    stor: 'local' as const,
    compression: 'none',
    ...fields,
});

describe('AdminChangeImageStor', () => {
    let registry: Registry;
    let client: Client;
    let image: Manifest;
    before(async () => {
        registry = await Registry.start();
        client = registry.client;
        image = await client.createActive();
    });
    after(() => registry.stop());

    const change = (uuid: string, query: string): Promise<Answer> =>
        client.post(at(uuid, `?action=change-stor${query}`), {});

    async function planted(n: number, fields: Partial<RawImage>): Promise<string> {
        const raw = testImage(n, fields);
        await registry.plant(raw);
        return raw.uuid;
    }

    it('leaves a file where it is already', async () => {
        const before = await registry.snapshot(image.uuid);
        const answer = await change(image.uuid, '&stor=local');
        assert.equal(answer.status, 200, answer.text);
        const admin = await client.get(at(image.uuid, '?inclAdminFields=true'), { 'accept-version': '*' });
        assert.equal(answer.text, admin.text, 'the form that operators see');
        assert.equal(answer.manifest.files[0]?.stor, 'local');
        assert.equal(answer.headers.etag, undefined);
        assert.deepEqual(await registry.snapshot(image.uuid), before);
    });

    it('takes the body that clients send, and no condition', async () => {
        const answer = await client.post(
            at(image.uuid, '?action=change-stor&stor=local'),
            {},
            { 'content-md5': md5('{}'), 'if-match': 'no-such-etag' },
        );
        assert.equal(answer.status, 200, answer.text);
    });

    it('is for operators, who may see the image', async () => {
        for (const account of [OWNER, OTHER]) {
            assertError(await change(image.uuid, `&stor=x&account=${account}`), 403, 'OperatorOnly');
        }
        const hidden = await client.create();
        assertError(await change(hidden.uuid, `&account=${OTHER}`), 404, 'ResourceNotFound');
        assertError(await change(UNKNOWN, ''), 404, 'ResourceNotFound');
        assertError(await change(image.uuid, '&account=x'), 422, 'InvalidParameter', 'account:Invalid');
    });

    it('needs to know where to', async () => {
        const { uuid } = await client.create();
        for (const query of ['', '&stor=']) {
            assertError(await change(uuid, query), 422, 'ValidationFailed', 'stor:MissingParameter');
        }
        for (const stor of ['nowhere', 'Local', 'manta', 's3', '__proto__']) {
            assertError(await change(uuid, `&stor=${stor}`), 422, 'ValidationFailed', 'stor:Invalid');
        }
        const twice = await change(uuid, '&stor=local&stor=local');
        assertError(twice, 422, 'InvalidParameter', 'stor:Invalid');
    });

    it('is not made for icons or several files', async () => {
        const withIcon = await client.createActive();
        await client.uploadIcon(withIcon.uuid);
        assertError(await change(withIcon.uuid, '&stor=local'), 400, 'NotImplemented');
        const uuid = await planted(1, { type: 'lxd', files: [file(), file()] });
        assertError(await change(uuid, '&stor=local'), 400, 'NotImplemented');
    });

    it('needs a file', async () => {
        const { uuid } = await client.create();
        assertError(await change(uuid, '&stor=local'), 404, 'ResourceNotFound');
        const icon = { size: 1, contentType: 'image/png', contentMD5: 'x' };
        assertError(
            await change(await planted(2, { icon, files: [] }), '&stor=local'),
            400,
            'NotImplemented',
        );
    });

    it('does not look as if it had moved a file of a storage that is not there', async () => {
        const uuid = await planted(3, { files: [file({ stor: 'manta' })] });
        const before = await registry.snapshot(uuid);
        assertError(await change(uuid, '&stor=local'), 503, 'StorageUnsupported');
        assert.deepEqual(await registry.snapshot(uuid), before);
    });

    it('shows channels whatever version is asked for', async () => {
        const channels = [{ name: 'dev', description: 'Development', default: true }];
        const other = await Registry.start({ channels });
        try {
            const { uuid } = await other.client.createActive();
            const answer = await other.client.post(at(uuid, '?action=change-stor&stor=local'), {});
            assert.deepEqual(answer.manifest.channels, ['dev']);
            assertError(
                await other.client.post(at(uuid, '?action=change-stor&stor=local&channel=x'), {}),
                422,
                'ValidationFailed',
                'channel:Invalid',
            );
        } finally {
            await other.stop();
        }
    });
});

describe('ExportImage', () => {
    let registry: Registry;
    let client: Client;
    let image: Manifest;
    before(async () => {
        registry = await Registry.start();
        client = registry.client;
        image = await client.createActive();
    });
    after(() => registry.stop());

    const exportTo = (uuid: string, path: string, rest = ''): Promise<Answer> =>
        client.post(at(uuid, `?action=export&manta_path=${encodeURIComponent(path)}${rest}`), {});

    it('is for the owner and for operators', async () => {
        assertError(await exportTo(image.uuid, '', `&account=${OTHER}`), 422, 'NotImageOwner');
        const hidden = await client.create();
        assertError(await exportTo(hidden.uuid, '', `&account=${OTHER}`), 404, 'ResourceNotFound');
        assertError(await exportTo(UNKNOWN, '/login/stor'), 404, 'ResourceNotFound');
    });

    it('needs a path', async () => {
        const missing = await client.post(at(image.uuid, '?action=export'), {});
        assertError(missing, 422, 'ValidationFailed', 'manta_path:MissingParameter');
        const empty = await exportTo(image.uuid, '', `&account=${OWNER}`);
        assertError(empty, 422, 'ValidationFailed', 'manta_path:MissingParameter');
    });

    it('needs a path that begins with a login, once `..` and the like are worked out', async () => {
        for (const path of [
            '/',
            '//',
            '/.',
            '/..',
            '/login/..',
            '/a/b/../..',
            'login/stor',
            '../login',
            '.',
        ]) {
            const answer = await exportTo(image.uuid, path);
            assertError(answer, 422, 'InvalidParameter', 'manta_path:Invalid');
        }
        const twice = await client.post(at(image.uuid, '?action=export&manta_path=/a&manta_path=/b'), {});
        assertError(twice, 422, 'InvalidParameter', 'manta_path:Invalid');
    });

    it('has no object store to export from', async () => {
        for (const path of ['/login', '/login/stor/image', '//login//stor/', '/x/../login/stor']) {
            assertError(await exportTo(image.uuid, path), 503, 'StorageUnsupported');
            assertError(await exportTo(image.uuid, path, `&account=${OWNER}`), 503, 'StorageUnsupported');
        }
        const withoutFile = await client.create();
        assertError(await exportTo(withoutFile.uuid, '/login/stor'), 503, 'StorageUnsupported');
    });

    it('takes no condition', async () => {
        const answer = await client.post(
            at(image.uuid, '?action=export&manta_path=/login'),
            {},
            { 'if-match': 'no-such-etag' },
        );
        assertError(answer, 503, 'StorageUnsupported');
    });
});
