/** JSON Schemas (2020-12) of what requests and answers hold. */
import type { Schema } from '../api/route';
import { EXECUTIONS } from '../jobs/driver';
import { COMPRESSIONS, IMAGE_STATES, STORAGE_TYPES } from '../manifest';

export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });

const text = (description: string): Schema => ({ type: 'string', description });
const flag = (description: string): Schema => ({ type: 'boolean', description });
const uuid = (description: string): Schema => ({ type: 'string', format: 'uuid', description });
const sha1: Schema = { type: 'string', pattern: '^[0-9a-f]{40}$', description: 'SHA-1 in lower-case hex.' };

const results: Schema = { type: 'array', items: ref('JobResult') };

/** What clients set, beside name, version, type and os. */
const OPTIONAL_FIELDS: Schema = {
    public: flag('Whether everybody may use the image.'),
    disabled: flag('Whether the image is hidden from lists of active images.'),
    acl: { type: 'array', items: uuid('An account.'), description: 'Accounts that may use a private image.' },
    description: text('A short description.'),
    homepage: text('A URL with more about the image.'),
    eula: text('A URL of the licence agreement.'),
    urn: text('The name of old images.'),
    requirements: { type: 'object', description: 'What an instance needs: networks, RAM, brand, platform …' },
    users: {
        type: 'array',
        items: { type: 'object', required: ['name'], properties: { name: text('The name of the user.') } },
        description: 'Users for whom passwords are made.',
    },
    generate_passwords: flag('Whether passwords are made for `users`.'),
    inherited_directories: {
        type: 'array',
        items: text('A path.'),
        description: 'Folders that instances take from the global zone.',
    },
    origin: uuid('The image that this one is an increment of.'),
    nic_driver: text('The network driver, for `zvol`.'),
    disk_driver: text('The disk driver, for `zvol`.'),
    cpu_type: text('The CPU model, for `zvol`.'),
    image_size: { type: 'integer', description: 'The size of the disk in MiB, for `zvol`.' },
    tags: { type: 'object', description: 'Tags, by which images can be listed.' },
    billing_tags: { type: 'array', items: text('A tag.'), description: 'Not served in mode public.' },
    traits: { type: 'object', description: 'What a server must have. Not served in mode public.' },
};

const PRODUCT_FIELDS: Schema = {
    v: { type: 'integer', const: 2, description: 'The version of the format.' },
    owner: uuid('The account that owns the image.'),
    name: text('The name.'),
    version: text('The version.'),
    type: text('zone-dataset, lx-dataset, lxd, zvol, docker or other.'),
    os: text('smartos, linux, windows, bsd, illumos or other.'),
};

