/**
 * THE route table (endpoints.md §3). The router, the reference pages and the test matrix are made from these rows.
 *
 * The order of the steps is part of the contract: it decides which of two errors a request gets.
 */
import { activateImage, disableImage, enableImage, updateImage } from './api/actions';
import { addImageAcl, removeImageAcl } from './api/acl';
import { changeImageStorage } from './api/change-storage';
import { cloneImage } from './api/clone';
import { createImageFromVm } from './api/create-from-vm';
import { exportImage } from './api/export';
import { DOCS, getPage, redirectToDocs } from './api/docs';
import { addImageToChannel, listChannels } from './api/channels';
import { favicon } from './api/favicon';
import { addImageFile, getImageFile, getSecondImageFile } from './api/files';
import { addImageFileFromUrl } from './api/from-url';
import { addImageIcon, deleteImageIcon, getImageIcon, ICON_TYPES } from './api/icons';
import { createImage, deleteImage, getImage, listImages, unknownAction } from './api/images';
import { cancelJob, getJob, listImageJobs, listJobs } from './api/jobs';
import { adminImportImage, adminImportRemoteImage, importFromDatacenter } from './api/imports';
import { getDataset, listDatasets } from './api/legacy';
import {
    ACCOUNT,
    ACTION,
    ADMIN_FIELDS,
    CHANNEL,
    CHANNEL_OR_ANY,
    EXECUTION,
    COMPRESSION,
    FILE_INDEX,
    FLAG,
    JOB_PARAMETERS,
    LIST_PARAMETERS,
    SHA1,
    SKIP_OWNER_CHECK,
    SOURCE,
    STORAGE,
    TASK,
    UUID,
} from './api/parameters';
import type { Route, Step } from './api/route';
import { getState, ping, reloadAuthKeys, updateState } from './api/service';
import {
    adminFields,
    authenticate,
    channel,
    channelOrAny,
    conditions,
    imageUuid,
    loadImage,
    ownedByAccount,
    plainParameters,
    readBody,
} from './api/steps';
import type { Config } from './config/types';
import { STORAGE_TYPES } from './manifest';

/** Steps of every route that changes an image, before and after the body. */
const CHANGES: readonly Step[] = [authenticate, imageUuid, channel];
const ACTS: readonly Step[] = [...CHANGES, readBody, loadImage, ownedByAccount, conditions];

/** Errors that the steps of such a route can end with. */
const CHANGE_ERRORS = [
    'UnauthorizedError',
    'ResourceNotFound',
    'InvalidParameter',
    'NotImageOwner',
    'ValidationFailed',
] as const;
const BODY_ERRORS = [
    'InvalidContent',
    'BadDigest',
    'RequestEntityTooLarge',
    'UnsupportedMediaType',
    'RequestTimeout',
] as const;
const WRITE_ERRORS = ['ServiceUnavailableError', 'InsufficientStorage'] as const;
const STORE_ERRORS = [...WRITE_ERRORS, 'StorageIsDown', 'StorageUnsupported'] as const;

const IMPORT_ERRORS = [
    'UnauthorizedError',
    'ResourceNotFound',
    'ValidationFailed',
    'InvalidParameter',
    'ImageUuidAlreadyExists',
    'RemoteSourceError',
    ...BODY_ERRORS,
    ...WRITE_ERRORS,
] as const;

/** How the bytes of an image are answered. */
const DOWNLOADS = {
    answers: 'bytes',
    headers: ['Etag', 'Last-Modified', 'Accept-Ranges', 'Content-MD5'],
} as const;
const DOWNLOAD_ERRORS = [
    'ResourceNotFound',
    'InvalidParameter',
    'ValidationFailed',
    'PreconditionFailed',
    'RequestedRangeNotSatisfiable',
    'InternalError',
    'StorageIsDown',
    'StorageUnsupported',
    'ServiceUnavailableError',
] as const;

