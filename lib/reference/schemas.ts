/** JSON Schemas (2020-12) of what requests and answers hold. */
import type { Schema, SchemaValue } from '../api/route';
import { EXECUTIONS } from '../jobs/driver';
import { COMPRESSIONS, IMAGE_OSES, IMAGE_STATES, IMAGE_TYPES, STORAGE_TYPES } from '../manifest';

const PREFIX = '#/components/schemas/';

export const ref = (name: string): Schema => ({ $ref: PREFIX + name });

/** The name of the schema that a reference is to; undefined for any other schema. */
export function referredName({ $ref: target }: Schema): string | undefined {
    return typeof target === 'string' ? target.slice(PREFIX.length) : undefined;
}

const text = (description: string): Schema => ({ type: 'string', description });
const flag = (description: string): Schema => ({ type: 'boolean', description });
const time = (description: string): Schema => ({ type: 'string', format: 'date-time', description });
const uuid = (description: string): Schema => ({ type: 'string', format: 'uuid', description });
const sha1: Schema = { type: 'string', pattern: '^[0-9a-f]{40}$', description: 'SHA-1 in lower-case hex.' };
const state: Schema = { type: 'string', enum: IMAGE_STATES, description: 'Where it is in its life.' };
const error: Schema = { type: 'object', description: 'Why an image in state `failed` could not be made.' };
const type: Schema = { type: 'string', enum: IMAGE_TYPES, description: 'What instances are made of it.' };
const v: Schema = { type: 'integer', minimum: 0, description: 'The version of the format: 2.' };
const disabled = flag('Whether it is hidden from lists of active images.');
const results: Schema = { type: 'array', items: ref('JobResult') };
const channels: Schema = { type: 'array', items: text('A channel.'), description: 'Channels it is in.' };

/** Fields that clients set and change. */
const FIELDS = {
    owner: uuid('The account that owns the image.'),
    name: {
        ...text('The name: letters, digits, blanks, and `. _ / -`.'),
        maxLength: 1024,
        pattern: '^[A-Za-z0-9._/ -]+$',
    },
    version: {
        ...text('The version: letters, digits, and `. _ / + -`.'),
        maxLength: 512,
        pattern: '^[A-Za-z0-9._/+-]+$',
    },
    os: { type: 'string', enum: IMAGE_OSES, description: 'The operating system.' },
    public: flag('Whether everybody may use it.'),
    acl: { type: 'array', items: uuid('An account.'), description: 'Accounts that may use a private image.' },
    description: { ...text('A short description.'), maxLength: 10240 },
    homepage: { ...text('A URL with more about it.'), maxLength: 1024 },
    eula: { ...text('A URL of the licence agreement.'), maxLength: 1024 },
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
        description: 'Folders that instances take from the global zone, for `zone-dataset`.',
    },
    origin: uuid('The image that this one is an increment of.'),
    nic_driver: text('The network driver; `zvol` has to have it, no other type may.'),
    disk_driver: text('The disk driver; `zvol` has to have it, no other type may.'),
    cpu_type: text('The CPU model; `zvol` has to have it, no other type may.'),
    image_size: {
        type: 'integer',
        description: 'The size of the disk in MiB; `zvol` has to have it, no other type may.',
    },
    tags: { type: 'object', description: 'Tags, by which images can be listed.' },
    billing_tags: {
        type: 'array',
        items: { ...text('A tag.'), maxLength: 128 },
        description: 'Tags for billing. Not served in mode public.',
    },
    traits: { type: 'object', description: 'What a server must have. Not served in mode public.' },
} as const satisfies Schema;

/** A field that `null` takes away. */
function nullable(field: Schema): Schema {
    const { type: given, enum: values } = field;
    return {
        ...field,
        ...(typeof given === 'string' && { type: [given, 'null'] }),
        ...(Array.isArray(values) && { enum: [...(values as SchemaValue[]), null] }),
    };
}

