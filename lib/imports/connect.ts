/** Makes the connections that requests go over, each judged by the address it is made to (docs/security.md). */
import type { LookupAddress } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import type { LookupFunction, Socket } from 'node:net';
import { buildConnector } from 'undici';
import { portOf } from '../config/outbound';
import { formatQuantity } from '../config/quantity';
import { refusal, type Targets } from './targets';

type Connector = buildConnector.connector;

/** What a connection is wanted to. */
interface Endpoint {
    hostname: string;
    port: number;
}

interface ConnectOptions {
    targets: Targets;
    /** ms for resolving and connecting, and again for a TLS handshake. */
    timeout: number;
    /** Refuse certificates that cannot be verified. */
    verify: boolean;
    /** Certificates (PEM) of the authorities that count; by default those that Node.js knows. */
    ca?: string | undefined;
}

/** A proxy that refused, or could not be used. Its message holds no secrets. */
export class ProxyFailure extends Error {
    override readonly name = 'ProxyFailure';
}

const unreachable = (err: unknown): ProxyFailure =>
    err instanceof ProxyFailure ? err : new ProxyFailure('The proxy could not be reached.', { cause: err });

/** A `lookup` for sockets: they connect to the addresses it gives and never resolve a name again. */
function lookupWith(addressesOf: (hostname: string) => Promise<LookupAddress[]>): LookupFunction {
    return (hostname, options, callback) => {
        addressesOf(hostname).then(
            (addresses) => {
                const [first] = addresses;
                if (options.all === true || !first) {
                    callback(null, addresses);
                } else {
                    callback(null, first.address, first.family);
                }
            },
            (err: unknown) => callback(err as NodeJS.ErrnoException, []),
        );
    };
}

function connected(connector: Connector, options: buildConnector.Options): Promise<Socket> {
    return new Promise((resolve, reject) => {
        connector(options, (err, socket) => (err ? reject(err) : resolve(socket)));
    });
}

/** Opens TCP connections. */
function dialer({ targets, timeout }: ConnectOptions): (endpoint: Endpoint) => Promise<Socket> {
    const judged = buildConnector({ timeout, lookup: lookupWith((name) => targets.addressesOf(name)) });
    const trusted = buildConnector({ timeout, lookup: lookupWith((name) => targets.resolve(name)) });
    return async ({ hostname, port }) => {
        const options = { hostname, protocol: 'http:', port: String(port) };
        if (targets.trusts(hostname, port)) {
            return connected(trusted, options);
        }
        // Sockets ask no lookup about IP addresses.
        targets.judgeLiteral(hostname);
        const socket = await connected(judged, options);
        if (!targets.permits(socket.remoteAddress)) {
            socket.destroy();
            throw refusal(hostname);
        }
        return socket;
    };
}

/** A connector for undici that dials, and puts TLS over the connection where the URL asks for it. */
function connectorOver(
    dial: (endpoint: Endpoint) => Promise<Socket>,
    { timeout, verify, ca }: ConnectOptions,
): Connector {
    const secure = buildConnector({ timeout, rejectUnauthorized: verify, ...(ca !== undefined && { ca }) });
    const open = async (options: buildConnector.Options): Promise<Socket> => {
        const { hostname, protocol } = options;
        const port = options.port === '' ? (protocol === 'https:' ? 443 : 80) : Number(options.port);
        const socket = await dial({ hostname, port });
        if (protocol !== 'https:') {
            return socket;
        }
        try {
            return await connected(secure, { ...options, httpSocket: socket });
        } catch (err) {
            socket.destroy();
            throw err;
        }
    };
    return (options, callback) => {
        open(options).then(
            (socket) => callback(null, socket),
            (err: unknown) => callback(err instanceof Error ? err : new Error(String(err)), null),
        );
    };
}

/** Connects directly. */
export function directConnector(options: ConnectOptions): Connector {
    return connectorOver(dialer(options), options);
}

/** Text of a URL without its percent-encoding; a percent sign that begins none stands for itself. */
function decoded(text: string): string {
    return Buffer.from(
        text.replace(/%([0-9a-fA-F]{2})/g, (_whole, digits: string) =>
            String.fromCharCode(Number.parseInt(digits, 16)),
        ),
        'latin1',
    ).toString();
}

/** An HTTP proxy, wherever it is: the operator named it. */
export class Proxy {
    /** Where requests for http URLs are sent to. */
    readonly origin: string;
    /** What a request to the proxy itself carries. */
    readonly headers: Record<string, string>;
    readonly #url: URL;

    /** @param url of http or https; a user name and password in it are sent to the proxy */
    constructor(url: URL) {
        this.#url = url;
        this.origin = url.origin;
        const credentials = `${decoded(url.username)}:${decoded(url.password)}`;
        this.headers =
            credentials === ':'
                ? {}
                : { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` };
    }

    /** Connects to the proxy itself, for requests by their full URL. */
    connector({ timeout, ca }: Pick<ConnectOptions, 'timeout' | 'ca'>): Connector {
        const connect = buildConnector({ timeout, ...(ca !== undefined && { ca }) });
        return (options, callback) => {
            connected(connect, options).then(
                (socket) => callback(null, socket),
                (err: unknown) => callback(unreachable(err), null),
            );
        };
    }

    /** Connects to targets through tunnels of this proxy. */
    tunnelConnector(options: ConnectOptions): Connector {
        return connectorOver((endpoint) => this.#tunnel(endpoint, options), options);
    }

    /** A connection that the proxy passes on to the endpoint. @throws ProxyFailure, or the error of the connection */
    #tunnel({ hostname, port }: Endpoint, { timeout, ca }: ConnectOptions): Promise<Socket> {
        const authority = `${hostname.includes(':') ? `[${hostname}]` : hostname}:${port}`;
        return new Promise((resolve, reject) => {
            const request = (this.#url.protocol === 'https:' ? https : http).request({
                method: 'CONNECT',
                host: this.#url.hostname.replace(/^\[|\]$/g, ''),
                port: portOf(this.#url),
                path: authority,
                headers: { ...this.headers, host: authority },
                agent: false,
                ...(ca !== undefined && { ca }),
            });
            const timer = setTimeout(() => {
                request.destroy(
                    new ProxyFailure(
                        `The proxy did not connect to ${authority} within ${formatQuantity('time', timeout)}.`,
                    ),
                );
            }, timeout);
            request.once('connect', ({ statusCode = 0 }, socket: Socket, head) => {
                clearTimeout(timer);
                if (statusCode < 200 || statusCode > 299) {
                    socket.on('error', () => undefined).destroy();
                    reject(
                        new ProxyFailure(
                            `The proxy answered ${statusCode} when asked to connect to ${authority}.`,
                        ),
                    );
                    return;
                }
                if (head.length > 0) {
                    socket.unshift(head);
                }
                resolve(socket);
            });
            request.once('error', (err) => {
                clearTimeout(timer);
                reject(unreachable(err));
            });
            request.end();
        });
    }
}
