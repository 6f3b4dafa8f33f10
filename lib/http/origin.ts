import type { IncomingHttpHeaders } from 'node:http';

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
    // A socket in the file system has no address.
    const isLocal = socket.remoteAddress === undefined || LOOPBACK.test(socket.remoteAddress);
    const forwarded = [headers['x-forwarded-proto']].flat()[0]?.split(',')[0]?.trim().toLowerCase();
    const isSecure = 'encrypted' in socket || (isLocal && forwarded === 'https');
    return `${isSecure ? 'https' : 'http'}://${host === undefined || host === '' ? ownAddress(socket) : host}`;
}

function ownAddress({ localAddress, localPort }: Connection): string {
    if (localAddress === undefined || localPort === undefined) {
        return 'localhost';
    }
    const address = localAddress.replace(/^::ffff:(?=\d+\.)/, '');
    return `${address.includes(':') ? `[${address}]` : address}:${localPort}`;
}
