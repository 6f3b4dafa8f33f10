import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/** What is asked of a connection; one by TLS has a member `encrypted` as well. */
interface Connection {
    readonly remoteAddress?: string | undefined;
    readonly localAddress?: string | undefined;
    readonly localPort?: number | undefined;
}

/** Addresses of proxies on this machine. */
const LOOPBACK = /^(?:::ffff:)?127\.|^::1$/;

/**
 * Scheme and authority of the server as the client reached it.
 *
 * The host is that of the request; a client of HTTP/1.0 that names none reached this server's address. That a proxy
 * took the request by HTTPS is believed of a proxy on this machine only.
 */
export function originOf(socket: Connection, headers: IncomingHttpHeaders): string {
    const { host } = headers;
    const isLocal = isOfThisMachine(socket);
    const forwarded = [headers['x-forwarded-proto']].flat()[0]?.split(',')[0]?.trim().toLowerCase();
    const isSecure = 'encrypted' in socket || (isLocal && forwarded === 'https');
    return `${isSecure ? 'https' : 'http'}://${host === undefined || host === '' ? ownAddress(socket) : host}`;
}

/** A socket in the file system has no address. */
function isOfThisMachine({ remoteAddress }: Connection): boolean {
    return remoteAddress === undefined || LOOPBACK.test(remoteAddress);
}

/**
 * The address of the client behind a proxy, as the proxy says it: the last one of `X-Forwarded-For`, since what stands
 * before it came from the client.
 *
 * @returns undefined without a proxy. One on this machine only is believed.
 */
export function forwardedAddress(socket: Connection, headers: IncomingHttpHeaders): string | undefined {
    const forwarded = isOfThisMachine(socket) ? [headers['x-forwarded-for']].flat().join(',') : '';
    const address = forwarded.slice(forwarded.lastIndexOf(',') + 1).trim();
    return isIP(address) === 0 ? undefined : address;
}

function ownAddress({ localAddress, localPort }: Connection): string {
    if (localAddress === undefined || localPort === undefined) {
        return 'localhost';
    }
    const address = localAddress.replace(/^::ffff:(?=\d+\.)/, '');
    return `${address.includes(':') ? `[${address}]` : address}:${localPort}`;
}
