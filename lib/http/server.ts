import { IncomingMessage } from 'node:http';
import restify, { type Request, type Response, type Server } from 'restify';
import type { Services } from '../api/call';
import type { Route } from '../api/route';
import { ApiError } from '../errors';
import type { LogSink } from '../log';
import type { RequestSeries } from '../metrics/request-series';
import type { Traffic } from '../metrics/traffic';
import { Audit } from './audit';
import { HttpCall, type Identity } from './call';
import type { RequestGate } from './request-gate';
import { Registry, type Miss, type Rows } from './registry';
import { seriesName } from './series-name';
import { traceBegin, traceEnd } from './trace-events';
import type { Underway } from './underway';
import { acceptsVersion2 } from './version';

export interface HttpServerParts {
    services: Services;
    routes: readonly Route[];
    identity: Identity;
    /** Where audit records go. */
    sink: LogSink;
    /** Counts what goes through. */
    traffic: Traffic;
    /** Counts requests, where somebody looks at that. */
    series?: RequestSeries | undefined;
    /** Lets requests in where there is a limit to them. */
    gate?: RequestGate | undefined;
    /** Lets requests by TLS in, besides. */
    tlsGate?: RequestGate | undefined;
    /** Told of every request. */
    underway: Underway;
}

function select(rows: Rows, call: HttpCall): Route {
    const [first] = rows;
    if (rows.length === 1 && !first.actions) {
        return first;
    }
    const action = call.query.values.action ?? '';
    const row =
        rows.find(({ actions }) => typeof action === 'string' && actions?.includes(action)) ??
        rows.find(({ actions }) => !actions);
    return row ?? first;
}

/** Runs the steps and the handler of a route; goes on without a break while they are synchronous. */
async function run(call: HttpCall, route: Route): Promise<void> {
    for (const step of route.steps) {
        const pending = step(call);
        if (pending) {
            await pending;
        }
    }
    await route.handler(call);
}

async function handle(
    call: HttpCall,
    rows: Rows,
    parameter: string,
    gates: readonly RequestGate[],
): Promise<void> {
    try {
        const route = select(rows, call);
        call.setRoute(route, parameter);
        traceBegin(call, route);
        call.negotiate();
        call.version2 = acceptsVersion2(call.headers, call.method, call.path);
        if (route.unlimited !== true) {
            for (const gate of gates) {
                const turn = gate.enter(call.res);
                if (turn) {
                    await turn;
                }
            }
        }
        await run(call, route);
    } catch (err) {
        call.fail(err);
    }
}

/** Answers a request that has no route, in the form the client accepts. */
function answerMiss(miss: Miss, call: HttpCall): void {
    try {
        call.negotiate();
        throw missError(miss, call);
    } catch (err) {
        call.fail(err);
    }
}

function missError(miss: Miss, call: HttpCall): ApiError {
    switch (miss.kind) {
        case 'method':
            return new ApiError('MethodNotAllowedError', `${call.method} is not allowed on ${call.path}.`, {
                headers: { Allow: miss.allowed.join(', ') },
            });
        case 'malformed':
            return new ApiError('BadRequestError', 'The path of the request is not properly %-escaped.');
        case 'path':
            return new ApiError('ResourceNotFound', `${call.path} does not exist.`);
    }
}

/** restify finds the path by a URL object made for every request, Host header included; the path is all it needs. */
function leanGetUrl(this: IncomingMessage): { pathname: string } {
    const target = this.url ?? '';
    const url = target.startsWith('/') ? target : target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, '');
    const mark = url.indexOf('?');
    return { pathname: mark === -1 ? url : url.slice(0, mark) };
}

/** A connection that breaks while it is answered must not end the process; the audit record tells of it. */
function brokenAnswer(this: Response): void {
    this.destroy();
}

/** Where a request keeps its call: a property, because a WeakMap of all requests burdens every garbage collection. */
const CALL = Symbol('call');

const MOST_HOSTS = 100;

/** Judges Host headers; remembers the good ones, of which a server sees few. */
function hostGuard(): (host: string | undefined) => boolean {
    const good = new Set<string>();
    return (host) => {
        if (host === undefined || host === '' || good.has(host)) {
            return true;
        }
        if (/[/?#@\\]/.test(host) || !URL.canParse(`http://${host}/`)) {
            return false;
        }
        if (good.size < MOST_HOSTS) {
            good.add(host);
        }
        return true;
    };
}

/** Tells a browser that it may send a request of another origin's page; false if it did not ask that. */
function answerPreflight(call: HttpCall, { cors }: Identity): boolean {
    if (!cors || call.method !== 'OPTIONS' || call.headers['access-control-request-method'] === undefined) {
        return false;
    }
    call.sendEmpty(204, cors.preflight);
    return true;
}

/**
 * The HTTP application: restify, with its routes from the table. Listeners hand it their requests.
 *
 * Every answer, those without a route included, is made by {@link HttpCall}, so that all have the same headers and an
 * audit record; nothing a request does reaches restify's own error handling.
 */
export function createHttpServer(parts: HttpServerParts): Server {
    const { services, routes, identity, sink, traffic, series, gate, tlsGate, underway } = parts;
    const callOf = (req: Request & { [CALL]?: HttpCall }, res: Response): HttpCall =>
        (req[CALL] ??= new HttpCall(services, identity, traffic, req, res));

    const plainGates = gate ? [gate] : [];
    const secureGates = tlsGate ? [tlsGate, ...plainGates] : plainGates;
    const registry = new Registry(routes, {
        found: (rows, parameter) => (req, res, next) => {
            const gates = 'encrypted' in req.socket ? secureGates : plainGates;
            const handled = handle(callOf(req, res), rows, parameter, gates);
            void underway.run(handled).then(() => next());
        },
        missed: (miss) => (req, res, next) => {
            answerMiss(miss, callOf(req, res));
            next();
        },
    });
    const server = restify.createServer({ name: '', log: services.log, dtrace: false, registry });
    Object.assign(IncomingMessage.prototype, { getUrl: leanGetUrl });

    const isGoodHost = hostGuard();
    const audit = new Audit(sink, () => services.log.level(), identity.hostname);
    const ended = (call: HttpCall): void => {
        const duration = Math.round(performance.now() - call.started);
        traffic.requests--;
        if (call.event) {
            traceEnd(call);
        }
        audit.write(call, duration);
        series?.count(
            seriesName(call.matchedRoute),
            call.method,
            call.headers['user-agent'],
            call.res.statusCode,
            duration,
        );
    };
    server.first((req, res) => {
        const call = callOf(req, res);
        traffic.requests++;
        res.on('error', brokenAnswer);
        if (isGoodHost(req.headers.host)) {
            return answerPreflight(call, identity) ? false : undefined;
        }
        res.once('close', () => ended(call));
        call.fail(
            new ApiError(
                'BadRequestError',
                `Host is "${String(req.headers.host)}", which is not a host name.`,
            ),
        );
        return false;
    });
    server.on('after', (req: Request, res: Response) => ended(callOf(req, res)));
    return server;
}
