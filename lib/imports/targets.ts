/** Judges where this server is asked to connect to, before it does (docs/security.md). */
import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type Logger from 'bunyan';
import type { Config } from '../config/types';
import { comparableHost, parseHost, parseNetwork, parseUrl, portOf } from '../config/outbound';
import { AddressRules } from './addresses';
import { OutboundRefused } from './driver';
import { unlessAborted } from '../abort';

/** Finds every address of a host name. @throws Error with a `code` as those of node:dns */
export type Resolve = (hostname: string) => Promise<LookupAddress[]>;

/** Longest URL taken, in characters. Longer ones are nobody's address, and other servers refuse them. */
const LONGEST_URL = 2048;

/**
 * Names being resolved at once. getaddrinfo takes one of four threads, which file I/O needs as well, for as long as the
 * name servers of a stranger like.
 */
const MOST_LOOKUPS = 2;

/** Resolves as the operating system does, /etc/hosts included. */
export function systemResolver(): Resolve {
    return inTurns((hostname) => lookup(hostname, { all: true }), MOST_LOOKUPS);
}

/** The resolver with so many calls at once at most; others wait for their turn. */
export function inTurns(resolve: Resolve, most: number): Resolve {
    let running = 0;
    const waiting: (() => void)[] = [];
    return async (hostname) => {
        if (running >= most) {
            await new Promise<void>((turn) => waiting.push(turn));
        } else {
            running++;
        }
        try {
            return await resolve(hostname);
        } finally {
            const next = waiting.shift();
            if (next) {
                // It takes over this one's place.
                next();
            } else {
                running--;
            }
        }
    };
}

/** The host of a URL or connection without the brackets of IPv6, in lower case, without a dot at its end. */
function bareHost(host: string): string {
    return host.toLowerCase().replace(/^\[|\]$|\.$/g, '');
}

/** What names under `localhost` mean everywhere (RFC 6761), whatever a name server says. */
const LOCALHOST: readonly LookupAddress[] = [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
];

const isLocalhost = (host: string): boolean => host === 'localhost' || host.endsWith('.localhost');

/** The repositories of other datacenters, which are asked wherever they are. */
function datacenterUrls({ mode, imgapiUrlFromDatacenter = {} }: Config): string[] {
    return mode === 'dc' ? Object.values(imgapiUrlFromDatacenter) : [];
}

/** Rules for targets: by host and port first, then by each address a host name stands for. */
export class Targets {
    readonly #addresses: AddressRules;
    /** `host` and `host:port` of what is allowed by name. */
    readonly #trusted: ReadonlySet<string>;
    readonly #resolve: Resolve;
    readonly #log: Logger;

