/** Images of machines by the workflow `create-from-vm`, run by the workflow engine (vm-images.md §4.1). */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { workflowOf } from '../../lib/dc/workflow-source';
import { at } from '../support/api';
import { ImgadmError, type ImgadmStep } from '../support/compute-node';
import { Datacenter } from '../support/datacenter';
import { testImage } from '../support/images';
import { untilEnded, untilJob, type ShownJob } from '../support/jobs';
import { DATACENTER, Registry } from '../support/registry';
import { untilWorkflowsReady, WorkflowService } from '../support/wfapi';

/** For a job, in ms: each task is a process of its own that has to load its modules. */
const WITHIN = 90_000;
/** Nobody: in a datacenter the administrator. */
const UNSET = '00000000-0000-0000-0000-000000000000';
const ADMIN = '930896af-bf8c-48d4-885c-6573a94b1853';

interface FailedImage {
    state: string;
    error?: { code: string; message: string };
}

describe('CreateImageFromVm by a workflow', function () {
    this.timeout(180_000);
    let wfapi: WorkflowService;
    let datacenter: Datacenter;
    let registry: Registry;
    let workflow: {
        uuid: string;
        chain: { name: string; timeout: number; body: string }[];
        [member: string]: unknown;
    };
    let origin: string;
    let serverUuid: string;
    let images = 0;
    before(async function () {
        wfapi = await WorkflowService.start(this);
        datacenter = await Datacenter.start();
        registry = await Registry.start({
            ...DATACENTER,
            authType: 'none',
            adminUuid: ADMIN,
            wfapi: wfapi.config,
        });
        await wfapi.setServices({
            imgapiUrl: registry.url,
            vmapiUrl: datacenter.vmapi.url,
            cnapiUrl: datacenter.cnapi.url,
        });
        origin = (await registry.plantImage({ type: 'zone-dataset', os: 'smartos' })).uuid;
        serverUuid = datacenter.addServer().uuid;
        await untilWorkflowsReady(registry.server);
        const name = workflowOf('create-from-vm')?.name ?? '';
        [workflow] = (await wfapi.get(`/workflows?name=${name}`)) as [typeof workflow];
    });
    after(async () => {
        await registry.stop();
        await datacenter.stop();
        await wfapi.stop();
    });

    /** A placeholder as CreateImageFromVm makes it. */
    const placeholder = async (): Promise<string> => {
        const image = testImage(1000 + ++images, {
            uuid: randomUUID(),
            owner: ADMIN,
            type: 'null',
            os: 'null',
            state: 'creating',
            activated: false,
            files: [],
            expires_at: new Date(Date.now() + 86_400_000).toISOString(),
        });
        delete (image as { published_at?: string }).published_at;
        await registry.plant(image);
        return image.uuid;
    };
    /** Has the service create an image of a machine that is there, unless the fields say otherwise. */
    const create = async (image: string, fields: object = {}): Promise<string> => {
        const vm = datacenter.addVm({ owner_uuid: ADMIN, server_uuid: serverUuid, image_uuid: origin });
        const manifest = { v: 2, uuid: image, name: 'of-a-machine', version: '1.0.0', owner: UNSET };
        const job = (await wfapi.post('/jobs', {
            workflow: workflow.uuid,
            target: `/create-from-vm-${vm.uuid}`,
            task: 'create-from-vm',
            image_uuid: image,
            vm_uuid: vm.uuid,
            compression: 'gzip',
            incremental: false,
            manifest,
            prepare_image_script: '#!/bin/sh',
            req_id: randomUUID(),
            ...fields,
        })) as { uuid: string };
        return job.uuid;
    };
    const ended = (job: string): Promise<ShownJob> => untilEnded(registry.client, job, WITHIN);
    const imageNow = async (uuid: string): Promise<FailedImage> =>
        (await registry.client.get(at(uuid))).manifest;
    /** What is to happen at each step on the compute node. */
    const meddle = (uuid: string, before: (step: ImgadmStep) => void | Promise<void>): void => {
        datacenter.node.meddlings.set(uuid, { before });
    };
    /** The image after a job for it that fails. */
    const failed = async (image: string, fields: object = {}): Promise<FailedImage> => {
        const job = await ended(await create(image, fields));
        assert.equal(job.execution, 'failed', JSON.stringify(job));
        return imageNow(image);
    };

    it('makes an image', async () => {
        const uuid = await placeholder();
        const job = await ended(await create(uuid, { max_origin_depth: 5 }));
        assert.equal(job.execution, 'succeeded', JSON.stringify(job));
        const { manifest } = await registry.client.get(at(uuid));
        const sha1 = createHash('sha1').update(gzipSync(datacenter.node.data)).digest('hex');
        assert.deepEqual(
            [manifest.state, manifest.type, manifest.os, manifest.files[0]?.sha1],
            ['active', 'zone-dataset', 'smartos', sha1],
        );
        assert.ok(manifest.published_at);
        const received = datacenter.node.received.get(uuid);
        assert.deepEqual(
            [received?.imgapi_url, received?.compression, received?.max_origin_depth],
            [registry.url, 'gzip', 5],
        );
        assert.equal(received?.prepare_image_script, '#!/bin/sh');
        const { req_id: id } = job.params;
        for (const { requests } of [datacenter.vmapi, datacenter.cnapi]) {
            const ids = requests.map(({ headers }) => headers['x-request-id']);
            assert.ok(ids.length > 0 && ids.every((one) => one === id), ids.join());
        }
    });

    it('tells the image what the compute node says, be it as JSON or ever so long', async () => {
        const uuid = await placeholder();
        meddle(uuid, () => {
            throw new ImgadmError('PrepareImageError', 'the script failed');
        });
        assert.deepEqual(await failed(uuid).then(({ state, error }) => ({ state, error })), {
            state: 'failed',
            error: { code: 'PrepareImageError', message: 'the script failed' },
        });
        const other = await placeholder();
        meddle(other, () => {
            throw new Error(`begin ${'x'.repeat(50_000)} end`);
        });
        const { error } = await failed(other);
        assert.ok(error && error.message.length <= 20_000, String(error?.message.length));
        assert.match(error.message, /^begin x+\n\n\[.* 5\d{4} .*\]\n\nx+ end$/);
    });

    it('leaves an image alone that has gone, or that is active', async () => {
        const gone = await placeholder();
        meddle(gone, async () => {
            assert.equal((await registry.client.delete(at(gone))).status, 204);
            throw new ImgadmError('Error', 'failed after that');
        });
        const job = await ended(await create(gone));
        assert.equal(job.onerror_results?.[0]?.result, 'The image is gone');
        const { uuid } = await registry.plantImage({ owner: ADMIN });
        meddle(uuid, () => {
            throw new ImgadmError('Error', 'it is another image');
        });
        const image = await failed(uuid);
        assert.deepEqual([image.state, image.error], ['active', undefined]);
    });

    it('tells the image that VMAPI does not know the machine', async () => {
        const { state, error } = await failed(await placeholder(), { vm_uuid: randomUUID() });
        assert.deepEqual([state, error?.code], ['failed', 'ResourceNotFound']);
    });

    it('tells the image that VMAPI cannot be reached, but not where that is', async () => {
        const imgapiUrl = registry.url;
        const cnapiUrl = datacenter.cnapi.url;
        await wfapi.setServices({ imgapiUrl, cnapiUrl, vmapiUrl: 'http://127.0.0.1:1' });
        try {
            const { state, error } = await failed(await placeholder());
            assert.deepEqual([state, error?.code], ['failed', 'ECONNREFUSED']);
            assert.match(error?.message ?? '', /VMAPI/);
            assert.doesNotMatch(error?.message ?? '', /127\.0\.0\.1/);
        } finally {
            await wfapi.setServices({ imgapiUrl, cnapiUrl, vmapiUrl: datacenter.vmapi.url });
        }
    });

    it('tells the image that CNAPI refuses the task', async () => {
        const { state, error } = await failed(await placeholder(), { compression: 7 });
        assert.deepEqual([state, error?.code], ['failed', 'ValidationFailed']);
    });

    it('tells the image that it was canceled', async () => {
        const uuid = await placeholder();
        let release: (() => void) | undefined;
        const canceled = new Promise<void>((resolve) => {
            release = resolve;
        });
        meddle(uuid, async (step) => {
            if (step === 'prepare') {
                await canceled;
                throw new ImgadmError('Error', 'too late');
            }
        });
        const job = await create(uuid);
        await untilJob(registry.client, job, ({ chain_results: done }) => done.length === 2, WITHIN);
        await registry.client.post(`/jobs/${job}/cancel`, {});
        release?.();
        await untilJob(registry.client, job, ({ oncancel_results: done }) => done?.length === 1, WITHIN);
        const { state, error } = await imageNow(uuid);
        assert.deepEqual([state, error?.code], ['failed', 'JobCanceled']);
    });

    it('asks VMAPI and CNAPI again that never answered', async () => {
        const chain = workflow.chain.map((task) => ({
            ...task,
            body: task.body.replace('mostTime = 30000', 'mostTime = 500'),
        }));
        await wfapi.put(`/workflows/${workflow.uuid}`, { ...workflow, chain });
        try {
            const uuid = await placeholder();
            const unanswered: string[] = [];
            const keepWaiting = (service: 'vmapi' | 'cnapi'): void => {
                datacenter[service].spoil = ({ url = '' }) => {
                    unanswered.push(url);
                    datacenter[service].spoil = undefined;
                };
            };
            keepWaiting('vmapi');
            meddle(uuid, (step) => {
                if (step === 'prepare') {
                    keepWaiting('cnapi');
                }
            });
            const job = await ended(await create(uuid));
            assert.equal(job.execution, 'succeeded', JSON.stringify(job));
            assert.match(unanswered.join(), /^\/vms\/[^,]+,\/tasks\/[^,]+$/);
        } finally {
            await wfapi.put(`/workflows/${workflow.uuid}`, workflow);
        }
    });

    it('tells the image that its time was up', async () => {
        const change = (fields: object): Promise<unknown> =>
            wfapi.put(`/workflows/${workflow.uuid}`, { ...workflow, ...fields });
        let release: (() => void) | undefined;
        const over = new Promise<void>((resolve) => {
            release = resolve;
        });
        const slow = async (): Promise<string> => {
            const uuid = await placeholder();
            meddle(uuid, (step) => (step === 'prepare' ? over : undefined));
            return uuid;
        };
        const [one, two] = [await slow(), await slow()];
        await change({
            chain: workflow.chain.map((task) =>
                task.name === 'cnapi.poll_task' ? { ...task, timeout: 2 } : task,
            ),
        });
        const task = await create(one);
        await change({ timeout: 12 });
        const whole = await create(two);
        await change({});
        try {
            for (const [job, uuid, reason] of [
                [task, one, /cnapi\.poll_task/],
                [whole, two, /in time\.$/],
            ] as const) {
                assert.equal((await ended(job)).execution, 'failed');
                const { state, error } = await imageNow(uuid);
                assert.deepEqual([state, error?.code], ['failed', 'Timeout']);
                assert.match(error?.message ?? '', reason);
            }
        } finally {
            release?.();
        }
    });
});