const table: readonly Route[] = [
    {
        name: 'Ping',
        method: 'GET',
        path: '/ping',
        summary: 'Says that the server is there, and its version; with a signature, also who the caller is.',
        description:
            'With `error`, the name of a code with or without `Error` behind it, the answer is a sample of that error, so that a client can be tried against it.',
        auth: 'passive',
        answers: 'json',
        parameters: [{ name: 'error', description: 'Answers with a sample of this error instead.' }],
        errors: ['UnauthorizedError', 'InvalidParameter', 'InternalError'],
        steps: [authenticate],
        handler: ping,
    },
    {
        name: 'AdminGetState',
        method: 'GET',
        path: '/state',
        summary: 'Shows what the server holds in memory, for debugging.',
        description: 'With the embedded database, `db` has all records as they are stored.',
        auth: 'strict',
        answers: 'json',
        parameters: [],
        errors: ['UnauthorizedError'],
        steps: [authenticate],
        handler: getState,
    },
    {
        name: 'AdminUpdateState',
        method: 'POST',
        path: '/state',
        summary: 'Drops what the server remembers (action "dropcaches").',
        auth: 'strict',
        answers: 'nothing',
        status: 202,
        parameters: [{ ...ACTION, schema: { type: 'string', enum: ['dropcaches'] }, required: true }],
        errors: ['UnauthorizedError', 'MissingParameter', 'InvalidArgument', 'InvalidParameter'],
        steps: [authenticate],
        handler: updateState,
    },
    {
        name: 'AdminReloadAuthKeys',
        method: 'POST',
        path: '/authkeys/reload',
        summary: 'Loads the keys of users again.',
        description:
            'The answer does not wait for them: what goes wrong is in the log, and the keys from before stay.',
        auth: 'strict',
        answers: 'json',
        parameters: [],
        errors: ['UnauthorizedError'],
        steps: [authenticate],
        handler: reloadAuthKeys,
    },
    {
        name: 'ListChannels',
        method: 'GET',
        path: '/channels',
        summary: 'Lists the channels of the server, as they are configured.',
        auth: 'passive',
        needsChannels: true,
        answers: 'json',
        parameters: [],
        errors: ['UnauthorizedError'],
        steps: [authenticate],
        handler: listChannels,
    },
    {
        name: 'ListImages',
        method: 'GET',
        path: '/images',
        summary: 'Lists images. Without a signature only the active ones.',
        description:
            'The `Etag` is weak: as long as the list is the same, it serves as `If-None-Match`, the one condition that lists know. That of a list of more than 1,000 images changes with any image.',
        auth: 'passive',
        answers: 'json',
        headers: ['Etag'],
        parameters: [ACCOUNT, CHANNEL_OR_ANY, ADMIN_FIELDS, ...LIST_PARAMETERS],
        errors: [
            'UnauthorizedError',
            'InvalidParameter',
            'ValidationFailed',
            'ResourceNotFound',
            'ServiceUnavailableError',
        ],
        steps: [authenticate, channelOrAny, adminFields],
        handler: listImages,
    },
    {
        name: 'GetImage',
        method: 'GET',
        path: '/images/:uuid',
        summary: 'The manifest of an image.',
        description:
            'Without `account`, images that are not activated, or disabled, are shown as well. The `Etag` serves as `If-None-Match` here and as `If-Match` of a change.',
        auth: 'passive',
        answers: 'json',
        headers: ['Etag'],
        parameters: [ACCOUNT, CHANNEL_OR_ANY, ADMIN_FIELDS],
        errors: [
            'ResourceNotFound',
            'UnauthorizedError',
            'InvalidParameter',
            'ValidationFailed',
            'PreconditionFailed',
            'ServiceUnavailableError',
        ],
        steps: [imageUuid, authenticate, channelOrAny, loadImage, adminFields],
        handler: getImage,
    },
    {
        name: 'CreateImage',
        method: 'POST',
        path: '/images',
        actions: [''],
        summary: 'Creates an unactivated image from a manifest.',
        description:
            'The server gives it a uuid. Upload its file next, then activate it. With `account`, that account is the owner.',
        auth: 'strict',
        answers: 'json',
        headers: ['Etag'],
        body: 'json',
        parameters: [ACCOUNT, CHANNEL],
        errors: [
            'UnauthorizedError',
            'ValidationFailed',
            'InvalidParameter',
            'OwnerDoesNotExist',
            'OriginDoesNotExist',
            ...BODY_ERRORS,
            ...WRITE_ERRORS,
        ],
        steps: [authenticate, channel, readBody],
        handler: createImage,
    },
    {
        name: 'CreateImageFromVm',
        method: 'POST',
        path: '/images',
        actions: ['create-from-vm'],
        summary:
            'Creates an image of a machine. This version checks the request, but has no workflow service to do it.',
        description:
            'Without an object store the configuration has to allow it (`allowLocalCreateImageFromVm`).',
        auth: 'strict',
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
            'UnauthorizedError',
            'NotAvailable',
            'ValidationFailed',
            'InvalidParameter',
            ...BODY_ERRORS,
            'ServiceUnavailableError',
        ],
        steps: [authenticate, channel, readBody],
        handler: createImageFromVm,
    },
    {
        name: 'CreateImageAction',
        method: 'POST',
        path: '/images',
        summary: 'Refuses an action that /images does not have.',
        auth: 'strict',
        answers: 'json',
        body: 'json',
        parameters: [ACTION, CHANNEL],
        errors: ['UnauthorizedError', 'ValidationFailed', 'InvalidParameter', ...BODY_ERRORS],
        steps: [authenticate, channel, readBody],
        handler: unknownAction,
    },
    {
        name: 'AddImageFile',
        method: 'PUT',
        path: '/images/:uuid/file',
        summary: 'Uploads the file of an image that is not activated yet; replaces one that is there.',
        description:
            'At most 20 GiB. The server computes size, SHA-1 and MD5 while it receives the bytes, and answers once they are on disk. On any failure the image is as it was. With `source` the server fetches all files of the image, and what is said of them, from another repository; the body is not used then.',
        auth: 'strict',
        answers: 'json',
        headers: ['Etag'],
        body: 'bytes',
        parameters: [
            ACCOUNT,
            CHANNEL,
            {
                ...COMPRESSION,
                description: `${COMPRESSION.description} Needed unless there is a \`source\`.`,
            },
            SHA1,
            STORAGE,
            { name: 'dataset_guid', description: 'The ZFS GUID of the dataset in the file.' },
            { ...SOURCE, description: `${SOURCE.description} The files are fetched from there.` },
        ],
        errors: [
            ...CHANGE_ERRORS,
            'ImageFilesImmutable',
            'ImageAlreadyActivated',
            'Upload',
            'Download',
            'RemoteSourceError',
            'RequestTimeout',
            ...STORE_ERRORS,
        ],
        steps: [...CHANGES, loadImage, ownedByAccount],
        handler: addImageFile,
    },
    {
        name: 'AddImageFileFromUrl',
        method: 'POST',
        path: '/images/:uuid/file/from-url',
        summary: 'Has the server download the file of an image that is not activated yet.',
        description:
            'The body names the URL, `{"file_url": "https://…"}`. Certificates are verified, redirects are not followed, and addresses that are not public are refused unless the configuration allows them. The answer comes when the file is on disk.',
        auth: 'strict',
        answers: 'json',
        headers: ['Etag'],
        body: 'json',
        parameters: [ACCOUNT, CHANNEL, { ...COMPRESSION, required: true }, SHA1, STORAGE],
        errors: [
            ...CHANGE_ERRORS,
            ...BODY_ERRORS,
            'ImageFilesImmutable',
            'ImageAlreadyActivated',
            'Download',
            ...STORE_ERRORS,
        ],
        steps: [...CHANGES, loadImage, ownedByAccount, readBody],
        handler: addImageFileFromUrl,
    },
    {
        name: 'GetImageFile',
        method: 'GET',
        path: '/images/:uuid/file',
        summary: 'Downloads the file of an image, or a range of it.',
        description:
            'The `Etag` is the SHA-1 of the file. A `Range` of one part is answered with 206, with `If-Range` only if the file is still the same.',
        auth: 'none',
        ...DOWNLOADS,
        contentTypes: ['application/octet-stream'],
        parameters: [ACCOUNT, CHANNEL_OR_ANY, FILE_INDEX],
        errors: DOWNLOAD_ERRORS,
        steps: [imageUuid, channelOrAny, loadImage],
        handler: getImageFile,
    },
    {
        name: 'GetSecondImageFile',
        method: 'GET',
        path: '/images/:uuid/file1',
        summary: 'The same as GetImageFile with `index=1`.',
        auth: 'none',
        ...DOWNLOADS,
        contentTypes: ['application/octet-stream'],
        parameters: [ACCOUNT, CHANNEL_OR_ANY],
        errors: DOWNLOAD_ERRORS,
        steps: [imageUuid, channelOrAny, loadImage],
        handler: getSecondImageFile,
    },
    {
        name: 'AddImageIcon',
        method: 'PUT',
        path: '/images/:uuid/icon',
        summary:
            'Uploads the icon of an image (JPEG, GIF or PNG, at most 128 KiB); replaces one that is there.',
        auth: 'strict',
        answers: 'json',
        headers: ['Etag'],
        body: 'bytes',
        bodyTypes: ICON_TYPES,
        parameters: [ACCOUNT, CHANNEL, SHA1, STORAGE],
        errors: [...CHANGE_ERRORS, 'Upload', 'RequestTimeout', ...STORE_ERRORS],
        steps: [...CHANGES, loadImage, ownedByAccount],
        handler: addImageIcon,
    },
    {
        name: 'GetImageIcon',
        method: 'GET',
        path: '/images/:uuid/icon',
        summary: 'Downloads the icon of an image.',
        auth: 'none',
        ...DOWNLOADS,
        contentTypes: ICON_TYPES,
        parameters: [ACCOUNT, CHANNEL_OR_ANY],
        errors: DOWNLOAD_ERRORS,
        steps: [imageUuid, channelOrAny, loadImage],
        handler: getImageIcon,
    },
    {
        name: 'DeleteImageIcon',
        method: 'DELETE',
        path: '/images/:uuid/icon',
        summary: 'Deletes the icon of an image.',
        auth: 'strict',
        answers: 'json',
        headers: ['Etag'],
        parameters: [ACCOUNT, CHANNEL],
        errors: [...CHANGE_ERRORS, ...STORE_ERRORS],
        steps: [...CHANGES, loadImage, ownedByAccount],
        handler: deleteImageIcon,
    },
    {
        name: 'AdminChangeImageStor',
        method: 'POST',
        path: '/images/:uuid',
        actions: ['change-stor'],
        summary: 'Moves the file of an image into another storage, for operators.',
        description:
            'Answers with the manifest as with `inclAdminFields`. A file that is there already stays as it is.',
        auth: 'strict',
        answers: 'json',
        body: 'json',
        parameters: [
            ACTION,
            {
                name: 'stor',
                description: 'The storage to move the file to.',
                schema: { type: 'string', enum: STORAGE_TYPES },
                required: true,
            },
            ACCOUNT,
            CHANNEL,
        ],
        errors: [
            'UnauthorizedError',
            'ResourceNotFound',
            'InvalidParameter',
            'ValidationFailed',
            'OperatorOnly',
            'NotImplemented',
            ...BODY_ERRORS,
            'StorageUnsupported',
            'ServiceUnavailableError',
        ],
        steps: [...CHANGES, readBody, loadImage],
        handler: changeImageStorage,
    },
    {
        name: 'ExportImage',
        method: 'POST',
        path: '/images/:uuid',
        actions: ['export'],
        summary: 'Copies an image and its manifest to a path of the owner’s in an object store.',
        auth: 'strict',
        answers: 'json',
        body: 'json',
        parameters: [
            ACTION,
            {
                name: 'manta_path',
                description: 'The folder to put them in, or what their names begin with: `/login/…`.',
                required: true,
            },
            ACCOUNT,
            CHANNEL,
        ],
        errors: [...CHANGE_ERRORS, ...BODY_ERRORS, 'StorageUnsupported', 'ServiceUnavailableError'],
        steps: [...CHANGES, readBody, loadImage, ownedByAccount],
        handler: exportImage,
    },
    {
        ...importing('AdminImportImage', 'import', adminImportImage),
        summary:
            'Adds an image that was made elsewhere, with its uuid and date, unactivated and without its files.',
        description:
            'The body is its manifest, of version 1 or 2, or with `source` the manifest is fetched from another repository. Without `source` it may complete a placeholder. Outside a datacenter the image has no owner; in one, an image without owner becomes the administrator’s. For operators.',
        headers: ['Etag'],
        parameters: [ACTION, SOURCE, CHANNEL, SKIP_OWNER_CHECK],
        errors: [...IMPORT_ERRORS, 'OperatorOnly', 'OriginDoesNotExist', 'OwnerDoesNotExist'],
    },
    {
        ...importing('AdminImportRemoteImage', 'import-remote', adminImportRemoteImage),
        summary: 'Imports an image from another repository, with the origins it needs, in a job.',
        description:
            'The answer comes as soon as the job is queued. Follow it at `/jobs/{job_uuid}` of the URL in the header `workflow-api`. For operators.',
        headers: ['workflow-api'],
        parameters: [ACTION, { ...SOURCE, required: true }, CHANNEL, SKIP_OWNER_CHECK],
        errors: [...IMPORT_ERRORS, 'OperatorOnly', 'OriginIsNotActive'],
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
        errors: [...IMPORT_ERRORS, 'OriginIsNotActive', 'InternalError'],
    },
    action('ActivateImage', 'activate', 'Publishes an image that has its file.', activateImage, [
        'ImageAlreadyActivated',
        'NoActivationNoFile',
    ]),
    action('EnableImage', 'enable', 'Makes a disabled image available again.', enableImage),
    action('DisableImage', 'disable', 'Hides an image from lists of active images.', disableImage),
    {
        ...action(
            'ChannelAddImage',
            'channel-add',
            'Adds an image to the channel that `channel` of the body names.',
            addImageToChannel,
        ),
        needsChannels: true,
    },
    action('UpdateImage', 'update', 'Changes fields of the manifest.', updateImage, [
        'OwnerDoesNotExist',
        'NotImplemented',
        'ImageUuidAlreadyExists',
        'StorageIsDown',
        'StorageUnsupported',
        'InternalError',
    ]),
    {
        ...action('ImageAction', '', 'Refuses an action that images do not have.', unknownAction),
        actions: undefined,
    },
    {
        name: 'DeleteImage',
        method: 'DELETE',
        path: '/images/:uuid',
        summary: 'Deletes an image with its files, or takes it out of a channel.',
        auth: 'strict',
        answers: 'nothing',
        parameters: [
            ACCOUNT,
            CHANNEL,
            {
                name: 'force_all_channels',
                description: 'Whether to delete it even if it is in other channels too.',
                schema: FLAG,
            },
        ],
        errors: [...CHANGE_ERRORS, 'ImageHasDependentImages', ...WRITE_ERRORS],
        steps: [...CHANGES, loadImage, ownedByAccount],
        handler: deleteImage,
    },
    {
        name: 'CloneImage',
        method: 'POST',
        path: '/images/:uuid/clone',
        summary: 'Makes a copy of an image for an account that it is shared with.',
        description:
            'The copy has a uuid of its own and belongs to the account. Origins that are not the operator’s are copied ' +
            'as well, disabled. Either all of the copies are made or none.',
        auth: 'strict',
        modes: ['dc'],
        answers: 'json',
        parameters: [
            { ...ACCOUNT, description: 'The account to clone the image for.', required: true },
            CHANNEL,
        ],
        errors: [
            'UnauthorizedError',
            'ResourceNotFound',
            'InvalidParameter',
            'ValidationFailed',
            'ImageNotShared',
            'NotImplemented',
            'OriginDoesNotExist',
            'OriginIsNotActive',
            'InternalError',
            ...STORE_ERRORS,
        ],
        steps: [...CHANGES, loadImage],
        handler: cloneImage,
    },
    acl('AddImageAcl', ['', 'add'], 'Gives accounts access to an image.', addImageAcl),
    acl('RemoveImageAcl', ['remove'], 'Takes the access of accounts away.', removeImageAcl),
    {
        ...acl('ImageAclAction', [], 'Refuses an action that access lists do not have.', unknownAction),
        actions: undefined,
    },
    {
        name: 'ListDatasets',
        method: 'GET',
        path: '/datasets',
        summary: 'Leads clients of the time before images to ListImages.',
        auth: 'none',
        answers: 'nothing',
        status: 301,
        headers: ['Location'],
        parameters: [],
        errors: [],
        steps: [],
        handler: listDatasets,
    },
    {
        name: 'GetDataset',
        method: 'GET',
        path: '/datasets/:dataset',
        summary:
            'Leads clients of the time before images to the image with this uuid, or to those of this name.',
        auth: 'none',
        answers: 'nothing',
        status: 301,
        headers: ['Location'],
        parameters: [],
        errors: [],
        steps: [],
        handler: getDataset,
    },
    {
        name: 'ListImageJobs',
        method: 'GET',
        path: '/images/:uuid/jobs',
        summary: 'Lists the jobs of an image, the newest first.',
        description:
            'Only in mode dc: because it asks for no credentials, other servers answer with ServiceUnavailableError. ' +
            'There, ListJobs with `image_uuid` has them.',
        auth: 'none',
        answers: 'json',
        parameters: [ACCOUNT, CHANNEL_OR_ANY, TASK, EXECUTION],
        errors: ['ResourceNotFound', 'InvalidParameter', 'ValidationFailed', 'ServiceUnavailableError'],
        steps: [imageUuid, channelOrAny, loadImage],
        handler: listImageJobs,
    },
    {
        name: 'ListJobs',
        method: 'GET',
        path: '/jobs',
        summary: 'Lists the jobs that this server runs itself, the newest first.',
        description: 'Those that have ended are kept for a while (`jobs.retention`).',
        auth: 'strict',
        answers: 'json',
        parameters: JOB_PARAMETERS,
        errors: ['UnauthorizedError', 'InvalidParameter', 'ServiceUnavailableError'],
        steps: [authenticate],
        handler: listJobs,
    },
    {
        name: 'GetJob',
        method: 'GET',
        path: '/jobs/:job',
        summary: 'Shows a job and how far it is.',
        description:
            'Clients poll it until `execution` is `succeeded`, `failed` or `canceled`. Whoever knows the uuid may ask.',
        auth: 'passive',
        answers: 'json',
        parameters: [],
        errors: ['UnauthorizedError', 'ResourceNotFound', 'ServiceUnavailableError'],
        steps: [authenticate],
        handler: getJob,
    },
    {
        name: 'CancelJob',
        method: 'POST',
        path: '/jobs/:job/cancel',
        summary: 'Cancels a job and undoes what it has done. One that has ended stays as it is.',
        description: 'The answer does not wait until all is undone; `oncancel_results` tells.',
        auth: 'strict',
        answers: 'json',
        parameters: [],
        errors: ['UnauthorizedError', 'ResourceNotFound', ...WRITE_ERRORS],
        steps: [authenticate],
        handler: cancelJob,
    },
    {
        name: 'GetFavicon',
        method: 'GET',
        path: '/favicon.ico',
        summary: 'An icon for browsers.',
        auth: 'none',
        answers: 'bytes',
        headers: ['Etag', 'Cache-Control'],
        contentTypes: ['image/x-icon'],
        parameters: [],
        errors: ['PreconditionFailed'],
        steps: [],
        handler: favicon,
    },
    docsRedirect('RedirectRoot', '/'),
    docsRedirect('RedirectDocs', '/docs'),
    docsPage('PublicDocs', '', 'What this server is, and how to begin.', 'text/html'),
    docsPage('PublicDocsEndpoints', 'endpoints.html', 'Every request that this server answers.', 'text/html'),
    docsPage(
        'PublicDocsObjects',
        'objects.html',
        'What the JSON of requests and answers holds.',
        'text/html',
    ),
    docsPage('PublicDocsErrors', 'errors.html', 'Every code of an error, and where it is met.', 'text/html'),
    docsPage(
        'PublicDocsOpenApi',
        'openapi.json',
        'This server, as an OpenAPI 3.1 document.',
        'application/json',
    ),
    docsPage('PublicDocsStyle', 'style.css', 'The style sheet of the pages.', 'text/css'),
];

