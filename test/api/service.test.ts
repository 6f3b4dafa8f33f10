/** Ping, the server's state, its keys and its favicon (endpoints.md §3). */
import assert from 'node:assert/strict';
import { VERSION } from '../../lib/version';
import { assertError, at } from '../support/api';
import { onMoray } from '../support/test-database';
import { Registry } from '../support/registry';

describe('Service endpoints', () => {
    let registry: Registry;

    before(async () => {
        registry = await Registry.start();
    });
    after(() => registry.stop());

    describe('Ping', () => {
        it('says that the server is there', async () => {
            const { json } = await registry.anonymous.get('/ping');
            assert.deepEqual(json, { ping: 'pong', version: VERSION, imgapi: true });
        });

        it('tells signed callers who they are, and the process', async () => {
            const { json } = await registry.client.get('/ping');
            const pid = registry.server.child.pid;
            assert.deepEqual(json, { ping: 'pong', version: VERSION, imgapi: true, pid, user: 'alice' });
        });

        /** What each name answers: status and code, and the fields of `errors`. */
        const samples: Record<string, [number, string, ...string[]]> = {
            InvalidParameter: [422, 'InvalidParameter', 'foo:Invalid'],
            ImageFilesImmutable: [422, 'ImageFilesImmutable'],
            ImageAlreadyActivated: [422, 'ImageAlreadyActivated'],
            NoActivationNoFile: [422, 'NoActivationNoFile'],
            OperatorOnly: [403, 'OperatorOnly'],
            ImageUuidAlreadyExists: [409, 'ImageUuidAlreadyExists'],
            StorageIsDown: [503, 'StorageIsDown'],
            StorageUnsupported: [503, 'StorageUnsupported'],
            Internal: [500, 'InternalError'],
            '': [500, 'InternalError'],
            NoSuchThing: [422, 'InvalidParameter', 'error:Missing'],
            ['__proto__']: [422, 'InvalidParameter', 'error:Missing'],
        };
        for (const [name, [status, code, ...fields]] of Object.entries(samples)) {
            for (const asked of name === '' ? [name] : [name, `${name}Error`]) {
                it(`?error=${asked} answers ${status} ${code}`, async () => {
                    assertError(
                        await registry.anonymous.get(`/ping?error=${asked}`),
                        status,
                        code,
                        ...fields,
                    );
                });
            }
        }

        it('?error=ValidationFailed has an empty list of errors', async () => {
            const { status, error } = await registry.anonymous.get('/ping?error=ValidationFailed');
            assert.equal(status, 422);
            assert.equal(error.code, 'ValidationFailed');
            assert.deepEqual(error.errors, []);
        });

        it('?error=RemoteSource has an empty message', async () => {
            for (const name of ['RemoteSource', 'RemoteSourceError']) {
                const { status, error } = await registry.anonymous.get(`/ping?error=${name}`);
                assert.equal(status, 503);
                assert.deepEqual(error, { code: 'RemoteSourceError', message: '' });
            }
        });

        const WITHOUT_SAMPLE = [
            ...[
                'Upload',
                'Download',
                'OwnerDoesNotExist',
                'ImageNotShared',
                'AccountDoesNotExist',
                'NotImageOwner',
            ],
            ...['NotMantaPathOwner', 'OriginDoesNotExist', 'OriginIsNotActive', 'InsufficientServerVersion'],
            ...[
                'ImageHasDependentImages',
                'NotAvailable',
                'NotImplemented',
                'ResourceNotFound',
                'InvalidHeader',
            ],
            ...['ServiceUnavailable', 'Unauthorized', 'BadRequest'],
        ];
        for (const name of WITHOUT_SAMPLE) {
            it(`?error=${name} has no sample: 500`, async () => {
                assertError(await registry.anonymous.get(`/ping?error=${name}`), 500, 'InternalError');
            });
        }
    });

    describe('AdminGetState', () => {
        it('shows caches, log level and storages', async () => {
            const { uuid } = await registry.client.create();
            await registry.client.get(at(uuid));
            await registry.client.get('/images');
            const state = (await registry.client.get('/state')).json as {
                cache: Record<string, { name: string; expiry: number; items: number }>;
                log: { level: number };
                storageTypes: string[];
            };
            assert.equal(state.cache.ImageGet?.name, 'ImageGet');
            assert.equal(state.cache.ImageList?.name, 'ImageList');
            assert.ok(state.cache.ImageGet.items > 0);
            assert.equal(typeof state.cache.ImageGet.expiry, 'number');
            assert.equal(state.log.level, 30);
            assert.deepEqual(state.storageTypes, ['local']);
        });

        it('shows the records of the database, if it is the embedded one', async () => {
            if (onMoray) {
                assert.equal('db' in ((await registry.client.get('/state')).json as object), false);
                return;
            }
            const image = await registry.client.create();
            const answer = await registry.client.get('/state');
            const { db } = answer.json as { db: { manifestFromUuid: Record<string, { value: unknown }> } };
            assert.equal(answer.text, JSON.stringify(answer.json, null, 2));
            assert.deepEqual(db.manifestFromUuid[image.uuid]?.value, await registry.record(image.uuid));
        });

        it('needs a signature', async () => {
            assertError(await registry.anonymous.get('/state'), 401, 'UnauthorizedError');
            assertError(await registry.anonymous.post('/state?action=dropcaches'), 401, 'UnauthorizedError');
        });
    });

    describe('AdminUpdateState', () => {
        it('dropcaches empties the caches: 202 without a body', async () => {
            await registry.client.get('/images');
            const answer = await registry.client.post('/state?action=dropcaches', {});
            assert.equal(answer.status, 202);
            assert.equal(answer.body.length, 0);
            assert.equal(answer.headers['content-length'], '0');
            const { cache } = (await registry.client.get('/state')).json as {
                cache: Record<string, { items: number }>;
            };
            assert.equal(cache.ImageGet?.items, 0);
            assert.equal(cache.ImageList?.items, 0);
        });

        it('without an action is 409 MissingParameter', async () => {
            for (const query of ['', '?action=']) {
                assertError(await registry.client.post(`/state${query}`), 409, 'MissingParameter');
            }
        });

        it('with another action is 409 InvalidArgument', async () => {
            assertError(await registry.client.post('/state?action=x'), 409, 'InvalidArgument');
        });
    });

    describe('AdminReloadAuthKeys', () => {
        it('answers an empty object', async () => {
            const answer = await registry.client.post('/authkeys/reload', {});
            assert.equal(answer.status, 200);
            assert.deepEqual(answer.json, {});
            assertError(await registry.anonymous.post('/authkeys/reload', {}), 401, 'UnauthorizedError');
        });

        it('keeps the keys of the configuration', async () => {
            await registry.client.post('/authkeys/reload', {});
            assert.equal((await registry.client.get('/state')).status, 200);
        });
    });

    describe('favicon', () => {
        it('is an icon with an ETag, which revalidates', async () => {
            const answer = await registry.anonymous.get('/favicon.ico');
            assert.equal(answer.status, 200);
            assert.equal(answer.headers['content-type'], 'image/x-icon');
            assert.equal(answer.headers['cache-control'], 'public, max-age=86400');
            assert.deepEqual([...answer.body.subarray(0, 4)], [0, 0, 1, 0]);
            const { etag } = answer.headers;
            assert.match(String(etag), /^"[A-Za-z0-9+/=]{24}"$/);
            const again = await registry.anonymous.get('/favicon.ico', { 'if-none-match': String(etag) });
            assert.equal(again.status, 304);
            assert.equal(again.body.length, 0);
        });
    });
});