export const schemas = {
    Manifest: {
        type: 'object',
        description: 'An image, as it is served. Fields without a value are left out.',
        required: ['v', 'uuid', 'owner', 'name', 'version', 'state', 'disabled', 'public', 'files'],
        properties: {
            v,
            uuid: uuid('The image.'),
            state,
            disabled,
            published_at: time('When it was activated.'),
            type,
            files: { type: 'array', items: ref('File'), description: 'Its files; none before the upload.' },
            ...FIELDS,
            urn: text('The name of old images.'),
            icon: { const: true, description: 'There is an icon.' },
            error,
            channels: { ...channels, description: 'Channels it is in; from API version 2 on.' },
        },
    },
    NewManifest: {
        type: 'object',
        description: 'An image to be made.',
        required: ['name', 'version', 'type', 'os'],
        properties: { v, type, disabled, ...FIELDS },
        examples: [
            {
                name: 'hello',
                version: '1.0.0',
                type: 'other',
                os: 'other',
                public: true,
                owner: '930896af-bf8c-48d4-885c-6573a94b1853',
            },
        ],
    },
    MachineManifest: {
        type: 'object',
        description: 'An image to be made of a machine, from which it has what is not given here.',
        required: ['name', 'version'],
        properties: { uuid: uuid('The uuid of the image; by default a new one.'), ...FIELDS },
        examples: [{ name: 'hello', version: '1.0.0', owner: '930896af-bf8c-48d4-885c-6573a94b1853' }],
    },
    ManifestChange: {
        type: 'object',
        description:
            'The fields to change; `null` takes one away. With `account`, fields that only operators may change are refused.',
        properties: {
            ...Object.fromEntries(Object.entries(FIELDS).map(([name, field]) => [name, nullable(field)])),
            uuid: uuid('Another uuid for the image, for operators and before it is activated.'),
            origin: nullable(uuid('Another origin, for operators and before it is activated.')),
            state: { ...state, description: 'For operators.' },
            error: { ...error, description: 'For operators.' },
            channels,
        },
        examples: [{ description: 'Says hello.', homepage: 'https://images.example.org/hello' }],
    },
    ImportedManifest: {
        type: 'object',
        description:
            'A manifest as another repository serves it. Its `files`, `state`, `icon` and `channels` do not count.',
        required: ['uuid', 'name', 'version'],
        properties: {
            v,
            uuid: uuid('The image; the one of the path.'),
            published_at: time('When it was activated there.'),
            type,
            disabled,
            ...FIELDS,
        },
        examples: [
            {
                v: 2,
                uuid: 'ed8cd007-2065-0140-8d41-e32247b71748',
                name: 'hello',
                version: '1.0.0',
                type: 'other',
                os: 'other',
                public: true,
                owner: '930896af-bf8c-48d4-885c-6573a94b1853',
                published_at: '2020-02-02T20:20:20.000Z',
            },
        ],
    },
    FileUrl: {
        type: 'object',
        description: 'Where the file of an image is to be fetched from.',
        required: ['file_url'],
        properties: { file_url: text('The https URL of the file.') },
        examples: [{ file_url: 'https://images.example.org/hello.gz' }],
    },
    File: {
        type: 'object',
        description: 'A file of an image.',
        required: ['sha1', 'size', 'compression'],
        properties: {
            sha1,
            size: { type: 'integer', minimum: 0, description: 'In bytes.' },
            compression: { type: 'string', enum: COMPRESSIONS, description: 'How the file is compressed.' },
            dataset_guid: text('The ZFS GUID of the dataset in it.'),
            stor: {
                type: 'string',
                enum: STORAGE_TYPES,
                description: 'Where it is stored; with inclAdminFields.',
            },
        },
    },
    Accounts: {
        type: 'array',
        description: 'Accounts, by their uuids.',
        items: uuid('An account.'),
        examples: [['930896af-bf8c-48d4-885c-6573a94b1853']],
    },
    Ping: {
        type: 'object',
        description: 'A sign of life.',
        required: ['ping', 'version', 'imgapi'],
        properties: {
            ping: { const: 'pong', description: 'Always the same.' },
            version: text('The version of the server.'),
            imgapi: { const: true, description: 'Always the same.' },
            pid: { type: 'integer', description: 'The process; for known users, and in mode dc.' },
            user: text('Who the signature says you are.'),
        },
    },
    State: {
        type: 'object',
        description: 'What the server holds in memory.',
        required: ['cache', 'log', 'storageTypes'],
        properties: {
            cache: { type: 'object', description: 'What it remembers of images and lists.' },
            log: {
                type: 'object',
                properties: { level: { type: 'integer', description: 'The Bunyan level.' } },
                description: 'The log.',
            },
            storageTypes: {
                type: 'array',
                items: { type: 'string', enum: STORAGE_TYPES },
                description: 'The storages it has.',
            },
            db: { type: 'object', description: 'The records of the embedded database.' },
            ufds: {
                type: 'object',
                properties: {
                    connected: flag('Whether there is a connection to it.'),
                },
                description: 'The directory of accounts, in mode dc.',
            },
            wfapi: {
                type: 'object',
                properties: {
                    connected: flag('Whether it can be reached.'),
                },
                description: 'The workflow service, if it runs the jobs.',
            },
            processes: {
                type: 'array',
                description:
                    'The processes of a server that has several, each with its `pid` and what it remembers, or an `error`; `cache` is all of them together.',
                items: {
                    type: 'object',
                    required: ['pid'],
                    properties: { pid: { type: 'integer', description: 'Its process id.' } },
                },
            },
        },
    },
    ChannelName: {
        type: 'object',
        description: 'The channel to put an image into.',
        required: ['channel'],
        properties: { channel: text('The name of the channel.') },
        examples: [{ channel: 'release' }],
    },
    Channel: {
        type: 'object',
        description: 'A channel of the server, as it is configured.',
        required: ['name', 'description'],
        properties: {
            name: text('The name.'),
            description: text('What the channel is for.'),
            default: flag('Whether it is meant where none is named.'),
        },
    },
    Job: {
        type: 'object',
        description:
            'Work that goes on after the request that began it was answered. A workflow service may add members, and ' +
            'leaves some out until there is something to tell.',
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
            'chain_results',
        ],
        properties: {
            uuid: uuid('The job.'),
            workflow_uuid: uuid('The same for all jobs of this kind.'),
            name: text('The kind of job, with its version.'),
            execution: { type: 'string', enum: EXECUTIONS, description: 'How far it is.' },
            params: { type: 'object', description: 'What it works with; credentials are left out.' },
            target: text('What it works on.'),
            task: text('The kind of job.'),
            image_uuid: uuid('The image that it makes or changes.'),
            exec_after: time('When the next try is due.'),
            created_at: time('When it was asked for.'),
            started: time('When its first step began.'),
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
    StartedJob: {
        type: 'object',
        description: 'A job that has begun.',
        required: ['image_uuid', 'job_uuid'],
        properties: { image_uuid: uuid('The image.'), job_uuid: uuid('The job that makes it.') },
    },
    ExportedImage: {
        type: 'object',
        description: 'Where the copies of an image are.',
        required: ['image_path', 'manifest_path'],
        properties: {
            manta_url: text('URL of Manta, with `manta_path`.'),
            s3_url: text('URL of the S3 server, with `s3_path`.'),
            s3_bucket: text('The bucket, with `s3_path`.'),
            image_path: text('Path of the file in Manta, or its key in the bucket.'),
            manifest_path: text('Path of the manifest in Manta, or its key in the bucket.'),
        },
    },
    JobResult: {
        type: 'object',
        description: 'What became of a step of a job.',
        required: ['result', 'error', 'finished_at'],
        properties: {
            name: text('The step; a workflow service leaves it out when the time of the whole job was up.'),
            result: text('What it did.'),
            error: {
                description: 'Empty if it succeeded.',
                anyOf: [
                    { const: '' },
                    text('A sentence for people, from a workflow service.'),
                    {
                        type: 'object',
                        required: ['message'],
                        properties: { code: text('A code.'), message: text('A sentence for people.') },
                    },
                ],
            },
            started_at: time('When the step began.'),
            finished_at: time('When the step ended.'),
        },
    },
    Nothing: { type: 'object', description: 'An empty object.', maxProperties: 0 },
    Error: {
        type: 'object',
        description: 'Why a request was not answered as it was meant to be.',
        required: ['code', 'message'],
        properties: {
            code: text('For programs; it stays the same.'),
            message: text('A sentence for people; it may change.'),
            errors: {
                type: 'array',
                items: ref('FieldError'),
                description: 'With `ValidationFailed` and `InvalidParameter`: what is wrong, field by field.',
            },
        },
    },
    FieldError: {
        type: 'object',
        description: 'What is wrong with a field or a parameter.',
        required: ['field', 'code'],
        properties: {
            field: text('The field or parameter.'),
            code: text('`Invalid`, `MissingParameter`, `NotAllowed` …'),
            message: text('More about it.'),
        },
    },
} as const satisfies Schema;

/** The schemas that these refer to, and those that they refer to in turn, in the order in which they stand above. */
export function usedSchemas(roots: readonly Schema[]): Record<string, Schema> {
    const all: Readonly<Record<string, Schema>> = schemas;
    const used = new Set<string>();
    const collect = (value: Schema) => {
        for (const [, name = ''] of JSON.stringify(value).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
            const schema = all[name];
            if (schema && !used.has(name)) {
                used.add(name);
                collect(schema);
            }
        }
    };
    roots.forEach(collect);
    return Object.fromEntries(Object.entries(all).filter(([name]) => used.has(name)));
}

/** The schema itself, or the one it refers to. */
export function resolved(schema: Schema): Schema {
    const name = referredName(schema);
    const all: Readonly<Record<string, Schema>> = schemas;
    return (name === undefined ? undefined : all[name]) ?? schema;
}

/** What a schema is about, in words. */
export function described(schema: Schema): string {
    const { description } = resolved(schema);
    return typeof description === 'string' ? description : '';
}
