import assert from 'node:assert/strict';
import { upgradeManifest } from '../../lib/images/upgrade';
import { ACCOUNT, OTHER_UUID, OWNER, UUID, without } from '../support/rule-records';

/** A version 1 manifest, as datasets.at and the like gave them. */
const DSMANIFEST = {
    name: 'base',
    version: '1.0.0',
    type: 'zone-dataset',
    os: 'smartos',
    uuid: UUID,
    urn: 'sdc:sdc:base:1.0.0',
    creator_uuid: OWNER,
    creator_name: 'sdc',
    vendor_uuid: OWNER,
    cloud_name: 'sdc',
    creator_admin: true,
    owner_uuid: OWNER,
    platform_type: 'smartos',
    created_at: '2012-05-02T15:15:24.000Z',
    updated_at: '2012-05-02T15:15:24.000Z',
    published_at: '2012-05-02T15:15Z',
    _url: 'https://example.com',
    files: [{ path: 'base-1.0.0.zfs.bz2', sha1: 'x', size: 5, url: 'https://example.com/x' }],
    image_size: '10240',
};

describe('upgradeManifest (manifest.md §8)', () => {
    it('makes version 2 of a version 1 manifest', () => {
        const before = structuredClone(DSMANIFEST);
        assert.deepEqual(upgradeManifest(DSMANIFEST), {
            v: 2,
            name: 'base',
            version: '1.0.0',
            type: 'zone-dataset',
            os: 'smartos',
            uuid: UUID,
            urn: 'sdc:sdc:base:1.0.0',
            owner: OWNER,
            public: true,
            disabled: false,
            state: 'active',
            published_at: '2012-05-02T15:15:00Z',
            files: [{ compression: 'bzip2', sha1: 'x', size: 5 }],
            image_size: 10240,
        });
        assert.deepEqual(DSMANIFEST, before);
    });

    it('upgrades v 1 as well as no v', () => {
        assert.equal(upgradeManifest({ ...DSMANIFEST, v: 1 }).owner, OWNER);
        assert.equal(upgradeManifest({ ...DSMANIFEST, v: '1' }).owner, OWNER);
    });

    it('makes an image that is restricted to an account private to it', () => {
        const upgraded = upgradeManifest({ ...DSMANIFEST, restricted_to_uuid: ACCOUNT });
        assert.equal(upgraded.public, false);
        assert.deepEqual(upgraded.acl, [ACCOUNT]);
        assert.ok(!('restricted_to_uuid' in upgraded));
    });

    it('keeps what the manifest itself says about public', () => {
        assert.equal(upgradeManifest({ ...DSMANIFEST, public: false }).public, false);
        const restricted = upgradeManifest({ ...DSMANIFEST, public: true, restricted_to_uuid: ACCOUNT });
        assert.equal(restricted.public, true);
        assert.ok(!('acl' in restricted));
    });

    it('has a disabled image disabled', () => {
        const upgraded = upgradeManifest({ ...DSMANIFEST, disabled: 1 });
        assert.deepEqual([upgraded.disabled, upgraded.state], [true, 'disabled']);
    });

    it('publishes an image when it was created, if nothing else is said', () => {
        const unpublished = without(DSMANIFEST, 'published_at');
        assert.equal(upgradeManifest(unpublished).published_at, DSMANIFEST.created_at);
        const undated = without(unpublished, 'created_at');
        assert.ok(!('published_at' in upgradeManifest(undated)));
    });

    it('finds the compression by the name of the file', () => {
        const compressionOf = (file: Record<string, unknown>) =>
            (upgradeManifest({ ...DSMANIFEST, files: [file] }).files as { compression: string }[])[0]
                ?.compression;
        assert.equal(compressionOf({ path: 'x.zfs.gz' }), 'gzip');
        assert.equal(compressionOf({ url: 'http://x/y.bz2' }), 'bzip2');
        assert.equal(compressionOf({ path: 'x.zfs' }), 'none');
        assert.equal(compressionOf({}), 'none');
        assert.equal(compressionOf({ path: 'x.gz', compression: 'xz' }), 'xz');
    });

    describe('leaves as it is', () => {
        const cases: [string, Record<string, unknown>][] = [
            ['version 2', { ...DSMANIFEST, v: 2 }],
            ['a later version', { v: 3, uuid: UUID }],
            ['no v and no creator', { uuid: UUID, name: 'x' }],
            ['v 1 without creator', { v: 1, uuid: UUID }],
            ['v 1 with an empty creator', { ...DSMANIFEST, creator_uuid: '' }],
            ['one with an owner', { ...DSMANIFEST, owner: OTHER_UUID }],
            ['one without a valid uuid', { ...DSMANIFEST, uuid: 'x' }],
            ['v that can not be read', { ...DSMANIFEST, v: { toString: 1 } }],
        ];
        for (const [what, manifest] of cases) {
            it(what, () => assert.equal(upgradeManifest(manifest), manifest));
        }
    });

    it('does not stumble over junk in a version 1 manifest', () => {
        const junk = { ...DSMANIFEST, files: [null, 1, { path: {} }], image_size: {}, published_at: 5 };
        const upgraded = upgradeManifest(junk);
        assert.deepEqual(upgraded.files, [null, 1, { compression: 'none' }]);
        assert.equal(upgraded.published_at, 5);
    });
});
