/**
 * THE route table (endpoints.md §3). The router, the reference pages and the test matrix are made from these rows.
 *
 * The order of the steps is part of the contract: it decides which of two errors a request gets.
 */
import { activateImage, disableImage, enableImage, updateImage } from './api/actions';
import { addImageAcl, removeImageAcl } from './api/acl';
import { favicon } from './api/favicon';
import { addImageFile, getImageFile, getSecondImageFile } from './api/files';
import { addImageIcon, deleteImageIcon, getImageIcon } from './api/icons';
import { createImage, deleteImage, getImage, listImages, unknownAction } from './api/images';
import type { Parameter, Route, Step } from './api/route';
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
    readBody,
} from './api/steps';
import type { Config } from './config/types';

const ACCOUNT: Parameter = {
    name: 'account',
    description:
        'The account the request is made for: it sees and changes only what that account may. Without it, an operator asks.',
};
const CHANNEL: Parameter = {
    name: 'channel',
    description:
        'The channel to work in, on a server with channels; by default the server’s default channel.',
};
const CHANNEL_OR_ANY: Parameter = {
    ...CHANNEL,
    description: `${CHANNEL.description} "*" means all of them.`,
};
const ADMIN_FIELDS: Parameter = {
    name: 'inclAdminFields',
    description: '"true" adds what only operators see, such as the storage of each file.',
};
const SHA1: Parameter = {
    name: 'sha1',
    description: 'SHA-1 of the bytes in lower-case hex; they are refused if it differs.',
};
const STORAGE: Parameter = {
    name: 'storage',
    description:
        'The storage to put the bytes in (local, manta, s3), for operators; by default the server decides.',
};
const ACTION: Parameter = { name: 'action', description: 'What to do.' };

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

