/**
 * Images of machines from the request to the end of the job, which the workflow engine runs and a compute node works on
 * (vm-images.md §3.1 and §4): what comes of them, and what is left when something on the way fails.
 */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { assertError, at, newUuid, sha1, type Answer, type Manifest } from '../support/api';
import { ImgadmError, type Meddling } from '../support/compute-node';
import { Datacenter, type Vm } from '../support/datacenter';
import { untilEnded, untilJob, type ShownJob } from '../support/jobs';
import { ACCOUNTS, OpenLdap } from '../support/openldap';
import { DATACENTER, Registry } from '../support/registry';
import { together } from '../support/scenarios';
import { untilWorkflowsReady, WorkflowService } from '../support/wfapi';

/** For a job, in ms: each task is a process of its own that has to load its modules. */
const WITHIN = 120_000;
const OWNER = ACCOUNTS.luke;

interface Workflow {
    uuid: string;
    name: string;
    timeout: number;
    chain: { name: string; timeout: number }[];
}

interface Made {
    uuid: string;
    job: ShownJob;
    /** The answer to a request for the image. */
    image: Answer;
}

describe('An image of a machine', function () {
    this.timeout(180_000);
    let directory: OpenLdap;
    let wfapi: WorkflowService;
    let datacenter: Datacenter;
    let registry: Registry;
    let origin: Manifest;

    before(async function () {
        directory = await OpenLdap.start(this);
        wfapi = await WorkflowService.start(this);
        datacenter = await Datacenter.start();
        registry = await Registry.start({
            ...DATACENTER,
            ...datacenter.config,
            authType: 'none',
            ufds: directory.config,
            wfapi: wfapi.config,
            allowLocalCreateImageFromVm: true,
            limits: { purgeInterval: '500ms' },
        });
        const { url: vmapiUrl } = datacenter.vmapi;
        await wfapi.setServices({ imgapiUrl: registry.url, vmapiUrl, cnapiUrl: datacenter.cnapi.url });
        const fields = { owner: ACCOUNTS.sdc, billing_tags: ['small'], requirements: { min_ram: 64 } };
        origin = await registry.client.createActive(fields);
        await untilWorkflowsReady(registry.server, ['create-from-vm']);
    });
    after(async () => {
        await datacenter.stop();
        await registry.stop();
        await wfapi.stop();
        await directory.stop();
    });

    function machine(fields: Partial<Vm> = {}): Vm {
        const { uuid } = datacenter.addServer();
        return datacenter.addVm({ owner_uuid: OWNER, server_uuid: uuid, image_uuid: origin.uuid, ...fields });
    }

    /** Asks for an image as CloudAPI does, and gives its job. */
    async function begin(vm: Vm, uuid = newUuid(), query = ''): Promise<{ uuid: string; job: string }> {
        const answer = await registry.client.post(
            `/images?action=create-from-vm&vm_uuid=${vm.uuid}&account=${OWNER}${query}`,
            { uuid, name: 'of-a-vm', version: '1.0.0', description: 'of mine' },
            { 'x-request-id': newUuid() },
        );
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.headers['workflow-api'], wfapi.url);
        return { uuid, job: (answer.json as { job_uuid: string }).job_uuid };
    }

    async function make(
        vm: Vm,
        meddling: Meddling = {},
        query = '',
        uuid: string = newUuid(),
    ): Promise<Made> {
        datacenter.node.meddlings.set(uuid, meddling);
        const { job } = await begin(vm, uuid, query);
        const ended = await untilEnded(registry.client, job, WITHIN);
        return { uuid, job: ended, image: await registry.client.get(at(uuid)) };
    }

    /** The image has failed with an error, which is shown; it is gone once its days are over. */
    async function assertFailed(
        { uuid, job, image }: Made,
        expected: { code: string; message: RegExp },
    ): Promise<void> {
        assert.equal(job.execution, 'failed', JSON.stringify(job));
        const { state, error } = image.manifest;
        assert.equal(state, 'failed', image.text);
        const { code, message } = error as { code?: string; message: string };
        assert.equal(code, expected.code, image.text);
        assert.match(message, expected.message);
        await assertPurged(uuid);
    }

    async function assertPurged(uuid: string): Promise<void> {
        const record = (await registry.record(uuid))!;
        assert.ok(Date.parse(String(record.expires_at)) > Date.now(), 'it has its days yet');
        assert.equal((await registry.client.get(at(uuid))).status, 200);
        await registry.plant({ ...record, expires_at: new Date(Date.now() - 1).toISOString() });
        await registry.server.logged(
            ({ msg, image_uuid }) => image_uuid === uuid && msg.startsWith('deleted'),
        );
        assertError(await registry.client.get(at(uuid)), 404, 'ResourceNotFound');
        await registry.untilStored(uuid, []);
    }

    const throwing =
        (step: string, err: Error): NonNullable<Meddling['before']> =>
        (reached) => {
            if (reached === step) {
                throw err;
            }
        };

    together((scenario) => {
        scenario('becomes an active one, with type, os, date and file', async () => {
            const { uuid, job, image } = await make(machine());
            assert.equal(job.execution, 'succeeded', JSON.stringify(job));
            const { published_at: published, files, ...others } = image.manifest;
            assert.deepEqual(others, {
                v: 2,
                uuid,
                owner: OWNER,
                name: 'of-a-vm',
                version: '1.0.0',
                description: 'of mine',
                state: 'active',
                disabled: false,
                public: false,
                type: 'zone-dataset',
                os: 'smartos',
                billing_tags: ['small'],
                requirements: { min_ram: 64, min_platform: { '7.0': '20230126T011510Z' } },
            });
            assert.ok(Math.abs(Date.parse(String(published)) - Date.now()) < WITHIN);
            const file = await registry.client.get(at(uuid, '/file'));
            assert.deepEqual(files, [{ sha1: sha1(file.body), size: file.body.length, compression: 'gzip' }]);
            assert.deepEqual(gunzipSync(file.body), datacenter.node.data);
            assert.equal((await registry.record(uuid))?.expires_at, undefined);
            const listed = (await registry.client.get(at(uuid, '/jobs'))).json as ShownJob[];
            assert.deepEqual(
                listed.map((one) => one.uuid),
                [job.uuid],
            );
            const told = datacenter.node.received.get(uuid)!;
            assert.deepEqual([told.imgapi_url, told.incremental], [registry.url, false]);
            assert.match(String(told.prepare_image_script), /prepare-image/);
            for (const { requests } of [datacenter.vmapi, datacenter.cnapi]) {
                assert.ok(requests.some(({ headers }) => headers['x-request-id'] === job.params.req_id));
            }
        });

        scenario('is built on that of an LX machine, if it is incremental', async () => {
            const requirements = { brand: 'lx' };
            const fields = { type: 'lx-dataset', os: 'linux', owner: ACCOUNTS.sdc, requirements };
            const base = await registry.client.createActive(fields);
            const vm = machine({ brand: 'lx', kernel_version: '4.3.0', image_uuid: base.uuid });
            const { job, image } = await make(vm, {}, '&incremental=true&max_origin_depth=2');
            assert.equal(job.execution, 'succeeded', JSON.stringify(job));
            const { type, os, tags, origin: built } = image.manifest;
            assert.deepEqual([type, os, tags], ['lx-dataset', 'linux', { kernel_version: '4.3.0' }]);
            assert.deepEqual([built, image.manifest.requirements], [base.uuid, requirements]);
        });

        scenario('fails if its chain of origins would be too long', async () => {
            const middle = await registry.client.createActive({ origin: origin.uuid, owner: ACCOUNTS.sdc });
            const vm = machine({ image_uuid: middle.uuid });
            await assertFailed(await make(vm, {}, '&incremental=true&max_origin_depth=2'), {
                code: 'MaxOriginDepth',
                message: /maximum origin depth "2"/,
            });
        });

        scenario('fails if the machine is gone when the job begins', async () => {
            const vm = machine();
            datacenter.passing.add(vm.uuid);
            await assertFailed(await make(vm), { code: 'ResourceNotFound', message: /VMAPI/ });
        });

        scenario('fails if CNAPI refuses the task', async () => {
            const vm = machine();
            datacenter.passing.add(String(vm.server_uuid));
            await assertFailed(await make(vm), { code: 'ResourceNotFound', message: /CNAPI/ });
        });

        scenario('fails with what the task says, in words', async () => {
            const before = throwing('prepare', new Error('zfs snapshot: out of space'));
            const expected = { code: 'InternalError', message: /^zfs snapshot: out of space$/ };
            await assertFailed(await make(machine(), { before }), expected);
        });

        scenario('fails with what the task says, as JSON', async () => {
            const error = new ImgadmError('PrepareImageError', 'no trace of the script');
            const made = await make(machine(), { before: throwing('prepare', error) });
            await assertFailed(made, { code: 'PrepareImageError', message: /^no trace of the script$/ });
        });

        scenario('fails with the beginning and the end of what the task says at length', async () => {
            const before = throwing('prepare', new Error(`begin ${'x'.repeat(50_000)} end`));
            const made = await make(machine(), { before });
            const { message } = made.image.manifest.error as { message: string };
            assert.ok(message.length <= 20_000, String(message.length));
            const expected = /^begin x+\n\n\[.* 5\d{4} .*\]\n\nx+ end$/;
            await assertFailed(made, { code: 'InternalError', message: expected });
        });

        scenario('stays away if it is deleted before the task fails', async () => {
            const uuid = newUuid();
            const before: Meddling['before'] = async () => {
                assert.equal((await registry.client.delete(at(uuid))).status, 204);
                throw new ImgadmError('Error', 'failed after that');
            };
            const { job, image } = await make(machine(), { before }, '', uuid);
            assert.equal(job.onerror_results?.[0]?.result, 'The image is gone');
            assertError(image, 404, 'ResourceNotFound');
        });

        scenario('is left alone if it is active when the task fails', async () => {
            const uuid = newUuid();
            const before: Meddling['before'] = async () => {
                await registry.plantImage({ uuid, owner: OWNER });
                throw new ImgadmError('Error', 'it is another image');
            };
            const { job, image } = await make(machine(), { before }, '', uuid);
            assert.equal(job.execution, 'failed');
            assert.deepEqual([image.manifest.state, image.manifest.error], ['active', undefined]);
        });

        scenario('fails if it is canceled', async () => {
            const uuid = newUuid();
            let goOn: () => void = () => undefined;
            const canceled = new Promise<void>((resolve) => {
                goOn = resolve;
            });
            const before: Meddling['before'] = async (step) => {
                if (step === 'prepare') {
                    await canceled;
                    throw new ImgadmError('Error', 'too late');
                }
            };
            datacenter.node.meddlings.set(uuid, { before });
            const { job } = await begin(machine(), uuid);
            const until = (test: (shown: ShownJob) => boolean): Promise<ShownJob> =>
                untilJob(registry.client, job, test, WITHIN);
            await until(({ chain_results: done }) => done.length === 2);
            await registry.client.post(`/jobs/${job}/cancel`, {});
            goOn();
            await until(({ oncancel_results: done }) => done?.length === 1);
            const { state, error } = (await registry.client.get(at(uuid))).manifest;
            assert.deepEqual([state, (error as { code?: string }).code], ['failed', 'JobCanceled']);
        });

        scenario('is gone if its upload is cut', async () => {
            const { uuid, job, image } = await make(machine(), { cutsUpload: true });
            assert.equal(job.execution, 'failed', JSON.stringify(job));
            assertError(image, 404, 'ResourceNotFound');
            await registry.untilStored(uuid, []);
        });

        scenario('is gone if it cannot be activated', async () => {
            const uuid = newUuid();
            const before: Meddling['before'] = async (step) => {
                if (step === 'activate') {
                    await registry.client.action(uuid, 'activate');
                }
            };
            datacenter.node.meddlings.set(uuid, { before });
            const { job } = await begin(machine(), uuid);
            const ended = await untilEnded(registry.client, job, WITHIN);
            assert.equal(ended.execution, 'failed');
            assert.match(JSON.stringify(ended.chain_results), /ImageAlreadyActivated/);
            assertError(await registry.client.get(at(uuid)), 404, 'ResourceNotFound');
            await registry.untilStored(uuid, []);
        });

        scenario('fails, with its file, if the compute node dies before the activation', async () => {
            const before: Meddling['before'] = (step) => {
                if (step === 'activate' || step === 'delete') {
                    throw new Error('the server went down');
                }
            };
            const made = await make(machine(), { before });
            assert.equal(made.image.manifest.files.length, 1);
            assert.equal(made.image.manifest.type, 'zone-dataset');
            await assertFailed(made, { code: 'InternalError', message: /went down/ });
        });
    });

    /** The image once it has failed. */
    async function untilFailed(uuid: string): Promise<Manifest> {
        const deadline = Date.now() + WITHIN;
        for (;;) {
            const { manifest } = await registry.client.get(at(uuid));
            if (manifest.state === 'failed') {
                return manifest;
            }
            assert.ok(Date.now() < deadline, manifest.state);
            await wait(100);
        }
    }

    /** Begins, and holds the compute node up until the job has failed. */
    async function beginLate(): Promise<{ made: Promise<Made> }> {
        const uuid = newUuid();
        let goOn: () => void = () => undefined;
        const held = new Promise<void>((resolve) => {
            goOn = resolve;
        });
        datacenter.node.meddlings.set(uuid, { before: () => held });
        const { job } = await begin(machine(), uuid);
        const end = async (): Promise<Made> => {
            try {
                const ended = await untilEnded(registry.client, job, WITHIN);
                await untilFailed(uuid);
                return { uuid, job: ended, image: await registry.client.get(at(uuid)) };
            } finally {
                goOn();
            }
        };
        return { made: end() };
    }

    it('fails when the task of the compute node takes too long, or all of it', async () => {
        const all = (await wfapi.get('/workflows')) as Workflow[];
        const workflow = all.find(({ name }) => name.startsWith('create-from-vm-'))!;
        // A job has what its workflow was when it began.
        const beginWith = async (change: Partial<Workflow>): Promise<{ made: Promise<Made> }> => {
            await wfapi.put(`/workflows/${workflow.uuid}`, { ...workflow, ...change });
            return beginLate();
        };
        const chain = workflow.chain.map((task) =>
            task.name === 'cnapi.poll_task' ? { ...task, timeout: 3 } : task,
        );
        const task = await beginWith({ chain });
        const whole = await beginWith({ timeout: 8 });
        await Promise.all([
            task.made.then((made) => assertFailed(made, { code: 'Timeout', message: /cnapi\.poll_task/ })),
            whole.made.then((made) =>
                assertFailed(made, { code: 'Timeout', message: /not created in time/ }),
            ),
        ]);
    });
});
