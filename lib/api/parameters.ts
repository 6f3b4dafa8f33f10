/** Parameters of the query string that several routes have, and those of ListImages, as the route table lists them. */
import { EXECUTIONS } from '../jobs/driver';
import { COMPRESSIONS, IMAGE_STATES, STORAGE_TYPES } from '../manifest';
import type { Parameter, Schema } from './route';

export const UUID: Schema = { type: 'string', format: 'uuid' };
export const FLAG: Schema = { type: 'boolean' };
const COUNT: Schema = { type: 'integer', minimum: 0 };

/** Most jobs in one answer. */
export const MOST_JOBS = 1000;

export const ACTION: Parameter = { name: 'action', description: 'What to do.' };

export const ACCOUNT: Parameter = {
    name: 'account',
    description:
        'The account the request is made for: it sees and changes only what that account may. Without it, an operator asks.',
    schema: UUID,
};

/** For routes that only operators may call. */
export const NO_ACCOUNT: Parameter = {
    name: 'account',
    description: 'To be left out: a request for an account is refused here, only operators may ask.',
};

export const CHANNEL: Parameter = {
    name: 'channel',
    description:
        'The channel to work in, on a server with channels; by default the server’s default channel. Other servers ' +
        'pass over it.',
};

export const CHANNEL_OR_ANY: Parameter = {
    ...CHANNEL,
    description: `${CHANNEL.description} \`*\` means all of them.`,
};

export const ADMIN_FIELDS: Parameter = {
    name: 'inclAdminFields',
    description:
        'Whether to add what only operators see, such as the storage of each file. Needs a signature, but for mode dc.',
    schema: FLAG,
};

export const SHA1: Parameter = {
    name: 'sha1',
    description: 'SHA-1 of the bytes in lower-case hex; they are refused if it differs.',
    schema: { type: 'string', pattern: '^[0-9a-f]{40}$' },
};

export const STORAGE: Parameter = {
    name: 'storage',
    description:
        'The storage to put the bytes in, for operators; by default the server decides. One that the server does not ' +
        'have stands for `local`.',
    schema: { type: 'string', enum: STORAGE_TYPES },
};

export const COMPRESSION: Parameter = {
    name: 'compression',
    description: 'How the file is compressed. The bytes are not looked at.',
    schema: { type: 'string', enum: COMPRESSIONS },
    example: 'gzip',
};

export const SOURCE: Parameter = {
    name: 'source',
    description:
        'URL of an image repository, http or https; a `channel` in its query goes with every request to it.',
    schema: { type: 'string', format: 'uri' },
};

export const SKIP_OWNER_CHECK: Parameter = {
    name: 'skip_owner_check',
    description: 'In a datacenter, whether to take the image even if its owner is no account there.',
    schema: FLAG,
};

export const FILE_INDEX: Parameter = {
    name: 'index',
    description: 'Which of its files, from 0.',
    schema: COUNT,
};

export const REDIRECT: Parameter = {
    name: 'redirect',
    description:
        'With `1`, the answer may lead to where the object store itself gives the bytes: see `s3.presignRedirect`.',
    schema: { type: 'string', enum: ['0', '1'] },
};

export const TASK: Parameter = {
    name: 'task',
    description: 'Only jobs of this kind, such as `import-remote-image`.',
};

export const EXECUTION: Parameter = {
    name: 'execution',
    description: 'Only jobs in this state.',
    schema: { type: 'string', enum: EXECUTIONS },
};

/** What ListJobs takes. */
export const JOB_PARAMETERS: readonly Parameter[] = [
    EXECUTION,
    TASK,
    { name: 'image_uuid', description: 'Only jobs that make or change this image.', schema: UUID },
    {
        name: 'limit',
        description: 'The most jobs to list.',
        schema: { type: 'integer', minimum: 1, maximum: MOST_JOBS, default: MOST_JOBS },
    },
    { name: 'offset', description: 'How many of the newest to pass over.', schema: COUNT },
];

/** What ListImages takes beside account, channel and inclAdminFields (endpoints.md §3 ListImages). */
export const LIST_PARAMETERS: readonly Parameter[] = [
    {
        name: 'state',
        description:
            'The images in this state; by default the active ones. Without a signature only active images are listed, ' +
            'but for mode dc.',
        schema: { type: 'string', enum: [...IMAGE_STATES, 'all'] },
    },
    { name: 'owner', description: 'The uuid of the owner.', schema: UUID },
    { name: 'name', description: 'The name; with a leading `~`, a part of it.' },
    { name: 'version', description: 'The version; with a leading `~`, a part of it.' },
    { name: 'public', description: 'Whether everybody may use the image.', schema: FLAG },
    { name: 'os', description: 'The operating system.' },
    { name: 'type', description: 'The type; with a leading `!`, any other than that.' },
    {
        name: 'tag.KEY',
        description:
            'The value of the tag KEY; empty for any value. May be given for several keys, then all of them count.',
        // Any number of parameters whose names begin so.
        schema: {
            type: 'object',
            propertyNames: { pattern: '^tag\\.' },
            additionalProperties: { type: 'string' },
        },
    },
    {
        name: 'billing_tag',
        description: 'A billing tag; may be repeated, then all of them count.',
        schema: { type: 'array', items: { type: 'string' } },
    },
    {
        name: 'sort',
        description:
            'The order: by `published_at`, the earliest first unless `.desc` stands behind it. Images that are not ' +
            'published yet come first, with `.desc` last.',
        schema: { type: 'string', enum: ['published_at', 'published_at.asc', 'published_at.desc'] },
    },
    {
        name: 'limit',
        description:
            'The most images to list; 0 stands for no limit. With `databaseType` `moray`, no limit is one of 1,000.',
        schema: COUNT,
    },
    {
        name: 'marker',
        description:
            'Where to begin: at this image (its uuid) or at this date, inclusive. To read a list in pages, take the ' +
            'uuid of the last image of a page as the marker of the next one, and pass over that image.',
        schema: { type: 'string' },
    },
];
