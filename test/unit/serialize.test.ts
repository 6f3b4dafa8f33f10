import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Mode } from '../../lib/config/types';
import { normalizeRaw, renderImage, serializeImage } from '../../lib/images/serialize';
import {
    ACCOUNT,
    activatedImage,
    FILE_SHA1,
    OTHER_UUID,
    OWNER,
    rawImage,
    UUID,
} from '../support/rule-records';

type Changes = Record<string, unknown>;

function served(
    changes: Changes,
    mode: Mode = 'dc',
    options: { channels?: boolean; adminFields?: boolean } = {},
) {
    return serializeImage(activatedImage(changes), { mode, channels: false, adminFields: false, ...options });
}

const FULL = {
    state: 'failed',
    channels: ['dev'],
    error: { code: 'X' },
    traits: { ssd: true },
    billing_tags: ['b'],
    tags: ['role=db'],
    tagsObj: { role: 'db' },
    image_size: 10240,
    cpu_type: 'host',
    disk_driver: 'virtio',
    nic_driver: 'virtio',
    origin: OTHER_UUID,
    inherited_directories: ['/usr'],
    generate_passwords: true,
    users: [{ name: 'root' }],
    requirements: {},
    urn: 'sdc:x:y:1',
    icon: { size: 1, contentType: 'image/png', contentMD5: 'x' },
    eula: 'http://e',
    homepage: 'http://h',
    description: 'd',
    acl: [ACCOUNT],
    expires_at: '2024-01-31T12:00:00.000Z',
    dn: 'legacy',
};

describe('serializeImage (manifest.md §5)', () => {
    it('has the keys in the order that the ETag is made of', () => {
        const manifest = served(FULL, 'dc', { channels: true });
        assert.equal(
            Object.keys(manifest).join(' '),
            'v uuid owner name version state disabled public published_at type os files acl description homepage ' +
                'eula icon urn requirements users generate_passwords inherited_directories origin nic_driver ' +
                'disk_driver cpu_type image_size tags billing_tags traits error channels',
        );
        assert.deepEqual(manifest, {
            ...{ v: 2, uuid: UUID, owner: OWNER, name: 'base', version: '1.0.0', state: 'failed' },
            ...{ disabled: false, public: false, published_at: '2024-01-31T12:00:00.000Z' },
            ...{ type: 'zone-dataset', os: 'smartos' },
            files: [{ sha1: FILE_SHA1, size: 10, compression: 'gzip' }],
            ...{ acl: [ACCOUNT], description: 'd', homepage: 'http://h', eula: 'http://e', icon: true },
            ...{ urn: 'sdc:x:y:1', requirements: {}, users: [{ name: 'root' }], generate_passwords: true },
            ...{ inherited_directories: ['/usr'], origin: OTHER_UUID, nic_driver: 'virtio' },
            ...{ disk_driver: 'virtio', cpu_type: 'host', image_size: 10240, tags: { role: 'db' } },
            ...{ billing_tags: ['b'], traits: { ssd: true }, error: { code: 'X' }, channels: ['dev'] },
        });
    });

    it('has only what every image has, for a bare one', () => {
        const manifest = serializeImage(rawImage(), { mode: 'dc', channels: true, adminFields: true });
        assert.equal(
            Object.keys(manifest).join(' '),
            'v uuid owner name version state disabled public type os files',
        );
        assert.deepEqual(manifest.files, []);
    });

    it('leaves out what is empty', () => {
        const manifest = served({
            ...{ acl: [], description: '', homepage: '', icon: null, urn: '', users: null, origin: '' },
            ...{ image_size: 0, tagsObj: undefined, billing_tags: [], traits: {}, nic_driver: '' },
        });
        assert.equal(
            Object.keys(manifest).join(' '),
            'v uuid owner name version state disabled public published_at type os files',
        );
    });

    it('has v and the booleans in their own types, however they are stored', () => {
        const manifest = served({ v: '2', disabled: 'true', public: 'false', generate_passwords: 'false' });
        assert.deepEqual(
            [manifest.v, manifest.disabled, manifest.public, manifest.generate_passwords],
            [2, true, false, false],
        );
    });

    it('serves generate_passwords false', () => {
        assert.equal(served({ generate_passwords: false }).generate_passwords, false);
        assert.ok(!('generate_passwords' in served({})));
    });

    it('gives published_at as it is stored', () => {
        assert.equal(served({ published_at: '2024-01-31T12:00:00Z' }).published_at, '2024-01-31T12:00:00Z');
    });

    it('hides type and os of a placeholder', () => {
        const manifest = served({ type: 'null', os: 'null', state: 'creating' });
        assert.ok(!('type' in manifest) && !('os' in manifest));
    });

    it('gives the error of failed images only', () => {
        assert.deepEqual(served({ error: { code: 'X' }, state: 'failed' }).error, { code: 'X' });
        assert.ok(!('error' in served({ error: { code: 'X' } })));
        assert.ok(!('error' in served({ error: null, state: 'failed' })));
    });

    it('hides billing tags and traits in a public repository', () => {
        const data = { billing_tags: ['b'], traits: { a: 'x' } };
        for (const [mode, shown] of [
            ['public', false],
            ['private', true],
            ['dc', true],
        ] as const) {
            const manifest = served(data, mode);
            assert.equal('billing_tags' in manifest, shown, mode);
            assert.equal('traits' in manifest, shown, mode);
        }
    });

    it('gives channels to version 2 only', () => {
        assert.deepEqual(served({ channels: ['dev'] }, 'public', { channels: true }).channels, ['dev']);
        assert.ok(!('channels' in served({ channels: ['dev'] }, 'public')));
    });

    describe('of files', () => {
        const files = [
            {
                ...{ stor: 'manta', object: 'file0-x', sha256: 's', digest: 'd', uncompressedDigest: 'u' },
                ...{
                    mtime: 'm',
                    contentMD5: 'c',
                    dataset_guid: '123',
                    compression: 'gzip',
                    size: 5,
                    sha1: 'f',
                },
            },
        ];
        it('serves sha1, size, compression and dataset_guid', () => {
            assert.equal(
                JSON.stringify(served({ files }).files),
                '[{"sha1":"f","size":5,"compression":"gzip","dataset_guid":"123"}]',
            );
        });
        it('serves stor to operators, and nothing else', () => {
            assert.equal(
                JSON.stringify(served({ files }, 'dc', { adminFields: true }).files),
                '[{"sha1":"f","size":5,"compression":"gzip","dataset_guid":"123","stor":"manta"}]',
            );
        });
    });
});

