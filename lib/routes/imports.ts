/** Images that come from elsewhere: machines, manifests, other repositories. */
import { createImageFromVm } from '../api/create-from-vm';
import { adminImportImage, adminImportRemoteImage, importFromDatacenter } from '../api/imports';
import {
    ACCOUNT,
    ACTION,
    CHANNEL,
    FLAG,
    NO_ACCOUNT,
    SKIP_OWNER_CHECK,
    SOURCE,
    UUID,
} from '../api/parameters';
import type { Parameter, Route } from '../api/route';
import { authenticate, channel, readBody } from '../api/steps';
import { CHANGES, BODY_ERRORS, WRITE_ERRORS } from './common';

const IMPORT_ERRORS = [
    'ResourceNotFound',
    'ValidationFailed',
    'InvalidParameter',
    'ImageUuidAlreadyExists',
    'RemoteSourceError',
    ...BODY_ERRORS,
    ...WRITE_ERRORS,
] as const;

const IMPORT_JOB: Parameter = {
    name: 'import_job',
    description:
        'The job of a workflow service that imports from `source`. Asked again by the same job, this answers with the ' +
        'image as it is, so that the job can tell whether it made it.',
    schema: UUID,
};

/** What a workflow service may refuse a job with. */
const JOB_ERRORS = ['InvalidArgument', 'ConflictError'] as const;

export const importRoutes: readonly Route[] = [
    {
        name: 'CreateImageFromVm',
        method: 'POST',
        path: '/images',
        actions: ['create-from-vm'],
        summary: 'Creates an image of a machine, in a job of the datacenter’s workflow service.',
        description:
            'The answer comes as soon as the job is queued. Until the job has ended there is a placeholder in state `creating`; if it fails, its state is `failed` and its `error` says why. Follow the job at `/jobs/{job_uuid}` of the URL in the header `workflow-api`. Without an object store the configuration has to allow it (`allowLocalCreateImageFromVm`).',
        auth: 'strict',
        role: 'write',
        answers: 'json',
        headers: ['workflow-api'],
        body: 'json',
        parameters: [
            ACTION,
            { name: 'vm_uuid', description: 'The machine.', schema: UUID, required: true },
            {
                name: 'incremental',
                description: 'Whether the image holds only what differs from the image of the machine.',
                schema: FLAG,
            },
            {
                name: 'max_origin_depth',
                description: 'How long the chain of origins may become; at least 2.',
                schema: { type: 'integer', minimum: 2 },
            },
            ACCOUNT,
            CHANNEL,
        ],
        errors: [
            'NotAvailable',
            'ValidationFailed',
            'InvalidParameter',
            ...BODY_ERRORS,
            ...JOB_ERRORS,
            'InsufficientServerVersion',
            'ResourceNotFound',
            'OwnerDoesNotExist',
            'ImageUuidAlreadyExists',
            'InternalError',
            ...WRITE_ERRORS,
        ],
        steps: [authenticate, channel, readBody],
        handler: createImageFromVm,
    },
    {
        ...importing('AdminImportImage', 'import', adminImportImage),
        summary:
            'Adds an image that was made elsewhere, with its uuid and date, unactivated and without its files.',
        description:
            'The body is its manifest, of version 1 or 2, or with `source` the manifest is fetched from another repository. Without `source` it may complete a placeholder. Outside a datacenter the image has no owner; in one, an image without owner becomes the administrator’s. For operators.',
        headers: ['Etag'],
        parameters: [ACTION, SOURCE, IMPORT_JOB, NO_ACCOUNT, CHANNEL, SKIP_OWNER_CHECK],
        errors: [...IMPORT_ERRORS, 'OperatorOnly', 'OriginDoesNotExist', 'OwnerDoesNotExist'],
    },
    {
        ...importing('AdminImportRemoteImage', 'import-remote', adminImportRemoteImage),
        summary: 'Imports an image from another repository, with the origins it needs, in a job.',
        description:
            'The answer comes as soon as the job is queued. Follow it at `/jobs/{job_uuid}` of the URL in the header `workflow-api`. For operators.',
        headers: ['workflow-api'],
        parameters: [ACTION, { ...SOURCE, required: true }, NO_ACCOUNT, CHANNEL, SKIP_OWNER_CHECK],
        errors: [...IMPORT_ERRORS, ...JOB_ERRORS, 'OperatorOnly', 'OriginIsNotActive'],
    },
    {
        ...importing('ImportFromDatacenter', 'import-from-datacenter', importFromDatacenter),
        summary:
            'Imports an account’s own image from another datacenter, with the origins it needs, in a job.',
        description:
            'Origins that belong to somebody else have to be here already. The answer is that of AdminImportRemoteImage.',
        headers: ['workflow-api'],
        parameters: [
            ACTION,
            {
                name: 'account',
                description: 'The account that owns the image.',
                schema: UUID,
                required: true,
            },
            {
                name: 'datacenter',
                description: 'The datacenter to import from, one of `imgapiUrlFromDatacenter`.',
                required: true,
            },
            CHANNEL,
        ],
        errors: [...IMPORT_ERRORS, ...JOB_ERRORS, 'UnauthorizedError', 'OriginIsNotActive', 'InternalError'],
    },
];

/** A row of POST /images/U?action=… for an image that is not here yet. */
function importing(
    name: string,
    value: string,
    handler: Route['handler'],
): Omit<Route, 'summary' | 'parameters' | 'errors'> {
    return {
        name,
        method: 'POST',
        path: '/images/:uuid',
        actions: [value],
        auth: 'strict',
        role: 'admin',
        answers: 'json',
        body: 'json',
        steps: [...CHANGES, readBody],
        handler,
    };
}
