/** The server itself: Ping and its state (endpoints.md §3). */
import { ApiError, errorRow, errorTable, invalidParameter, type ErrorCode } from '../errors';
import { show } from '../images/json';
import type { RawImage } from '../manifest';
import { topic, type Gathered } from '../workers/driver';
import type { Call, Services } from './call';

/** The error a name in `GET /ping?error=NAME` asks for: an answer to try a client's error handling with. */
function sampleError(name: string): ApiError {
    const className = name === '' ? 'InternalError' : name.endsWith('Error') ? name : `${name}Error`;
    const codes = Object.keys(errorTable) as ErrorCode[];
    const code = codes.find((known) => known === className || `${known}Error` === className);
    if (code === undefined) {
        return invalidParameter(`There is no error "${className}".`, 'error', 'Missing');
    }
    const { sample } = errorRow(code);
    if (!sample) {
        return new ApiError('InternalError', `There is no sample of "${className}".`);
    }
    return new ApiError(code, sample.message, sample.errors && { errors: sample.errors });
}

export function ping(call: Call): void {
    const error = call.query.one('error');
    if (error !== undefined) {
        throw sampleError(error);
    }
    const { config, version } = call.services;
    const user = call.state.principal?.user;
    call.send(200, {
        ping: 'pong',
        version,
        imgapi: true,
        ...((config.mode === 'dc' || user !== undefined) && { pid: process.pid }),
        ...(user !== undefined && { user }),
    });
}

/** What a process holds in memory. */
interface ProcessState {
    readonly cache: Readonly<Record<string, { name: string; expiry: number; items: number }>>;
    /** In a datacenter. */
    readonly ufds?: { readonly connected: boolean };
    /** If jobs run in the workflow service. */
    readonly wfapi?: { readonly connected: boolean };
}

const STATE = topic<null, ProcessState>('state');
const DROP_CACHES = topic<null, null>('drop-caches');
const RELOAD_KEYS = topic<null, null>('reload-keys');

/** Has this process answer what any process of the server may be asked by a request. */
export function answerForProcess({ processes, images, accounts, auth, jobs }: Services): void {
    processes.answer(STATE, () => ({
        cache: images.cacheState(),
        ...(accounts && { ufds: { connected: accounts.connected } }),
        ...(jobs.connected !== undefined && { wfapi: { connected: jobs.connected } }),
    }));
    processes.answer(DROP_CACHES, () => {
        images.dropCaches();
        accounts?.dropCache();
        return null;
    });
    processes.answer(RELOAD_KEYS, async () => {
        await auth.reload();
        return null;
    });
}

/** What all processes hold together. */
function totalOf(states: readonly ProcessState[]): ProcessState {
    return states.reduce((total, { cache, ufds, wfapi }) => ({
        cache: Object.fromEntries(
            Object.entries(total.cache).map(([key, one]) => [
                key,
                { ...one, items: one.items + (cache[key]?.items ?? 0) },
            ]),
        ),
        ...(total.ufds && { ufds: { connected: total.ufds.connected && ufds?.connected === true } }),
        ...(total.wfapi && { wfapi: { connected: total.wfapi.connected && wfapi?.connected === true } }),
    }));
}

export async function getState(call: Call): Promise<void> {
    const { config, log, images, processes } = call.services;
    const gathered = await processes.gather(STATE, null);
    const { cache, ...others } = totalOf(gathered.flatMap((one) => ('answer' in one ? [one.answer] : [])));
    const state = {
        cache,
        log: { level: log.level() },
        storageTypes: config.storageTypes,
        ...others,
        ...(gathered.length > 1 && {
            processes: gathered.map((one) =>
                'answer' in one ? { pid: one.pid, ...one.answer } : { pid: one.pid, error: one.failure },
            ),
        }),
    };
    if (config.databaseType === 'local') {
        await call.sendJsonStream(200, withRecords(state, images.records()));
    } else {
        call.send(200, state);
    }
}

/** The state with all records of the database (endpoints.md §3 /state), which may be many: piece by piece. */
async function* withRecords(state: object, records: AsyncIterable<RawImage>): AsyncGenerator<Buffer> {
    yield Buffer.from(
        `${JSON.stringify(state, null, 2).slice(0, -2)},\n  "db": {\n    "manifestFromUuid": {`,
    );
    let separator = '\n';
    for await (const raw of records) {
        const entry = JSON.stringify({ value: raw, published_at: raw.published_at }, null, 2);
        yield Buffer.from(`${separator}      "${raw.uuid}": ${entry.replaceAll('\n', '\n      ')}`);
        separator = ',\n';
    }
    yield Buffer.from(`${separator === '\n' ? '' : '\n    '}}\n  }\n}`);
}

export async function updateState(call: Call): Promise<void> {
    const action = call.query.one('action');
    if (action === undefined || action === '') {
        throw new ApiError('MissingParameter', 'Parameter "action" is missing; it takes "dropcaches".');
    }
    if (action !== 'dropcaches') {
        throw new ApiError(
            'InvalidArgument',
            `Parameter "action" is ${show(action)}; it takes "dropcaches".`,
        );
    }
    warnOfSilence(call, await call.services.processes.gather(DROP_CACHES, null));
    call.sendEmpty(202, { 'Content-Length': 0 });
}

/** A process that has not answered may still do as it was asked, when it comes to it. */
function warnOfSilence(call: Call, gathered: readonly Gathered<null>[]): void {
    for (const one of gathered) {
        if ('failure' in one) {
            call.log.warn({ process: one.pid, reason: one.failure }, 'a process did not do as it was asked');
        }
    }
}

/** How long the keys of one process may take to load, in ms: they may come from other machines. */
const RELOAD_WITHIN = 10 * 60_000;

/** POST /authkeys/reload answers before the keys are loaded; what goes wrong then is logged. */
export function reloadAuthKeys(call: Call): void {
    void call.services.processes.gather(RELOAD_KEYS, null, RELOAD_WITHIN).then((gathered) => {
        for (const one of gathered) {
            if ('failure' in one) {
                call.log.warn(
                    { process: one.pid, err: { message: one.failure } },
                    'could not load the keys again; the ones loaded before stay in use',
                );
            }
        }
    });
    call.send(200, {});
}
