/** Jobs. */
import { cancelJob, getJob, listImageJobs, listJobs } from '../api/jobs';
import { ACCOUNT, CHANNEL_OR_ANY, EXECUTION, JOB_PARAMETERS, TASK } from '../api/parameters';
import type { Route } from '../api/route';
import { authenticate, channelOrAny, imageUuid, loadImage } from '../api/steps';
import { WRITE_ERRORS } from './common';

export const jobRoutes: readonly Route[] = [
    {
        name: 'ListImageJobs',
        method: 'GET',
        path: '/images/:uuid/jobs',
        summary: 'Lists the jobs of an image, the newest first; those in a workflow service kind by kind.',
        description:
            'Only in mode dc: because it asks for no credentials, other servers answer with ServiceUnavailableError. ' +
            'There, ListJobs with `image_uuid` has them. With a workflow service the kinds come in the order of ' +
            '`wfapi.workflows`, and a wrong `execution` is a ConflictError, as the service itself has it.',
        auth: 'none',
        read: true,
        answers: 'json',
        parameters: [ACCOUNT, CHANNEL_OR_ANY, TASK, EXECUTION],
        errors: [
            'ResourceNotFound',
            'InvalidParameter',
            'ValidationFailed',
            'ConflictError',
            'ServiceUnavailableError',
        ],
        steps: [authenticate, imageUuid, channelOrAny, loadImage],
        handler: listImageJobs,
    },
    {
        name: 'ListJobs',
        method: 'GET',
        path: '/jobs',
        summary: 'Lists jobs, the newest first.',
        description:
            'Those that this server runs itself are kept for a while after they have ended (`jobs.retention`). With a ' +
            'workflow service it lists that one’s: only the kinds in `wfapi.workflows`, in that order, and `limit` and ' +
            '`offset` count for each.',
        auth: 'strict',
        role: 'admin',
        answers: 'json',
        parameters: JOB_PARAMETERS,
        errors: ['InvalidParameter', 'ServiceUnavailableError'],
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
        errors: ['ResourceNotFound', 'ServiceUnavailableError'],
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
        role: 'admin',
        answers: 'json',
        parameters: [],
        errors: ['ResourceNotFound', ...WRITE_ERRORS],
        steps: [authenticate],
        handler: cancelJob,
    },
];
