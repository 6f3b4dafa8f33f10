/** The block `tls` of the configuration: how the server listens by https (daemon.md §1). */
import { count, port, text, time, timeOrNever, type KeySchema } from './key-schema';
import type { Config, TlsConfig } from './types';

const file = (description: string): KeySchema => text('the path of a PEM file', description);

export const tlsBlock: KeySchema = {
    type: 'object',
    default: {},
    expected: 'an object',
    properties: {
        host: text('an IP address or host name', 'Address to listen on by `https`. Absent: `address`.'),
        port: { ...port('Port to listen on by `https`; 0 takes a free one.'), default: 8443 },
        certificate: file(
            'PEM file of the certificate and its chain; it may hold the private key as well. Absent: the server makes ' +
                'itself a certificate at each start, which no client can verify, and logs its fingerprint.',
        ),
        key: file('PEM file of the private key. Absent: it is in the file of the certificate.'),
        clientCa: file(
            'PEM file of authorities. Clients by `https` then need a certificate that one of them has signed.',
        ),
        requests: count(
            0,
            1_000_000,
            'Most requests by `https` under way at once, in all workers together; 0 means any number. They count among ' +
                '`limits.requests` as well, and wait in the same way.',
            0,
        ),
        keepAlive: timeOrNever(undefined, '`limits.tcpKeepAlive` for `https`, if it differs.'),
        readTimeout: time(undefined, '`limits.readTimeout` for `https`, if it differs.'),
        writeTimeout: time(undefined, '`limits.writeTimeout` for `https`, if it differs.'),
    },
};

/** What is given for TLS although nothing listens by it, in a sentence; undefined if there is nothing of the kind. */
export function unusedTls({ listen, tls }: Pick<Config, 'listen' | 'tls'>): string | undefined {
    const given = (['certificate', 'clientCa'] as const).find((key) => tls[key] !== undefined);
    const isUsed = listen.schemes.some((scheme) => scheme === 'https' || scheme === 'fd');
    return given === undefined || isUsed
        ? undefined
        : `config.tls.${given} has no effect on what the configuration has the server listen on: config.listen.schemes does not list "https"`;
}

/** The reason against a block of the right shape, or undefined. */
export function checkTls({ certificate, key }: TlsConfig): string | undefined {
    return key !== undefined && certificate === undefined
        ? 'config.tls.certificate is missing; config.tls.key is given, and it is of no use without its certificate'
        : undefined;
}
