/** ListImages (endpoints.md §3). */
import assert from 'node:assert/strict';
import type { RawImage } from '../../lib/manifest';
import { assertError, OTHER, OWNER, STRANGER, UNKNOWN } from '../support/api';
import { testImage, testUuid } from '../support/images';
import { Registry } from '../support/registry';

describe('ListImages', () => {
    let registry: Registry;
    const file = { sha1: 'a'.repeat(40), size: 1, stor: 'local' as const, compression: 'none' };
    const FILES = { files: [file] };
    const UNACTIVATED = { activated: false, state: 'unactivated' };

    /** What is in the registry, by a letter; in the order of publication. */
    const stock: Record<string, RawImage> = {
        a: testImage(1, {
            ...FILES,
            owner: OWNER,
            name: 'alpha',
            tagsObj: { role: 'web', on: true },
            tags: ['role=web', 'on=true'],
        }),
        b: testImage(2, {
            ...FILES,
            owner: OTHER,
            name: 'alphabet',
            version: '2.1.0',
            os: 'linux',
            type: 'lx-dataset',
        }),
        c: testImage(3, { ...FILES, owner: OWNER, name: 'gamma', billing_tags: ['xl', 'ssd'] }),
        d: testImage(4, { ...FILES, owner: OTHER, disabled: true, state: 'disabled' }),
        u: testImage(5, { ...UNACTIVATED, owner: OWNER, published_at: undefined as unknown as string }),
        v: testImage(6, {
            ...UNACTIVATED,
            owner: OTHER,
            acl: [OWNER],
            published_at: undefined as unknown as string,
        }),
        f: testImage(7, { ...UNACTIVATED, owner: OWNER, state: 'failed' }),
        k: testImage(8, { ...UNACTIVATED, owner: OTHER, state: 'creating' }),
    };
    const letters = (uuids: readonly string[]) =>
        uuids
            .map((uuid) => Object.keys(stock).find((letter) => stock[letter]?.uuid === uuid) ?? uuid)
            .join('');

    before(async () => {
        registry = await Registry.start();
        await registry.plant(
            ...Object.values(stock).map((raw) => JSON.parse(JSON.stringify(raw)) as RawImage),
        );
    });
    after(() => registry.stop());

    const list = async (query = '') => letters((await registry.client.get(`/images?${query}`)).uuids);

    describe('state', () => {
        const expected: Record<string, string> = {
            '': 'abc',
            'state=active': 'abc',
            'state=disabled': 'd',
            'state=unactivated': 'uvfk',
            'state=all': 'uvabcdfk',
            'state=creating': 'k',
            'state=failed': 'f',
        };
        for (const [query, uuids] of Object.entries(expected)) {
            it(`"${query}" lists for a signed request`, async () => {
                assert.equal(await list(query), uuids);
            });
        }

        it('shows anonymous callers active images only, and empty lists of the others', async () => {
            const anonymous = async (query: string) =>
                letters((await registry.anonymous.get(`/images?${query}`)).uuids);
            for (const query of ['', 'state=active', 'state=all']) {
                assert.equal(await anonymous(query), 'abc', query);
            }
            for (const query of ['state=disabled', 'state=unactivated', 'state=creating', 'state=failed']) {
                const answer = await registry.anonymous.get(`/images?${query}`);
                assert.equal(answer.text, '[]', query);
            }
        });

        it('is judged before the caller is', async () => {
            assertError(
                await registry.anonymous.get('/images?state=zz'),
                422,
                'InvalidParameter',
                'state:Invalid',
            );
        });
    });

    describe('filters', () => {
        const expected: Record<string, string> = {
            'name=alpha': 'a',
            'name=~alpha': 'ab',
            'name=~ALPHA': '',
            'name=~': 'abc',
            'version=2.1.0': 'b',
            'version=~1.0': 'abc',
            'version=~0.0': 'ac',
            [`owner=${OTHER}`]: 'b',
            [`owner=${UNKNOWN}`]: '',
            'owner=anything': '',
            'os=linux': 'b',
            'type=zone-dataset': 'ac',
            'type=!zone-dataset': 'b',
            'type=!docker': 'abc',
            'public=true': 'abc',
            'public=false': '',
            'tag.role=web': 'a',
            'tag.role=': 'a',
            'tag.role=db': '',
            'tag.role=web&tag.on=true': 'a',
            'tag.role=web&tag.on=false': '',
            'billing_tag=xl': 'c',
            'billing_tag=xl&billing_tag=ssd': 'c',
            'billing_tag=xl&billing_tag=hdd': '',
            'name=~a&os=smartos&type=zone-dataset&state=all': 'uvacdfk',
            'channel=any': 'abc',
            'unknown=1': 'abc',
        };
        for (const [query, uuids] of Object.entries(expected)) {
            it(`${query} lists "${uuids}"`, async () => {
                assert.equal(await list(query), uuids);
            });
        }

        it('of tags with special characters are decoded', async () => {
            assert.equal(await list('tag.%72ole=w%65b'), 'a');
        });
    });

    describe('account', () => {
        const PRIVATE = { ...FILES, public: false };
        let privateServer: Registry;
        const own = testImage(20, { ...PRIVATE, owner: OWNER });
        const shared = testImage(21, { ...PRIVATE, owner: OTHER, acl: [OWNER] });
        const foreign = testImage(22, { ...PRIVATE, owner: OTHER });
        const ownDisabled = testImage(23, { ...PRIVATE, owner: OWNER, disabled: true, state: 'disabled' });
        const sharedDisabled = testImage(24, {
            ...PRIVATE,
            owner: OTHER,
            acl: [OWNER],
            disabled: true,
            state: 'disabled',
        });
        const ownUnactivated = testImage(25, { ...PRIVATE, owner: OWNER, ...UNACTIVATED });
        const sharedUnactivated = testImage(26, { ...PRIVATE, owner: OTHER, acl: [OWNER], ...UNACTIVATED });

        before(async () => {
            privateServer = await Registry.start({ mode: 'private' });
            await privateServer.plant(
                own,
                shared,
                foreign,
                ownDisabled,
                sharedDisabled,
                ownUnactivated,
                sharedUnactivated,
            );
        });
        after(() => privateServer.stop());

        const seen = async (query: string) =>
            (await privateServer.client.get(`/images?account=${OWNER}&${query}`)).uuids.sort();
        const those = (...images: RawImage[]) => images.map(({ uuid }) => uuid).sort();

        it('lists its own images and those shared with it', async () => {
            assert.deepEqual(await seen(''), those(own, shared));
        });
        it('lists of the disabled and unactivated ones only its own', async () => {
            assert.deepEqual(await seen('state=disabled'), those(ownDisabled));
            assert.deepEqual(await seen('state=unactivated'), those(ownUnactivated));
        });
        it('lists with state=all also the disabled ones that are shared with it', async () => {
            assert.deepEqual(
                await seen('state=all'),
                those(own, shared, ownDisabled, sharedDisabled, ownUnactivated),
            );
        });
        it('with itself as the owner lists its own', async () => {
            assert.deepEqual(await seen(`owner=${OWNER}`), those(own));
        });
        it('with another owner lists what that one shares', async () => {
            assert.deepEqual(await seen(`owner=${OTHER}`), those(shared));
        });
        it('with public=true does not list private ones of others', async () => {
            assert.deepEqual(await seen('public=true'), []);
            assert.deepEqual(await seen('public=false'), those(own, shared));
        });
        it('sees public images of others, as everybody does', async () => {
            assert.equal(await list(`account=${STRANGER}`), 'abc');
            assert.equal(await list(`account=${STRANGER}&state=all`), 'abcd');
            assert.equal(await list(`account=${STRANGER}&public=false`), '');
            assert.equal(await list(`account=${OWNER}&state=failed`), 'f');
        });
        it('is not required to be a uuid', async () => {
            assert.equal(await list('account=me'), 'abc');
        });
        it('counts the limit over the union', async () => {
            assert.equal((await seen('limit=1')).length, 1);
        });
    });

    describe('sort', () => {
        it('is by the date of publication, ascending by default', async () => {
            for (const query of ['', 'sort=published_at', 'sort=published_at.asc', 'sort=published_at.ASC']) {
                assert.equal(await list(query), 'abc', query);
            }
        });
        it('is descending for any other order', async () => {
            for (const query of ['sort=published_at.desc', 'sort=published_at.DESC', 'sort=published_at.x']) {
                assert.equal(await list(query), 'cba', query);
            }
        });
        it('has unpublished images first, and last when descending', async () => {
            assert.equal(await list('state=all'), 'uvabcdfk');
            assert.equal(await list('state=all&sort=published_at.desc'), 'kfdcbavu');
        });
    });

    describe('limit and marker', () => {
        const date = (letter: string) => stock[letter]?.published_at ?? '';
        const uuid = (letter: string) => stock[letter]?.uuid ?? '';
        const expected: Record<string, string> = {
            'limit=2': 'ab',
            'limit=0': 'abc',
            'limit=99999999999999999999': 'abc',
            'limit=2&sort=published_at.desc': 'cb',
            [`marker=${uuid('b')}`]: 'bc',
            [`marker=${uuid('b')}&limit=1`]: 'b',
            [`marker=${uuid('b')}&sort=published_at.desc`]: 'ba',
            [`marker=${date('b')}`]: 'bc',
            [`marker=${encodeURIComponent(new Date(date('b')).toUTCString())}`]: 'bc',
            [`marker=${uuid('u')}`]: 'abc',
            [`marker=${uuid('d')}`]: '',
            'marker=2030-01-01': '',
            'marker=2000-01-01&state=all': 'abcdfk',
        };
        for (const [query, uuids] of Object.entries(expected)) {
            it(`${query} lists "${uuids}"`, async () => {
                assert.equal(await list(query), uuids);
            });
        }
    });

    describe('errors', () => {
        const refused: Record<string, string> = {
            'limit=x': 'state:Invalid',
            'limit=-1': 'limit:Invalid',
            'limit=1.5': 'limit:Invalid',
            'limit=Infinity': 'limit:Invalid',
            'state=zz': 'state:Invalid',
            'public=zz': 'public:Invalid',
            'sort=name': 'sort:Invalid',
            'sort=': 'sort:Invalid',
            'marker=zz': 'marker:Invalid',
            'marker=': 'marker:Invalid',
            'inclAdminFields=zz': 'inclAdminFields:Invalid',
            'name=%00': 'name:Invalid',
            // In the order of the contract: limit, state, public, sort, marker.
            'marker=zz&sort=zz&public=zz&state=zz&limit=zz': 'state:Invalid',
            'marker=zz&sort=zz&public=zz': 'public:Invalid',
            'marker=zz&sort=zz': 'sort:Invalid',
        };
        for (const [query, field] of Object.entries(refused)) {
            it(`${query} is 422`, async () => {
                assertError(await registry.client.get(`/images?${query}`), 422, 'InvalidParameter', field);
            });
        }
        it('a marker whose record has no date in the place of one counts for nothing', async () => {
            const odd = testUuid(500);
            await registry.plant(testImage(500, { published_at: true as unknown as string }));
            const all = (await registry.client.get('/images')).uuids;
            assert.deepEqual((await registry.client.get(`/images?marker=${odd}`)).uuids, all);
        });
        it('a marker that is no image is 404', async () => {
            assertError(await registry.client.get(`/images?marker=${UNKNOWN}`), 404, 'ResourceNotFound');
        });
        it('inclAdminFields of an anonymous request is 401', async () => {
            assertError(
                await registry.anonymous.get('/images?inclAdminFields=true'),
                401,
                'UnauthorizedError',
            );
        });
    });

    describe('the answer', () => {
        it('has the manifests as GetImage gives them', async () => {
            const answer = await registry.client.get('/images');
            assert.equal(answer.text, JSON.stringify(answer.json, null, 2));
            assert.deepEqual(
                answer.manifests[0],
                (await registry.client.get(`/images/${testUuid(1)}`)).manifest,
            );
            assert.equal(answer.headers['content-md5'], undefined);
        });
        it('has operator fields when a signed request asks for them', async () => {
            const [first] = (await registry.client.get('/images?inclAdminFields=true')).manifests;
            assert.equal(first?.files[0]?.stor, 'local');
        });
        it('leaves out stored images that break the rules', async () => {
            await registry.plant(testImage(60, { ...FILES, public: false }));
            assert.equal(await list('state=all&public=false'), '');
            assert.equal(await list(''), 'abc');
        });
    });
});
