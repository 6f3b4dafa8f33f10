/** Who may read: `auth.reads` and `auth.hideUnpublished` (docs/decisions/0017-roles-and-reads.md). */
import assert from 'node:assert/strict';
import type { RawImage } from '../../lib/manifest';
import {
    at,
    assertError,
    FILE,
    ICON,
    UNKNOWN,
    type Answer,
    type Client,
    type RequestHeaders,
} from '../support/api';
import { CHANNELS } from '../support/channels';
import { signedHeaders } from '../support/keys';
import { DATACENTER, Registry, testKeys } from '../support/registry';

const LINE = testKeys()[0].publicLine;
/** A user who may only read. */
const READER = { authKeys: { alice: [LINE], reader: [LINE] }, auth: { roles: { reader: 'read' } } };
const WRONG = { authorization: 'Signature keyId="alice"' };

/** What there is to be read of an image. */
const PARTS = ['', '/file', '/icon'];

for (const mode of ['public', 'private'] as const) {
    describe(`Signed reads in mode ${mode}`, () => {
        let registry: Registry;
        let reader: Client;
        let image: RawImage;

        before(async () => {
            registry = await Registry.start({
                ...READER,
                mode,
                channels: CHANNELS,
                auth: { ...READER.auth, reads: 'signed' },
            });
            reader = registry.as('reader');
            image = await registry.plantImage({ public: mode === 'public', channels: ['dev'] });
        });
        after(() => registry.stop());

        const reads = () => [
            '/images',
            '/channels',
            ...[...PARTS, '/jobs'].map((part) => at(image.uuid, part)),
        ];

        it('show nothing without a signature, and nothing with a wrong one', async () => {
            for (const path of reads()) {
                for (const headers of [{}, WRONG, { ...WRONG, authorization: 'Basic YTpi' }]) {
                    const answer = await registry.anonymous.get(path, headers);
                    assertError(answer, 401, 'UnauthorizedError');
                    assert.equal(answer.headers.etag, undefined);
                    const head = await registry.anonymous.head(path, headers);
                    assert.equal(head.status, 401);
                    assert.equal(head.headers.etag, undefined);
                }
            }
        });

        it('show all to whoever may read', async () => {
            assert.ok((await reader.get('/images')).uuids.includes(image.uuid));
            assert.deepEqual((await reader.get('/channels')).json, CHANNELS);
            assert.equal((await reader.get(at(image.uuid))).manifest.uuid, image.uuid);
            assert.equal((await reader.get(at(image.uuid, '/file'))).text, FILE.toString());
            assert.deepEqual((await reader.get(at(image.uuid, '/icon'))).body, ICON);
            const part = await reader.get(at(image.uuid, '/file'), { range: 'bytes=4-8' });
            assert.equal(part.text, FILE.subarray(4, 9).toString());
        });

        it('cannot be got round by conditions, ranges, or what an account may see', async () => {
            const etags = new Map<string, string>();
            for (const path of reads()) {
                etags.set(path, String((await reader.get(path)).headers.etag));
            }
            for (const [path, etag] of etags) {
                for (const headers of [
                    { 'if-none-match': etag },
                    { 'if-none-match': '*' },
                    { 'if-match': etag },
                    { 'if-match': 'x' },
                    { 'if-modified-since': new Date().toUTCString() },
                    { range: 'bytes=0-0' },
                ] as RequestHeaders[]) {
                    assertError(await registry.anonymous.get(path, headers), 401, 'UnauthorizedError');
                }
                const asOwner = `${path}?account=${image.owner}&channel=*`;
                assertError(await registry.anonymous.get(asOwner), 401, 'UnauthorizedError');
            }
        });

        it('are refused before anything else is looked at, but for the uuid of a manifest', async () => {
            for (const path of ['/images?limit=x', '/images?channel=nosuch', at('x', '/file'), at(UNKNOWN)]) {
                assertError(await registry.anonymous.get(path), 401, 'UnauthorizedError');
            }
            assertError(await registry.anonymous.get(at('x')), 404, 'ResourceNotFound');
        });

        it('leave open what shows no images', async () => {
            for (const path of ['/ping', '/docs/', '/docs/openapi.json', '/favicon.ico']) {
                assert.equal((await registry.anonymous.get(path)).status, 200, path);
            }
            assert.equal((await registry.anonymous.get('/datasets')).status, 301);
            assertError(await registry.anonymous.get(`/jobs/${UNKNOWN}`), 404, 'ResourceNotFound');
        });

        it('are what the server tells of itself', async () => {
            const { paths } = (await registry.anonymous.get('/docs/openapi.json')).json as {
                paths: Record<string, Record<string, { security: object[]; responses: object }>>;
            };
            for (const path of [
                '/images',
                '/channels',
                '/images/{uuid}',
                '/images/{uuid}/file',
                '/images/{uuid}/icon',
            ]) {
                const { security, responses } = paths[path]?.get ?? {};
                assert.deepEqual(security, [{ signature: [] }], path);
                assert.ok(responses && '401' in responses, path);
            }
            assert.deepEqual(paths['/images/{uuid}']?.delete?.security, [{ signature: ['write'] }]);
            assert.deepEqual(paths['/state']?.get?.security, [{ signature: ['admin'] }]);
            assert.deepEqual(paths['/ping']?.get?.security, [{}, { signature: [] }]);
            const pages = await Promise.all(
                ['/docs/', '/docs/endpoints.html'].map(
                    async (path) => (await registry.anonymous.get(path)).text,
                ),
            );
            assert.match(pages[0] ?? '', /HTTP Signature, for all that shows or changes something/);
            assert.match(pages[0] ?? '', /signed &quot;\$url\/images\?limit=10/);
            assert.match(pages[1] ?? '', /by a user with the role <code>admin<\/code>/);
        });
    });
}

