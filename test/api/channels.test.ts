/** What a server with channels does, in every mode (endpoints.md §2 and §3, manifest.md §5, config.md §2.1). */
import assert from 'node:assert/strict';
import type { Route } from '../../lib/api/route';
import { channel as oneChannel, channelOrAny, loadImage } from '../../lib/api/steps';
import type { Mode } from '../../lib/config/types';
import { routes } from '../../lib/routes';
import { assertError, at, FILE, MANIFEST, newUuid, OTHER, OWNER, sha1, type Manifest } from '../support/api';
import { CHANNELS } from '../support/channels';
import { testImage, without } from '../support/images';
import { OpenLdap } from '../support/openldap';
import { DATACENTER, Registry } from '../support/registry';
import { routesOf } from '../support/routes';

for (const mode of ['public', 'private', 'dc'] as const) {
    describe(`Channels in mode ${mode}`, () => {
        channelsIn(mode);
    });
}

/** Routes on which `channel` takes one channel, and those on which it may also be `*` (endpoints.md §3). */
const ONE = [
    'CreateImage',
    'CreateImageFromVm',
    'AddImageFile',
    'AddImageFileFromUrl',
    'AddImageIcon',
    'DeleteImageIcon',
    'AdminChangeImageStor',
    'ExportImage',
    'AdminImportImage',
    'AdminImportRemoteImage',
    'ImportFromDatacenter',
    'ActivateImage',
    'EnableImage',
    'DisableImage',
    'ChannelAddImage',
    'UpdateImage',
    'DeleteImage',
    'CloneImage',
    'AddImageAcl',
    'RemoveImageAcl',
];
const ANY = ['ListImages', 'GetImage', 'GetImageFile', 'GetImageIcon', 'ListImageJobs'];

describe('The parameter channel', () => {
    const rowOf = (name: string): Route => {
        const row = routes.find((one) => one.name === name);
        assert.ok(row, name);
        return row;
    };

    it('is taken by the routes that work in a channel', () => {
        for (const name of ONE) {
            assert.ok(rowOf(name).steps.includes(oneChannel), name);
        }
        for (const name of ANY) {
            assert.ok(rowOf(name).steps.includes(channelOrAny), name);
        }
    });

    it('is listed by exactly those', () => {
        for (const { name, parameters, steps } of routes) {
            const works = steps.includes(oneChannel) || steps.includes(channelOrAny);
            assert.equal(
                parameters.some((parameter) => parameter.name === 'channel'),
                works,
                name,
            );
            assert.ok(works || !steps.includes(loadImage), `${name} shows images of any channel`);
        }
    });
});

