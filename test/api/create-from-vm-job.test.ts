/** CreateImageFromVm in a datacenter, up to the job and from its end on (vm-images.md §1 to §4). */
import assert from 'node:assert/strict';
import http from 'node:http';
import type { RawImage } from '../../lib/manifest';
import {
    assertError,
    at,
    Client,
    FILE,
    newUuid,
    OTHER,
    OWNER,
    sha1,
    UNKNOWN,
    type Answer,
} from '../support/api';
import { Datacenter, type Vm } from '../support/datacenter';
import * as lies from '../support/lying-server';
import { ACCOUNTS, OpenLdap } from '../support/openldap';
import { DATACENTER, Registry } from '../support/registry';
import { makeFolder, TestServer } from '../support/server';
import { untilWorkflowsReady } from '../support/wfapi';
import { WorkflowStandIn, type StoredJob } from '../support/workflow-stand-in';

const GOOD = { name: 'of-a-vm', version: '1', owner: ACCOUNTS.luke };

interface Started {
    image_uuid: string;
    job_uuid: string;
}

describe('CreateImageFromVm in a datacenter', function () {
    this.timeout(60_000);
    let directory: OpenLdap;
    let datacenter: Datacenter;
    let wfapi: WorkflowStandIn;
    let registry: Registry;
    let client: Client;
    let origin: string;

    before(async function () {
        directory = await OpenLdap.start(this);
        datacenter = await Datacenter.start();
        wfapi = await WorkflowStandIn.start();
        registry = await Registry.start(config());
        client = registry.client;
        origin = (await client.createActive({ owner: ACCOUNTS.sdc })).uuid;
        await untilWorkflowsReady(registry.server);
    });
    after(async () => {
        await registry.stop();
        await wfapi.service.stop();
        await datacenter.stop();
        await directory.stop();
    });
    beforeEach(() => {
        for (const service of [datacenter.vmapi, datacenter.cnapi, wfapi.service]) {
            service.spoil = undefined;
            service.requests.length = 0;
        }
    });

    function config(): Record<string, unknown> {
        return {
            ...DATACENTER,
            ...datacenter.config,
            authType: 'none',
            allowLocalCreateImageFromVm: true,
            ufds: { ...directory.config, retry: { maxDelay: 100 } },
            wfapi: wfapi.config,
            services: { connectTimeout: '1s', answerTimeout: '1s' },
        };
    }

    function machine(fields: Partial<Vm> = {}): Vm {
        const { uuid } = datacenter.addServer();
        return datacenter.addVm({
            owner_uuid: ACCOUNTS.luke,
            server_uuid: uuid,
            image_uuid: origin,
            ...fields,
        });
    }

    function ask(
        parameters: Record<string, string>,
        body: object = GOOD,
        headers: Record<string, string> = {},
    ): Promise<Answer> {
        const query = new URLSearchParams({ action: 'create-from-vm', ...parameters });
        return client.post(`/images?${query.toString()}`, body, headers);
    }

    const start = async (fields: object = {}): Promise<Started> => {
        const answer = await ask({ vm_uuid: machine().uuid }, { ...GOOD, ...fields });
        assert.equal(answer.status, 200, answer.text);
        return answer.json as Started;
    };

    const queuedJob = (uuid: string): StoredJob => wfapi.jobs.get(uuid)!;

    it('answers with the image, the job, and where to look for it', async () => {
        const { uuid: vm } = machine();
        const answer = await ask(
            { vm_uuid: vm, account: ACCOUNTS.luke, incremental: 'true', max_origin_depth: '5' },
            { name: 'of-a-vm', version: '1', tags: { mine: true } },
            { 'x-request-id': 'of-the-client' },
        );
        assert.equal(answer.status, 200, answer.text);
        const { image_uuid: uuid, job_uuid: job } = answer.json as Started;
        assert.deepEqual(Object.keys(answer.json as object), ['image_uuid', 'job_uuid']);
        assert.equal(answer.headers['workflow-api'], wfapi.service.url);
        assert.equal(answer.headers.etag, undefined);
        const { params, task, target, image_uuid: image } = queuedJob(job);
        assert.deepEqual([task, target, image], ['create-from-vm', `/create-from-vm-${vm}`, uuid]);
        const { prepare_image_script: script, ...others } = params;
        assert.match(String(script), /^#!/);
        assert.deepEqual(others, {
            task: 'create-from-vm',
            image_uuid: uuid,
            vm_uuid: vm,
            owner_uuid: ACCOUNTS.luke,
            compression: 'gzip',
            incremental: true,
            max_origin_depth: 5,
            manifest: { name: 'of-a-vm', version: '1', tags: { mine: true }, owner: ACCOUNTS.luke, uuid },
            req_id: 'of-the-client',
        });
    });

    it('asks each service once, in the request’s name', async () => {
        await ask({ vm_uuid: machine().uuid }, GOOD, { 'request-id': 'of-the-client' });
        const jobs = wfapi.service.requests.filter(({ path }) => path === '/jobs');
        for (const requests of [datacenter.vmapi.requests, datacenter.cnapi.requests, jobs]) {
            assert.equal(requests.length, 1);
            const { headers } = requests[0]!;
            assert.deepEqual(
                [headers['x-request-id'], headers['request-id'], headers.accept],
                ['of-the-client', 'of-the-client', 'application/json'],
            );
            assert.match(String(headers['user-agent']), /^IMGAPI\//);
            assert.ok(!Number.isNaN(Date.parse(String(headers.date))));
        }
        assert.equal(jobs[0]?.headers['accept-version'], '*');
    });

    it('shows the placeholder, without what is not known yet', async () => {
        const { image_uuid: uuid } = await start({ public: true, acl: [OTHER] });
        const { manifest } = await client.get(at(uuid));
        const { v, state, files, type, os, published_at: published, error } = manifest;
        assert.deepEqual(
            { v, state, files, type, os, published, error },
            {
                ...{ v: 2, state: 'creating', files: [] },
                ...{ type: undefined, os: undefined, published: undefined, error: undefined },
            },
        );
        const listed = async (query: string) => (await client.get(`/images?${query}`)).uuids.includes(uuid);
        assert.deepEqual(await Promise.all(['state=creating', 'state=all', 'state=active', ''].map(listed)), [
            true,
            true,
            false,
            false,
        ]);
        assert.ok(!(await client.get(`${at(uuid)}?inclAdminFields=true`)).text.includes('expires_at'));
    });

    describe('the compute node and the workflow', () => {
        it('make an image of the placeholder', async () => {
            const { image_uuid: uuid } = await start();
            const manifest = { ...GOOD, v: 2, uuid, type: 'zone-dataset', os: 'smartos', state: 'active' };
            const agent = { 'user-agent': 'imgadm/3.10.2 (node/0.10.48)' };
            const imported = await client.post(at(uuid, '?action=import'), manifest, agent);
            assert.equal(imported.manifest.state, 'unactivated');
            const query = `compression=gzip&sha1=${sha1(FILE)}`;
            await client.put(at(uuid, `/file?${query}`), FILE, { 'content-type': 'application/json' });
            const { manifest: active } = await client.action(uuid, 'activate');
            assert.deepEqual([active.state, active.type, active.os], ['active', 'zone-dataset', 'smartos']);
            assert.ok(active.published_at);
            assert.equal((await registry.record(uuid))?.expires_at, undefined);
            // The workflow has nothing to complain about any more.
            assertError(
                await client.post(at(uuid, '?action=import'), manifest),
                409,
                'ImageUuidAlreadyExists',
            );
        });

        it('say why there is none, which is told as long as it has failed', async () => {
            const { image_uuid: uuid } = await start();
            const error = { code: 'PrepareImageError', message: 'no script', stack: 'at x' };
            const failed = { state: 'failed', error };
            const byAccount = await client.post(at(uuid, `?action=update&account=${ACCOUNTS.luke}`), failed);
            assertError(byAccount, 422, 'ValidationFailed', 'state:NotAllowed', 'error:NotAllowed');
            const { manifest } = await client.action(uuid, 'update', failed);
            assert.deepEqual([manifest.state, manifest.error], ['failed', error]);
            assert.equal(manifest.type, undefined);
            assert.ok((await client.get('/images?state=failed')).uuids.includes(uuid));
            assert.ok((await registry.record(uuid))?.expires_at, 'it will be purged');
            const again = await client.action(uuid, 'update', { state: 'creating' });
            assert.equal(again.manifest.error, undefined);
            assert.equal((await client.delete(at(uuid))).status, 204);
        });

        it('say so of an image whose owner is gone by then', async () => {
            const owner = newUuid();
            await directory.addAccount(owner, `passing${owner.slice(0, 8)}`);
            const { image_uuid: uuid } = await start({ owner });
            await directory.deleteAccount(owner);
            const { manifest } = await client.action(uuid, 'update', { state: 'failed', error: {} });
            assert.equal(manifest.state, 'failed');
        });
    });

    describe('comes after', () => {
        it('what can be judged without asking anybody', async () => {
            wfapi.service.spoil = lies.hangUp;
            await until(async () => (await ask({ vm_uuid: UNKNOWN })).status === 503);
            datacenter.vmapi.requests.length = 0;
            const unaskable = await ask({ vm_uuid: UNKNOWN, account: OTHER }, { ...GOOD, owner: OWNER });
            assertError(unaskable, 422, 'InvalidParameter', 'owner:Invalid');
            assertError(await ask({ vm_uuid: UNKNOWN }), 503, 'ServiceUnavailableError');
            assert.deepEqual(datacenter.vmapi.requests, [], 'nobody else is asked');
            wfapi.service.spoil = undefined;
            await until(async () => (await ask({ vm_uuid: UNKNOWN })).status === 422);
        });

        it('all that has to be there', async () => {
            assertError(await ask({ vm_uuid: UNKNOWN }), 422, 'InvalidParameter', 'vm_uuid:Invalid');
            const foreign = await ask({ vm_uuid: machine().uuid, account: ACCOUNTS.vader }, {});
            assertError(foreign, 422, 'InvalidParameter', 'vm_uuid:Invalid');
            const lost = machine({ server_uuid: UNKNOWN });
            assertError(await ask({ vm_uuid: lost.uuid }), 500, 'InternalError');
            const { uuid: old } = datacenter.addServer({ current_platform: '20120101T000000Z' });
            const aged = machine({ server_uuid: old });
            assertError(await ask({ vm_uuid: aged.uuid }), 422, 'InsufficientServerVersion');
            const docker = machine({ docker: true });
            assertError(await ask({ vm_uuid: docker.uuid }), 422, 'InvalidParameter', 'vm_uuid:Invalid');
            const bare = datacenter.addVm({ ...machine(), uuid: newUuid(), brand: 'kvm' });
            assertError(await ask({ vm_uuid: bare.uuid }), 500, 'InternalError');
            const orphan = machine({ image_uuid: UNKNOWN });
            assertError(await ask({ vm_uuid: orphan.uuid }), 404, 'ResourceNotFound');
            const { uuid: other } = await client.createActive({ os: 'other', owner: ACCOUNTS.sdc });
            const strange = machine({ image_uuid: other });
            assertError(await ask({ vm_uuid: strange.uuid }), 501, 'NotAvailable');
            const vm_uuid = machine().uuid;
            const nobody = await ask({ vm_uuid }, { name: '' });
            assertError(nobody, 422, 'ValidationFailed', 'owner:MissingParameter');
            assertError(await ask({ vm_uuid }, { owner: UNKNOWN, name: '' }), 422, 'OwnerDoesNotExist');
            const named = { ...GOOD, uuid: origin, name: '' };
            assertError(await ask({ vm_uuid }, named), 422, 'ValidationFailed', 'name:Invalid');
            const taken = { ...GOOD, uuid: origin };
            const before = await registry.snapshot(origin);
            assertError(await ask({ vm_uuid }, taken), 409, 'ImageUuidAlreadyExists');
            assert.deepEqual(await registry.snapshot(origin), before);
        });

        it('the directory of accounts, which has to answer', async () => {
            const { uuid: vm_uuid } = machine();
            await directory.kill();
            assertError(await ask({ vm_uuid }, { ...GOOD, name: '' }), 503, 'ServiceUnavailableError');
            directory.restart();
            await until(async () => (await ask({ vm_uuid }, { ...GOOD, name: '' })).status === 422);
        });
    });

    describe('leaves nothing behind when the job cannot be queued:', () => {
        const unavailable = [503, 'ServiceUnavailableError'] as const;
        const refusals: [what: string, behave: lies.Behaviour, status: number, code: string][] = [
            [
                'it is refused',
                lies.json({ code: 'InvalidArgument', message: 'Another job is queued already' }, 409),
                409,
                'InvalidArgument',
            ],
            ['the service fails', lies.json({ code: 'InternalError', message: 'x' }, 500), ...unavailable],
            ['the service hangs up', lies.hangUp, ...unavailable],
            ['the service is too slow', lies.silent, ...unavailable],
            ['the service stops in the middle', lies.stalled, ...unavailable],
            ['the service answers HTML', lies.bytes('<html></html>'), ...unavailable],
            ['the service answers with no job', lies.json({}), ...unavailable],
            ['the service redirects', lies.redirect('http://127.0.0.1:1/'), ...unavailable],
        ];
        for (const [what, behave, status, code] of refusals) {
            it(what, async () => {
                const uuid = newUuid();
                let state: string | undefined;
                wfapi.service.spoil = (request, response) => {
                    if (request.url !== '/jobs') {
                        lies.json({})(request, response);
                        return;
                    }
                    void registry.record(uuid).then((record) => {
                        state = record?.state;
                        behave(request, response);
                    });
                };
                const { uuid: vm_uuid } = machine();
                assertError(await ask({ vm_uuid }, { ...GOOD, uuid }), status, code);
                assert.equal(state, 'creating');
                assert.equal(await registry.record(uuid), undefined);
                wfapi.service.spoil = undefined;
                assert.equal((await ask({ vm_uuid }, { ...GOOD, uuid })).status, 200, 'the uuid is free');
            });
        }
    });

    it('keeps no connections to services that misbehave', async () => {
        const misbehaviours: [service: 'vmapi' | 'cnapi', behave: lies.Behaviour, status: number][] = [
            ['vmapi', lies.hangUp, 422],
            ['vmapi', lies.stalled, 422],
            ['vmapi', lies.bytes('<html></html>'), 422],
            ['cnapi', lies.hangUp, 500],
            ['cnapi', lies.bytes('<html></html>'), 500],
        ];
        const { uuid: vm_uuid } = machine();
        for (const [service, behave, status] of misbehaviours) {
            datacenter[service].spoil = behave;
            const answers = await Promise.all(Array.from({ length: 5 }, () => ask({ vm_uuid })));
            const statuses = answers.map((answer) => answer.status);
            assert.deepEqual(statuses, Array<number>(5).fill(status));
            datacenter[service].spoil = undefined;
        }
        // Good ones are kept for the next request; they are no more than were asked at once, and go after a while.
        assert.ok(datacenter.vmapi.open <= 5 && datacenter.cnapi.open <= 5);
        await Promise.all([datacenter.vmapi.idle(), datacenter.cnapi.idle()]);
    });

    it('gives a uuid to one of those who ask for it at once', async () => {
        const { uuid: vm_uuid } = machine();
        const body = { ...GOOD, uuid: newUuid() };
        const answers = await Promise.all(Array.from({ length: 6 }, () => ask({ vm_uuid }, body)));
        assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409, 409, 409, 409, 409]);
        const jobs = [...wfapi.jobs.values()].filter((job) => job.image_uuid === body.uuid);
        assert.equal(jobs.length, 1);
    });

    describe('whose client goes away', () => {
        it('ends while only questions are asked', async () => {
            const uuid = newUuid();
            let sent: http.ClientRequest | undefined;
            await new Promise((resolve) => {
                datacenter.vmapi.spoil = ({ socket }) => {
                    socket.once('close', resolve);
                    sent?.destroy();
                };
                sent = begin(registry.url, machine().uuid, uuid);
            });
            assert.equal(await registry.record(uuid), undefined);
            assert.deepEqual(datacenter.cnapi.requests, []);
        });

        it('goes on once there is a placeholder', async () => {
            const uuid = newUuid();
            wfapi.before = ({ method, path }) => {
                if (`${method} ${path}` === 'POST /jobs') {
                    sent.destroy();
                }
                return undefined;
            };
            const sent = begin(registry.url, machine().uuid, uuid);
            await until(async () => [...wfapi.jobs.values()].some((job) => job.image_uuid === uuid));
            wfapi.before = undefined;
            assert.equal((await client.get(at(uuid))).manifest.state, 'creating');
        });
    });

    it('leaves a placeholder that expires when the process dies', async () => {
        const folder = await makeFolder();
        const dying = { ...config(), placeholderImageLifespanDays: 1e-6, limits: { purgeInterval: '1s' } };
        const options = { dataDir: folder.path };
        const first = await TestServer.start({ config: dying, ...options });
        try {
            await untilWorkflowsReady(first);
            const base = await new Client(first.url).createActive({ owner: ACCOUNTS.sdc });
            const { uuid: vm_uuid } = machine({ image_uuid: base.uuid });
            const uuid = newUuid();
            wfapi.service.spoil = (request, response) => {
                if (request.url === '/jobs') {
                    first.child.kill('SIGKILL');
                } else {
                    lies.json({})(request, response);
                }
            };
            begin(first.url, vm_uuid, uuid);
            await first.ended();
            wfapi.service.spoil = undefined;
            const second = await Registry.start(dying, options);
            await second.server.logged(({ image_uuid }) => image_uuid === uuid);
            assert.equal(await second.record(uuid), undefined);
            assert.ok(await second.record(base.uuid));
            await second.stop();
        } finally {
            await first.stop();
            await folder.remove();
        }
    });
});

