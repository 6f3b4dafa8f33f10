/** CreateImageFromVm as far as it goes without the services of a datacenter (vm-images.md §1 and §2). */
import assert from 'node:assert/strict';
import { assertError, MANIFEST, OTHER, OWNER, type Answer, type Client } from '../support/api';
import { Registry } from '../support/registry';

const VM = '5bd3ed6b-2f3a-4a60-9c45-8f5d1f6e0a11';

/** Sends the request; the parameters are those of a good one but for the given. */
function ask(client: Client, parameters: Record<string, string> = {}, body?: unknown): Promise<Answer> {
    const query = new URLSearchParams({ action: 'create-from-vm', ...parameters });
    return client.post(`/images?${query.toString()}`, body);
}

const GOOD = { name: 'of-a-vm', version: '1' };

describe('CreateImageFromVm', () => {
    let registry: Registry;
    let client: Client;
    before(async () => {
        registry = await Registry.start({ allowLocalCreateImageFromVm: true });
        client = registry.client;
    });
    after(async () => {
        assert.deepEqual((await client.get('/images?state=all')).json, [], 'nothing was created');
        await registry.stop();
    });

    it('needs a signature', async () => {
        assertError(await ask(registry.anonymous, { vm_uuid: VM }, GOOD), 401, 'UnauthorizedError');
    });

    it('needs the machine', async () => {
        assertError(
            await ask(client, { incremental: 'x' }),
            422,
            'ValidationFailed',
            'vm_uuid:MissingParameter',
        );
    });

    it('needs a uuid of the machine', async () => {
        for (const vm of ['', 'x', VM.toUpperCase(), ` ${VM}`]) {
            const answer = await ask(client, { vm_uuid: vm, incremental: 'x' });
            assertError(answer, 422, 'InvalidParameter', 'vm_uuid:Invalid');
        }
        const twice = await client.post(`/images?action=create-from-vm&vm_uuid=${VM}&vm_uuid=${VM}`, GOOD);
        assertError(twice, 422, 'InvalidParameter', 'vm_uuid:Invalid');
    });

    it('takes true or false for incremental', async () => {
        for (const incremental of ['', 'yes', '1', 'TRUE']) {
            const answer = await ask(client, { vm_uuid: VM, incremental, max_origin_depth: 'x' });
            assertError(answer, 422, 'InvalidParameter', 'incremental:Invalid');
        }
    });

    it('takes a number of at least 2 for max_origin_depth', async () => {
        for (const depth of ['x', '', '1', '1.9', '-3', 'NaN', 'Infinity', '1e999']) {
            const answer = await ask(client, { vm_uuid: VM, max_origin_depth: depth });
            assertError(answer, 422, 'InvalidParameter', 'max_origin_depth:Invalid');
        }
    });

    it('needs a manifest', async () => {
        for (const body of [undefined, [], 'text', 5, null]) {
            const answer = await ask(client, { vm_uuid: VM, account: 'x' }, body);
            assertError(answer, 422, 'ValidationFailed', 'body:MissingParameter');
        }
    });

    it('takes a uuid for account', async () => {
        const answer = await ask(client, { vm_uuid: VM, account: 'x' }, { ...GOOD, owner: OWNER });
        assertError(answer, 422, 'InvalidParameter', 'account:Invalid');
    });

    it('lets an account own what is made for it, and nobody else', async () => {
        for (const owner of [OTHER, null, 5, 'x']) {
            const answer = await ask(client, { vm_uuid: VM, account: OWNER }, { ...GOOD, owner });
            assertError(answer, 422, 'InvalidParameter', 'owner:Invalid');
        }
    });

    it('ends where the workflow service is needed', async () => {
        const requests: Record<string, string>[] = [
            {},
            { incremental: 'true', max_origin_depth: '2' },
            { incremental: 'false', max_origin_depth: '30' },
            { account: OWNER },
        ];
        for (const parameters of requests) {
            assertError(
                await ask(client, { vm_uuid: VM, ...parameters }, { ...MANIFEST, owner: OWNER }),
                503,
                'ServiceUnavailableError',
            );
        }
        assertError(await ask(client, { vm_uuid: VM }, GOOD), 503, 'ServiceUnavailableError');
    });

    it('is the only action beside creating: Docker and LXD are not taken', async () => {
        for (const action of ['import-docker-image', 'import-lxd-image', 'create-from-vms']) {
            const answer = await client.post(`/images?action=${action}`, GOOD);
            assertError(answer, 422, 'InvalidParameter', 'action:Invalid');
        }
    });
});

describe('CreateImageFromVm without an object store that it could do without', () => {
    let registry: Registry;
    before(async () => {
        registry = await Registry.start();
    });
    after(() => registry.stop());

    it('is not available, whatever is asked', async () => {
        const requests: Record<string, string>[] = [{}, { vm_uuid: 'x' }, { vm_uuid: VM }];
        for (const parameters of requests) {
            assertError(await ask(registry.client, parameters, GOOD), 501, 'NotAvailable');
        }
    });

    it('says so after the signature, the channel and the body were looked at', async () => {
        assertError(await ask(registry.anonymous, {}, GOOD), 401, 'UnauthorizedError');
        const answer = await registry.client.request('POST', '/images?action=create-from-vm', {
            headers: { 'content-type': 'application/json' },
            body: '{',
        });
        assertError(answer, 400, 'InvalidContent');
    });
});

describe('CreateImageFromVm on a server with channels', () => {
    let registry: Registry;
    before(async () => {
        registry = await Registry.start({ channels: [{ name: 'dev', description: 'Development' }] });
    });
    after(() => registry.stop());

    it('looks at the channel first', async () => {
        assertError(
            await ask(registry.client, {}, GOOD),
            422,
            'ValidationFailed',
            'channel:MissingParameter',
        );
        const unknown = await ask(registry.client, { channel: 'prod' }, GOOD);
        assertError(unknown, 422, 'ValidationFailed', 'channel:Invalid');
        assertError(await ask(registry.client, { channel: 'dev' }, GOOD), 501, 'NotAvailable');
    });
});
