/**
 * What real clients send: one test for each line of the first part of clients.md, on every kind of server. What they
 * rely on in the answers is in clients-answers.test.ts.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import type { RawImage } from '../../lib/manifest';
import {
    assertError,
    at,
    FILE,
    ICON,
    md5,
    newUuid,
    OTHER,
    sha1,
    type Answer,
    type Manifest,
    type RequestHeaders,
} from '../support/api';
import { startedJob, untilEnded } from '../support/jobs';
import { signedHeaders } from '../support/keys';
import { Registry, testKeys } from '../support/registry';
import {
    authType,
    FRIEND,
    makeImage,
    manifestFor,
    nameOf,
    SETTINGS,
    startSetting,
} from '../support/settings';

/** Sends {@link FILE} as curl does: it waits for the server's word before it sends the body. */
function putAfterContinue(registry: Registry, path: string): Promise<number | undefined> {
    const { hostname, port } = new URL(registry.url);
    return new Promise((resolve, reject) => {
        const req = http.request({
            host: hostname,
            port,
            method: 'PUT',
            path,
            headers: { ...signedHeaders('alice', testKeys()[0]), expect: '100-continue' },
        });
        req.once('error', reject)
            .once('continue', () => req.end(FILE))
            .once('response', (res) => resolve(res.resume().statusCode));
        req.flushHeaders();
    });
}

async function* chunks(...parts: Buffer[]): AsyncGenerator<Buffer> {
    yield* parts;
}