export const routes: readonly Route[] = [
    {
        name: 'Ping',
        method: 'GET',
        path: '/ping',
        summary: 'Says that the server is there, and its version; with a signature, also who the caller is.',
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
        parameters: [ACTION],
        errors: ['UnauthorizedError', 'MissingParameter', 'InvalidArgument', 'InvalidParameter'],
        steps: [authenticate],
        handler: updateState,
    },
    {
        name: 'AdminReloadAuthKeys',
        method: 'POST',
        path: '/authkeys/reload',
        summary: 'Loads the keys of users again.',
        auth: 'strict',
        answers: 'json',
        parameters: [],
        errors: ['UnauthorizedError'],
        steps: [authenticate],
        handler: reloadAuthKeys,
    },
    {
        name: 'ListImages',
        method: 'GET',
        path: '/images',
        summary: 'Lists images. Without a signature only the active ones.',
        auth: 'passive',
        answers: 'json',
        parameters: [
            ACCOUNT,
            CHANNEL_OR_ANY,
            ADMIN_FIELDS,
            {
                name: 'state',
                description: 'active (the default), disabled, unactivated, creating, failed or all.',
            },
            { name: 'owner', description: 'The uuid of the owner.' },
            { name: 'name', description: 'The name; with a leading "~", a part of it.' },
            { name: 'version', description: 'The version; with a leading "~", a part of it.' },
            { name: 'public', description: '"true" or "false".' },
            { name: 'os', description: 'The operating system.' },
            { name: 'type', description: 'The type; with a leading "!", any other than that.' },
            { name: 'tag.KEY', description: 'The value of tag KEY; empty for any value.' },
            { name: 'billing_tag', description: 'A billing tag; may be repeated, then all of them.' },
            { name: 'sort', description: '"published_at", "published_at.asc" or "published_at.desc".' },
            { name: 'limit', description: 'The most images to list.' },
            { name: 'marker', description: 'Begins at this image (uuid) or date, inclusive.' },
        ],
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
        auth: 'passive',
        answers: 'json',
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
        auth: 'strict',
        answers: 'json',
        body: 'json',
        parameters: [ACCOUNT, CHANNEL],
        errors: [
            'UnauthorizedError',
            'ValidationFailed',
            'InvalidParameter',
            'OriginDoesNotExist',
            ...BODY_ERRORS,
            ...WRITE_ERRORS,
        ],
        steps: [authenticate, channel, readBody],
        handler: createImage,
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
        auth: 'strict',
        answers: 'json',
        body: 'bytes',
        parameters: [
            ACCOUNT,
            CHANNEL,
            { name: 'compression', description: 'How the file is compressed: gzip, bzip2, xz or none.' },
            SHA1,
            STORAGE,
            { name: 'dataset_guid', description: 'The ZFS GUID of the dataset in the file.' },
        ],
        errors: [
            ...CHANGE_ERRORS,
            'ImageFilesImmutable',
            'ImageAlreadyActivated',
            'Upload',
            'Download',
            'RequestTimeout',
            ...STORE_ERRORS,
        ],
        steps: [...CHANGES, loadImage, ownedByAccount],
        handler: addImageFile,
    },
    {
        name: 'GetImageFile',
        method: 'GET',
        path: '/images/:uuid/file',
        summary: 'Downloads the file of an image, or a range of it.',
        auth: 'none',
        answers: 'bytes',
        parameters: [ACCOUNT, CHANNEL_OR_ANY, { name: 'index', description: 'Which of its files, from 0.' }],
        errors: DOWNLOAD_ERRORS,
        steps: [imageUuid, channelOrAny, loadImage],
        handler: getImageFile,
    },
    {
        name: 'GetSecondImageFile',
        method: 'GET',
        path: '/images/:uuid/file1',
        summary: 'The same as GetImageFile with index=1.',
        auth: 'none',
        answers: 'bytes',
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
        body: 'bytes',
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
        answers: 'bytes',
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
        parameters: [ACCOUNT, CHANNEL],
        errors: [...CHANGE_ERRORS, ...STORE_ERRORS],
        steps: [...CHANGES, loadImage, ownedByAccount],
        handler: deleteImageIcon,
    },
    action('ActivateImage', 'activate', 'Publishes an image that has its file.', activateImage, [
        'ImageAlreadyActivated',
        'NoActivationNoFile',
    ]),
    action('EnableImage', 'enable', 'Makes a disabled image available again.', enableImage),
    action('DisableImage', 'disable', 'Hides an image from lists of active images.', disableImage),
    action('UpdateImage', 'update', 'Changes fields of the manifest.', updateImage, [
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
                description: '"true" deletes it even if it is in other channels too.',
            },
        ],
        errors: [...CHANGE_ERRORS, 'ImageHasDependentImages', ...WRITE_ERRORS],
        steps: [...CHANGES, loadImage, ownedByAccount],
        handler: deleteImage,
    },
    acl('AddImageAcl', ['', 'add'], 'Gives accounts access to an image.', addImageAcl),
    acl('RemoveImageAcl', ['remove'], 'Takes the access of accounts away.', removeImageAcl),
    {
        ...acl('ImageAclAction', [], 'Refuses an action that access lists do not have.', unknownAction),
        actions: undefined,
    },
    {
        name: 'GetFavicon',
        method: 'GET',
        path: '/favicon.ico',
        summary: 'An icon for browsers.',
        auth: 'none',
        answers: 'bytes',
        parameters: [],
        errors: [],
        steps: [],
        handler: favicon,
    },
];

/** The routes that a server with this configuration has. */
export function existingRoutes({ mode, channels }: Pick<Config, 'mode' | 'channels'>): Route[] {
    return routes.filter(
        (route) =>
            (route.modes?.includes(mode) ?? true) && (route.needsChannels !== true || channels !== undefined),
    );
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
        body: 'json',
        parameters: [ACTION, ACCOUNT, CHANNEL],
        errors: [...CHANGE_ERRORS, ...BODY_ERRORS, ...WRITE_ERRORS],
        steps: [...CHANGES, readBody, loadImage, ownedByAccount],
        handler,
    };
}
