/** ExportImage to Manta and S3, in a datacenter with its accounts (manta.md §6, ufds.md §5). */
import assert from 'node:assert/strict';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { StorageType } from '../../lib/manifest';
import type { StorageDriver } from '../../lib/storage/driver';
import { put } from '../conformance/storage';
import { assertError, at, FILE, newUuid, OTHER, OWNER, sha1, STRANGER, type Answer } from '../support/api';
import { Backends } from '../support/backends';
import { testImage } from '../support/images';
import { MANTA_USER } from '../support/manta-storage';
import { OpenLdap } from '../support/openldap';
import { DATACENTER, Registry } from '../support/registry';

/** The account whose key the server has: the stand-in lets nobody write into places of others. */
const HOME = `/${MANTA_USER}/stor`;

describe('ExportImage to object stores', () => {
    let directory: OpenLdap;
    let backends: Backends;
    let registry: Registry;
    /** All of the account's objects in Manta. */
    let home: StorageDriver;

    before(async function () {
        directory = await OpenLdap.start(this);
        await directory.addAccount(OWNER, MANTA_USER);
        await directory.addAccount(OTHER, 'other');
        backends = await Backends.start(this, `${HOME}/imgapi/${DATACENTER.datacenterName}`);
        home = backends.account.storage(backends.manta.url, { rootDir: HOME });
        await home.open();
        await put(home, 'folder/something', FILE);
        registry = await serve();
    });
    afterEach(() => backends.heal());
    after(async () => {
        await registry.stop();
        await home.close();
        await backends.stop();
        await directory.stop();
    });

    const serve = (config: Record<string, unknown> = {}): Promise<Registry> => {
        const s3 = { ...(backends.config.s3 as object), exportPrefix: 'users/exports/' };
        const ufds = { ...directory.config, retry: { maxDelay: 100 } };
        return backends.serve({ ...DATACENTER, authType: 'none', ufds, s3, ...config });
    };

    const exportImage = (uuid: string, query: Record<string, string>): Promise<Answer> =>
        registry.client.post(
            at(uuid, `?${new URLSearchParams({ action: 'export', ...query }).toString()}`),
            {},
        );

    async function imageIn(stor: StorageType, fields = {}, compression = 'gzip'): Promise<string> {
        const { uuid } = await registry.client.create(fields);
        await registry.client.upload(uuid, FILE, `compression=${compression}&storage=${stor}`);
        return uuid;
    }

    /** The manifest as it is exported. */
    async function exported(uuid: string): Promise<string> {
        return JSON.stringify((await registry.client.get(at(uuid))).json, null, 4);
    }

    /** What is at a path in Manta: the text and the type. */
    async function inManta(path: string): Promise<{ bytes: string; contentType: string } | undefined> {
        const object = await backends.manta.object(path);
        return object && { ...object, bytes: object.bytes.toString() };
    }

    async function inS3(key: string): Promise<{ bytes: string; contentType: string | undefined }> {
        const { s3 } = backends;
        const command = new GetObjectCommand({ Bucket: s3?.bucket, Key: key });
        const found = await s3?.client.send(command);
        return {
            bytes: (await found?.Body?.transformToString()) ?? '',
            contentType: found?.ContentType,
        };
    }

    describe('in Manta', () => {
        it('puts copies into a folder, named after the image and its compression', async () => {
            for (const [compression, extension] of [
                ['gzip', '.gz'],
                ['bzip2', '.bz2'],
                ['xz', '.xz'],
                ['none', ''],
            ] as const) {
                const name = `packed-${compression}`;
                const uuid = await imageIn('manta', { name }, compression);
                for (const path of [`${HOME}/folder`, `//${MANTA_USER}/stor/other/../folder//`]) {
                    const answer = await exportImage(uuid, { manta_path: path });
                    const base = `${HOME}/folder/${name}-1.0.0`;
                    assert.deepEqual(answer.json, {
                        manta_url: backends.proxies.manta?.url,
                        image_path: `${base}.zfs${extension}`,
                        manifest_path: `${base}.imgmanifest`,
                    });
                    assert.equal(answer.headers.etag, undefined);
                    assert.deepEqual(await inManta(`${base}.imgmanifest`), {
                        bytes: await exported(uuid),
                        contentType: 'application/json',
                    });
                    assert.deepEqual(await inManta(`${base}.zfs${extension}`), {
                        bytes: FILE.toString(),
                        contentType: 'application/octet-stream',
                    });
                }
            }
        });

        it('takes a path that is no folder for what names begin with', async () => {
            const uuid = await imageIn('manta');
            for (const path of [`${HOME}/folder/mine`, `${HOME}/folder/something`, `${HOME}/top`]) {
                const { json } = await exportImage(uuid, { manta_path: path });
                const { image_path: image, manifest_path: manifest } = json as Record<string, string>;
                assert.deepEqual([image, manifest], [`${path}.zfs.gz`, `${path}.imgmanifest`]);
                assert.equal((await inManta(`${path}.zfs.gz`))?.bytes, FILE.toString());
                assert.equal((await inManta(`${path}.imgmanifest`))?.bytes, await exported(uuid));
            }
        });

        it('replaces copies that are there', async () => {
            const uuid = await imageIn('manta');
            const path = `${HOME}/folder/again`;
            assert.equal((await exportImage(uuid, { manta_path: path })).status, 200);
            const bytes = Buffer.from('another file');
            await registry.client.upload(uuid, bytes, 'compression=gzip&storage=manta');
            assert.equal((await exportImage(uuid, { manta_path: path })).status, 200);
            assert.equal((await inManta(`${path}.zfs.gz`))?.bytes, bytes.toString());
            assert.equal((await inManta(`${path}.imgmanifest`))?.bytes, await exported(uuid));
        });

        it('stays in the folder whatever the image is called', async () => {
            for (const [name, version, object] of [
                ['a/b', '1/2', 'a_b-1_2'],
                ['../../up', '../x', '.._.._up-.._x'],
                ['/', '/', '_-_'],
                ['with blank', '1+2', 'with blank-1+2'],
            ] as const) {
                const uuid = await imageIn('manta', { name, version });
                const { json } = await exportImage(uuid, { manta_path: `${HOME}/folder` });
                const { image_path: path = '' } = json as Record<string, string>;
                assert.equal(path, `${HOME}/folder/${object}.zfs.gz`);
                assert.equal((await inManta(path))?.bytes, FILE.toString());
            }
        });

        it('says what is wrong with a path, which is no fault of Manta', async () => {
            const uuid = await imageIn('manta');
            const before = backends.manta.objects;
            for (const path of [
                // No such folder.
                `${HOME}/nowhere/x`,
                `${HOME}/nowhere/`,
                // An object, where a folder would have to be.
                `${HOME}/folder/something/x`,
                // Of somebody else, or no place for objects.
                '/other/stor/x',
                `/${MANTA_USER}`,
                `/${MANTA_USER}/nothing/x`,
                `${HOME}/folder/a\nb`,
            ]) {
                const answer = await exportImage(uuid, { manta_path: path });
                assertError(answer, 422, 'InvalidParameter', 'manta_path:Invalid');
            }
            assert.deepEqual(backends.manta.objects, before);
            const complaints = registry.server.log.filter(({ msg }) => msg.includes('Manta: not usable'));
            assert.deepEqual(complaints, []);
        });

        it('changes nothing for others while Manta is down', async () => {
            const uuid = await imageIn('manta');
            await backends.proxies.manta?.goAway();
            try {
                assertError(await exportImage(uuid, { manta_path: `${HOME}/x` }), 503, 'StorageIsDown');
            } finally {
                await backends.proxies.manta?.comeBack();
            }
            assert.equal((await exportImage(uuid, { manta_path: `${HOME}/x` })).status, 200);
        });

        it('does not export a file that is not what its record says', async () => {
            const uuid = await imageIn('manta');
            const [object = ''] = (await backends.stored(uuid)).manta ?? [];
            for (const bytes of [Buffer.from(FILE).reverse(), FILE.subarray(1)]) {
                await backends.damage('manta', uuid, object, bytes);
                assertError(await exportImage(uuid, { manta_path: `${HOME}/bad` }), 500, 'InternalError');
                assert.equal(await inManta(`${HOME}/bad.zfs.gz`), undefined);
            }
            await backends.driver('manta').delete(`images/${uuid.slice(0, 3)}/${uuid}/${object}`);
            assertError(await exportImage(uuid, { manta_path: `${HOME}/bad` }), 500, 'InternalError');
        });

        it('exports the newest file, and none of an image that is gone', async () => {
            const bytes = Buffer.from('a newer file');
            const meanwhile: [(uuid: string) => Promise<unknown>, number][] = [
                [(uuid) => registry.client.upload(uuid, bytes, 'compression=gzip&storage=manta'), 200],
                [(uuid) => registry.client.delete(at(uuid)), 404],
            ];
            for (const [work, status] of meanwhile) {
                const uuid = await imageIn('manta');
                let release = (): void => undefined;
                const until = new Promise<void>((resolve) => (release = resolve));
                const on = /^GET .*\/file0-/;
                const held = backends.proxies.manta?.inject({ on, fault: { kind: 'hold', until } });
                const path = `${HOME}/folder/newest`;
                const answer = exportImage(uuid, { manta_path: path });
                await held?.hit;
                await work(uuid);
                release();
                assert.equal((await answer).status, status);
                assert.equal((await inManta(`${path}.zfs.gz`))?.bytes, bytes.toString());
            }
        });
    });

    describe('in S3', () => {
        it('puts copies below the prefix that is set aside for them', async () => {
            const uuid = await imageIn('s3', { name: 'a/b' });
            for (const [given, base] of [
                ['luke/', 'users/exports/luke/a_b-1.0.0'],
                ['luke/mine', 'users/exports/luke/mine'],
                ['/luke//deep/../x', 'users/exports/luke/x'],
                ['../../luke/y', 'users/exports/luke/y'],
                ['luke/a b ?%2e ä/+', 'users/exports/luke/a b ?%2e ä/+'],
            ] as const) {
                const answer = await exportImage(uuid, { s3_path: given });
                assert.deepEqual(answer.json, {
                    s3_url: backends.proxies.s3?.url,
                    s3_bucket: backends.s3?.bucket,
                    image_path: `${base}.zfs.gz`,
                    manifest_path: `${base}.imgmanifest`,
                });
                assert.deepEqual(await inS3(`${base}.imgmanifest`), {
                    bytes: await exported(uuid),
                    contentType: 'application/json',
                });
                assert.deepEqual(await inS3(`${base}.zfs.gz`), {
                    bytes: FILE.toString(),
                    contentType: 'application/octet-stream',
                });
            }
        });

        it('replaces copies that are there', async () => {
            const uuid = await imageIn('s3');
            assert.equal((await exportImage(uuid, { s3_path: 'again' })).status, 200);
            const bytes = Buffer.from('another file');
            await registry.client.upload(uuid, bytes, 'compression=gzip&storage=s3');
            assert.equal((await exportImage(uuid, { s3_path: 'again' })).status, 200);
            assert.equal((await inS3('users/exports/again.zfs.gz')).bytes, bytes.toString());
        });

        it('needs a path that can be one', async () => {
            const uuid = await imageIn('s3');
            for (const path of ['/', '.', '..', 'a/..', 'a\0b', 'x'.repeat(1024)]) {
                const answer = await exportImage(uuid, { s3_path: path });
                assertError(answer, 422, 'InvalidParameter', 's3_path:Invalid');
            }
        });

        it('answers 503 while S3 is down, and 500 for a file that is not what its record says', async () => {
            const uuid = await imageIn('s3');
            await backends.proxies.s3?.goAway();
            try {
                assertError(await exportImage(uuid, { s3_path: 'x' }), 503, 'StorageIsDown');
            } finally {
                await backends.proxies.s3?.comeBack();
            }
            const [object = ''] = (await backends.stored(uuid)).s3 ?? [];
            await backends.damage('s3', uuid, object, FILE.subarray(1));
            assertError(await exportImage(uuid, { s3_path: 'x' }), 500, 'InternalError');
            await backends.driver('s3').delete(`images/${uuid.slice(0, 3)}/${uuid}/${object}`);
            assertError(await exportImage(uuid, { s3_path: 'x' }), 500, 'InternalError');
        });
    });

    it('exports from the storage that has the file, if it can', async () => {
        const [local, manta, s3] = [await imageIn('local'), await imageIn('manta'), await imageIn('s3')];
        const [mantaPath, s3Path] = [{ manta_path: `${HOME}/x` }, { s3_path: 'x' }];
        for (const [uuid, place] of [
            [local, mantaPath],
            [local, s3Path],
            [manta, s3Path],
            [s3, mantaPath],
        ] as const) {
            assertError(await exportImage(uuid, place), 503, 'StorageUnsupported');
        }
        const both = await exportImage(manta, { ...mantaPath, ...s3Path });
        assertError(both, 422, 'InvalidParameter', 's3_path:NotAllowed');
        const neither = await exportImage(s3, {});
        assertError(neither, 422, 'ValidationFailed', 'manta_path:MissingParameter');
        assert.match(neither.error.message, /"s3_path" takes/);
        const { uuid: empty } = await registry.client.create();
        assertError(await exportImage(empty, mantaPath), 404, 'ResourceNotFound');
        const file = { sha1: sha1(FILE), size: FILE.length, stor: 'manta' as const, compression: 'none' };
        const several = testImage(1, { uuid: newUuid(), type: 'lxd', files: [file, file] });
        await registry.plant(several);
        assertError(await exportImage(several.uuid, mantaPath), 400, 'NotImplemented');
    });

    describe('for an account', () => {
        it('exports to places of its own only', async () => {
            const [inManta, inS3] = [await imageIn('manta'), await imageIn('s3')];
            const account = OWNER;
            for (const path of [`${HOME}/x`, `/other/../${MANTA_USER}/stor/x`]) {
                assert.equal((await exportImage(inManta, { manta_path: path, account })).status, 200);
            }
            for (const path of ['/other/stor/x', `${HOME}/../../other/stor/x`, '/IMGAPI/stor/x']) {
                const answer = await exportImage(inManta, { manta_path: path, account });
                assertError(answer, 422, 'NotMantaPathOwner');
            }
            assert.equal((await exportImage(inS3, { s3_path: `${MANTA_USER}/x`, account })).status, 200);
            for (const path of ['other/x', `${MANTA_USER}/../other/x`, `${MANTA_USER}x`, 'x']) {
                assertError(await exportImage(inS3, { s3_path: path, account }), 422, 'NotMantaPathOwner');
            }
            assertError(
                await exportImage(inManta, { manta_path: '/other/stor/x', account: OTHER }),
                404,
                'ResourceNotFound',
            );
        });

        it('has to be there, which is asked behind all that is known without', async () => {
            const uuid = await imageIn('manta');
            const place = { manta_path: `${HOME}/x`, account: STRANGER };
            const raw = { ...(await registry.record(uuid))!, uuid: newUuid(), owner: STRANGER };
            await registry.plant(raw);
            assertError(await exportImage(raw.uuid, place), 422, 'AccountDoesNotExist');
            assertError(
                await exportImage(raw.uuid, { s3_path: 'x', account: STRANGER }),
                503,
                'StorageUnsupported',
            );
            await directory.kill();
            try {
                const asked = await exportImage(uuid, { ...place, account: OWNER });
                assertError(asked, 503, 'ServiceUnavailableError');
                assert.equal((await exportImage(uuid, { manta_path: `${HOME}/x` })).status, 200);
            } finally {
                directory.restart();
            }
            await registry.server.logged(({ msg }) => msg === 'UFDS: reconnected');
        });

        it('is not known to a server that has no accounts', async () => {
            const elsewhere = await Registry.start({
                ...backends.config,
                mode: 'private',
                authType: 'none',
            });
            try {
                const { uuid: own } = await elsewhere.client.create({ public: false });
                await elsewhere.client.upload(own, FILE, 'compression=none&storage=manta');
                const query = `?action=export&manta_path=${HOME}/x&account=${OWNER}`;
                const answer = await elsewhere.client.post(at(own, query), {});
                assertError(answer, 422, 'AccountDoesNotExist');
                const s3 = await elsewhere.client.post(at(own, '?action=export&s3_path=x'), {});
                assertError(s3, 503, 'StorageUnsupported');
            } finally {
                await elsewhere.stop();
            }
        });
    });
});