describe('Reads by default', () => {
    let registry: Registry;
    before(async () => {
        registry = await Registry.start(READER);
    });
    after(() => registry.stop());

    it('are open, unpublished images by their uuid included', async () => {
        const { uuid } = await registry.plantImage({ activated: false, state: 'unactivated' });
        for (const part of PARTS) {
            assert.equal((await registry.anonymous.get(at(uuid, part))).status, 200);
        }
    });

    it('of files and icons do not look at an Authorization header', async () => {
        const { uuid } = await registry.plantImage();
        for (const part of ['/file', '/icon']) {
            assert.equal((await registry.anonymous.get(at(uuid, part), WRONG)).status, 200);
        }
        assertError(await registry.anonymous.get(at(uuid), WRONG), 401, 'UnauthorizedError');
    });

    it('show the role read what an operator sees', async () => {
        const reader = registry.as('reader');
        const { uuid } = await registry.plantImage({ activated: false, state: 'unactivated' });
        assert.ok((await reader.get('/images?state=all')).uuids.includes(uuid));
        const list = await reader.get('/images?state=unactivated&inclAdminFields=true');
        assert.equal(list.manifests.find((one) => one.uuid === uuid)?.files[0]?.stor, 'local');
        const ping = (await reader.get('/ping')).json as { user: string; pid: number };
        assert.equal(ping.user, 'reader');
        assert.equal(typeof ping.pid, 'number');
    });

    it('are all that the role read may do', async () => {
        const reader = registry.as('reader');
        const { uuid } = await registry.plantImage();
        const before = await registry.snapshot(uuid);
        const refused = await reader.action(uuid, 'disable');
        assertError(refused, 403, 'NotAuthorized');
        assert.equal(
            refused.error.message,
            'User "reader" has the role "read"; DisableImage needs the role "write".',
        );
        assertError(await reader.delete(at(uuid)), 403, 'NotAuthorized');
        assertError(await reader.get('/state'), 403, 'NotAuthorized');
        assert.deepEqual(await registry.snapshot(uuid), before);
    });
});

