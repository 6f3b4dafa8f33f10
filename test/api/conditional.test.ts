/** Conditional requests (endpoints.md §1.6) where the routes have something of their own: lists, actions, admin fields. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import {
    assertError,
    assertServerHeaders,
    at,
    MANIFEST,
    sha1,
    type Answer,
    type Client,
    type RequestHeaders,
} from '../support/api';
import { CHANNELS } from '../support/channels';
import { testImage } from '../support/images';
import { onMoray } from '../support/test-database';
import { Registry } from '../support/registry';
import { makeFolder } from '../support/server';

const WEAK = /^W\/"[0-9a-f]{40}"$/;
const LONG_AGO = 'Thu, 01 Jan 1970 00:00:00 GMT';
const FILE_FIELDS = { sha1: 'a'.repeat(40), size: 1, stor: 'local' as const, compression: 'none' };

/** The ETag of an answer. */
const tagOf = ({ headers }: Answer): string => String(headers.etag);

/** Asks once more with the ETag of the answer. */
const again = (client: Client, path: string, answer: Answer, headers = {}): Promise<Answer> =>
    client.get(path, { ...headers, 'if-none-match': tagOf(answer) });

function assertNotModified(answer: Answer, etag: string): void {
    assert.equal(answer.status, 304, answer.text);
    assert.equal(answer.headers.etag, etag);
    assert.equal(answer.body.length, 0);
    assert.equal(answer.headers['content-type'], undefined);
    assertServerHeaders(answer.headers);
}

