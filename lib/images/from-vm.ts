/**
 * From a machine to a placeholder and a job that has a compute node make the image (vm-images.md §2 to §4).
 *
 * The compute node completes the placeholder as `imgadm` does: by an import, an upload and an activation.
 */
import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { Config } from '../config/types';
import { EtagConflict, ImageNotFound } from '../db/driver';
import {
    ServiceFailure,
    type AccountDirectory,
    type ComputeNode,
    type ComputeServices,
    type Machine,
    type PrepareScripts,
    type ServiceContext,
} from '../dc/driver';
import { ApiError, invalidParameter } from '../errors';
import type { Job, NewJob } from '../jobs/driver';
import type { RawImage } from '../manifest';
import { buildImage, placeholderExpiry, requireOwner } from './create';
import type { Image } from './image';
import type { Images } from './images';
import { isObject, type JsonObject } from './json';
import { assertOwnerExists } from './owner';
import { isOlder } from './platform';
import { existsAlready } from './refusals';

export const CREATE_FROM_VM_TASK = 'create-from-vm';

/** How the compute node compresses the file. */
const COMPRESSION = 'gzip';

/** Machines whose disks, not themselves, are made from images. */
const DISK_BRANDS: readonly (string | undefined)[] = ['bhyve', 'kvm'];

/** Windows machines under KVM can be prepared if their image is from this day or later. */
const WINDOWS_ON_KVM_SINCE = '2018-10-15';

export interface FromVmParts {
    readonly config: Config;
    readonly images: Images;
    /** Undefined outside a datacenter. */
    readonly accounts: AccountDirectory | undefined;
    readonly compute: ComputeServices;
    readonly prepareScripts: PrepareScripts;
    readonly clock: Clock;
}

/** What is asked for, checked as far as it can be without asking anybody. */
export interface FromVmRequest {
    readonly vmUuid: string;
    /** Of whose machines it has to be one; undefined for an operator. */
    readonly account: string | undefined;
    /** The body, with its owner filled in if it is to have one. */
    readonly manifest: JsonObject;
    readonly incremental: boolean;
    readonly maxOriginDepth: number | undefined;
    /** The channel to put the image in; undefined on a server without channels. */
    readonly channel: string | undefined;
    readonly context: ServiceContext;
    readonly createJob: (job: NewJob) => Promise<Job>;
    readonly log: Logger;
}

export interface StartedImage {
    readonly imageUuid: string;
    readonly jobUuid: string;
}

/**
 * Adds a placeholder and queues the job that makes an image of it. If the job cannot be queued the placeholder is gone
 * again.
 *
 * @throws ApiError InvalidParameter, InternalError, InsufficientServerVersion, ResourceNotFound, NotAvailable,
 *     ValidationFailed, OwnerDoesNotExist, ServiceUnavailableError, ImageUuidAlreadyExists, in the order of
 *     vm-images.md §2 from 9 on; what
 *     `createJob` throws
 */
export async function startImageFromVm(parts: FromVmParts, request: FromVmRequest): Promise<StartedImage> {
    const { images, accounts } = parts;
    const machine = await findMachine(parts, request);
    await assertRecentPlatform(parts, machine, request);
    if (machine.docker) {
        throw invalidParameter(
            `Machine ${machine.uuid} is a Docker container; no images are made of those.`,
            'vm_uuid',
        );
    }
    const manifest = completeManifest(parts, machine, request);
    const origin = await findOrigin(images, machine);
    const script = await prepareScript(parts, machine, origin, request.log);
    const owner = requireOwner(manifest.owner);
    await assertOwnerExists({ accounts }, owner);
    const placeholder = await addPlaceholder(parts, manifest, request.channel);
    try {
        const job = {
            task: CREATE_FROM_VM_TASK,
            imageUuid: placeholder.uuid,
            target: `/create-from-vm-${machine.uuid}`,
            params: {
                image_uuid: placeholder.uuid,
                vm_uuid: machine.uuid,
                owner_uuid: owner,
                compression: COMPRESSION,
                incremental: request.incremental,
                prepare_image_script: script,
                ...(request.maxOriginDepth !== undefined && { max_origin_depth: request.maxOriginDepth }),
                manifest,
                req_id: request.context.requestId,
            },
        };
        const { uuid: jobUuid } = await request.createJob(job);
        return { imageUuid: placeholder.uuid, jobUuid };
    } catch (err) {
        await takeBack(images, placeholder, request.log);
        throw err;
    }
}

async function findMachine({ compute }: FromVmParts, request: FromVmRequest): Promise<Machine> {
    const { vmUuid, account, context, log } = request;
    try {
        return await compute.machine(vmUuid, context, account);
    } catch (err) {
        if (!(err instanceof ServiceFailure)) {
            throw err;
        }
        log.warn({ err, vm_uuid: vmUuid }, 'VMAPI did not give a machine to make an image of');
        throw invalidParameter(
            account === undefined
                ? `Machine ${vmUuid} could not be found.`
                : `Machine ${vmUuid} could not be found among those of account ${account}.`,
            'vm_uuid',
        );
    }
}

