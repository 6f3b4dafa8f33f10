/** What real clients send and rely on: one test for each line of clients.md that concerns what this server has. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import {
    assertError,
    at,
    FILE,
    ICON,
    md5,
    MANIFEST,
    newUuid,
    OTHER,
    sha1,
    type Answer,
    type Manifest,
    type RequestHeaders,
} from '../support/api';
import { testImage } from '../support/images';
import { signedHeaders } from '../support/keys';
import { RawConnection } from '../support/raw-connection';
import { Registry, testKeys } from '../support/registry';

describe('Clients of the ecosystem', () => {
    let registry: Registry;

    before(async () => {
        registry = await Registry.start();
    });
    after(() => registry.stop());

    /** A POST as sdc-clients makes those without data: the body is `{}`, with its Content-MD5. */
    const bare = (path: string): Promise<Answer> =>
        registry.client.request('POST', path, {
            headers: {
                'content-type': 'application/json',
                accept: 'application/json',
                'content-md5': md5('{}'),
            },
            body: '{}',
        });

    describe('requests as they arrive', () => {
        it('1: uploads of imgadm (application/json, Connection: close), of imgapi-cli and of icons', async () => {
            const { uuid } = await registry.client.create();
            const sent: RequestHeaders[] = [
                { 'content-type': 'application/json', accept: 'application/json', connection: 'close' },
                { 'content-type': 'application/octet-stream' },
            ];
            for (const headers of sent) {
                const bytes = Buffer.from('{ this is no JSON');
                const answer = await registry.client.put(at(uuid, '/file?compression=gzip'), bytes, headers);
                assert.equal(answer.manifest.files[0]?.sha1, sha1(bytes));
                assert.equal(answer.headers['content-type'], 'application/json');
            }
            for (const type of ['image/jpeg', 'image/png', 'image/gif']) {
                const answer = await registry.client.put(at(uuid, '/icon'), ICON, { 'content-type': type });
                assert.equal(answer.manifest.icon, true);
            }
        });

        it('2: POSTs without data carry {} with content-length 2 and content-md5', async () => {
            const { uuid } = await registry.client.create();
            await registry.client.upload(uuid);
            for (const action of ['activate', 'disable', 'enable']) {
                assert.equal((await bare(at(uuid, `?action=${action}`))).status, 200, action);
            }
            assert.deepEqual((await bare('/authkeys/reload')).json, {});
            assert.equal((await bare('/state?action=dropcaches')).status, 202);
        });

        it('3: files are asked for with accept: application/json', async () => {
            const { uuid } = await registry.client.createActive();
            const answer = await registry.anonymous.get(at(uuid, '/file'), { accept: 'application/json' });
            assert.equal(answer.status, 200);
            assert.equal(answer.headers['content-type'], 'application/octet-stream');
            assert.deepEqual(answer.body, FILE);
        });

        it('4: JSON bodies carry content-md5, a wrong one is BadDigest; Expect: 100-continue works', async () => {
            const body = JSON.stringify(MANIFEST);
            const create = (digest: string) =>
                registry.client.post('/images', MANIFEST, { 'content-md5': digest });
            assert.equal((await create(md5(body))).status, 200);
            assertError(await create(md5('other')), 400, 'BadDigest');

            const { uuid } = await registry.client.create();
            const { hostname, port } = new URL(registry.url);
            const answer = await new Promise<number | undefined>((resolve, reject) => {
                const req = http.request({
                    host: hostname,
                    port,
                    method: 'PUT',
                    path: at(uuid, '/file?compression=none'),
                    headers: { ...signedHeaders('alice', testKeys()[0]), expect: '100-continue' },
                });
                req.once('error', reject)
                    .once('continue', () => req.end(FILE))
                    .once('response', (res) => resolve(res.resume().statusCode));
                req.flushHeaders();
            });
            assert.equal(answer, 200);
        });

        it('5: uploads may be chunked, and empty', async () => {
            const { uuid } = await registry.client.create();
            async function* chunks(...parts: Buffer[]): AsyncGenerator<Buffer> {
                yield* parts;
            }
            const put = (...parts: Buffer[]) =>
                registry.client.put(at(uuid, '/file?compression=none'), chunks(...parts));
            assert.equal((await put(FILE, FILE)).manifest.files[0]?.size, 2 * FILE.length);
            assertError(await put(), 400, 'Download');
        });

        it('6: DELETE /images/U with content-length: 0 is 204 without a body; of an icon 200 with the manifest', async () => {
            const { uuid } = await registry.client.create();
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

        it('7: Accept-Version is *, ~2, ~1 or absent; ~99 is InvalidVersion', async () => {
            for (const headers of [
                { 'accept-version': '*' },
                { 'accept-version': '~2' },
                { 'accept-version': '~1' },
                undefined,
            ]) {
                assert.equal((await registry.client.get('/images', headers)).status, 200);
            }
            assertError(
                await registry.client.get('/images', { 'accept-version': '~99' }),
                400,
                'InvalidVersion',
            );
        });

        it('9: x-request-id or request-id is echoed in x-request-id', async () => {
            for (const name of ['x-request-id', 'request-id']) {
                const id = newUuid();
                assert.equal(
                    (await registry.client.get('/images', { [name]: id })).headers['x-request-id'],
                    id,
                );
            }
        });

        it('10: CloudAPI lists with type=!docker; the channel may be * or %2A', async () => {
            const docker = testImage(1, {
                type: 'docker',
                files: [{ sha1: 'a'.repeat(40), size: 1, stor: 'local', compression: 'none' }],
            });
            await registry.plant(docker);
            const all = (await registry.client.get('/images?channel=*')).uuids;
            const others = (await registry.client.get('/images?type=!docker&channel=%2A')).uuids;
            assert.ok(all.includes(docker.uuid));
            assert.deepEqual(
                others,
                all.filter((uuid) => uuid !== docker.uuid),
            );
        });

        it('11: signatures name no headers, sign only the date, and arrive again within a second', async () => {
            const headers = signedHeaders('alice', testKeys()[0]);
            assert.match(
                headers.authorization,
                /^Signature keyId="alice",algorithm="rsa-sha256",signature="[^"]+"$/,
            );
            const answers = await Promise.all(
                Array.from({ length: 5 }, () => registry.anonymous.post('/images', MANIFEST, headers)),
            );
            assert.ok(answers.every(({ status }) => status === 200));
        });
    });

    describe('answers they rely on', () => {
        it('12: ping has imgapi: true; user and pid only with credentials; wrong ones are 401', async () => {
            assert.deepEqual(Object.keys((await registry.anonymous.get('/ping')).json as object).sort(), [
                'imgapi',
                'ping',
                'version',
            ]);
            const signed = (await registry.client.get('/ping')).json as {
                imgapi: boolean;
                user: string;
                pid: number;
            };
            assert.equal(signed.imgapi, true);
            assert.equal(signed.user, 'alice');
            assert.equal(signed.pid, registry.server.child.pid);
            const wrong = await registry.anonymous.get('/ping', signedHeaders('alice', testKeys()[1]));
            assertError(wrong, 401, 'UnauthorizedError');
        });

        it('13: with authType none callers are anonymous readers', async () => {
            const open = await Registry.start({ authType: 'none' });
            try {
                const { uuid } = await open.anonymous.createActive();
                await open.anonymous.create();
                assert.deepEqual((await open.client.get('/images?state=all')).uuids, [uuid]);
                assertError(await open.client.get('/images?inclAdminFields=true'), 401, 'UnauthorizedError');
            } finally {
                await open.stop();
            }
        });

        it('14: errors are application/json without a charset; three codes keep their suffix', async () => {
            for (const [name, code] of [
                ['RemoteSource', 'RemoteSourceError'],
                ['StorageIsDown', 'StorageIsDown'],
                ['OperatorOnlyError', 'OperatorOnly'],
            ] as const) {
                const answer = await registry.anonymous.get(`/ping?error=${name}`);
                assert.equal(answer.headers['content-type'], 'application/json');
                assert.equal(answer.error.code, code);
            }
            assertError(await registry.anonymous.get('/state'), 401, 'UnauthorizedError');
        });

        it('15: files and icons have Content-MD5 and Content-Length, and are what the manifest says', async () => {
            const bytes = randomBytes(100_000);
            const { uuid, files } = await registry.client.createActive({}, bytes);
            await registry.client.uploadIcon(uuid);
            const headers = { 'accept-encoding': 'gzip' };
            for (const [path, body] of [
                ['/file', bytes],
                ['/icon', ICON],
            ] as const) {
                const answer = await registry.anonymous.get(at(uuid, path), headers);
                assert.equal(answer.headers['content-md5'], md5(body));
                assert.equal(answer.headers['content-length'], String(body.length));
                assert.equal(answer.headers['content-encoding'], undefined);
                assert.deepEqual(answer.body, body);
            }
            assert.equal(files[0]?.sha1, sha1(bytes));
            assert.equal(files[0].size, bytes.length);
        });

        it('16: JSON answers have no Content-MD5', async () => {
            const { uuid } = await registry.client.create({ description: 'Größe' });
            for (const path of ['/ping', '/images', at(uuid), '/state', '/nowhere']) {
                assert.equal((await registry.client.get(path)).headers['content-md5'], undefined, path);
            }
        });

        it('17: no path of the API redirects', async () => {
            const { uuid } = await registry.client.createActive();
            for (const path of [
                '/ping',
                '/images',
                '//images',
                at(uuid),
                at(uuid, '/file'),
                `${at(uuid)}/`,
            ]) {
                const { status } = await registry.client.get(path);
                assert.ok(status < 300 || status >= 400, path);
            }
        });

        it('19: an upload that is refused before its body was read is answered at once, and the connection ends', async () => {
            const connection = await RawConnection.open(registry.url);
            connection.write(
                `PUT ${at(newUuid(), '/file')} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\nthe first bytes`,
            );
            const [answer] = await connection.answers(1);
            assert.equal(answer?.status, 401);
            await connection.closed;
        });

        it('20: what an upload tells is what was sent; every answer to a change is byte-equal to the next GET', async () => {
            const { uuid } = await registry.client.create();
            const same = async (answer: Answer): Promise<Manifest> => {
                const next = await registry.client.get(at(uuid));
                assert.equal(next.text, answer.text);
                return answer.manifest;
            };
            const { files } = await same(await registry.client.put(at(uuid, '/file?compression=none'), FILE));
            assert.equal(files[0]?.sha1, sha1(FILE));
            assert.equal(files[0].size, FILE.length);
            assert.equal((await same(await bare(at(uuid, '?action=activate')))).state, 'active');
            const icon = await registry.client.put(at(uuid, '/icon'), ICON, { 'content-type': 'image/png' });
            assert.equal((await same(icon)).icon, true);
            assert.equal((await same(await bare(at(uuid, '?action=disable')))).disabled, true);
            assert.equal((await same(await bare(at(uuid, '?action=enable')))).disabled, false);
            assert.deepEqual(
                (await same(await registry.client.post(at(uuid, '/acl?action=add'), [OTHER]))).acl,
                [OTHER],
            );
            assert.ok(!('icon' in (await same(await registry.client.delete(at(uuid, '/icon'))))));
        });

        it('21: the ETag is the bare sha1; If-Match on update is 412, If-None-Match on GET is 304', async () => {
            const { uuid } = await registry.client.create();
            const { headers, json } = await registry.client.get(at(uuid));
            const etag = String(headers.etag);
            assert.equal(etag, sha1(JSON.stringify(json)));
            const update = (value: string) =>
                registry.client.action(uuid, 'update', { description: 'x' }, { 'if-match': value });
            assertError(await update('other'), 412, 'PreconditionFailed');
            assert.equal((await registry.client.get(at(uuid), { 'if-none-match': etag })).status, 304);
            assert.equal((await update(etag)).status, 200);
            assert.equal((await registry.client.get(at(uuid), { 'if-none-match': etag })).status, 200);
        });

        it('23: keep-alive and Connection: close are both honoured', async () => {
            const connection = await RawConnection.open(registry.url);
            const request = 'GET /ping HTTP/1.1\r\nhost: x\r\n';
            connection.write(`${request}\r\n`);
            await connection.answers(1);
            connection.write(`${request}connection: close\r\n\r\n`);
            await connection.answers(2);
            await connection.closed;
        });

        it('24: the second file is also at /file1', async () => {
            const [one, two] = [Buffer.from('one'), Buffer.from('two')];
            const file = (bytes: Buffer) => ({
                sha1: sha1(bytes),
                size: bytes.length,
                contentMD5: md5(bytes),
                stor: 'local' as const,
                compression: 'none',
            });
            const lxd = testImage(2, { type: 'lxd', files: [file(one), file(two)] });
            await registry.plant(lxd);
            await registry.plantObject(lxd.uuid, 'file0', one);
            await registry.plantObject(lxd.uuid, 'file1', two);
            for (const path of ['/file1', '/file?index=1']) {
                const answer = await registry.anonymous.get(at(lxd.uuid, path));
                assert.deepEqual(answer.body, two);
                assert.equal(answer.headers['content-md5'], md5(two));
            }
        });

        it('25: every listed image has what strictly typed clients need', async () => {
            await registry.client.createActive();
            const { manifests } = await registry.anonymous.get('/images');
            assert.ok(manifests.length > 0);
            const needed = [
                'v',
                'uuid',
                'name',
                'version',
                'type',
                'os',
                'files',
                'published_at',
                'public',
                'state',
                'disabled',
            ];
            for (const manifest of manifests) {
                assert.deepEqual(
                    needed.filter((field) => !(field in manifest)),
                    [],
                );
                for (const file of manifest.files) {
                    assert.equal(typeof file.size, 'number');
                    assert.equal(typeof file.sha1, 'string');
                    assert.equal(typeof file.compression, 'string');
                }
            }
        });
    });

    describe('22: paging', () => {
        let large: Registry;
        const COUNT = 2500;

        before(async () => {
            large = await Registry.start();
            const file = { sha1: 'a'.repeat(40), size: 1, stor: 'local' as const, compression: 'none' };
            await large.plant(...Array.from({ length: COUNT }, (_, n) => testImage(n, { files: [file] })));
        });
        after(() => large.stop());

        /** As imgapi-cli and sdc-clients page. */
        async function listAll(pageSize: number): Promise<string[]> {
            const all: string[] = [];
            let query = '';
            for (;;) {
                const page = (await large.anonymous.get(`/images${query}`)).uuids;
                const last = all.at(-1);
                if (last !== undefined) {
                    assert.equal(page[0], last, 'the marker comes first');
                    page.shift();
                }
                all.push(...page);
                if (page.length + 1 < pageSize || page.length === 0 || all.at(-1) === last) {
                    return all;
                }
                query = `?limit=${pageSize}&marker=${all.at(-1)}`;
            }
        }

        it('first without a limit, then with limit=1000 and the last uuid as the marker, meets every image once', async () => {
            const all = await listAll(1000);
            assert.equal(all.length, COUNT);
            assert.equal(new Set(all).size, COUNT);
        });

        it('stops where the last uuid repeats', async () => {
            const last = testImage(COUNT - 1).uuid;
            assert.deepEqual((await large.anonymous.get(`/images?limit=1000&marker=${last}`)).uuids, [last]);
        });
    });
});