    constructor(config: Config, log: Logger, resolve: Resolve) {
        const { allow, deny } = config.outbound;
        this.#addresses = new AddressRules({ allow, deny });
        const hosts = allow.flatMap((entry) => (parseNetwork(entry) ? [] : (parseHost(entry) ?? [])));
        const datacenters = datacenterUrls(config).flatMap((text) => {
            const url = parseUrl(text);
            return url ? [{ host: comparableHost(url), port: portOf(url) }] : [];
        });
        this.#trusted = new Set(
            [...hosts, ...datacenters].map(({ host, port }) =>
                port === undefined ? bareHost(host) : `${bareHost(host)}:${port}`,
            ),
        );
        this.#log = log;
        this.#resolve = resolve;
    }

    /**
     * The URL, its host in one form. What can be told without resolving names is judged here.
     *
     * @param protocols those that are taken, each with its colon
     * @throws OutboundRefused
     */
    parse(text: string, protocols: readonly string[]): URL {
        if (text.length > LONGEST_URL) {
            throw new OutboundRefused(
                `A URL may have at most ${LONGEST_URL} characters; this has ${text.length}.`,
            );
        }
        const url = parseUrl(text);
        if (!url || !protocols.includes(url.protocol) || comparableHost(url) === '') {
            const wanted = protocols.map((protocol) => protocol.slice(0, -1)).join(' or ');
            throw new OutboundRefused(
                `What was given is no URL of ${wanted} that this server could connect to.`,
            );
        }
        if (url.username !== '' || url.password !== '') {
            throw new OutboundRefused(
                `The URL for "${url.hostname}" holds credentials; this server sends none to other servers.`,
            );
        }
        url.hostname = comparableHost(url);
        url.hash = '';
        if (!this.trusts(url.hostname, portOf(url))) {
            this.judgeLiteral(url.hostname);
        }
        return url;
    }

    /** Judges a host for which no name server is needed, and lets any other pass. @throws OutboundRefused */
    judgeLiteral(hostname: string): void {
        const host = bareHost(hostname);
        const addresses = this.#known(host);
        if (addresses) {
            this.#judge(host, addresses);
        }
    }

    /** Whether the operator allows this host and port by name, wherever they are. */
    trusts(hostname: string, port: number): boolean {
        const host = bareHost(hostname);
        return this.#trusted.has(host) || this.#trusted.has(`${host}:${port}`);
    }

    /**
     * The addresses to connect to for a host name. One that is not permitted refuses the name as a whole: who sends it
     * either attacks or has made a mistake, and which address of several is used is left to chance.
     *
     * @throws OutboundRefused, or the error of the resolver
     */
    async addressesOf(hostname: string): Promise<LookupAddress[]> {
        const host = bareHost(hostname);
        const addresses = this.#known(host) ?? (await this.resolve(host));
        this.#judge(host, addresses);
        return [...addresses];
    }

    /**
     * Judges a target that a proxy will connect to: by the addresses its name has here, if it has some. A name that is
     * not found here, or not in time, is left to the proxy.
     *
     * @param milliseconds that resolving may take
     * @throws OutboundRefused, or the reason of the signal
     */
    async judgeAsFarAsKnown(url: URL, milliseconds: number, signal: AbortSignal): Promise<void> {
        if (this.trusts(url.hostname, portOf(url))) {
            return;
        }
        const late = AbortSignal.timeout(milliseconds);
        try {
            await unlessAborted(AbortSignal.any([signal, late]), this.addressesOf(url.hostname));
        } catch (err) {
            signal.throwIfAborted();
            if (err instanceof OutboundRefused) {
                throw err;
            }
            this.#log.debug({ err, host: url.host }, 'the name is left to the proxy to resolve');
        }
    }

    /** The addresses of a host, not judged. @throws the error of the resolver */
    async resolve(hostname: string): Promise<LookupAddress[]> {
        const host = bareHost(hostname);
        const addresses = await this.#resolve(host);
        if (addresses.length === 0) {
            throw Object.assign(new Error(`no address of ${host}`), { code: 'ENOTFOUND' });
        }
        return addresses;
    }

    /** Whether a connection that stands may be used. */
    permits(address: string | undefined): boolean {
        return address !== undefined && this.#addresses.permits(address);
    }

    /** The addresses of a host for which no name server is needed. */
    #known(host: string): readonly LookupAddress[] | undefined {
        const family = isIP(host);
        if (family !== 0) {
            return [{ address: host, family }];
        }
        return isLocalhost(host) ? LOCALHOST : undefined;
    }

    /** @throws OutboundRefused, which names the host only: its addresses may be secrets of the network */
    #judge(host: string, addresses: readonly LookupAddress[]): void {
        const forbidden = addresses.find(({ address }) => !this.#addresses.permits(address));
        if (forbidden) {
            this.#log.warn({ host, address: forbidden.address }, 'did not connect to a forbidden address');
            throw refusal(host);
        }
    }
}

/** What whoever asked for a connection is told. */
export function refusal(host: string): OutboundRefused {
    return new OutboundRefused(
        `This server does not connect to "${host}": it is not, or not only, at public addresses. ` +
            'Its operator can open that with the configuration key outbound.allow.',
    );
}