/** Sends a request for an image of a machine; nobody waits for the answer. */
function begin(url: string, vm: string, uuid: string): http.ClientRequest {
    const path = `${url}/images?action=create-from-vm&vm_uuid=${vm}`;
    const headers = { 'content-type': 'application/json' };
    const request = http.request(path, { method: 'POST', agent: false, headers });
    request.on('error', () => undefined).end(JSON.stringify({ ...GOOD, uuid }));
    return request;
}

/** Waits until it is so. */
async function until(test: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 15_000;
    while (!(await test())) {
        assert.ok(Date.now() < deadline, 'it never came about');
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

describe('CreateImageFromVm and what the configuration says', () => {
    const refused = async (config: Record<string, unknown>, path: string): Promise<string> => {
        const registry = await Registry.start(config);
        try {
            const { status, error } = await registry.client.post(`/images?action=create-from-vm${path}`, {});
            return `${status} ${error.code}`;
        } finally {
            await registry.stop();
        }
    };

    it('takes S3 for an object store', async () => {
        const s3 = { bucket: 'images', region: 'x', endpoint: 'http://127.0.0.1:1' };
        const keys = { accessKeyId: 'a', secretAccessKey: 'b' };
        const config = { storageTypes: ['local', 's3'], s3: { ...s3, ...keys } };
        assert.equal(await refused(config, ''), '422 ValidationFailed');
    });

    it('is 503 without a workflow service', async () => {
        const config = { ...DATACENTER, authType: 'none', allowLocalCreateImageFromVm: true };
        assert.equal(await refused(config, `&vm_uuid=${UNKNOWN}`), '503 ServiceUnavailableError');
    });
});

describe('CreateImageFromVm on a server with channels, in a datacenter', function () {
    let wfapi: WorkflowStandIn;
    let datacenter: Datacenter;
    let directory: OpenLdap;
    let registry: Registry;
    before(async function () {
        directory = await OpenLdap.start(this);
        datacenter = await Datacenter.start();
        wfapi = await WorkflowStandIn.start();
        registry = await Registry.start({
            ...DATACENTER,
            ...datacenter.config,
            ufds: directory.config,
            wfapi: wfapi.config,
            allowLocalCreateImageFromVm: true,
            channels: [
                { name: 'dev', description: 'x' },
                { name: 'release', description: 'y', default: true },
            ],
        });
        await untilWorkflowsReady(registry.server);
    });
    after(async () => {
        await registry.stop();
        await wfapi.service.stop();
        await datacenter.stop();
        await directory.stop();
    });

    it('puts the placeholder and the image in that of the request', async () => {
        const origin: RawImage = await registry.plantImage({ channels: ['release'] });
        const { uuid: server_uuid } = datacenter.addServer();
        const vm = datacenter.addVm({ owner_uuid: OWNER, server_uuid, image_uuid: origin.uuid });
        for (const [query, channel] of [
            ['', 'release'],
            ['&channel=dev', 'dev'],
        ] as const) {
            const answer = await registry.client.post(
                `/images?action=create-from-vm&vm_uuid=${vm.uuid}${query}`,
                { ...GOOD, channels: ['elsewhere'] },
            );
            assert.equal(answer.status, 200, answer.text);
            const { image_uuid: uuid, job_uuid: job } = answer.json as Started;
            assert.deepEqual((await registry.record(uuid))?.channels, [channel]);
            const { manifest } = wfapi.jobs.get(job)?.params as { manifest: { channels: unknown } };
            assert.deepEqual(manifest.channels, [channel]);
        }
    });
});
