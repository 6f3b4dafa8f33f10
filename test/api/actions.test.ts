/** The actions of POST /images/U but for update (endpoints.md §3). */
import assert from 'node:assert/strict';
import { assertError, at, OTHER, OWNER, UNKNOWN } from '../support/api';
import { testImage } from '../support/images';
import { Registry } from '../support/registry';

describe('Image actions', () => {
    let registry: Registry;

    before(async () => {
        registry = await Registry.start();
    });
    after(() => registry.stop());

    async function withFile(fields: Record<string, unknown> = {}): Promise<string> {
        const { uuid } = await registry.client.create(fields);
        await registry.client.upload(uuid);
        return uuid;
    }

    describe('activate', () => {
        it('publishes the image', async () => {
            const uuid = await withFile();
            const answer = await registry.client.action(uuid, 'activate');
            const { manifest } = answer;
            assert.equal(manifest.state, 'active');
            assert.match(String(manifest.published_at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
            assert.ok(Math.abs(Date.parse(String(manifest.published_at)) - Date.now()) < 10_000);
            const get = await registry.anonymous.get(at(uuid));
            assert.equal(get.text, answer.text);
            assert.equal(get.headers.etag, answer.headers.etag);
            assert.ok((await registry.anonymous.get('/images')).uuids.includes(uuid));
        });

        it('gives a disabled image the state disabled', async () => {
            const uuid = await withFile({ disabled: true });
            assert.equal((await registry.client.action(uuid, 'activate')).manifest.state, 'disabled');
        });

        it('keeps a date of publication, and makes a failed placeholder a proper image', async () => {
            const file = { sha1: 'a'.repeat(40), size: 1, stor: 'local' as const, compression: 'none' };
            const placeholder = testImage(1, {
                activated: false,
                state: 'failed',
                files: [file],
                expires_at: '2030-01-01T00:00:00.000Z',
            });
            await registry.plant(placeholder);
            const { manifest } = await registry.client.action(placeholder.uuid, 'activate');
            assert.equal(manifest.state, 'active');
            assert.equal(manifest.published_at, placeholder.published_at);
            assert.equal((await registry.record(placeholder.uuid))?.expires_at, undefined);
        });

        it('needs a file', async () => {
            const { uuid } = await registry.client.create();
            assertError(await registry.client.action(uuid, 'activate'), 422, 'NoActivationNoFile');
        });

        it('is done once', async () => {
            const { uuid } = await registry.client.createActive();
            assertError(await registry.client.action(uuid, 'activate'), 422, 'ImageAlreadyActivated');
        });

        it('needs no body at all', async () => {
            const uuid = await withFile();
            assert.equal((await registry.client.post(at(uuid, '?action=activate'))).status, 200);
        });
    });

    describe('enable and disable', () => {
        it('switch the state of an active image, any number of times', async () => {
            const { uuid } = await registry.client.createActive();
            for (const [action, disabled, state] of [
                ['disable', true, 'disabled'],
                ['disable', true, 'disabled'],
                ['enable', false, 'active'],
                ['enable', false, 'active'],
            ] as const) {
                const { manifest } = await registry.client.action(uuid, action);
                assert.equal(manifest.disabled, disabled);
                assert.equal(manifest.state, state);
                assert.deepEqual((await registry.client.get(at(uuid))).manifest, manifest);
            }
        });

        it('leave an unactivated image unactivated', async () => {
            const { uuid } = await registry.client.create();
            const { manifest } = await registry.client.action(uuid, 'disable');
            assert.equal(manifest.disabled, true);
            assert.equal(manifest.state, 'unactivated');
        });

        it('take the image out of lists, and bring it back', async () => {
            const { uuid } = await registry.client.createActive();
            const listed = async () => (await registry.anonymous.get('/images')).uuids.includes(uuid);
            assert.equal(await listed(), true);
            await registry.client.action(uuid, 'disable');
            assert.equal(await listed(), false);
            await registry.client.action(uuid, 'enable');
            assert.equal(await listed(), true);
        });
    });

    describe('others', () => {
        for (const action of ['make-coffee', 'constructor', 'ACTIVATE', '%00']) {
            it(`"${action}" is 422`, async () => {
                const { uuid } = await registry.client.create();
                assertError(
                    await registry.client.action(uuid, action),
                    422,
                    'InvalidParameter',
                    'action:Invalid',
                );
            });
        }

        it('none at all is 422', async () => {
            const { uuid } = await registry.client.create();
            for (const query of ['', '?action=']) {
                const answer = await registry.client.post(at(uuid, query), {});
                assertError(answer, 422, 'InvalidParameter', 'action:MissingParameter');
            }
        });

        it('"channel-add" on a server without channels is unknown', async () => {
            const { uuid } = await registry.client.create();
            const answer = await registry.client.action(uuid, 'channel-add', { channel: 'dev' });
            assertError(answer, 422, 'InvalidParameter', 'action:Invalid');
        });
    });

    describe('the order of checks: signature, uuid, body, image, owner, conditions, action', () => {
        const post = (path: string, { body = '{}', headers = {}, signed = true } = {}) =>
            (signed ? registry.client : registry.anonymous).request('POST', path, {
                headers: { 'content-type': 'application/json', ...headers },
                body,
            });

        it('signature before uuid', async () => {
            assertError(await post(at('x', '?action=activate'), { signed: false }), 401, 'UnauthorizedError');
        });
        it('uuid before body', async () => {
            assertError(await post(at('x', '?action=activate'), { body: '{' }), 404, 'ResourceNotFound');
        });
        it('body before image', async () => {
            assertError(await post(at(UNKNOWN, '?action=activate'), { body: '{' }), 400, 'InvalidContent');
        });
        it('the account before the image', async () => {
            const answer = await post(at(UNKNOWN, '?action=activate&account=x'));
            assertError(answer, 422, 'InvalidParameter', 'account:Invalid');
        });
        it('image before conditions', async () => {
            assertError(
                await post(at(UNKNOWN, '?action=x'), { headers: { 'if-match': 'x' } }),
                404,
                'ResourceNotFound',
            );
        });
        it('owner before conditions', async () => {
            const { uuid } = await registry.client.createActive();
            const answer = await post(at(uuid, `?action=enable&account=${OTHER}`), {
                headers: { 'if-match': 'x' },
            });
            assertError(answer, 422, 'NotImageOwner');
        });
        it('conditions before action', async () => {
            const { uuid } = await registry.client.create();
            for (const action of ['activate', 'enable', 'disable', 'x']) {
                const answer = await post(at(uuid, `?action=${action}`), { headers: { 'if-match': 'x' } });
                assertError(answer, 412, 'PreconditionFailed');
            }
        });
        it('the owner may', async () => {
            const uuid = await withFile();
            assert.equal((await post(at(uuid, `?action=activate&account=${OWNER}`))).status, 200);
        });
    });
});
