/** CreateImageFromVm: POST /images?action=create-from-vm (vm-images.md §1 and §2). */
import type { Config } from '../config/types';
import { ApiError, invalidParameter, missingParameter } from '../errors';
import { askedOwner, requireBody } from '../images/create';
import { CREATE_FROM_VM_TASK, startImageFromVm } from '../images/from-vm';
import { show } from '../images/json';
import type { Call } from './call';
import { createJob, sendJob } from './jobs';
import type { Query } from './query';
import { account } from './steps';

/** An incremental image has an origin at least, so that a chain of images is no shorter than this. */
const LEAST_ORIGIN_DEPTH = 2;

/** Machines are copied to an object store; a server without one has to be told that its own disk will do. */
function requireStorage({ storageTypes, allowLocalCreateImageFromVm }: Config): void {
    const hasObjectStore = storageTypes.some((type) => type !== 'local');
    if (!hasObjectStore && !allowLocalCreateImageFromVm) {
        throw new ApiError(
            'NotAvailable',
            'This server does not create images of machines: it has no object store, and ' +
                '"allowLocalCreateImageFromVm" is not set.',
        );
    }
}

function requireVmUuid(query: Query): string {
    const vmUuid = query.uuid('vm_uuid');
    if (vmUuid === undefined) {
        throw missingParameter('vm_uuid', 'the uuid of the machine to create an image of');
    }
    return vmUuid;
}

function readOriginDepth(query: Query): number | undefined {
    const given = query.one('max_origin_depth');
    if (given === undefined) {
        return undefined;
    }
    const depth = Number(given);
    if (!Number.isFinite(depth) || depth < LEAST_ORIGIN_DEPTH) {
        throw invalidParameter(
            `Parameter "max_origin_depth" is ${show(given)}; it takes a number of at least ${LEAST_ORIGIN_DEPTH}.`,
            'max_origin_depth',
        );
    }
    return depth;
}

/**
 * Answers as soon as the image has a placeholder and its job is queued.
 *
 * @throws ApiError NotAvailable, ValidationFailed, InvalidParameter, ServiceUnavailableError, and as
 *     {@link startImageFromVm}
 */
export async function createImageFromVm(call: Call): Promise<void> {
    const { query, services, state } = call;
    requireStorage(services.config);
    const vmUuid = requireVmUuid(query);
    const incremental = query.boolean('incremental') ?? false;
    const maxOriginDepth = readOriginDepth(query);
    const body = requireBody(state.body);
    const caller = account(call);
    const owner = askedOwner(body, caller);
    services.jobs.assertAvailable(CREATE_FROM_VM_TASK);
    const { imageUuid, jobUuid } = await startImageFromVm(services, {
        vmUuid,
        account: caller,
        manifest: owner === undefined ? body : { ...body, owner },
        incremental,
        maxOriginDepth,
        channel: state.channel,
        context: { requestId: call.id, signal: call.signal },
        createJob: (newJob) => createJob(call, newJob),
        log: call.log,
    });
    sendJob(call, { uuid: jobUuid, image_uuid: imageUuid });
}
