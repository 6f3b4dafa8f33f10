import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import sshpk from 'sshpk';
import { shown } from './refusal';

/** As sshpk names them. */
export type KeyType = 'rsa' | 'dsa' | 'ecdsa' | 'ed25519';

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

function readKey(bytes: Buffer): KeyObject {
    let key: KeyObject;
    try {
        key = createPublicKey(sshpk.parseKey(bytes, 'rfc4253').toString('pkcs8'));
    } catch (err) {
        throw new Error('the key is damaged: the bytes are not those of a public key', { cause: err });
    }
    const { modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {};
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
