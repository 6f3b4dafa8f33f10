/** The block `wfapi` of the configuration: the workflow service of a datacenter (vm-images.md §7). */
import { flag, text, time, type KeySchema } from './key-schema';

const retry: KeySchema = {
    type: 'object',
    default: {},
    expected: 'an object with "minTimeout" and "maxTimeout"',
    properties: {
        minTimeout: time(
            100,
            'How long to wait before the workflows are given to the service again, after a failure; twice as long each ' +
                'further time.',
        ),
        maxTimeout: time(60_000, 'The longest wait between two attempts, which never end.'),
    },
};

export const wfapiBlock: KeySchema = {
    type: 'object',
    expected: 'an object with "url" and "workflows"',
    required: ['url', 'workflows'],
    properties: {
        url: text(
            'a URL',
            'URL of the workflow service of the datacenter, which then runs all jobs; clients are sent there by the header ' +
                '`workflow-api`. Absent: jobs run in this server.',
        ),
        workflows: {
            type: 'array',
            items: { type: 'string', expected: 'the name of a workflow' },
            expected: 'an array of workflow names',
            description:
                'The kinds of jobs, in the order in which those of an image are listed: `create-from-vm` and ' +
                '`import-remote-image`. Their workflows are given to the service at each start; a kind that is left out ' +
                'is not available.',
        },
        forceReplace: flag(
            'Replace the workflows that the service has by those of this server at each start.',
            false,
        ),
        forceMd5Check: flag(
            'Replace the workflows that the service has if they differ from those of this server. Without this and ' +
                '`wfapi.forceReplace` a workflow of the same version is left as it is.',
            false,
        ),
        pingInterval: time(10_000, 'How often to look whether the service can be reached.'),
        retry,
    },
};