export const schemas: Schema = {
    StartedJob: {
        type: 'object',
        required: ['image_uuid', 'job_uuid'],
        properties: { image_uuid: uuid('The image.'), job_uuid: uuid('The job that imports it.') },
    },
    FileUrl: {
        type: 'object',
        required: ['file_url'],
        properties: { file_url: text('The https URL of the file.') },
    },
    ImportedManifest: {
        type: 'object',
        description:
            'A manifest as another repository serves it. Its files, state, icon and channels do not count.',
        required: ['uuid', 'name', 'version'],
        properties: {
            uuid: uuid('The image; the one of the path.'),
            published_at: {
                type: 'string',
                format: 'date-time',
                description: 'When it was activated there.',
            },
            ...PRODUCT_FIELDS,
            ...OPTIONAL_FIELDS,
        },
    },
    Manifest: {
        type: 'object',
        required: ['v', 'uuid', 'owner', 'name', 'version', 'state', 'disabled', 'public', 'files'],
        properties: {
            uuid: uuid('The image.'),
            ...PRODUCT_FIELDS,
            state: { type: 'string', enum: IMAGE_STATES },
            published_at: { type: 'string', format: 'date-time', description: 'When it was activated.' },
            files: { type: 'array', items: ref('File') },
            ...OPTIONAL_FIELDS,
            icon: { const: true, description: 'There is an icon.' },
            error: { type: 'object', description: 'Why an image in state failed could not be made.' },
            channels: { type: 'array', items: text('A channel.'), description: 'From API version 2 on.' },
        },
    },
    NewManifest: {
        type: 'object',
        required: ['name', 'version', 'type', 'os'],
        properties: { ...PRODUCT_FIELDS, ...OPTIONAL_FIELDS },
    },
    ManifestChange: {
        type: 'object',
        description: 'The fields to change, for action update; the other actions take no body.',
        properties: { uuid: uuid('Another uuid for the image.'), ...PRODUCT_FIELDS, ...OPTIONAL_FIELDS },
    },
    File: {
        type: 'object',
        required: ['sha1', 'size', 'compression'],
        properties: {
            sha1,
            size: { type: 'integer', minimum: 0, description: 'In bytes.' },
            compression: { type: 'string', enum: COMPRESSIONS },
            dataset_guid: text('The ZFS GUID of the dataset.'),
            stor: { type: 'string', enum: STORAGE_TYPES, description: 'With inclAdminFields.' },
        },
    },
    Ping: {
        type: 'object',
        required: ['ping', 'version', 'imgapi'],
        properties: {
            ping: { const: 'pong' },
            version: text('The version of the server.'),
            imgapi: { const: true },
            pid: { type: 'integer', description: 'For known users, and in mode dc.' },
            user: text('Who the signature says you are.'),
        },
    },
    State: {
        type: 'object',
        required: ['cache', 'log', 'storageTypes'],
        properties: {
            cache: { type: 'object' },
            log: { type: 'object', properties: { level: { type: 'integer' } } },
            storageTypes: { type: 'array', items: { type: 'string', enum: STORAGE_TYPES } },
        },
    },
    Job: {
        type: 'object',
        required: [
            'uuid',
            'workflow_uuid',
            'name',
            'execution',
            'params',
            'target',
            'task',
            'image_uuid',
            'exec_after',
            'created_at',
            'timeout',
            'num_attempts',
            'max_attempts',
            'elapsed',
            'chain_results',
            'onerror_results',
            'oncancel_results',
        ],
        properties: {
            uuid: uuid('The job.'),
            workflow_uuid: uuid('The same for all jobs of this kind.'),
            name: text('The kind of job, with its version.'),
            execution: { type: 'string', enum: EXECUTIONS },
            params: { type: 'object', description: 'What it works with; credentials are left out.' },
            target: text('What it works on.'),
            task: text('The kind of job.'),
            image_uuid: uuid('The image that it makes or changes.'),
            exec_after: { type: 'string', format: 'date-time', description: 'When the next try is due.' },
            created_at: { type: 'string', format: 'date-time' },
            started: { type: 'string', format: 'date-time', description: 'When its first step began.' },
            timeout: { type: 'integer', description: 'What its steps may take together, in seconds.' },
            num_attempts: { type: 'integer', description: 'Tries of the present step so far.' },
            max_attempts: { type: 'integer', description: 'How often a step is tried.' },
            elapsed: { type: 'number', description: 'How long it has taken so far, in seconds.' },
            progress: {
                type: 'object',
                required: ['done'],
                properties: {
                    done: { type: 'integer', description: 'In bytes.' },
                    total: { type: 'integer', description: 'In bytes, if it is known.' },
                },
                description: 'How far the present transfer is.',
            },
            chain_results: {
                ...results,
                description: 'Of the steps; the last one tells why a job did not succeed.',
            },
            onerror_results: { ...results, description: 'Of cleaning up after a failure.' },
            oncancel_results: { ...results, description: 'Of cleaning up after it was canceled.' },
        },
    },
    JobResult: {
        type: 'object',
        required: ['name', 'result', 'error', 'started_at', 'finished_at'],
        properties: {
            name: text('The step.'),
            result: text('What it did.'),
            error: {
                anyOf: [
                    text('Empty if it succeeded.'),
                    {
                        type: 'object',
                        required: ['message'],
                        properties: { code: text('A code.'), message: text('A sentence for people.') },
                    },
                ],
            },
            started_at: { type: 'string', format: 'date-time' },
            finished_at: { type: 'string', format: 'date-time' },
        },
    },
    Accounts: { type: 'array', items: uuid('An account.') },
    Nothing: { type: 'object', maxProperties: 0 },
    Error: {
        type: 'object',
        required: ['code', 'message'],
        properties: {
            code: text('One of the codes in errors.md.'),
            message: text('A sentence for people.'),
            errors: {
                type: 'array',
                items: {
                    type: 'object',
                    required: ['field', 'code'],
                    properties: {
                        field: text('The field or parameter.'),
                        code: text('Invalid, MissingParameter …'),
                        message: text('More about it.'),
                    },
                },
            },
        },
    },
};

/** What a route answers with or takes, where it is not what its neighbours have. */
const ANSWERS: Readonly<Record<string, Schema>> = {
    Ping: ref('Ping'),
    AdminGetState: ref('State'),
    AdminReloadAuthKeys: ref('Nothing'),
    ListImages: { type: 'array', items: ref('Manifest') },
    ListJobs: { type: 'array', items: ref('Job') },
    ListImageJobs: { type: 'array', items: ref('Job') },
    GetJob: ref('Job'),
    CancelJob: ref('Job'),
    AdminImportRemoteImage: ref('StartedJob'),
    ImportFromDatacenter: ref('StartedJob'),
};
const BODIES: Readonly<Record<string, Schema>> = {
    CreateImageAction: ref('NewManifest'),
    AdminImportImage: ref('ImportedManifest'),
    AddImageFileFromUrl: ref('FileUrl'),
    ImageAction: ref('ManifestChange'),
    ImageAclAction: ref('Accounts'),
};

/** What a JSON answer of the operation holds: a manifest, if nothing else is known. */
export function answerSchema(name: string): Schema {
    return ANSWERS[name] ?? ref('Manifest');
}

export function bodySchema(name: string): Schema {
    return BODIES[name] ?? { type: 'object' };
}
