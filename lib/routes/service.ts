/** The server itself: state, keys, channels, and paths of old. */
import { listChannels } from '../api/channels';
import { favicon } from '../api/favicon';
import { healthz, readyz } from '../api/health';
import { getDataset, listDatasets } from '../api/legacy';
import { ACTION } from '../api/parameters';
import type { Route } from '../api/route';
import { getState, ping, reloadAuthKeys, updateState } from '../api/service';
import { authenticate } from '../api/steps';
import { redirect } from './common';

/** What the two rows for health checks have in common. */
const HEALTH = {
    method: 'GET',
    description:
        'The answer is `ok`, or with status 503 `unavailable`, and comes within 2 s, however many requests are under way.',
    auth: 'none',
    unlimited: true,
    answers: 'bytes',
    headers: ['Cache-Control'],
    contentTypes: ['text/plain'],
    parameters: [],
    errors: [],
    steps: [],
} as const satisfies Partial<Route>;

export const serviceRoutes: readonly Route[] = [
    {
        name: 'Ping',
        method: 'GET',
        path: '/ping',
        summary: 'Says that the server is there, and its version; with a signature, also who the caller is.',
        description:
            'With `error`, the name of a code with or without `Error` behind it, the answer is a sample of that error, so that a client can be tried against it.',
        auth: 'passive',
        unlimited: true,
        answers: 'json',
        parameters: [{ name: 'error', description: 'Answers with a sample of this error instead.' }],
        errors: ['InvalidParameter', 'InternalError'],
        steps: [authenticate],
        handler: ping,
    },
    {
        name: 'GetHealth',
        path: '/healthz',
        summary:
            'Says whether the server can use all that it depends on: its database, storages and services.',
        handler: healthz,
        ...HEALTH,
    },
    {
        name: 'GetReadiness',
        path: '/readyz',
        summary:
            'Says whether the server may be sent requests: it can use all that it depends on, and does not end.',
        handler: readyz,
        ...HEALTH,
    },
    {
        name: 'AdminGetState',
        method: 'GET',
        path: '/state',
        summary: 'Shows what the server holds in memory, for debugging.',
        description: 'With the embedded database, `db` has all records as they are stored.',
        auth: 'strict',
        role: 'admin',
        answers: 'json',
        parameters: [],
        errors: [],
        steps: [authenticate],
        handler: getState,
    },
    {
        name: 'AdminUpdateState',
        method: 'POST',
        path: '/state',
        summary: 'Drops what the server remembers (action "dropcaches").',
        auth: 'strict',
        role: 'admin',
        answers: 'nothing',
        status: 202,
        parameters: [{ ...ACTION, schema: { type: 'string', enum: ['dropcaches'] }, required: true }],
        errors: ['MissingParameter', 'InvalidArgument', 'InvalidParameter'],
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
        role: 'admin',
        answers: 'json',
        parameters: [],
        errors: [],
        steps: [authenticate],
        handler: reloadAuthKeys,
    },
    {
        name: 'ListChannels',
        method: 'GET',
        path: '/channels',
        summary: 'Lists the channels of the server, as they are configured.',
        auth: 'passive',
        read: true,
        needsChannels: true,
        answers: 'json',
        parameters: [],
        errors: [],
        steps: [authenticate],
        handler: listChannels,
    },
    redirect({
        name: 'ListDatasets',
        path: '/datasets',
        summary: 'Leads clients of the time before images to ListImages.',
        handler: listDatasets,
    }),
    redirect({
        name: 'GetDataset',
        path: '/datasets/:dataset',
        summary:
            'Leads clients of the time before images to the image with this uuid, or to those of this name.',
        handler: getDataset,
    }),
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
];