describe('Conditional requests', () => {
    for (const { name, count } of [
        { name: 'a list', count: 20 },
        { name: 'a list too long to be kept', count: 1100 },
        // No list is as long there unless it is asked for.
    ].slice(0, onMoray ? 1 : 2)) {
        describe(`for ${name}`, () => {
            let registry: Registry;
            const images = Array.from({ length: count }, (_, n) => testImage(n, { files: [FILE_FIELDS] }));
            const rename = (suffix: string) => registry.plant({ ...images[0]!, name: `image-${suffix}` });

            before(async () => {
                registry = await Registry.start();
                await registry.plant(...images);
            });
            after(() => registry.stop());

            it('are answered with 304 as long as nothing changes, and with the list after any change', async () => {
                const seen = new Set<string>();
                let known = await registry.client.get('/images');
                for (const change of [
                    () => rename('renamed'),
                    () => registry.client.createActive(),
                    () => registry.client.delete(at(images[1]!.uuid)),
                ]) {
                    assert.match(tagOf(known), WEAK);
                    assertNotModified(await again(registry.client, '/images', known), tagOf(known));
                    await change();
                    known = await again(registry.client, '/images', known);
                    assert.equal(known.status, 200);
                    assert.ok(!seen.has(tagOf(known)));
                    seen.add(tagOf(known));
                }
            });

            it('take the tag in all of its forms, among others', async () => {
                const etag = tagOf(await registry.client.get('/images'));
                const hash = etag.slice(3, -1);
                for (const value of [etag, `"${hash}"`, hash, `"x", ${etag}`, `${etag},W/"y"`, '*']) {
                    const answer = await registry.client.get('/images', { 'if-none-match': value });
                    assertNotModified(answer, etag);
                }
                for (const value of ['"x"', '', 'W/"*"x', `"${hash.slice(1)}"`, `"${hash}0"`]) {
                    const answer = await registry.client.get('/images', { 'if-none-match': value });
                    assert.equal(answer.status, 200, value);
                }
            });

            it('of HEAD have the same outcome', async () => {
                const etag = tagOf(await registry.client.get('/images'));
                const head = await registry.client.head('/images');
                assert.equal(head.status, 200);
                assert.equal(head.headers.etag, etag);
                assertNotModified(await registry.client.head('/images', { 'if-none-match': etag }), etag);
            });

            it('know no other condition: there is no date, and a weak tag guards nothing', async () => {
                const plain = await registry.client.get('/images');
                assert.equal(plain.headers['last-modified'], undefined);
                for (const [header, value] of [
                    ['if-modified-since', new Date(Date.now() + 86_400_000).toUTCString()],
                    ['if-unmodified-since', LONG_AGO],
                    ['if-match', '"x"'],
                ] as const) {
                    const answer = await registry.client.get('/images', { [header]: value });
                    assert.equal(answer.status, 200);
                    assert.equal(answer.text, plain.text);
                }
            });

            it('tell apart who asks, how, and for what', async () => {
                await registry.plant(
                    testImage(count, { activated: false, state: 'unactivated', files: [FILE_FIELDS] }),
                );
                const signed = await registry.client.get('/images?state=all');
                assert.equal((await again(registry.anonymous, '/images?state=all', signed)).status, 200);
                for (const query of [
                    '',
                    '?state=all&inclAdminFields=true',
                    '?limit=3',
                    '?sort=published_at.desc',
                ]) {
                    const answer = await again(registry.client, `/images${query}`, signed);
                    assert.equal(answer.status, 200, query);
                    assertNotModified(await again(registry.client, `/images${query}`, answer), tagOf(answer));
                }
            });

            it('are judged after the request is', async () => {
                const headers = { 'if-none-match': '*' };
                assertError(
                    await registry.client.get('/images?limit=x', headers),
                    422,
                    'InvalidParameter',
                    'state:Invalid',
                );
                assertError(
                    await registry.anonymous.get('/images?inclAdminFields=true', headers),
                    401,
                    'UnauthorizedError',
                );
                const etag = tagOf(await registry.client.get('/images?inclAdminFields=true'));
                assertError(
                    await registry.anonymous.get('/images?inclAdminFields=true', { 'if-none-match': etag }),
                    401,
                    'UnauthorizedError',
                );
            });

            it('hold for a client that takes the compact form', async () => {
                const answer = await registry.client.get('/images', { accept: 'text/plain' });
                assert.equal(answer.text, JSON.stringify(answer.json));
                assertNotModified(
                    await again(registry.client, '/images', answer, { accept: 'text/plain' }),
                    tagOf(answer),
                );
            });
        });
    }

    it('outlive the server: the next one on the same folder gives the same tags', async () => {
        const folder = await makeFolder();
        try {
            const start = (config = {}) => Registry.start(config, { dataDir: join(folder.path, 'data') });
            let registry = await start();
            await registry.plant(
                ...Array.from({ length: 1050 }, (_, n) => testImage(n, { files: [FILE_FIELDS] })),
            );
            const paths = ['/images', '/images?limit=10'];
            const before = await Promise.all(
                paths.map(async (path) => tagOf(await registry.client.get(path))),
            );
            await registry.stop();
            registry = await start();
            for (const [n, path] of paths.entries()) {
                assertNotModified(
                    await registry.client.get(path, { 'if-none-match': before[n] ?? '' }),
                    before[n] ?? '',
                );
            }
            await registry.stop();
            // With channels, images without any are not listed: another configuration, another list.
            registry = await start({ channels: [{ name: 'dev', description: 'd', default: true }] });
            const answer = await registry.client.get('/images', { 'if-none-match': before[0] ?? '' });
            assert.deepEqual(answer.manifests, []);
            await registry.stop();
        } finally {
            await folder.remove();
        }
    });

    it('tell channels apart, and the versions that show them', async () => {
        const registry = await Registry.start({
            channels: CHANNELS,
        });
        try {
            await registry.client.createActive();
            const [one, two] = [
                await registry.client.get('/images'),
                await registry.client.get('/images', { 'accept-version': '~2' }),
            ];
            assert.notEqual(tagOf(one), tagOf(two));
            const other = await registry.client.get('/images?channel=release', {
                'if-none-match': tagOf(one),
            });
            assert.deepEqual(other.manifests, []);
        } finally {
            await registry.stop();
        }
    });

    describe('for a manifest', () => {
        let registry: Registry;
        before(async () => {
            registry = await Registry.start();
        });
        after(() => registry.stop());

        it('with admin fields compare the ETag that was sent, in reads and in changes (QUIRK-C)', async () => {
            const { uuid } = await registry.client.createActive();
            const plain = await registry.client.get(at(uuid));
            const admin = await registry.client.get(at(uuid, '?inclAdminFields=true'));
            assert.equal(tagOf(admin), sha1(JSON.stringify(admin.json)));
            assert.notEqual(tagOf(admin), tagOf(plain));
            for (const known of [admin, plain]) {
                const path = at(uuid, '?inclAdminFields=true');
                assert.equal((await again(registry.client, path, known)).status, 304);
            }
            assert.equal((await again(registry.client, at(uuid), admin)).status, 200);
            for (const [n, known] of [admin, plain].entries()) {
                const current = n === 0 ? known : await registry.client.get(at(uuid));
                const update = await registry.client.action(
                    uuid,
                    'update',
                    { description: `changed ${n}` },
                    { 'if-match': tagOf(current) },
                );
                assert.equal(update.status, 200);
            }
            const late = await registry.client.action(uuid, 'update', {}, { 'if-match': tagOf(admin) });
            assertError(late, 412, 'PreconditionFailed');
        });

        it('do not look at dates: it has none', async () => {
            const { uuid } = await registry.client.createActive();
            const future = new Date(Date.now() + 86_400_000).toUTCString();
            const dates: RequestHeaders[] = [
                { 'if-modified-since': future },
                { 'if-unmodified-since': LONG_AGO },
            ];
            for (const headers of dates) {
                assert.equal((await registry.client.get(at(uuid), headers)).status, 200);
                assert.equal((await registry.client.action(uuid, 'enable', {}, headers)).status, 200);
            }
        });

        it('with If-None-Match guard every action, before it is looked at', async () => {
            const { uuid } = await registry.client.create();
            const etag = tagOf(await registry.client.get(at(uuid)));
            const before = await registry.record(uuid);
            for (const action of ['activate', 'enable', 'disable', 'update', 'no-such-action']) {
                for (const value of [etag, `W/"${etag}"`, '*']) {
                    const answer = await registry.client.action(uuid, action, {}, { 'if-none-match': value });
                    assertError(answer, 412, 'PreconditionFailed');
                }
            }
            assert.deepEqual(await registry.record(uuid), before);
            const other = await registry.client.action(uuid, 'disable', {}, { 'if-none-match': '"x"' });
            assert.equal(other.status, 200);
        });

        it('are for these alone: create, delete, acl and uploads do not judge them', async () => {
            const headers = { 'if-match': '"x"', 'if-none-match': '*' };
            const { uuid } = (await registry.client.post('/images', MANIFEST, headers)).manifest;
            const file = await registry.client.put(at(uuid, '/file?compression=none'), 'x', headers);
            assert.equal(file.status, 200);
            assert.equal((await registry.client.post(at(uuid, '/acl'), [], headers)).status, 200);
            assert.equal((await registry.client.delete(at(uuid), headers)).status, 204);
        });
    });

    describe('for an icon', () => {
        it('compare its own ETag, that of the manifest, and its date, and fail as JSON (QUIRK-A, QUIRK-B)', async () => {
            const registry = await Registry.start();
            try {
                const { uuid } = await registry.client.create();
                await registry.client.uploadIcon(uuid);
                const icon = await registry.anonymous.get(at(uuid, '/icon'));
                const manifest = await registry.anonymous.get(at(uuid));
                const modified = String(icon.headers['last-modified']);
                for (const [header, value] of [
                    ['if-none-match', tagOf(icon)],
                    ['if-none-match', tagOf(manifest)],
                    ['if-modified-since', modified],
                ] as const) {
                    const answer = await registry.anonymous.get(at(uuid, '/icon'), { [header]: value });
                    assert.equal(answer.status, 304);
                    assert.equal(tagOf(answer), tagOf(icon));
                    assert.equal(answer.headers['last-modified'], modified);
                }
                const late = await registry.anonymous.get(at(uuid, '/icon'), {
                    'if-unmodified-since': LONG_AGO,
                });
                assertError(late, 412, 'PreconditionFailed');
                assertError(
                    await registry.anonymous.get(at(uuid, '/icon'), { 'if-match': '"x"' }),
                    412,
                    'PreconditionFailed',
                );
            } finally {
                await registry.stop();
            }
        });
    });
});
