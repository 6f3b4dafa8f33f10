/** Images: lists, manifests, and what changes them. */
import { addImageAcl, removeImageAcl } from '../api/acl';
import { activateImage, disableImage, enableImage, updateImage } from '../api/actions';
import { addImageToChannel } from '../api/channels';
import { cloneImage } from '../api/clone';
import { createImage, deleteImage, getImage, listImages, unknownAction } from '../api/images';
import {
    ACCOUNT,
    ACTION,
    ADMIN_FIELDS,
    CHANNEL,
    CHANNEL_OR_ANY,
    FLAG,
    LIST_PARAMETERS,
} from '../api/parameters';
import type { Route } from '../api/route';
import {
    adminFields,
    authenticate,
    changesAllChannels,
    channel,
    channelOrAny,
    conditions,
    imageUuid,
    loadImage,
    ownedByAccount,
    readBody,
} from '../api/steps';
import { CHANGES, CHANGE_ERRORS, BODY_ERRORS, SUBJECT, WRITE_ERRORS, STORE_ERRORS } from './common';

export const imageRoutes: readonly Route[] = [
    {
        name: 'ListImages',
        method: 'GET',
        path: '/images',
        summary: 'Lists images. Without a signature only the active ones.',
        description:
            'The `Etag` is weak: as long as the list is the same, it serves as `If-None-Match`, the one condition that lists know. That of a list of more than 1,000 images changes with any image; with `databaseType` `moray` such a list has none.',
        auth: 'passive',
        read: true,
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
            'Without `account`, images that are not activated, or disabled, are shown as well; with `auth.hideUnpublished` of the configuration only to signed requests. The `Etag` serves as `If-None-Match` here and as `If-Match` of a change.',
        auth: 'passive',
        read: true,
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
        role: 'write',
        answers: 'json',
        headers: ['Etag'],
        body: 'json',
        parameters: [ACCOUNT, CHANNEL],
        errors: [
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
        name: 'CreateImageAction',
        method: 'POST',
        path: '/images',
        summary: 'Refuses an action that /images does not have.',
        auth: 'strict',
        role: 'write',
        answers: 'json',
        body: 'json',
        parameters: [ACTION, CHANNEL],
        errors: ['ValidationFailed', 'InvalidParameter', ...BODY_ERRORS],
        steps: [authenticate, channel, readBody],
        handler: unknownAction,
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
        // Which channels it is in besides does not matter: it stays the same there.
        steps: [...CHANGES, readBody, loadImage, ownedByAccount, conditions],
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
        role: 'write',
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
        errors: [...CHANGE_ERRORS, 'ImageHasDependentImages', ...WRITE_ERRORS, 'StorageUnsupported'],
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
        role: 'write',
        modes: ['dc'],
        answers: 'json',
        parameters: [
            { ...ACCOUNT, description: 'The account to clone the image for.', required: true },
            CHANNEL,
        ],
        errors: [
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
        steps: [...CHANGES, loadImage, changesAllChannels],
        handler: cloneImage,
    },
    acl('AddImageAcl', ['', 'add'], 'Gives accounts access to an image.', addImageAcl),
    acl('RemoveImageAcl', ['remove'], 'Takes the access of accounts away.', removeImageAcl),
    {
        ...acl('ImageAclAction', [], 'Refuses an action that access lists do not have.', unknownAction),
        actions: undefined,
    },
];

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
        role: 'write',
        answers: 'json',
        headers: ['Etag'],
        body: 'json',
        parameters: [ACTION, ACCOUNT, CHANNEL],
        errors: [...CHANGE_ERRORS, 'PreconditionFailed', ...BODY_ERRORS, ...errors, ...WRITE_ERRORS],
        steps: [...CHANGES, readBody, ...SUBJECT, conditions],
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
        role: 'write',
        answers: 'json',
        headers: ['Etag'],
        body: 'json',
        parameters: [ACTION, ACCOUNT, CHANNEL],
        errors: [...CHANGE_ERRORS, ...BODY_ERRORS, ...WRITE_ERRORS],
        steps: [...CHANGES, readBody, ...SUBJECT],
        handler,
    };
}
