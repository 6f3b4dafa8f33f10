/** What real clients rely on in answers: one test for each line of the second part of clients.md, on every kind of server. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
    assertError,
    at,
    FILE,
    ICON,
    md5,
    OTHER,
    sha1,
    UNKNOWN,
    type Answer,
    type Manifest,
} from '../support/api';
import { CHANNELS } from '../support/channels';
import { testUuid } from '../support/images';
import { startedJob, untilEnded } from '../support/jobs';
import { signedHeaders } from '../support/keys';
import { RawConnection } from '../support/raw-connection';
import { Registry, testKeys } from '../support/registry';
import { authType, kinds, makeImage, manifestFor, nameOf, SETTINGS, startSetting } from '../support/settings';

/** A head of a request by hand, signed where it is needed. */
function rawHead(line: string, headers: Record<string, string> = {}): string {
    const all = { host: 'x', ...signedHeaders('alice', testKeys()[0]), ...headers };
    return [line, ...Object.entries(all).map((pair) => pair.join(': ')), '', ''].join('\r\n');
}

for (const setting of SETTINGS) {
    describe(`Answers to clients, in ${nameOf(setting)}`, () => {
        let registry: Registry;
        let stop: (() => Promise<void>) | undefined;
        const fields = manifestFor(setting);
        const isSigned = authType(setting) === 'signature';
        const create = () => registry.client.create(fields);
        const createActive = (bytes?: Buffer) => registry.client.createActive(fields, bytes);
        const bare = (path: string): Promise<Answer> =>
            registry.client.post(path, {}, { 'content-md5': md5('{}') });

        before(async function () {
            ({ registry, stop } = await startSetting(setting, this, {
                outbound: { allow: ['127.0.0.1'] },
                jobs: { retryDelay: '20ms', maxRetryDelay: '100ms', attempts: 2 },
            }));
        });
        after(() => stop?.());

        it('12: ping has imgapi: true; with credentials also user and pid; wrong ones are 401', async () => {
            const ping = async (headers = {}) => registry.anonymous.get('/ping', headers);
            const about = { pid: registry.server.child.pid };
            const { version, ...anonymous } = (await ping()).json as Record<string, unknown>;
            assert.match(String(version), /^\d+\.\d+\.\d+$/);
            assert.deepEqual(anonymous, {
                ping: 'pong',
                imgapi: true,
                ...(setting.mode === 'dc' && about),
            });
            const signed = (await ping(signedHeaders('alice', testKeys()[0]))).json;
            assert.deepEqual(signed, {
                version,
                ...anonymous,
                ...(isSigned && { ...about, user: 'alice' }),
            });
            for (const path of ['/ping', '/images', '/images/' + UNKNOWN]) {
                const wrong = await registry.anonymous.get(path, signedHeaders('alice', testKeys()[1]));
                if (isSigned) {
                    assertError(wrong, 401, 'UnauthorizedError');
                } else {
                    assert.notEqual(wrong.status, 401);
                }
            }
        });

        if (setting.mode !== 'dc') {
            it('13: with authType none callers are anonymous readers', async () => {
                const channels = setting.channels ? { channels: CHANNELS } : {};
                const open = await Registry.start({ authType: 'none', mode: setting.mode, ...channels });
                try {
                    const { uuid } = await open.anonymous.createActive(fields);
                    await open.anonymous.create(fields);
                    for (const client of [open.client, open.anonymous]) {
                        assert.deepEqual((await client.get('/images?state=all')).uuids, [uuid]);
                        const admin = await client.get('/images?inclAdminFields=true');
                        assertError(admin, 401, 'UnauthorizedError');
                    }
                } finally {
                    await open.stop();
                }
            });
        } else {
            it('13: in a datacenter callers are operators without a signature', async () => {
                const { uuid } = await create();
                const answer = await registry.anonymous.get('/images?state=unactivated&inclAdminFields=true');
                assert.ok(answer.uuids.includes(uuid));
            });
        }

        it('14: errors are application/json without a charset; three codes keep their suffix', async () => {
            for (const [name, code, status] of [
                ['RemoteSource', 'RemoteSourceError', 503],
                ['StorageIsDown', 'StorageIsDown', 503],
                ['OperatorOnlyError', 'OperatorOnly', 403],
                ['ValidationFailed', 'ValidationFailed', 422],
            ] as const) {
                const answer = await registry.anonymous.get(`/ping?error=${name}`);
                assert.equal(answer.headers['content-type'], 'application/json');
                assert.equal(answer.status, status);
                assert.equal(answer.error.code, code);
            }
            if (isSigned) {
                assertError(await registry.anonymous.get('/state'), 401, 'UnauthorizedError');
            }
            const errors = [
                registry.client.get(at(UNKNOWN)),
                registry.client.get('/images?limit=x'),
                registry.client.get('/nowhere'),
                registry.client.post('/images', {}),
                registry.client.delete('/images'),
            ];
            for (const answer of await Promise.all(errors)) {
                assert.equal(answer.headers['content-type'], 'application/json');
                assert.ok(
                    Object.keys(answer.error).every((key) => ['code', 'message', 'errors'].includes(key)),
                );
            }
        });

        it('15: files and icons have Content-MD5 and Content-Length, and are what the manifest says', async () => {
            const bytes = randomBytes(100_000);
            const { uuid, files } = await createActive(bytes);
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
            const { uuid } = await registry.client.create({ ...fields, description: 'Größe' });
            for (const path of ['/ping', '/images', at(uuid), '/state', '/jobs', '/channels', '/nowhere']) {
                assert.equal((await registry.client.get(path)).headers['content-md5'], undefined, path);
            }
            const update = await registry.client.action(uuid, 'update', { description: 'größer' });
            assert.equal(update.headers['content-md5'], undefined);
        });

        it('17: no path of the API redirects', async () => {
            const { uuid } = await createActive();
            const paths = ['/ping', '/images', '//images', '/channels', '/jobs', '/state'];
            for (const path of [...paths, at(uuid), at(uuid, '/file'), at(uuid, '/jobs'), `${at(uuid)}/`]) {
                const { status } = await registry.client.get(path);
                assert.ok(status < 300 || status >= 400, path);
            }
        });

        describe('18: jobs', () => {
            let source: Registry;
            before(async () => {
                source = await Registry.start({ mode: fields.public ? 'public' : 'private' });
            });
            after(() => source.stop());

            /** As sdc-clients waits: the URL is that of the header, and nobody has signed. */
            async function importRemote(uuid: string) {
                const query = `&skip_owner_check=true&source=${encodeURIComponent(source.url)}`;
                const answer = await bare(at(uuid, `?action=import-remote${query}`));
                const job = startedJob(answer);
                assert.deepEqual(answer.json, { image_uuid: uuid, job_uuid: job });
                const url = String(answer.headers['workflow-api']);
                assert.equal(url, registry.url);
                const response = await fetch(`${url}/jobs/${job}`);
                assert.equal(response.status, 200);
                const { execution } = (await response.json()) as { execution: string };
                assert.ok(['queued', 'running', 'succeeded'].includes(execution), execution);
                return untilEnded(registry.anonymous, job);
            }

            it('end as succeeded, with the image there', async () => {
                const { uuid } = await source.client.createActive(fields);
                const job = await importRemote(uuid);
                assert.equal(job.execution, 'succeeded');
                assert.equal(job.chain_results.at(-1)?.error, '');
                assert.equal((await registry.anonymous.get(at(uuid))).manifest.state, 'active');
            });

            it('end as failed, with the reason in the last of chain_results', async () => {
                const { uuid } = await source.client.createActive(fields);
                const [object = ''] = (await source.stored(uuid)).filter((name) => name.startsWith('file'));
                await source.unlinkObject(uuid, object);
                await source.plantObject(uuid, object, Buffer.from('x'.repeat(FILE.length)));
                const job = await importRemote(uuid);
                assert.equal(job.execution, 'failed');
                const error = job.chain_results.at(-1)?.error;
                assert.ok(typeof error === 'object' && error.message.length > 0, JSON.stringify(error));
                assertError(await registry.anonymous.get(at(uuid)), 404, 'ResourceNotFound');
            });
        });

        it('19: an upload that is refused before its body was read is answered at once, and the connection ends', async () => {
            const { uuid } = await createActive();
            const file = '/file?compression=none';
            const refuse = async (path: string, status: number, framing: Record<string, string>) => {
                const connection = await RawConnection.open(registry.url);
                connection.write(rawHead(`PUT ${path} HTTP/1.1`, framing));
                connection.write('5\r\nbytes\r\n');
                const [answer] = await connection.answers(1);
                assert.equal(answer?.status, status, path);
                assert.equal(answer.headers.connection, 'close');
                await connection.closed;
            };
            const refused: [string, number][] = [
                [at(UNKNOWN, file), 404],
                [at('x', file), 404],
                [at(uuid, file), 422],
                [at(uuid, `${file}&account=x`), 422],
            ];
            await Promise.all(
                refused.flatMap(([path, status]) => [
                    refuse(path, status, { 'content-length': '99999999' }),
                    refuse(path, status, { 'transfer-encoding': 'chunked' }),
                ]),
            );
        });

        it('20: what an upload tells is what was sent; every answer to a change is byte-equal to the next GET', async () => {
            const { uuid } = await create();
            const same = async (answer: Answer): Promise<Manifest> => {
                const next = await registry.client.get(at(uuid));
                assert.equal(next.text, answer.text);
                assert.equal(next.headers.etag, answer.headers.etag);
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
            const acl = await registry.client.post(at(uuid, '/acl?action=add'), [OTHER]);
            assert.deepEqual((await same(acl)).acl, [OTHER]);
            assert.ok(!('icon' in (await same(await registry.client.delete(at(uuid, '/icon'))))));
        });

        it('21: the ETag is the bare sha1; If-Match on update is 412, If-None-Match on GET is 304', async () => {
            const { uuid } = await create();
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

        describe('22: paging', () => {
            const COUNT = 2500;
            const NAME = 'paged';
            const kind = kinds(setting)[0] ?? 'open';
            before(() =>
                registry.plant(
                    ...Array.from({ length: COUNT }, (_, n) => makeImage(n, setting, kind, { name: NAME })),
                ),
            );

            const page = async (query: string) =>
                (await registry.anonymous.get(`/images?name=${NAME}${query}`)).uuids;

            /** As imgapi-cli and sdc-clients page. */
            async function listAll(): Promise<string[]> {
                const all: string[] = [];
                for (let query = ''; ;) {
                    const uuids = await page(query);
                    const last = all.at(-1);
                    if (last !== undefined) {
                        assert.equal(uuids.shift(), last, 'the marker comes first');
                    }
                    all.push(...uuids);
                    if (uuids.length + 1 < 1000 || all.at(-1) === last) {
                        return all;
                    }
                    query = `&limit=1000&marker=${String(all.at(-1))}`;
                }
            }

            it('first without a limit, then with limit=1000 and the last uuid as the marker, meets every image once', async () => {
                assert.deepEqual(
                    await listAll(),
                    Array.from({ length: COUNT }, (_, n) => testUuid(n)),
                );
            });

            it('stops where the last uuid repeats', async () => {
                const last = testUuid(COUNT - 1);
                assert.deepEqual(await page(`&limit=1000&marker=${last}`), [last]);
            });
        });

        it('23: keep-alive and Connection: close are both honoured', async () => {
            const connection = await RawConnection.open(registry.url);
            connection.write(rawHead('GET /images?limit=1 HTTP/1.1'));
            await connection.answers(1);
            connection.write(rawHead('GET /images?limit=1 HTTP/1.1', { connection: 'close' }));
            const [, second] = await connection.answers(2);
            assert.equal(second?.headers.connection, 'close');
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
            const lxd = makeImage(9000, setting, kinds(setting)[0] ?? 'open', {
                type: 'lxd',
                files: [file(one), file(two)],
            });
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
            await createActive();
            await registry.client.action((await createActive()).uuid, 'disable');
            const { manifests } = await registry.client.get(`/images?state=disabled`);
            const active = await registry.anonymous.get('/images?limit=10&sort=published_at.desc');
            assert.ok(manifests.length > 0 && active.manifests.length > 0);
            const types: Record<string, string> = {
                v: 'number',
                uuid: 'string',
                name: 'string',
                version: 'string',
                type: 'string',
                os: 'string',
                published_at: 'string',
                public: 'boolean',
                state: 'string',
                disabled: 'boolean',
            };
            for (const manifest of [...manifests, ...active.manifests]) {
                for (const [field, type] of Object.entries(types)) {
                    assert.equal(typeof manifest[field], type, field);
                }
                assert.equal(new Date(manifest.published_at ?? '').toISOString(), manifest.published_at);
                assert.ok(manifest.files.length > 0);
                for (const file of manifest.files) {
                    assert.equal(typeof file.size, 'number');
                    assert.match(file.sha1, /^[0-9a-f]{40}$/);
                    assert.equal(typeof file.compression, 'string');
                }
            }
        });
    });
}
