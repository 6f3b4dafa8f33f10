import type { LogSink } from '../log';
import { ApiError } from '../errors';
import type { HttpCall } from './call';

const INFO = 30;

/** Headers whose values are credentials. */
const SECRET_HEADERS = new Set([
    'authorization',
    'proxy-authorization',
    'cookie',
    'x-registry-auth',
    'x-registry-config',
]);

/** Largest request body that is written into a record, in characters of its JSON. */
const LONGEST_BODY = 4096;

function censored(headers: NodeJS.Dict<string | string[]>): NodeJS.Dict<string | string[]> {
    let copy: NodeJS.Dict<string | string[]> | undefined;
    for (const name in headers) {
        if (SECRET_HEADERS.has(name)) {
            copy ??= { ...headers };
            copy[name] = '(censored)';
        }
    }
    return copy ?? headers;
}

function loggedBody(body: unknown): unknown {
    const text = body === undefined ? '' : JSON.stringify(body);
    return text.length <= LONGEST_BODY ? body : `(${text.length} characters)`;
}

/**
 * Writes the audit record of a request: a Bunyan record at level info (config.md §7).
 *
 * It is put together here and not by Bunyan, because it is written for every request.
 */
export class Audit {
    constructor(
        private readonly sink: LogSink,
        private readonly level: () => number,
        private readonly hostname: string,
    ) {}

    /** @param latency in ms */
    write(call: HttpCall, latency: number): void {
        if (this.level() > INFO || call.path === '/ping') {
            return;
        }
        const { req, res, error, matchedRoute, state } = call;
        const reads = call.method === 'GET' || call.method === 'HEAD';
        const action = reads ? undefined : call.query.values.action;
        const record = {
            name: 'imgapi',
            hostname: this.hostname,
            pid: process.pid,
            level: INFO,
            audit: true,
            _audit: true,
            route: matchedRoute?.name,
            action,
            remoteUser: state.principal?.user,
            keyFingerprint: state.principal?.keyFingerprint,
            req_id: call.id,
            remoteAddress: req.socket.remoteAddress,
            remotePort: req.socket.remotePort,
            latency,
            secure: 'encrypted' in req.socket,
            err: error instanceof Error ? { name: error.name, message: error.message } : undefined,
            req: {
                query: call.query.values,
                method: call.method,
                url: call.url,
                headers: censored(req.headers),
                httpVersion: req.httpVersion,
                version: req.headers['accept-version'] ?? '~1',
                body: loggedBody(state.body),
            },
            res: {
                statusCode: res.statusCode,
                headers: call.sentHeaders,
                body: error instanceof ApiError ? error.toBody() : undefined,
            },
            msg: `handled: ${res.statusCode}`,
            time: new Date().toISOString(),
            v: 0,
        };
        this.sink.writeLine(JSON.stringify(record));
    }
}
