import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { forwardedAddress, originOf } from '../../lib/http/origin';

describe('The origin of the server as its client sees it', () => {
    interface Peer {
        remoteAddress?: string;
        localAddress?: string;
        localPort?: number;
        encrypted?: true;
    }
    const local = { remoteAddress: '127.0.0.1', localAddress: '127.0.0.1', localPort: 8080 };
    const far = { remoteAddress: '192.0.2.7', localAddress: '192.0.2.1', localPort: 8080 };
    const origin = (socket: Peer, headers: IncomingHttpHeaders) => originOf(socket, headers);

    it('has the host of the request', () => {
        assert.equal(origin(far, { host: 'images.example.com' }), 'http://images.example.com');
        assert.equal(origin(far, { host: '[2001:db8::1]:8080' }), 'http://[2001:db8::1]:8080');
    });

    it('is https if the connection is, or a proxy on this machine says so', () => {
        const host = 'images.example.com';
        const secure = `https://${host}`;
        assert.equal(origin({ ...far, encrypted: true }, { host }), secure);
        for (const remoteAddress of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1', undefined]) {
            const headers = { host, 'x-forwarded-proto': 'https' };
            assert.equal(origin({ ...local, remoteAddress }, headers), secure, remoteAddress);
        }
        assert.equal(origin(local, { host, 'x-forwarded-proto': 'HTTPS, http' }), secure);
    });

    it('is http whatever others say', () => {
        const host = 'images.example.com';
        const plain = `http://${host}`;
        assert.equal(origin(far, { host, 'x-forwarded-proto': 'https' }), plain);
        assert.equal(
            origin({ ...far, remoteAddress: '::ffff:10.0.0.1' }, { host, 'x-forwarded-proto': 'https' }),
            plain,
        );
        for (const proto of ['http', '', 'ftp', 'http, https']) {
            assert.equal(origin(local, { host, 'x-forwarded-proto': proto }), plain, proto);
        }
    });

    it('is the address of the connection for a client that names no host', () => {
        assert.equal(origin(far, {}), 'http://192.0.2.1:8080');
        assert.equal(
            origin({ ...far, localAddress: '2001:db8::1' }, { host: '' }),
            'http://[2001:db8::1]:8080',
        );
        assert.equal(origin({ ...far, localAddress: '::ffff:192.0.2.1' }, {}), 'http://192.0.2.1:8080');
        assert.equal(origin({ encrypted: true }, {}), 'https://localhost');
    });
});

describe('The address of a client', () => {
    const address = (remoteAddress: string | undefined, forwarded?: string) =>
        forwardedAddress({ remoteAddress }, { 'x-forwarded-for': forwarded });

    it('is what a proxy on this machine has added', () => {
        for (const proxy of ['127.0.0.1', '::1', '::ffff:127.0.0.1', undefined]) {
            assert.equal(address(proxy, '192.0.2.7'), '192.0.2.7', proxy);
        }
        assert.equal(address('127.0.0.1', '10.0.0.1, 2001:db8::7'), '2001:db8::7');
    });

    it('is not what anybody else says, or what is none', () => {
        assert.equal(address('192.0.2.1', '10.0.0.1'), undefined);
        for (const forwarded of [
            undefined,
            '',
            'unknown',
            '192.0.2.7, unknown',
            '192.0.2.7,',
            '192.0.2.7:80',
        ]) {
            assert.equal(address('127.0.0.1', forwarded), undefined, forwarded);
        }
    });
});
