/** A server in mode dc, with a real directory of accounts (manifest.md §4, ufds.md §5 and §6, endpoints.md §2 and §3). */
import assert from 'node:assert/strict';
import { UNSET_OWNER_UUID } from '../../lib/manifest';
import { VERSION } from '../../lib/version';
import { assertError, at, FILE, MANIFEST, newUuid, OTHER, OWNER, STRANGER, UNKNOWN } from '../support/api';
import { testImage } from '../support/images';
import { startedJob, untilEnded } from '../support/jobs';
import { ACCOUNTS, OpenLdap } from '../support/openldap';
import { DATACENTER, Registry } from '../support/registry';

describe('Mode dc', function () {
    let directory: OpenLdap;
    let registry: Registry;
    /** Where images are imported from. */
    let east: Registry;

    before(async function () {
        directory = await OpenLdap.start(this);
        await directory.addAccount(OWNER, 'owner');
        await directory.addAccount(OTHER, 'other');
        east = await Registry.start({ mode: 'private', authType: 'none' });
        registry = await Registry.start({
            ...DATACENTER,
            authType: 'none',
            imgapiUrlFromDatacenter: { east: east.url },
            adminUuid: ACCOUNTS.sdc,
            ufds: { ...directory.config, retry: { maxDelay: 100 } },
        });
    });
    after(async () => {
        await registry.stop();
        await east.stop();
        await directory.stop();
    });

    /** An account that is there, but for the next test. */
    async function passingAccount(): Promise<string> {
        const uuid = newUuid();
        await directory.addAccount(uuid, `passing${uuid.slice(0, 8)}`);
        return uuid;
    }

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
            assert.deepEqual(manifest.traits, { ssd: true });
            const update = await registry.client.action(uuid, 'update', { public: !isPublic });
            assert.equal(update.manifest.public, !isPublic);
        }
        const [asGiven] = (await registry.client.get('/images?state=all&limit=1')).manifests;
        assert.deepEqual(asGiven?.billing_tags, ['xl']);
    });

    it('makes an image private by default', async () => {
        assert.equal((await registry.client.create({ public: undefined })).public, false);
    });

    it('lists what is asked for, with operator fields, without a signature', async () => {
        const { uuid } = await registry.client.create();
        await registry.client.upload(uuid);
        const { manifests } = await registry.anonymous.get('/images?state=unactivated&inclAdminFields=true');
        assert.equal(manifests.find((image) => image.uuid === uuid)?.files[0]?.stor, 'local');
        assert.ok(!(await registry.anonymous.get('/images')).uuids.includes(uuid), 'active ones by default');
        assert.ok((await registry.anonymous.get('/images?state=all')).uuids.includes(uuid));
        const one = await registry.anonymous.get(at(uuid, '?inclAdminFields=true'));
        assert.equal(one.manifest.files[0]?.stor, 'local');
        await registry.client.action(uuid, 'activate');
        await registry.client.action(uuid, 'disable');
        assert.ok((await registry.anonymous.get('/images?state=disabled')).uuids.includes(uuid));
    });

    it('shows a placeholder that lacks what is not known yet', async () => {
        const placeholder = testImage(700, {
            activated: false,
            state: 'creating',
            type: 'null',
            os: 'null',
            published_at: undefined,
            owner: OWNER,
        });
        await registry.plant(JSON.parse(JSON.stringify(placeholder)) as typeof placeholder);
        const { manifest } = await registry.client.get(at(placeholder.uuid));
        assert.equal(manifest.state, 'creating');
        assert.equal(manifest.type, undefined);
        assert.ok((await registry.client.get('/images?state=creating')).uuids.includes(placeholder.uuid));
    });

    it('does not log the password of the account directory', () => {
        assert.ok(!JSON.stringify(registry.server.log).includes(directory.config.bindPassword));
    });

    describe('for an account', () => {
        it('shows its own images and those that are public or shared; it changes only its own', async () => {
            const { uuid } = await registry.client.createActive({ public: false });
            const seen = async (account: string) =>
                (await registry.client.get(at(uuid, `?account=${account}`))).status;
            const listed = async (account: string) =>
                (await registry.client.get(`/images?account=${account}`)).uuids.includes(uuid);
            assert.deepEqual([await seen(OWNER), await listed(OWNER)], [200, true]);
            assert.deepEqual([await seen(OTHER), await listed(OTHER)], [404, false]);
            await registry.client.post(at(uuid, `/acl?account=${OWNER}`), [OTHER]);
            assert.deepEqual([await seen(OTHER), await listed(OTHER)], [200, true]);
            const foreign = await registry.client.post(at(uuid, `?action=disable&account=${OTHER}`), {});
            assertError(foreign, 422, 'NotImageOwner');
            const own = await registry.client.post(at(uuid, `?action=disable&account=${OWNER}`), {});
            assert.equal(own.manifest.disabled, true);
        });

        it('refuses what is for operators', async () => {
            const { uuid } = await registry.client.create();
            const query = `account=${OWNER}`;
            for (const [field, value] of Object.entries({
                state: 'failed',
                billing_tags: ['a'],
                traits: {},
            })) {
                const answer = await registry.client.post(at(uuid, `?action=update&${query}`), {
                    [field]: value,
                });
                assertError(answer, 422, 'ValidationFailed', `${field}:NotAllowed`);
                assert.equal((await registry.client.action(uuid, 'update', { [field]: value })).status, 200);
            }
            for (const path of [`?action=import&${query}`, `?action=change-stor&stor=local&${query}`]) {
                assertError(await registry.client.post(at(uuid, path), {}), 403, 'OperatorOnly');
            }
            const upload = await registry.client.put(at(uuid, `/file?storage=local&${query}`), FILE);
            assert.equal(upload.status, 422);
        });

        it('does not ask whether it exists', async () => {
            assert.deepEqual(
                (await registry.client.get(`/images?account=${STRANGER}&public=false`)).manifests,
                [],
            );
            assert.deepEqual((await registry.client.get(`/images?owner=${STRANGER}`)).manifests, []);
            const { uuid } = await registry.client.createActive();
            assert.equal((await registry.client.get(at(uuid, `?account=${STRANGER}`))).status, 200);
            assert.equal((await registry.client.post(at(uuid, '/acl'), [STRANGER])).status, 200);
        });
    });

    describe('CreateImage', () => {
        const create = (fields: Record<string, unknown>, query = '') =>
            registry.client.post(`/images${query}`, { ...MANIFEST, ...fields });

        it('takes an owner who exists, given or by the account', async () => {
            assert.equal((await create({ owner: ACCOUNTS.luke })).manifest.owner, ACCOUNTS.luke);
            const mine = await create({ owner: undefined }, `?account=${ACCOUNTS.vader}`);
            assert.equal(mine.manifest.owner, ACCOUNTS.vader);
        });

        it('refuses one who does not', async () => {
            const answer = await create({ owner: UNKNOWN });
            assertError(answer, 422, 'OwnerDoesNotExist');
            assert.match(answer.error.message, new RegExp(UNKNOWN));
            assertError(await create({ owner: undefined }, `?account=${UNKNOWN}`), 422, 'OwnerDoesNotExist');
            assertError(await create({ owner: UNSET_OWNER_UUID }), 422, 'OwnerDoesNotExist');
        });

        it('asks after account and state, before origin and fields', async () => {
            const wrong = { owner: UNKNOWN, origin: UNKNOWN, name: '' };
            const mismatch = await create({ ...wrong, state: 'active' }, `?account=${OWNER}`);
            assertError(mismatch, 422, 'InvalidParameter', 'owner:Invalid');
            assertError(
                await create({ ...wrong, state: 'active' }),
                422,
                'ValidationFailed',
                'state:NotAllowed',
            );
            assertError(
                await create({ ...wrong, owner: undefined }),
                422,
                'ValidationFailed',
                'owner:MissingParameter',
            );
            assertError(await create({ ...wrong, owner: '*' }), 422, 'ValidationFailed', 'owner:Invalid');
            assertError(await create(wrong), 422, 'OwnerDoesNotExist');
            assertError(await create({ ...wrong, owner: OWNER }), 422, 'OriginDoesNotExist');
            assertError(
                await create({ ...wrong, owner: OWNER, origin: undefined }),
                422,
                'ValidationFailed',
                'name:Invalid',
            );
        });
    });

    describe('UpdateImage', () => {
        it('takes an owner who exists, also from the account that gives the image away', async () => {
            const { uuid } = await registry.client.create();
            const update = await registry.client.post(at(uuid, `?action=update&account=${OWNER}`), {
                owner: OTHER,
            });
            assert.equal(update.manifest.owner, OTHER);
        });

        it('refuses one who does not, after all that is wrong with the fields', async () => {
            const { uuid } = await registry.client.create();
            const before = await registry.snapshot(uuid);
            const update = (fields: object) => registry.client.action(uuid, 'update', fields);
            assertError(await update({ owner: UNKNOWN }), 422, 'OwnerDoesNotExist');
            assertError(await update({ owner: UNKNOWN, v: 3 }), 422, 'ValidationFailed', 'v:NotAllowed');
            assertError(await update({ owner: UNKNOWN, name: '' }), 422, 'ValidationFailed', 'name:Invalid');
            assertError(await update({ owner: '*' }), 422, 'ValidationFailed', 'owner:Invalid');
            assertError(await update({ owner: null }), 422, 'ValidationFailed', 'owner:MissingParameter');
            // Before the uuid is changed, which this image could not have done.
            assertError(await update({ owner: UNKNOWN, uuid: newUuid() }), 422, 'OwnerDoesNotExist');
            assert.deepEqual(await registry.snapshot(uuid), before);
        });

        it('of an image whose owner is gone is possible, as long as the owner is not given', async () => {
            const owner = await passingAccount();
            const { uuid } = await registry.client.createActive({ owner });
            await directory.deleteAccount(owner);
            const update = (fields: object) => registry.client.action(uuid, 'update', fields);
            assert.equal((await update({ description: 'an orphan' })).manifest.description, 'an orphan');
            assert.equal((await update({ state: 'failed', error: { message: 'x' } })).status, 200);
            assertError(await update({ owner }), 422, 'OwnerDoesNotExist');
            assert.equal((await registry.client.action(uuid, 'disable')).status, 200);
            assert.equal((await update({ owner: OTHER })).manifest.owner, OTHER);
        });
    });

    describe('AdminImportImage', () => {
        const importing = (owner: unknown, query = '') => {
            const uuid = newUuid();
            return registry.client.post(at(uuid, `?action=import${query}`), {
                ...MANIFEST,
                v: 2,
                uuid,
                owner,
            });
        };

        it('keeps an owner who exists', async () => {
            assert.equal((await importing(ACCOUNTS.luke)).manifest.owner, ACCOUNTS.luke);
        });

        it('refuses one who does not, unless told not to look', async () => {
            assertError(await importing(UNKNOWN), 422, 'OwnerDoesNotExist');
            assertError(await importing(UNKNOWN, '&skip_owner_check=false'), 422, 'OwnerDoesNotExist');
            assert.equal((await importing(UNKNOWN, '&skip_owner_check=true')).manifest.owner, UNKNOWN);
        });

        it('gives an image without owner to the admin', async () => {
            assert.equal((await importing(UNSET_OWNER_UUID)).manifest.owner, ACCOUNTS.sdc);
            assertError(await importing(undefined), 422, 'ValidationFailed', 'owner:MissingParameter');
        });
    });

    describe('AdminImportImage, of an owner who does not exist,', () => {
        it('looks for the origin before, and at the fields after', async () => {
            const uuid = newUuid();
            const importing = (fields: object, query = '') =>
                registry.client.post(at(uuid, `?action=import${query}`), {
                    ...{ ...MANIFEST, v: 2, uuid, owner: UNKNOWN, name: '' },
                    ...fields,
                });
            assertError(await importing({ origin: UNKNOWN }), 422, 'OriginDoesNotExist');
            assertError(await importing({}), 422, 'OwnerDoesNotExist');
            const unchecked = await importing({}, '&skip_owner_check=true');
            assertError(unchecked, 422, 'ValidationFailed', 'name:Invalid');
            for (const owner of ['*', 5, null]) {
                const answer = await importing({ owner });
                assert.deepEqual([answer.status, answer.error.code], [422, 'ValidationFailed'], answer.text);
            }
        });
    });

    describe('Imports from a source', () => {
        let image: (owner: string) => Promise<string>;
        before(() => {
            image = async (owner) => (await east.client.createActive({ owner, public: false })).uuid;
        });
        const source = () => `source=${encodeURIComponent(east.url)}`;
        const importing = (uuid: string, query = '') =>
            registry.client.post(at(uuid, `?action=import&${source()}${query}`), {});
        const importingRemote = async (uuid: string, query = '') => {
            const answer = await registry.client.post(
                at(uuid, `?action=import-remote&${source()}${query}`),
                {},
            );
            return untilEnded(registry.client, startedJob(answer));
        };

        it('look the owner up, after an image that is here, and before the fields', async () => {
            const uuid = await image(UNKNOWN);
            assertError(await importing(uuid), 422, 'OwnerDoesNotExist');
            assertError(await importing(uuid, '&skip_owner_check=false'), 422, 'OwnerDoesNotExist');
            assert.equal((await importing(uuid, '&skip_owner_check=true')).manifest.owner, UNKNOWN);
            assertError(await importing(uuid), 409, 'ImageUuidAlreadyExists');
            assert.equal((await importing(await image(OWNER))).manifest.owner, OWNER);
        });

        it('give images without owner to the admin', async () => {
            const nobodys = await image(UNSET_OWNER_UUID);
            assert.equal((await importing(nobodys)).manifest.owner, ACCOUNTS.sdc);
        });

        it('do so in jobs, too', async () => {
            const uuid = await image(UNKNOWN);
            const refused = await importingRemote(uuid);
            const { error } = refused.chain_results.at(-1) ?? {};
            assert.equal(typeof error === 'object' && error.code, 'OwnerDoesNotExist');
            assert.equal((await importingRemote(uuid, '&skip_owner_check=true')).execution, 'succeeded');
            assert.equal((await registry.client.get(at(uuid))).manifest.owner, UNKNOWN);
            const nobodys = await image(UNSET_OWNER_UUID);
            assert.equal((await importingRemote(nobodys)).execution, 'succeeded');
            assert.equal((await registry.client.get(at(nobodys))).manifest.owner, ACCOUNTS.sdc);
        });
    });

    describe('ImportFromDatacenter', () => {
        const importing = async (owner: string) => {
            const { uuid } = await east.client.createActive({ owner, public: false });
            const path = at(uuid, `?action=import-from-datacenter&account=${owner}&datacenter=east`);
            const job = startedJob(await registry.client.post(path, {}));
            return { uuid, job: await untilEnded(registry.client, job) };
        };

        it('makes the image of an account that is here, too', async () => {
            const { uuid, job } = await importing(OWNER);
            assert.equal(job.execution, 'succeeded');
            const { manifest } = await registry.client.get(at(uuid));
            assert.deepEqual([manifest.owner, manifest.state], [OWNER, 'active']);
        });

        it('fails for one that is not', async () => {
            const { uuid, job } = await importing(UNKNOWN);
            assert.equal(job.execution, 'failed');
            const { error } = job.chain_results.at(-1) ?? {};
            assert.equal(typeof error === 'object' && error.code, 'OwnerDoesNotExist');
            assertError(await registry.client.get(at(uuid)), 404, 'ResourceNotFound');
        });
    });

    describe('without its directory of accounts', () => {
        const state = async () => ((await registry.client.get('/state')).json as { ufds: unknown }).ufds;

        it('does all that has no need of it; the rest is 503 until it is back', async () => {
            const image = await registry.client.createActive();
            assert.deepEqual(await state(), { connected: true });
            await directory.kill();
            await registry.server.logged(({ msg }) => msg === 'UFDS: disconnected');

            const { client } = registry;
            assert.deepEqual(await state(), { connected: false });
            for (const path of ['/ping', '/images', at(image.uuid), at(image.uuid, '/file')]) {
                assert.equal((await client.get(path)).status, 200, path);
            }
            assert.equal((await client.action(image.uuid, 'update', { name: 'other' })).status, 200);
            for (const answer of [
                await client.post('/images', MANIFEST),
                await client.action(image.uuid, 'update', { owner: OTHER }),
            ]) {
                assertError(answer, 503, 'ServiceUnavailableError');
                assert.doesNotMatch(answer.text, /UFDS|127\.0\.0\.1|LDAP/i);
            }
            assertError(
                await client.post('/images', { ...MANIFEST, state: 'active' }),
                422,
                'ValidationFailed',
                'state:NotAllowed',
            );

            directory.restart();
            await registry.server.logged(({ msg }) => msg === 'UFDS: reconnected');
            assert.equal((await client.post('/images', MANIFEST)).status, 200);
        });

        it('starts and serves; the first look-ups wait a little', async () => {
            await directory.kill();
            const starting = await Registry.start({
                ...DATACENTER,
                authType: 'none',
                ufds: { ...directory.config, retry: { maxDelay: 100 } },
            });
            try {
                assert.equal((await starting.client.get('/images')).status, 200);
                await starting.server.logged(({ msg }) => msg.startsWith('UFDS: no connection'));
                const created = starting.client.post('/images', MANIFEST);
                directory.restart();
                assert.equal((await created).status, 200);
            } finally {
                await starting.stop();
            }
        });
    });
});