function channelsIn(mode: Mode): void {
    let directory: OpenLdap | undefined;
    let settings: Record<string, unknown>;
    let registry: Registry;
    let image: Manifest;
    /** Allowed in this mode. */
    const fields = { public: mode !== 'private' };
    const body = { ...MANIFEST, ...fields };

    before(async function () {
        directory = mode === 'dc' ? await OpenLdap.start(this) : undefined;
        await directory?.addAccount(OWNER, 'owner');
        settings = directory ? { ...DATACENTER, ufds: directory.config } : { mode };
        registry = await Registry.start({ ...settings, channels: CHANNELS });
    });
    beforeEach(async () => {
        image = await registry.client.createActive(fields);
    });
    after(async () => {
        await registry.stop();
        await directory?.stop();
    });

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

    /** Asks a row about the image; nothing that is asked here gets past the steps. */
    const ask = (row: Route, query: string) => {
        const action = row.actions?.[0] ?? (row.parameters.some(({ name }) => name === 'action') ? 'x' : '');
        const path = row.path.replace(':uuid', image.uuid);
        return registry.client.request(row.method, `${path}?${action && `action=${action}&`}${query}`, {
            headers: row.body === 'json' ? { 'content-type': 'application/json' } : {},
            body: row.body === undefined ? undefined : '{}',
        });
    };

    for (const row of routesOf({ mode, channels: CHANNELS })) {
        if (row.steps.includes(oneChannel) || row.steps.includes(channelOrAny)) {
            it(`that are not there are 422 for ${row.name}`, async () => {
                const unknown = ['x', 'Dev', 'dev,release', '__proto__', 'dev%00'];
                for (const name of row.steps.includes(oneChannel) ? [...unknown, '*', '%2A'] : unknown) {
                    const answer = await ask(row, `channel=${name}`);
                    assertError(answer, 422, 'ValidationFailed', 'channel:Invalid');
                }
            });
        }
        if (row.steps.includes(loadImage)) {
            it(`of others hide the image from ${row.name}`, async () => {
                assertError(await ask(row, 'channel=release'), 404, 'ResourceNotFound');
            });
        }
    }

    it('given twice are 422', async () => {
        const answer = await registry.client.get('/images?channel=dev&channel=dev');
        assertError(answer, 422, 'InvalidParameter', 'channel:Invalid');
    });

    it('are the default one or the one asked for in a new image', async () => {
        const create = await registry.client.post('/images?channel=release', body, {
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
        const child = testImage(9, { ...fields, origin: image.uuid, channels: ['release'], files: [] });
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

    it('lose an image only if force_all_channels is true or false', async () => {
        const answer = await registry.client.delete(at(image.uuid, '?force_all_channels=zz'));
        assertError(answer, 422, 'InvalidParameter', 'force_all_channels:Invalid');
        await both();
        assert.equal((await registry.client.delete(at(image.uuid, '?force_all_channels=false'))).status, 204);
        assert.deepEqual((await registry.record(image.uuid))?.channels, ['release']);
    });

    describe('ListChannels', () => {
        it('gives them as they are configured, to everybody', async () => {
            const answer = await registry.anonymous.get('/channels');
            assert.equal(answer.status, 200);
            assert.equal(answer.text, JSON.stringify(CHANNELS, null, 2));
            assert.deepEqual(
                (await registry.client.get('/channels', { 'accept-version': '~2' })).json,
                CHANNELS,
            );
            const head = await registry.anonymous.head('/channels');
            assert.equal(head.headers['content-length'], String(answer.body.length));
        });

        it('refuses a wrong signature', async () => {
            const answer = await registry.anonymous.get('/channels', {
                authorization: 'Signature keyId="x"',
            });
            assertError(answer, 401, 'UnauthorizedError');
        });
    });

    describe('channel-add', () => {
        const add = (given: unknown, query = '', headers = {}) =>
            registry.client.post(at(image.uuid, `?action=channel-add${query}`), given, headers);
        const to = (channel: unknown) => add({ channel });

        it('adds an image to one more channel', async () => {
            const answer = await add({ channel: 'release' }, '', { 'accept-version': '~2' });
            assert.deepEqual(answer.manifest.channels, ['dev', 'release']);
            assert.equal(answer.headers.etag, sha1(JSON.stringify(answer.json)));
            const found = await registry.client.get(at(image.uuid, '?channel=release'), {
                'accept-version': '~2',
            });
            assert.deepEqual(found.json, answer.json);
            assert.ok((await registry.client.get('/images?channel=release')).uuids.includes(image.uuid));
            assert.equal(
                (await registry.client.get(at(image.uuid, '/file?channel=release'))).text,
                FILE.toString(),
            );
        });

        it('changes nothing for an image that is in it', async () => {
            const before = await registry.snapshot(image.uuid);
            assert.equal((await to('dev')).status, 200);
            assert.deepEqual(await registry.snapshot(image.uuid), before);
            assert.equal((await to('release')).manifest.channels, undefined, 'version 1 has no channels');
            assert.equal((await to('release')).status, 200);
            assert.deepEqual((await registry.record(image.uuid))?.channels, ['dev', 'release']);
        });

        it('takes a channel of the server', async () => {
            for (const given of ['x', '*', '', 5, null, undefined, ['dev'], { name: 'dev' }, '__proto__']) {
                assertError(await to(given), 422, 'ValidationFailed', 'channel:Invalid');
            }
            for (const given of [undefined, [], 'dev', null, 7]) {
                assertError(await add(given), 422, 'ValidationFailed', 'channel:Invalid');
            }
        });

        it('is judged after the image, its owner and the conditions', async () => {
            assertError(await add({}, '&channel=release'), 404, 'ResourceNotFound');
            const foreign = await add({}, `&account=${OTHER}`);
            if (fields.public) {
                assertError(foreign, 422, 'NotImageOwner');
            } else {
                assertError(foreign, 404, 'ResourceNotFound');
            }
            assertError(await add({}, '', { 'if-match': 'x' }), 412, 'PreconditionFailed');
            const own = await add({ channel: 'release' }, `&account=${OWNER}`);
            assert.equal(own.status, 200);
        });

        it('loses nobody’s change', async () => {
            const answers = await Promise.all([
                to('release'),
                registry.client.action(image.uuid, 'disable'),
                to('release'),
            ]);
            assert.deepEqual(
                answers.map(({ status }) => status),
                [200, 200, 200],
            );
            const record = await registry.record(image.uuid);
            assert.deepEqual([record?.channels, record?.disabled], [['dev', 'release'], true]);
        });
    });

    it('are given to an imported image', async () => {
        const uuid = newUuid();
        const manifest = { ...body, v: 2, uuid, channels: ['elsewhere'] };
        const answer = await registry.client.post(at(uuid, '?action=import&channel=release'), manifest, {
            'accept-version': '*',
        });
        assert.deepEqual(answer.manifest.channels, ['release']);
    });

    if (mode === 'dc') {
        it('do not hinder placeholders, which may lack all but the least', async () => {
            const least = without(testImage(2, { state: 'creating', type: 'null', os: 'null' }), 'public');
            const placeholder = { ...least, activated: false, channels: ['dev'] };
            await registry.plant(placeholder);
            assert.equal((await registry.client.get(at(placeholder.uuid))).manifest.state, 'creating');
            assertError(
                await registry.client.get(at(placeholder.uuid, '?channel=release')),
                404,
                'ResourceNotFound',
            );
            assert.ok((await registry.client.get('/images?state=creating')).uuids.includes(placeholder.uuid));

            const odd = { ...testImage(3, { state: 'creating' }), channels: 'dev' as unknown as string[] };
            await registry.plant(odd);
            assertError(await registry.client.get(at(odd.uuid)), 404, 'ResourceNotFound');
            assert.ok(
                !(await registry.client.get('/images?state=creating&channel=*')).uuids.includes(odd.uuid),
            );
        });

        it('are those of the original for a clone', async () => {
            await both();
            await registry.client.post(at(image.uuid, '/acl'), [OTHER]);
            const answer = await registry.client.post(
                at(image.uuid, `/clone?account=${OTHER}`),
                {},
                { 'accept-version': '*' },
            );
            assert.deepEqual(answer.manifest.channels, ['dev', 'release']);
        });
    }

    it('make an image without any invisible, with * too', async () => {
        const lost = testImage(1, fields);
        await registry.plant(lost);
        assertError(await registry.client.get(at(lost.uuid, '?channel=*')), 404, 'ResourceNotFound');
        assert.ok(!(await registry.client.get('/images?channel=*')).uuids.includes(lost.uuid));
    });

    it('have to be named on a server without a default', async () => {
        const strict = await Registry.start({
            ...settings,
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
}

describe('Channels that are configured oddly', () => {
    it('keep keys of their own in the list; of two of one name the later counts', async () => {
        const channels = [
            { name: 'dev', description: 'Old.', default: true },
            { name: 'release', description: '', colour: 'green', default: false },
            { name: 'dev', description: 'New.' },
        ];
        const registry = await Registry.start({ channels });
        try {
            const { client } = registry;
            assert.deepEqual((await client.get('/channels')).json, channels.slice(1));
            assertError(await client.get('/images'), 422, 'ValidationFailed', 'channel:MissingParameter');
            assert.equal((await client.get('/images?channel=dev')).status, 200);
        } finally {
            await registry.stop();
        }
    });

    it('are not there at all: nothing of them is', async () => {
        const registry = await Registry.start();
        try {
            const { client } = registry;
            const { uuid } = await client.createActive();
            assertError(await client.get('/channels'), 404, 'ResourceNotFound');
            const add = await client.action(uuid, 'channel-add', { channel: 'dev' });
            assertError(add, 422, 'InvalidParameter', 'action:Invalid');
            assert.equal((await client.get(at(uuid, '?channel=x'))).status, 200);
            const update = await client.action(uuid, 'update', { channels: ['dev'] });
            assertError(update, 422, 'ValidationFailed', 'channels:Invalid');
            assert.equal((await client.delete(at(uuid, '?channel=x'))).status, 204);
        } finally {
            await registry.stop();
        }
    });
});
