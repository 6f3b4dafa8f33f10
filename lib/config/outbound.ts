/** What `outbound.allow` and `outbound.deny` may hold, and what is denied where they say nothing (docs/security.md). */
import { isIP } from 'node:net';

/** A range of addresses; that of a single one has the longest prefix. */
export interface Network {
    address: string;
    prefix: number;
    family: 'ipv4' | 'ipv6';
}

/** A host as it stands in a URL, there in lower case, without a dot at its end; IPv6 addresses in brackets. */
export interface AllowedHost {
    host: string;
    /** Absent: every port. */
    port?: number;
}

/**
 * Where an image server has no business unless its operator says so: this machine, its networks, and addresses that
 * are nobody's. IPv6 addresses that carry an IPv4 address are judged by that one as well, whatever the list says.
 */
export const DENIED_BY_DEFAULT: readonly string[] = [
    // This machine and "any address", which connects to this machine.
    '127.0.0.0/8',
    '::1',
    '0.0.0.0/8',
    '::',
    // Link-local, where clouds keep the credentials of machines (169.254.169.254).
    '169.254.0.0/16',
    'fe80::/10',
    // Metadata services that stand elsewhere: Azure's. Those of others lie in ranges named here.
    '168.63.129.16',
    // Private networks, and those of carriers.
    '10.0.0.0/8',
    '172.16.0.0/12',
    '192.168.0.0/16',
    '100.64.0.0/10',
    'fc00::/7',
    'fec0::/10',
    // Networks of protocols, of benchmarks and of documents.
    '192.0.0.0/24',
    '192.0.2.0/24',
    '192.88.99.0/24',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '64:ff9b:1::/48',
    '100::/64',
    '2001:2::/48',
    '2001:10::/28',
    '2001:20::/28',
    '2001:db8::/32',
    '3fff::/20',
    '5f00::/16',
    // Multicast, broadcast and reserved.
    '224.0.0.0/4',
    '240.0.0.0/4',
    'ff00::/8',
];

function isIpv4Mapped(address: string): boolean {
    return new URL(`http://[${address}]`).hostname.startsWith('[::ffff:');
}

/** An address or CIDR range; undefined if the text is neither. IPv4 addresses are to be written as such. */
export function parseNetwork(text: string): Network | undefined {
    const [, address, digits] = /^([0-9a-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
    const version = isIP(address ?? '');
    if (address === undefined || version === 0) {
        return undefined;
    }
    const longest = version === 4 ? 32 : 128;
    const prefix = digits === undefined ? longest : Number(digits);
    if (prefix > longest || (version === 6 && isIpv4Mapped(address))) {
        return undefined;
    }
    return { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' };
}

/** The URL a text is; undefined if it is none. */
export function parseUrl(text: string): URL | undefined {
    return URL.canParse(text) ? new URL(text) : undefined;
}

/** A URL's host in the form in which hosts are compared. */
export function comparableHost(url: URL): string {
    return url.hostname.toLowerCase().replace(/\.$/, '');
}

const schemePorts: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

/** The port that a URL of http or https connects to. */
export function portOf(url: URL): number {
    return url.port === '' ? (schemePorts[url.protocol] ?? 0) : Number(url.port);
}

const HOST = /^(?:(https?):\/\/)?([^/?#@\\\s]+?)(?::(\d{1,5}))?\/?$/i;
const COMPARABLE = /^(?:\[[0-9a-f:]+\]|[a-z0-9_.-]+)$/;

/** `host`, `host:port` or an origin; undefined if the text is none of them. */
export function parseHost(text: string): AllowedHost | undefined {
    const [, scheme, name, digits] = HOST.exec(text) ?? [];
    if (name === undefined) {
        return undefined;
    }
    const url = parseUrl(`${scheme ?? 'http'}://${name}`);
    if (url?.port !== '') {
        return undefined;
    }
    const host = comparableHost(url);
    if (!COMPARABLE.test(host)) {
        return undefined;
    }
    if (digits === undefined) {
        return scheme === undefined ? { host } : { host, port: portOf(url) };
    }
    const port = Number(digits);
    return port > 0 && port < 65_536 ? { host, port } : undefined;
}

/** A URL that this server may be told to call: http or https, with a host, without credentials. */
export function isServiceUrl(text: string): boolean {
    const url = parseUrl(text);
    return (
        (url?.protocol === 'http:' || url?.protocol === 'https:') &&
        url.username === '' &&
        url.password === ''
    );
}