for (const setting of SETTINGS) {
    describe(`Requests of clients, in ${nameOf(setting)}`, () => {
        let registry: Registry;
        let stop: (() => Promise<void>) | undefined;
        /** A server of the same kind to import from. */
        let source: Registry;
        const fields = manifestFor(setting);

        before(async function () {
            source = await Registry.start({ mode: fields.public ? 'public' : 'private' });
            ({ registry, stop } = await startSetting(setting, this, { outbound: { allow: ['127.0.0.1'] } }));
        });
        after(async () => {
            await stop?.();
            await source.stop();
        });

        const create = () => registry.client.create(fields);
        const createActive = () => registry.client.createActive(fields);

        /** A request as sdc-clients makes those without data: the body is `{}`, with its Content-MD5. */
        const bare = (path: string, method = 'POST'): Promise<Answer> =>
            registry.client.request(method, path, {
                headers: {
                    'content-type': 'application/json',
                    accept: 'application/json',
                    'content-md5': md5('{}'),
                },
                body: '{}',
            });

        it('1: uploads of imgadm (application/json, Connection: close), of imgapi-cli and of icons', async () => {
            const { uuid } = await create();
            const sent: RequestHeaders[] = [
                { 'content-type': 'application/json', accept: 'application/json', connection: 'close' },
                { 'content-type': 'application/octet-stream' },
            ];
            for (const headers of sent) {
                const bytes = Buffer.from('{ this is no JSON');
                const answer = await registry.client.put(at(uuid, '/file?compression=gzip'), bytes, headers);
                assert.equal(answer.manifest.files[0]?.sha1, sha1(bytes));
                assert.equal(answer.headers['content-type'], 'application/json');
                assert.equal(answer.headers.connection, headers.connection ?? 'keep-alive');
            }
            for (const type of ['image/jpeg', 'image/png', 'image/gif']) {
                const answer = await registry.client.put(at(uuid, '/icon'), ICON, { 'content-type': type });
                assert.equal(answer.manifest.icon, true);
            }
        });

        it('2: requests without data carry {} with content-length 2 and content-md5', async () => {
            const { uuid } = await create();
            await registry.client.upload(uuid);
            for (const action of ['activate', 'disable', 'enable', 'change-stor&stor=local']) {
                assert.equal((await bare(at(uuid, `?action=${action}`))).status, 200, action);
            }
            assert.deepEqual((await bare('/authkeys/reload')).json, {});
            assert.equal((await bare('/state?action=dropcaches')).status, 202);
            assertError(
                await bare(at(uuid, '?action=export&manta_path=/a/stor/b')),
                503,
                'StorageUnsupported',
            );
            if (setting.mode === 'dc') {
                await registry.client.post(at(uuid, '/acl'), [FRIEND]);
                assert.equal((await bare(at(uuid, `/clone?account=${FRIEND}`))).manifest.owner, FRIEND);
            }
        });

        it('2: imports from a server carry {} as well, as a PUT and as a POST', async () => {
            const from = `source=${encodeURIComponent(source.url)}&skip_owner_check=true`;
            const one = await source.client.createActive({ public: fields.public });
            const manifest = await bare(at(one.uuid, `?action=import&${from}`));
            assert.equal(manifest.manifest.state, 'unactivated');
            const file = await bare(at(one.uuid, `/file?${from}`), 'PUT');
            assert.equal(file.manifest.files[0]?.sha1, sha1(FILE));

            const two = await source.client.createActive({ public: fields.public });
            const job = startedJob(await bare(at(two.uuid, `?action=import-remote&${from}`)));
            assert.equal((await untilEnded(registry.client, job)).execution, 'succeeded');
        });

        it('3: files are asked for with accept: application/json', async () => {
            const { uuid } = await createActive();
            const answer = await registry.anonymous.get(at(uuid, '/file'), { accept: 'application/json' });
            assert.equal(answer.status, 200);
            assert.equal(answer.headers['content-type'], 'application/octet-stream');
            assert.deepEqual(answer.body, FILE);
        });

        it('4: JSON bodies carry content-md5, a wrong one is BadDigest; Expect: 100-continue works', async () => {
            const body = JSON.stringify(fields);
            const post = (digest: string) =>
                registry.client.post('/images', fields, { 'content-md5': digest });
            assert.equal((await post(md5(body))).status, 200);
            assertError(await post(md5('other')), 400, 'BadDigest');
            const { uuid } = await create();
            assert.equal(await putAfterContinue(registry, at(uuid, '/file?compression=none')), 200);
        });

        it('5: uploads may be chunked, and empty', async () => {
            const { uuid } = await create();
            const put = (...parts: Buffer[]) =>
                registry.client.put(at(uuid, '/file?compression=none'), chunks(...parts));
            assert.equal((await put(FILE, FILE)).manifest.files[0]?.size, 2 * FILE.length);
            assertError(await put(), 400, 'Download');
            assert.equal((await registry.record(uuid))?.files?.[0]?.size, 2 * FILE.length);
        });

        it('6: DELETE /images/U with content-length: 0 is 204 without a body; of an icon 200 with the manifest', async () => {
            const { uuid } = await create();
            await registry.client.uploadIcon(uuid);
            assert.equal((await registry.client.delete(at(uuid, '/icon'))).manifest.uuid, uuid);
            await registry.client.post(at(uuid, '/acl'), [OTHER]);
            const acl = await registry.client.post(at(uuid, '/acl?action=remove'), [OTHER]);
            assert.equal(acl.manifest.uuid, uuid);
            const answer = await registry.client.delete(at(uuid), { 'content-length': '0' });
            assert.equal(answer.status, 204);
            assert.equal(answer.body.length, 0);
            assert.equal(answer.headers['content-type'], undefined);
        });

        it('7: Accept-Version is *, ~2, ~1 or absent, the last two without channels; ~99 is InvalidVersion', async () => {
            const { uuid } = await createActive();
            const shown = setting.channels ? ['dev'] : undefined;
            for (const path of [`/images?name=${fields.name}`, at(uuid)]) {
                for (const [version, channels] of [
                    ['*', shown],
                    ['~2', shown],
                    ['~1', undefined],
                    [undefined, undefined],
                ] as const) {
                    const headers: RequestHeaders =
                        version === undefined ? {} : { 'accept-version': version };
                    const answer = await registry.client.get(path, headers);
                    const manifests = [answer.json].flat() as Manifest[];
                    assert.equal(answer.status, 200);
                    assert.deepEqual(manifests.find((one) => one.uuid === uuid)?.channels, channels);
                }
                const odd = await registry.client.get(path, { 'accept-version': '~99' });
                assertError(odd, 400, 'InvalidVersion');
            }
        });

        it('8: imgadm below 3.7.4 imports lx-datasets without their min_platform, or with that of the origin', async () => {
            const importAs = async (agent: string, more: object = {}): Promise<unknown> => {
                const uuid = newUuid();
                const manifest = {
                    v: 2,
                    uuid,
                    ...fields,
                    type: 'lx-dataset',
                    os: 'linux',
                    published_at: '2013-05-07T12:00:00.123Z',
                    requirements: { min_platform: { '7.0': '20150101T000000Z' } },
                    ...more,
                };
                const path = at(uuid, '?action=import&skip_owner_check=true');
                const answer = await registry.client.post(path, manifest, { 'user-agent': agent });
                return (answer.manifest.requirements as RawImage['requirements'])?.min_platform;
            };
            const [old, current] = ['imgadm/3.7.3 (node/0.10.48)', 'imgadm/3.7.4 (node/0.10.48)'];
            const ofOrigin = { '7.0': '20140101T000000Z' };
            const origin = await registry.client.createActive({
                ...fields,
                requirements: { min_platform: ofOrigin },
            });
            assert.equal(await importAs(old), undefined);
            assert.deepEqual(await importAs(old, { origin: origin.uuid }), ofOrigin);
            assert.deepEqual(await importAs(current), { '7.0': '20150101T000000Z' });
            assert.deepEqual(await importAs(old, { type: 'zone-dataset', os: 'smartos' }), {
                '7.0': '20150101T000000Z',
            });
        });

        it('9: x-request-id or request-id is echoed in x-request-id, also where it is no uuid', async () => {
            const { uuid } = await create();
            for (const name of ['x-request-id', 'request-id']) {
                for (const id of [newUuid(), 'abc']) {
                    const headers = { [name]: id };
                    const list = await registry.client.get('/images', headers);
                    assert.equal(list.headers['x-request-id'], id);
                    const put = await registry.client.put(at(uuid, '/file?compression=none'), FILE, headers);
                    assert.equal(put.status, 200);
                    assert.equal(put.headers['x-request-id'], id);
                }
            }
        });

        it('10: CloudAPI lists with type=!docker; the channel may be * or %2A', async () => {
            const kind = setting.mode === 'private' ? 'closed' : 'open';
            const docker = makeImage(1, setting, kind, { type: 'docker' });
            const elsewhere = makeImage(2, setting, kind, setting.channels ? { channels: ['release'] } : {});
            await registry.plant(docker, elsewhere);
            const all = (await registry.client.get('/images?channel=*')).uuids;
            const others = (await registry.client.get('/images?type=!docker&channel=%2A')).uuids;
            assert.ok(all.includes(docker.uuid) && all.includes(elsewhere.uuid));
            assert.deepEqual(
                others,
                all.filter((uuid) => uuid !== docker.uuid),
            );
            const inDefault = (await registry.client.get('/images?type=!docker')).uuids;
            assert.equal(inDefault.includes(elsewhere.uuid), !setting.channels);
        });

        if (authType(setting) === 'signature') {
            it('11: signatures name no headers, sign only the date, and arrive again within a second', async () => {
                for (const algorithm of ['rsa-sha256', 'rsa-sha1']) {
                    const headers = signedHeaders('alice', testKeys()[0], { algorithm });
                    assert.match(
                        headers.authorization,
                        new RegExp(`^Signature keyId="alice",algorithm="${algorithm}",signature="[^"]+"$`),
                    );
                    const answers = await Promise.all(
                        Array.from({ length: 5 }, () => registry.anonymous.post('/images', fields, headers)),
                    );
                    assert.ok(answers.every(({ status }) => status === 200));
                }
            });
        } else {
            it('11: signatures are passed over where there is no authentication, wrong ones as well', async () => {
                for (const authorization of [
                    'Signature x',
                    signedHeaders('eve', testKeys()[1]).authorization,
                ]) {
                    const answer = await registry.anonymous.post('/images', fields, { authorization });
                    assert.equal(answer.status, 200);
                }
            });
        }
    });
}
