/** Which addresses this server connects to (docs/security.md). */
import { BlockList, isIP } from 'node:net';
import { parseNetwork } from '../config/outbound';

/** One thing that an address means to those who route it. */
interface Reading {
    address: string;
    family: 'ipv4' | 'ipv6';
}

/** The 16 bytes of an IPv6 address; some of them may be written as an IPv4 address. */
function bytesOf(address: string): number[] {
    // The URL parser writes every form in hexadecimal groups.
    const text = new URL(`http://[${address}]`).hostname.slice(1, -1);
    const [front = '', back] = text.split('::');
    const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
    const head = groups(front);
    const tail = groups(back ?? '');
    const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
    return [...head, ...zeros, ...tail]
        .map((group) => Number.parseInt(group, 16))
        .flatMap((value) => [value >> 8, value & 0xff]);
}

const startsWith = (bytes: readonly number[], prefix: readonly number[]): boolean =>
    prefix.every((byte, index) => bytes[index] === byte);

const ZEROS = (count: number): number[] => Array.from({ length: count }, () => 0);

/** ::ffff:0:0/96: another way to write an IPv4 address, and no address of its own. */
const MAPPED = [...ZEROS(10), 0xff, 0xff];

/** Prefixes after which IPv4 addresses stand, with the places they stand at. */
const carriers: readonly {
    prefix: readonly number[];
    at: readonly number[];
    inverted?: readonly number[];
}[] = [
    // IPv4-compatible (::/96) and translated (::ffff:0:0:0/96) addresses.
    { prefix: ZEROS(12), at: [12] },
    { prefix: [...ZEROS(8), 0xff, 0xff, 0, 0], at: [12] },
    // NAT64, 64:ff9b::/96
    { prefix: [0, 0x64, 0xff, 0x9b, ...ZEROS(8)], at: [12] },
    // 6to4, 2002::/16
    { prefix: [0x20, 0x02], at: [2] },
    // Teredo, 2001::/32: the address of a server, and that of a client with every bit turned over.
    { prefix: [0x20, 0x01, 0, 0], at: [4], inverted: [12] },
];

function ipv4At(bytes: readonly number[], at: number, mask = 0): Reading {
    const address = bytes
        .slice(at, at + 4)
        .map((byte) => byte ^ mask)
        .join('.');
    return { address, family: 'ipv4' };
}

/** Everything an address means: itself, and the IPv4 addresses it carries. None if it is no address. */
function readingsOf(address: string): Reading[] {
    const bare = address.replace(/%.*$/, '');
    switch (isIP(bare)) {
        case 4:
            return [{ address: bare, family: 'ipv4' }];
        case 6: {
            const bytes = bytesOf(bare);
            if (startsWith(bytes, MAPPED)) {
                return [ipv4At(bytes, 12)];
            }
            // "::" and "::1" are addresses of their own, though they look like IPv4-compatible ones.
            const special = startsWith(bytes, ZEROS(15)) && (bytes[15] ?? 0) <= 1;
            const carried = (special ? [] : carriers)
                .filter(({ prefix }) => startsWith(bytes, prefix))
                .flatMap(({ at, inverted = [] }) => [
                    ...at.map((place) => ipv4At(bytes, place)),
                    ...inverted.map((place) => ipv4At(bytes, place, 0xff)),
                ]);
            return [{ address: bare, family: 'ipv6' }, ...carried];
        }
        default:
            return [];
    }
}

/** Ranges of addresses, each family by itself: one BlockList would take ::/0 for every IPv4 address as well. */
class Ranges {
    readonly #lists = { ipv4: new BlockList(), ipv6: new BlockList() };

    constructor(entries: readonly string[]) {
        for (const network of entries.map(parseNetwork)) {
            if (network) {
                this.#lists[network.family].addSubnet(network.address, network.prefix, network.family);
            }
        }
    }

    has({ address, family }: Reading): boolean {
        return this.#lists[family].check(address, family);
    }
}

/** A list of what is denied, and one of what is allowed all the same; entries that are no addresses are passed over. */
export class AddressRules {
    readonly #denied: Ranges;
    readonly #allowed: Ranges;

    constructor({ allow, deny }: { allow: readonly string[]; deny: readonly string[] }) {
        this.#denied = new Ranges(deny);
        this.#allowed = new Ranges(allow);
    }

    /** Whether a connection may be made to the address. What is no IP address is not permitted. */
    permits(address: string): boolean {
        const readings = readingsOf(address);
        return (
            readings.length > 0 &&
            readings.every((reading) => !this.#denied.has(reading) || this.#allowed.has(reading))
        );
    }
}