for (const mode of ['public', 'private', 'dc'] as const) {
    describe(`Hidden unpublished images in mode ${mode}`, () => {
        let registry: Registry;
        let stranger: Client;
        before(async () => {
            registry = await Registry.start({
                ...(mode === 'dc' ? DATACENTER : { mode }),
                ...READER,
                channels: CHANNELS,
                auth: { ...READER.auth, hideUnpublished: true },
            });
            stranger = registry.anonymous;
        });
        after(() => registry.stop());

        const common = { public: mode !== 'private', channels: ['dev'] };
        /** Every way not to be active. */
        const HIDDEN: readonly [string, Partial<RawImage>][] = [
            ['unactivated', { activated: false, state: 'unactivated' }],
            ['disabled', { disabled: true, state: 'disabled' }],
            ['disabled before it was activated', { activated: false, disabled: true, state: 'unactivated' }],
            ['being created', { activated: false, state: 'creating' }],
            ['failed', { activated: false, state: 'failed', error: { message: 'x', code: 'x' } }],
            ['in another channel', { activated: false, state: 'unactivated', channels: ['release'] }],
            ['not valid', { activated: false, state: 'unactivated', name: undefined }],
            ['of old, with texts for switches', { activated: 'false', state: 'unactivated' }],
        ];

        /** The answer about an image is the very one about an image that there is not. */
        async function assertUnknown(uuid: string, ask: (uuid: string) => Promise<Answer>): Promise<void> {
            const [answer, unknown] = [await ask(uuid), await ask(UNKNOWN)];
            assert.equal(unknown.status, 404);
            const comparable = ({ status, headers, text }: Answer) => ({
                status,
                names: Object.keys(headers).sort(),
                length: headers['content-length'],
                text: text.replaceAll(uuid, UNKNOWN),
            });
            assert.deepEqual(comparable(answer), comparable(unknown));
        }

        for (const [what, fields] of HIDDEN) {
            it(`are not there for strangers: one that is ${what}`, async () => {
                const { uuid, owner } = await registry.plantImage({ ...common, ...fields });
                for (const part of [...PARTS, '/file1', '/jobs']) {
                    for (const query of [
                        '',
                        '?channel=release',
                        '?channel=*',
                        `?account=${owner}`,
                        '?inclAdminFields=true',
                        '?index=7',
                    ]) {
                        await assertUnknown(uuid, (one) => stranger.get(at(one, part + query)));
                        await assertUnknown(uuid, (one) => stranger.head(at(one, part + query)));
                    }
                }
            });
        }

        it('do not betray themselves by conditions', async () => {
            const { uuid } = await registry.plantImage({ ...common, disabled: true, state: 'disabled' });
            for (const part of PARTS) {
                const { etag, 'last-modified': modified } = (await registry.client.get(at(uuid, part)))
                    .headers;
                for (const headers of [
                    { 'if-none-match': String(etag) },
                    { 'if-none-match': '*' },
                    { 'if-match': String(etag) },
                    { 'if-match': 'x' },
                    { 'if-modified-since': String(modified) },
                    { 'if-unmodified-since': new Date(0).toUTCString() },
                    { range: 'bytes=99999-', 'if-range': String(etag) },
                ] as RequestHeaders[]) {
                    await assertUnknown(uuid, (one) => stranger.get(at(one, part), headers));
                }
            }
        });

        it('do not betray themselves as the marker of a list, and are in no list', async () => {
            const raw = await registry.plantImage({ ...common, disabled: true, state: 'disabled' });
            const { uuid } = raw;
            const list = (client: Client, marker: string) => client.get(`/images?state=all&marker=${marker}`);
            // Asked for by somebody who may know, so that the list is remembered.
            assert.equal((await list(registry.client, uuid)).status, 200);
            await assertUnknown(uuid, (one) => list(stranger, one));
            const active = await registry.plantImage(common);
            assert.equal((await list(stranger, active.uuid)).status, 200);
            for (const state of ['all', 'disabled', 'unactivated']) {
                assert.ok(!(await stranger.get(`/images?state=${state}`)).uuids.includes(uuid), state);
            }
            assert.ok((await registry.client.get('/images?state=all')).uuids.includes(uuid));
        });

        it('are there for whoever signs', async () => {
            const { uuid } = await registry.plantImage({ ...common, activated: false, state: 'unactivated' });
            for (const client of [registry.client, registry.as('reader')]) {
                for (const part of PARTS) {
                    assert.equal((await client.get(at(uuid, part))).status, 200);
                    assert.equal((await client.head(at(uuid, part))).status, 200);
                }
            }
            // A signature is looked at where it matters, so a wrong one is refused there.
            for (const part of PARTS) {
                assertError(await stranger.get(at(uuid, part), WRONG), 401, 'UnauthorizedError');
            }
        });

        it('are there as soon as they are active, and gone when they are not any more', async () => {
            const { uuid } = await registry.plantImage({ ...common, activated: false, state: 'unactivated' });
            const seen = async () =>
                Promise.all(PARTS.map(async (part) => (await stranger.get(at(uuid, part))).status));
            assert.deepEqual(await seen(), [404, 404, 404]);
            for (const [action, status] of [
                ['activate', 200],
                ['disable', 404],
                ['enable', 200],
            ] as const) {
                assert.equal((await registry.client.action(uuid, action)).status, 200);
                assert.deepEqual(await seen(), [status, status, status], action);
            }
        });

        it('are what the server tells of itself', async () => {
            const page = (await stranger.get('/docs/endpoints.html')).text;
            assert.match(page, /For an active image none, for any other a signed request/);
            assert.match((await stranger.get('/docs/')).text, /Images that are not active/);
        });
    });
}

