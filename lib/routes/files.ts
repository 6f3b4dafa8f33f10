/** Files and icons of images, and where they are stored. */
import { changeImageStorage } from '../api/change-storage';
import { exportImage } from '../api/export';
import { addImageFile, getImageFile, getSecondImageFile } from '../api/files';
import { addImageFileFromUrl } from '../api/from-url';
import { ICON_TYPES, addImageIcon, deleteImageIcon, getImageIcon } from '../api/icons';
import {
    ACCOUNT,
    ACTION,
    CHANNEL,
    CHANNEL_OR_ANY,
    COMPRESSION,
    FILE_INDEX,
    NO_ACCOUNT,
    REDIRECT,
    SHA1,
    SOURCE,
    STORAGE,
} from '../api/parameters';
import type { Route } from '../api/route';
import {
    authenticate,
    changesAllChannels,
    channelOrAny,
    imageUuid,
    loadImage,
    ownedByAccount,
    readBody,
} from '../api/steps';
import { STORAGE_TYPES } from '../manifest';
import { CHANGES, CHANGE_ERRORS, BODY_ERRORS, STORE_ERRORS, SUBJECT } from './common';

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

export const fileRoutes: readonly Route[] = [
    {
        name: 'AddImageFile',
        method: 'PUT',
        path: '/images/:uuid/file',
        summary: 'Uploads the file of an image that is not activated yet; replaces one that is there.',
        description:
            'At most 20 GiB. The server computes size, SHA-1 and MD5 while it receives the bytes, and answers once they are on disk. On any failure the image is as it was. With `source` the server fetches all files of the image, and what is said of them, from another repository; the body is not used then.',
        auth: 'strict',
        role: 'write',
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
            {
                ...SOURCE,
                description: `${SOURCE.description} The files are fetched from there.`,
                // It is an import.
                role: 'admin',
            },
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
        steps: [...CHANGES, ...SUBJECT],
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
        role: 'write',
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
        steps: [...CHANGES, ...SUBJECT, readBody],
        handler: addImageFileFromUrl,
    },
    {
        name: 'GetImageFile',
        method: 'GET',
        path: '/images/:uuid/file',
        summary: 'Downloads the file of an image, or a range of it.',
        description:
            'The `Etag` is the SHA-1 of the file. A `Range` of one part is answered with 206, with `If-Range` only if the file is still the same. With `redirect=1` the answer may be a redirection to a URL of the object store, where the bytes, or parts of them, can be had for 15 minutes by whoever knows it. `HEAD`, and requests with `If-Match`, `If-Unmodified-Since` or `If-Range`, are never redirected: the object store knows other ETags and dates.',
        auth: 'none',
        read: true,
        ...DOWNLOADS,
        redirects: true,
        contentTypes: ['application/octet-stream'],
        parameters: [ACCOUNT, CHANNEL_OR_ANY, FILE_INDEX, REDIRECT],
        errors: DOWNLOAD_ERRORS,
        steps: [authenticate, imageUuid, channelOrAny, loadImage],
        handler: getImageFile,
    },
    {
        name: 'GetSecondImageFile',
        method: 'GET',
        path: '/images/:uuid/file1',
        summary: 'The same as GetImageFile with `index=1`.',
        auth: 'none',
        read: true,
        ...DOWNLOADS,
        redirects: true,
        contentTypes: ['application/octet-stream'],
        parameters: [ACCOUNT, CHANNEL_OR_ANY, REDIRECT],
        errors: DOWNLOAD_ERRORS,
        steps: [authenticate, imageUuid, channelOrAny, loadImage],
        handler: getSecondImageFile,
    },
    {
        name: 'AddImageIcon',
        method: 'PUT',
        path: '/images/:uuid/icon',
        summary:
            'Uploads the icon of an image (JPEG, GIF or PNG, at most 128 KiB); replaces one that is there.',
        auth: 'strict',
        role: 'write',
        answers: 'json',
        headers: ['Etag'],
        body: 'bytes',
        bodyTypes: ICON_TYPES,
        description:
            'With `source` the server fetches the icon that the image has in another repository; if it has none there, ' +
            'nothing changes. The body is not used then.',
        parameters: [
            ACCOUNT,
            CHANNEL,
            SHA1,
            STORAGE,
            {
                ...SOURCE,
                description: `${SOURCE.description} The icon is fetched from there.`,
                // It is an import.
                role: 'admin',
            },
        ],
        errors: [
            ...CHANGE_ERRORS,
            'Upload',
            'Download',
            'RemoteSourceError',
            'RequestTimeout',
            ...STORE_ERRORS,
        ],
        steps: [...CHANGES, ...SUBJECT],
        handler: addImageIcon,
    },
    {
        name: 'GetImageIcon',
        method: 'GET',
        path: '/images/:uuid/icon',
        summary: 'Downloads the icon of an image.',
        auth: 'none',
        read: true,
        ...DOWNLOADS,
        contentTypes: ICON_TYPES,
        parameters: [ACCOUNT, CHANNEL_OR_ANY],
        errors: DOWNLOAD_ERRORS,
        steps: [authenticate, imageUuid, channelOrAny, loadImage],
        handler: getImageIcon,
    },
    {
        name: 'DeleteImageIcon',
        method: 'DELETE',
        path: '/images/:uuid/icon',
        summary: 'Deletes the icon of an image.',
        auth: 'strict',
        role: 'write',
        answers: 'json',
        headers: ['Etag'],
        parameters: [ACCOUNT, CHANNEL],
        errors: [...CHANGE_ERRORS, ...STORE_ERRORS],
        steps: [...CHANGES, ...SUBJECT],
        handler: deleteImageIcon,
    },
    {
        name: 'AdminChangeImageStor',
        method: 'POST',
        path: '/images/:uuid',
        actions: ['change-stor'],
        summary: 'Moves the file of an image into another storage, for operators.',
        description:
            'Answers with the manifest as with `inclAdminFields`, once the file is in the other storage and no longer in the first; that takes as long as copying it does. A file that is there already stays as it is. Images with an icon or several files cannot be moved. On any failure the file is where it was.',
        auth: 'strict',
        role: 'admin',
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
            NO_ACCOUNT,
            CHANNEL,
        ],
        errors: [
            'ResourceNotFound',
            'InvalidParameter',
            'ValidationFailed',
            'OperatorOnly',
            'NotImplemented',
            ...BODY_ERRORS,
            ...STORE_ERRORS,
            'InternalError',
        ],
        steps: [...CHANGES, readBody, loadImage, changesAllChannels],
        handler: changeImageStorage,
    },
    {
        name: 'ExportImage',
        method: 'POST',
        path: '/images/:uuid',
        actions: ['export'],
        summary:
            'Copies an image and its manifest to a path of the owner’s in the object store that has its file.',
        description:
            'The copies are called `NAME-VERSION.imgmanifest` and `NAME-VERSION.zfs` (with `.gz`, `.bz2` or `.xz` behind it, as the file is compressed) if the path is a folder; otherwise `PATH.imgmanifest` and `PATH.zfs`. What is there already is replaced. An account exports to places of its own only: the path begins with its login. The answer comes when both are there.',
        auth: 'strict',
        role: 'write',
        answers: 'json',
        body: 'json',
        parameters: [
            ACTION,
            {
                name: 'manta_path',
                description:
                    'Where to put them in Manta, if that has the file: a folder, or what the names begin with, `/login/…`. Of this and `s3_path` one is needed.',
                example: '/login/stor/images',
            },
            {
                name: 's3_path',
                description:
                    'Where to put them in S3, if that has the file: what the keys begin with behind `s3.exportPrefix`, `login/…`. One that ends in `/` is a folder.',
            },
            ACCOUNT,
            CHANNEL,
        ],
        errors: [
            ...CHANGE_ERRORS,
            ...BODY_ERRORS,
            ...STORE_ERRORS,
            'NotImplemented',
            'AccountDoesNotExist',
            'NotMantaPathOwner',
            'InternalError',
        ],
        steps: [...CHANGES, readBody, loadImage, ownedByAccount],
        handler: exportImage,
    },
];
