/** The signature algorithms that imgapi-sign signs with and the server takes. */
import type sshpk from 'sshpk';
import { SigningError } from './signer';

/** As sshpk names them. */
export type KeyType = 'rsa' | 'dsa' | 'ecdsa' | 'ed25519';

export interface Algorithm {
    /** As the `algorithm` parameter of a signature names it. */
    readonly name: string;
    /** The type of key that can make such a signature. */
    readonly keyType: KeyType;
    readonly digest: 'sha1' | 'sha256' | 'sha384' | 'sha512';
}

/** All that there are; of those for one type of key the one to take by default first. */
export const ALGORITHMS: readonly Algorithm[] = [
    { name: 'rsa-sha256', keyType: 'rsa', digest: 'sha256' },
    { name: 'rsa-sha512', keyType: 'rsa', digest: 'sha512' },
    { name: 'rsa-sha1', keyType: 'rsa', digest: 'sha1' },
    { name: 'ecdsa-sha256', keyType: 'ecdsa', digest: 'sha256' },
    { name: 'ecdsa-sha384', keyType: 'ecdsa', digest: 'sha384' },
    { name: 'ecdsa-sha512', keyType: 'ecdsa', digest: 'sha512' },
    // The first is how http-signature writes it, in servers as well; the second is that of the drafts.
    { name: 'ed25519-sha512', keyType: 'ed25519', digest: 'sha512' },
    { name: 'ed25519', keyType: 'ed25519', digest: 'sha512' },
    { name: 'dsa-sha1', keyType: 'dsa', digest: 'sha1' },
];

/** The digest to name to `crypto.sign` and `crypto.verify`; null for Ed25519, which hashes by itself. */
export function digestForCrypto({ keyType, digest }: Algorithm): Algorithm['digest'] | null {
    return keyType === 'ed25519' ? null : digest;
}

/** The digest that belongs to a curve (RFC 5656), which is the only one that agents sign with. */
const CURVE_DIGESTS: ReadonlyMap<string | undefined, Algorithm['digest']> = new Map([
    ['nistp256', 'sha256'],
    ['nistp384', 'sha384'],
    ['nistp521', 'sha512'],
]);

/** What the key may be used with, the default first; none for a type of key that signs no requests. */
export function algorithmsOf({ type, curve }: sshpk.Key): Algorithm[] {
    const suited = ALGORITHMS.filter(({ keyType }) => keyType === type);
    const ofCurve = suited.filter(({ digest }) => digest === CURVE_DIGESTS.get(curve));
    return [...ofCurve, ...suited.filter((algorithm) => !ofCurve.includes(algorithm))];
}

/**
 * The algorithm of that name, in upper or lower case, or the default one if none is named.
 * @throws SigningError if it is not one of those
 */
export function chooseAlgorithm(
    algorithms: readonly Algorithm[],
    name: string | undefined,
    whose: string,
): Algorithm {
    const found =
        name === undefined
            ? algorithms[0]
            : algorithms.find((algorithm) => algorithm.name === name.toLowerCase());
    if (!found) {
        const names = algorithms.map((algorithm) => algorithm.name).join(', ');
        throw new SigningError(`The algorithm is "${name ?? ''}"; ${whose} signs with ${names}.`);
    }
    return found;
}