/**
 * The rows, with the form of their parameters checked as soon as it is known who asks, and that the path is one. The
 * original crashed, or took something else for the value, so that the contract has no place for it.
 */
export const routes: readonly Route[] = table.map((row) => {
    const parameters = row.actions ? [ACTION, ...row.parameters] : row.parameters;
    const at = Math.max(row.steps.indexOf(authenticate), row.steps.indexOf(imageUuid)) + 1;
    const steps = [...row.steps.slice(0, at), plainParameters(parameters), ...row.steps.slice(at)];
    return parameters.length === 0 ? row : { ...row, steps };
});

/** The routes that a server with this configuration has. */
export function existingRoutes({ mode, channels }: Pick<Config, 'mode' | 'channels'>): Route[] {
    return routes.filter(
        (route) =>
            (route.modes?.includes(mode) ?? true) && (route.needsChannels !== true || channels !== undefined),
    );
}

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
        answers: 'json',
        body: 'json',
        steps: [...CHANGES, readBody],
        handler,
    };
}

/** A row of POST /images/U?action=… */
function action(
    name: string,
    value: string,
    summary: string,
    handler: Route['handler'],
    errors: Route['errors'] = [],
): Route {
    return {
        name,
        method: 'POST',
        path: '/images/:uuid',
        actions: [value],
        summary,
        auth: 'strict',
        answers: 'json',
        headers: ['Etag'],
        body: 'json',
        parameters: [ACTION, ACCOUNT, CHANNEL],
        errors: [...CHANGE_ERRORS, 'PreconditionFailed', ...BODY_ERRORS, ...errors, ...WRITE_ERRORS],
        steps: ACTS,
        handler,
    };
}

