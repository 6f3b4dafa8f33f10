/** The signature algorithms that are taken, by the names that clients give (auth.md §2 checks 7 and 11, §4). */
import { ALGORITHMS as TABLE, type Algorithm } from '../signing/algorithms';

/** A Map, so that no name has a meaning of its own. */
export const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map(
    TABLE.map((algorithm) => [algorithm.name, algorithm]),
);

/** Known, but not taken: with a shared secret, whoever verifies could sign, and users have public keys here. */
export const BLOCKED: ReadonlySet<string> = new Set(['hmac-sha1', 'hmac-sha256', 'hmac-sha512']);

/** What messages recommend. */
export const TAKEN = `this server takes ${[...ALGORITHMS.keys()].join(', ')}`;