describe('renderImage', () => {
    const form = { mode: 'dc', channels: false, adminFields: false } as const;

    it('gives indented JSON, and the sha1 of the compact form as its ETag', () => {
        const raw = activatedImage(FULL);
        const { etag, body, compact } = renderImage(raw, form);
        assert.equal(compact, JSON.stringify(serializeImage(raw, form)));
        assert.equal(body.toString(), JSON.stringify(JSON.parse(compact), null, 2));
        assert.equal(etag, createHash('sha1').update(compact).digest('hex'));
    });

    it('has another ETag with admin fields, which are part of it', () => {
        const raw = activatedImage();
        const admin = renderImage(raw, { ...form, adminFields: true });
        assert.match(admin.compact, /"stor":"local"/);
        assert.match(admin.body.toString(), /"stor": "local"/);
        assert.equal(admin.etag, createHash('sha1').update(admin.compact).digest('hex'));
        assert.notEqual(admin.etag, renderImage(raw, form).etag);
    });

    it('has another ETag where channels are served', () => {
        const raw = activatedImage({ channels: ['dev'] });
        assert.notEqual(renderImage(raw, { ...form, channels: true }).etag, renderImage(raw, form).etag);
    });
});

describe('normalizeRaw (manifest.md §3)', () => {
    it('gives a record that needs nothing back as it is', () => {
        const raw = rawImage({ tags: ['a=b'], tagsObj: { a: 'b' }, billing_tags: ['x'] });
        assert.equal(normalizeRaw(raw), raw);
    });

    it('evens out old forms without changing the record', () => {
        const raw = rawImage({ acl: ACCOUNT, billing_tags: 'x', tags: ['a=b=c', 'bare'], disabled: 'true' });
        const before = structuredClone(raw);
        assert.deepEqual(normalizeRaw(raw), {
            ...before,
            ...{ acl: [ACCOUNT], billing_tags: ['x'], tagsObj: { a: 'b=c', bare: '' } },
        });
        assert.deepEqual(raw, before);
    });

    it('gives every record an ACL', () => {
        assert.deepEqual(normalizeRaw(rawImage({ acl: undefined })).acl, []);
    });

    it('does not stumble over stored tags that are no array', () => {
        assert.equal(normalizeRaw(rawImage({ tags: 'a=b' })).tagsObj, undefined);
    });
});
