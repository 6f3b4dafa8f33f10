import type { IncomingMessage } from 'node:http';

/** Addresses of proxies on this machine. */
const LOOPBACK = /^(?:::ffff:)?127\.|^::1$/;

/**
 * Scheme and authority of the server as the client reached it.
 *
 * The host is that of the request; a client of HTTP/1.0 that names none reached this server's address. That a proxy
 * took the request by HTTPS is believed of a proxy on this machine only.
 */
export function originOf({ socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>): string {
    const { host } = headers;
    const isLocal = socket.remoteAddress === undefined || LOOPBACK.test(socket.remoteAddress);
    const forwarded = [headers['x-forwarded-proto']].flat()[0]?.split(',')[0]?.trim().toLowerCase();
    const isSecure = 'encrypted' in socket || (isLocal && forwarded === 'https');
    return `${isSecure ? 'https' : 'http'}://${host === undefined || host === '' ? ownAddress(socket) : host}`;
}

function ownAddress({ localAddress, localPort }: IncomingMessage['socket']): string {
    if (localAddress === undefined || localPort === undefined) {
        return 'localhost';
    }
    const address = localAddress.replace(/^::ffff:(?=\d+\.)/, '');
    return `${address.includes(':') ? `[${address}]` : address}:${localPort}`;
}