describe('Hidden unpublished images and a role in some channels', () => {
    it('are there in its own channels only, as markers as well', async () => {
        const registry = await Registry.start({
            channels: CHANNELS,
            authKeys: { alice: [LINE], dev: [LINE] },
            auth: { hideUnpublished: true, roles: { dev: { role: 'read', channels: ['dev'] } } },
        });
        try {
            const dev = registry.as('dev');
            const draft = { activated: false, state: 'unactivated' } as const;
            const own = await registry.plantImage({ ...draft, channels: ['dev'] });
            const other = await registry.plantImage({ ...draft, channels: ['release'] });
            const text = async (client: Client, path: string) => (await client.get(path)).error.message;
            const gone = (uuid: string) => `Image ${uuid} does not exist.`;

            assert.equal((await dev.get(at(own.uuid))).status, 200);
            assert.equal(await text(dev, at(own.uuid, '?channel=*')), gone(own.uuid));
            for (const query of ['', '?channel=dev', '?channel=release', '?channel=*']) {
                assert.equal(await text(dev, at(other.uuid, query)), gone(other.uuid), query);
                assert.equal(await text(dev, at(other.uuid, `/file${query}`)), gone(other.uuid), query);
            }
            const marked = (client: Client, { uuid }: RawImage) =>
                client.get(`/images?channel=dev&marker=${uuid}`);
            for (const client of [registry.client, dev]) {
                assert.equal((await marked(client, own)).status, 200);
            }
            // The one who may know of the marker asks first, so that the list is remembered.
            assert.equal((await marked(registry.client, other)).status, 200);
            assertError(await marked(dev, other), 404, 'ResourceNotFound');
            assert.equal((await marked(registry.client, other)).status, 200);
        } finally {
            await registry.stop();
        }
    });
});

describe('Users with strange names', () => {
    it('have the role that the table gives them', async () => {
        const names = ['__proto__', 'constructor', 'toString'];
        const entries = <T>(value: T) =>
            Object.fromEntries([['alice', value], ...names.map((name) => [name, value] as const)]) as Record<
                string,
                T
            >;
        const registry = await Registry.start({
            authKeys: entries([LINE]),
            auth: { roles: entries('read') },
        });
        try {
            for (const user of names) {
                const headers = () => signedHeaders(user, testKeys()[0]);
                assert.equal((await registry.anonymous.get('/images', headers())).status, 200, user);
                assertError(await registry.anonymous.get('/state', headers()), 403, 'NotAuthorized');
                assertError(await registry.anonymous.post('/images', {}, headers()), 403, 'NotAuthorized');
            }
        } finally {
            await registry.stop();
        }
    });
});
