/** The server itself: Ping and its state (endpoints.md §3). */
import { ApiError, errorRow, errorTable, invalidParameter, type ErrorCode } from '../errors';
import { show } from '../images/json';
import type { RawImage } from '../manifest';
import type { Call } from './call';

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

export async function getState(call: Call): Promise<void> {
    const { config, log, images, accounts } = call.services;
    const state = {
        cache: images.cacheState(),
        log: { level: log.level() },
        storageTypes: config.storageTypes,
        ...(accounts && { ufds: { connected: accounts.connected } }),
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

export function updateState(call: Call): void {
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
    call.services.images.dropCaches();
    call.sendEmpty(202, { 'Content-Length': 0 });
}

/** POST /authkeys/reload answers before the keys are loaded; what goes wrong then is logged. */
export function reloadAuthKeys(call: Call): void {
    call.services.auth.reload().catch((err: unknown) => {
        call.log.warn({ err }, 'could not load the keys again; the ones loaded before stay in use');
    });
    call.send(200, {});
}