/** A row of POST /images/U/acl. */
function acl(name: string, actions: readonly string[], summary: string, handler: Route['handler']): Route {
    return {
        name,
        method: 'POST',
        path: '/images/:uuid/acl',
        actions,
        summary,
        auth: 'strict',
        answers: 'json',
        headers: ['Etag'],
        body: 'json',
        parameters: [ACTION, ACCOUNT, CHANNEL],
        errors: [...CHANGE_ERRORS, ...BODY_ERRORS, ...WRITE_ERRORS],
        steps: [...CHANGES, readBody, loadImage, ownedByAccount],
        handler,
    };
}

/** A page of the documentation. */
function docsPage(name: string, file: string, summary: string, contentType: string): Route {
    return {
        name,
        method: 'GET',
        path: DOCS + file,
        summary,
        auth: 'none',
        answers: 'bytes',
        headers: ['Etag', 'Cache-Control'],
        contentTypes: [contentType],
        parameters: [],
        errors: ['PreconditionFailed'],
        steps: [],
        handler: getPage,
    };
}

/** A way to the documentation. */
function docsRedirect(name: string, path: string): Route {
    return {
        name,
        method: 'GET',
        path,
        summary: 'Leads to this documentation.',
        auth: 'none',
        answers: 'nothing',
        status: 301,
        headers: ['Location'],
        parameters: [],
        errors: [],
        steps: [],
        handler: redirectToDocs,
    };
}
