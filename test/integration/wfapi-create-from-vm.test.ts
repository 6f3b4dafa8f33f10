/** Images of machines by the workflow `create-from-vm`, run by the workflow engine (vm-images.md §4.1). */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { workflowOf } from '../../lib/dc/workflow-source';
import { at } from '../support/api';
import type { ImgadmStep } from '../support/compute-node';
import { Datacenter } from '../support/datacenter';
import { testImage } from '../support/images';
import { untilEnded, type ShownJob } from '../support/jobs';
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
});
