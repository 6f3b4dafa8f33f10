import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import sshpk from 'sshpk';
import type { KeyType } from '../signing/algorithms';
import { shown } from './refusal';

/** A public key that can verify signatures. */
export interface VerifyKey {
    readonly key: KeyObject;
    readonly type: KeyType;
    /** SHA256 fingerprint, as `ssh-keygen -l` prints it. */
    readonly fingerprint: string;
}

/** The keys of users by their names. A Map, so that no name has a meaning of its own. */
export type KeyRing = ReadonlyMap<string, readonly VerifyKey[]>;

/** What key lines begin with: the type of the key, and its name within the key. */
const PREFIXES: ReadonlyMap<string, { type: KeyType; inner: string }> = new Map([
    ['ssh-rsa', { type: 'rsa', inner: 'ssh-rsa' }],
    ['ssh-dss', { type: 'dsa', inner: 'ssh-dss' }],
    ['ssh-dsa', { type: 'dsa', inner: 'ssh-dss' }],
    ['ecdsa-sha2-nistp256', { type: 'ecdsa', inner: 'ecdsa-sha2-nistp256' }],
    ['ecdsa-sha2-nistp384', { type: 'ecdsa', inner: 'ecdsa-sha2-nistp384' }],
    ['ecdsa-sha2-nistp521', { type: 'ecdsa', inner: 'ecdsa-sha2-nistp521' }],
    ['ssh-ed25519', { type: 'ed25519', inner: 'ssh-ed25519' }],
]);

/** Smaller RSA keys can be broken with little effort. */
const FEWEST_RSA_BITS = 1024;

/**
 * Keys that were read, by fingerprint, for as long as somebody uses them: users are listed in several places, and all
 * places are read again and again.
 */
const known = new Map<string, WeakRef<VerifyKey>>();
const unused = new FinalizationRegistry<string>((fingerprint) => {
    if (known.get(fingerprint)?.deref() === undefined) {
        known.delete(fingerprint);
    }
});

/**
 * The key of an OpenSSH public key line: type, key in base64 and comment with single spaces between them. Lines that
 * begin with options are not taken (auth.md §4).
 *
 * @throws Error saying what is wrong with it
 */
export function parseKey(line: string): VerifyKey {
    const [prefix = '', encoded = ''] = line.trim().split(' ', 2);
    const expected = PREFIXES.get(prefix);
    if (!expected) {
        throw new Error(
            `the line begins with ${shown(prefix)}; it has to begin with one of ${[...PREFIXES.keys()].join(', ')}`,
        );
    }
    const bytes = Buffer.from(encoded, 'base64');
    if (encoded === '' || bytes.toString('base64') !== encoded) {
        throw new Error(`after "${prefix}" and one space the key has to follow in base64`);
    }
    if (!bytes.subarray(4).toString('latin1').startsWith(expected.inner)) {
        throw new Error(`the line begins with "${prefix}", but has a key of another type`);
    }
    const fingerprint = `SHA256:${createHash('sha256').update(bytes).digest('base64').replace(/=+$/, '')}`;
    const same = known.get(fingerprint)?.deref();
    if (same) {
        return same;
    }
    const key = { key: readKey(bytes), type: expected.type, fingerprint };
    known.set(fingerprint, new WeakRef(key));
    unused.register(key, fingerprint);
    return key;
}

/** The prime of the field that Ed25519 computes in. */
const ED25519_PRIME = 2n ** 255n - 19n;

/** The y coordinates of the eight points of Ed25519 whose multiples are only those eight again. */
const SMALL_ORDER = new Set([
    0n,
    1n,
    ED25519_PRIME - 1n,
    0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n,
    0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
]);

/** Whether signatures can be made without the private key. OpenSSL verifies them (RFC 8032 does not forbid it). */
function hasSmallOrder(key: KeyObject): boolean {
    const point = Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url').reverse();
    // The highest bit is the sign of x; a coordinate may be written as itself plus the prime.
    const y = BigInt.asUintN(255, BigInt(`0x${point.toString('hex')}`)) % ED25519_PRIME;
    return SMALL_ORDER.has(y);
}

function readKey(bytes: Buffer): KeyObject {
    let key: KeyObject;
    try {
        key = createPublicKey(sshpk.parseKey(bytes, 'rfc4253').toString('pkcs8'));
    } catch (err) {
        throw new Error('the key is damaged: the bytes are not those of a public key', { cause: err });
    }
    const { modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {};
    if (key.asymmetricKeyType === 'ed25519' && hasSmallOrder(key)) {
        throw new Error('the Ed25519 key is one of the few that everybody can make signatures for');
    }
    if (key.asymmetricKeyType === 'rsa') {
        if (modulusLength === undefined || modulusLength < FEWEST_RSA_BITS) {
            throw new Error(
                `the RSA key has ${modulusLength ?? 0} bits; it needs ${FEWEST_RSA_BITS} or more to be safe`,
            );
        }
        // With 1, everybody can make signatures.
        if (publicExponent === undefined || publicExponent < 3n) {
            throw new Error('the RSA key has a public exponent below 3, with which it protects nothing');
        }
    }
    return key;
}
