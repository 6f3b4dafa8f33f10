/** The signature algorithms, by the names that clients give (auth.md §2 checks 7 and 11, §4). */
import type { KeyType } from './keys';

export interface Algorithm {
    /** The type of key that can make such a signature. */
    readonly keyType: KeyType;
    /** The digest of the text that is signed; null where the algorithm has its own. */
    readonly digest: 'sha1' | 'sha256' | 'sha384' | 'sha512' | null;
}

/** A Map, so that no name has a meaning of its own. */
export const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
    ['rsa-sha1', { keyType: 'rsa', digest: 'sha1' }],
    ['rsa-sha256', { keyType: 'rsa', digest: 'sha256' }],
    ['rsa-sha512', { keyType: 'rsa', digest: 'sha512' }],
    ['dsa-sha1', { keyType: 'dsa', digest: 'sha1' }],
    ['ecdsa-sha256', { keyType: 'ecdsa', digest: 'sha256' }],
    ['ecdsa-sha384', { keyType: 'ecdsa', digest: 'sha384' }],
    ['ecdsa-sha512', { keyType: 'ecdsa', digest: 'sha512' }],
    ['ed25519', { keyType: 'ed25519', digest: null }],
    // The same by the name that http-signature gives it.
    ['ed25519-sha512', { keyType: 'ed25519', digest: null }],
]);

/** Known, but not taken: with a shared secret, whoever verifies could sign, and users have public keys here. */
export const BLOCKED: ReadonlySet<string> = new Set(['hmac-sha1', 'hmac-sha256', 'hmac-sha512']);

/** What messages recommend. */
export const TAKEN = `this server takes ${[...ALGORITHMS.keys()].join(', ')}`;
