import { censorUrls } from '../config/censor';
import type { Headers } from '../api/call';
import type { LogSink } from '../log';
import { ApiError } from '../errors';
import type { HttpCall } from './call';

const INFO = 30;

/** The status of redirections that are made for one download. */
const MADE_FOR_ONE = 302;

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

/** Signs of life, of which there are very many. */
const CHECKS: ReadonlySet<string> = new Set(['/ping', '/healthz', '/readyz']);

function isUnremarkable(path: string): boolean {
    return CHECKS.has(path) || path.startsWith('/docs/');
}

/** Text that is the same within JSON. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** A member of a JSON object with the comma before it; nothing if the value is undefined. */
function member(name: string, value: unknown): string {
    if (typeof value === 'string' && PLAIN.test(value)) {
        return `,"${name}":"${value}"`;
    }
    const json = value === undefined ? undefined : JSON.stringify(value);
    return json === undefined ? '' : `,"${name}":${json}`;
}

/** The request's headers as JSON, without credentials. Their names are tokens, which need no escaping. */
function headersJson(headers: NodeJS.Dict<string | string[]>): string {
    let members = '';
    for (const name in headers) {
        members += member(name, SECRET_HEADERS.has(name) ? '(censored)' : headers[name]);
    }
    return `{${members.slice(1)}}`;
}

/** Where an answer leads to; the query of a URL that was made for one download is the permission for it. */
function loggedHeaders({ res, sentHeaders }: HttpCall): Headers {
    const { Location: location } = sentHeaders;
    return res.statusCode === MADE_FOR_ONE && typeof location === 'string'
        ? { ...sentHeaders, Location: location.replace(/\?.*/, '?(censored)') }
        : sentHeaders;
}

function loggedBody(body: unknown): unknown {
    const text = body === undefined ? '' : JSON.stringify(body);
    return text.length <= LONGEST_BODY ? body : `(${text.length} characters)`;
}

/**
 * Writes the audit record of a request: a Bunyan record at level info (config.md §7).
 *
 * Every request has one, but for signs of life and pages of the documentation (metrics-and-extras.md §5), so it is put
 * together member by member here: Bunyan, or an object made to be stringified, would cost several times as much as the
 * rest of a small request.
 */
export class Audit {
    readonly #opening: string;

    constructor(
        private readonly sink: LogSink,
        private readonly level: () => number,
        hostname: string,
    ) {
        this.#opening =
            `{"name":"imgapi","hostname":${JSON.stringify(hostname)},"pid":${process.pid},` +
            `"level":${INFO},"audit":true,"_audit":true`;
    }

    /** @param latency in ms */
    write(call: HttpCall, latency: number): void {
        const reads = call.method === 'GET' || call.method === 'HEAD';
        if (this.level() > INFO || (reads && isUnremarkable(call.path))) {
            return;
        }
        const { req, res, error, state } = call;
        const { principal } = state;
        const version = req.headers['accept-version'];
        const line =
            this.#opening +
            member('route', call.matchedRoute?.name) +
            (reads ? '' : member('action', call.query.values.action)) +
            (principal
                ? member('remoteUser', principal.user) +
                  member('keyFingerprint', principal.keyFingerprint) +
                  member('role', principal.role)
                : '') +
            member('req_id', call.id) +
            member('remoteAddress', call.remoteAddress) +
            member('remotePort', call.remotePort) +
            `,"latency":${latency},"secure":${'encrypted' in req.socket}` +
            (error instanceof Error ? member('err', { name: error.name, message: error.message }) : '') +
            // The status was sent before it came to that.
            (error instanceof Error && res.headersSent && res.statusCode < 400
                ? member('streamError', error.message)
                : '') +
            `,"req":{"method":"${call.method}"` +
            member('url', call.url) +
            (call.search !== '' ? member('query', call.query.values) : ',"query":{}') +
            `,"headers":${headersJson(req.headers)},"httpVersion":"${req.httpVersion}"` +
            (version === undefined ? ',"version":"~1"' : member('version', version)) +
            (state.body === undefined ? '' : member('body', loggedBody(state.body))) +
            `},"res":{"statusCode":${res.statusCode}` +
            member('headers', loggedHeaders(call)) +
            (error instanceof ApiError
                ? member('body', error.toBody())
                : reads
                  ? ''
                  : member('body', loggedBody(call.sentJson()))) +
            `},"msg":"handled: ${res.statusCode}","time":"${isoNow()}","v":0}`;
        // Parameters and bodies hold URLs; those with credentials are refused, but stand here.
        const safe = censorUrls(line);
        if (reads) {
            this.sink.writeSoon(safe);
        } else {
            this.sink.writeLine(safe);
        }
    }
}

let lastTime = 0;
let lastIso = '';

/** The time in ISO form; many records are written within one ms. */
function isoNow(): string {
    const now = Date.now();
    if (now !== lastTime) {
        lastTime = now;
        lastIso = new Date(now).toISOString();
    }
    return lastIso;
}