async function assertRecentPlatform(
    parts: FromVmParts,
    machine: Machine,
    request: FromVmRequest,
): Promise<void> {
    const { minImageCreationPlatform: least } = parts.config;
    if (isOlder(await findNode(parts, machine, request), least)) {
        throw new ApiError(
            'InsufficientServerVersion',
            `No image can be made of machine ${machine.uuid}: the server it is on is older than ${least.join('/')}.`,
        );
    }
}

async function findNode(
    { compute }: FromVmParts,
    { uuid, serverUuid }: Machine,
    { context, log }: FromVmRequest,
): Promise<ComputeNode> {
    try {
        if (serverUuid === undefined) {
            throw new ServiceFailure(`VMAPI does not say on which server machine ${uuid} is.`);
        }
        return await compute.computeNode(serverUuid, context);
    } catch (err) {
        if (!(err instanceof ServiceFailure)) {
            throw err;
        }
        log.error(
            { err, vm_uuid: uuid, server_uuid: serverUuid },
            'CNAPI did not give the server of a machine',
        );
        throw new ApiError('InternalError', `The server that machine ${uuid} is on could not be looked up.`, {
            cause: err,
        });
    }
}

/** The manifest that the job passes on: the body with what the server has to say. */
function completeManifest(
    { clock }: FromVmParts,
    { brand, kernelVersion }: Machine,
    { manifest: given, channel }: FromVmRequest,
): JsonObject {
    const { uuid = clock.uuid(), tags = {} } = given;
    const others = Object.entries(given).filter(([field]) => field !== 'channels');
    return {
        ...Object.fromEntries(others),
        uuid,
        ...(channel !== undefined && { channels: [channel] }),
        // Tags of another type are left to the validator.
        ...(brand === 'lx' &&
            kernelVersion !== undefined &&
            isObject(tags) && { tags: { ...tags, kernel_version: kernelVersion } }),
    };
}

/** The image that the machine was made from. */
async function findOrigin(images: Images, machine: Machine): Promise<Image> {
    const { uuid, brand, imageUuid, diskImages } = machine;
    const origin = DISK_BRANDS.includes(brand) ? diskImages[0] : imageUuid;
    if (origin === undefined) {
        throw new ApiError('InternalError', `It is not known which image machine ${uuid} was made from.`);
    }
    const image = await images.get(origin);
    if (!image?.valid) {
        throw new ApiError(
            'ResourceNotFound',
            `Image ${origin}, which machine ${uuid} was made from, does not exist here.`,
        );
    }
    return image;
}

async function prepareScript(
    { prepareScripts }: FromVmParts,
    machine: Machine,
    origin: Image,
    log: Logger,
): Promise<string> {
    const { os, requirements, published_at: publishedAt } = origin.raw;
    const notAvailable = (what: string) =>
        new ApiError(
            'NotAvailable',
            `No image can be made of machine ${machine.uuid}, made from image ${origin.uuid}: ${what}.`,
        );
    if (
        requirements?.brand === 'kvm' &&
        os === 'windows' &&
        publishedAt !== undefined &&
        publishedAt < WINDOWS_ON_KVM_SINCE
    ) {
        throw notAvailable(
            `Windows under KVM cannot be prepared if its image is older than ${WINDOWS_ON_KVM_SINCE}`,
        );
    }
    const script = await readScript(prepareScripts, os, log);
    if (script === undefined) {
        throw notAvailable(`there is no way to prepare machines with the os "${os}"`);
    }
    return script;
}

async function readScript(scripts: PrepareScripts, os: string, log: Logger): Promise<string | undefined> {
    try {
        return await scripts.get(os);
    } catch (err) {
        log.error({ err, os }, 'the script that prepares machines cannot be read');
        throw new ApiError(
            'InternalError',
            `The script that prepares machines with the os "${os}" cannot be read.`,
            {
                cause: err,
            },
        );
    }
}

async function addPlaceholder(
    { images, config, clock }: FromVmParts,
    manifest: JsonObject,
    channel: string | undefined,
): Promise<Image> {
    const raw: RawImage = buildImage(manifest, {
        kind: 'placeholder',
        // Anything may stand there until the record has been validated.
        uuid: manifest.uuid as string,
        expiresAt: placeholderExpiry(clock.now(), config.placeholderImageLifespanDays),
        ...(channel !== undefined && { channels: [channel] }),
    });
    images.assertValid(raw);
    if (await images.has(raw.uuid)) {
        throw existsAlready(raw.uuid);
    }
    return images.create(raw, { anyOrigin: true });
}

/** Deletes the placeholder, unless somebody has changed or completed it. */
async function takeBack(images: Images, placeholder: Image, log: Logger): Promise<void> {
    const { uuid } = placeholder;
    try {
        await images.turns.take(uuid, () => images.remove(placeholder, undefined));
    } catch (err) {
        if (!(err instanceof EtagConflict || err instanceof ImageNotFound)) {
            log.warn({ err, image_uuid: uuid }, 'a placeholder without a job stays until it expires');
        }
    }
}
