import { createPublicKey, type KeyObject } from 'node:crypto';
import sshpk from 'sshpk';

/** A public key that can verify signatures. */
export interface VerifyKey {
    readonly key: KeyObject;
    /** As in sshpk: rsa, dsa, ecdsa, ed25519. */
    readonly type: string;
    /** SHA256 fingerprint, as `ssh-keygen -l` prints it. */
    readonly fingerprint: string;
}

/** The keys of users by their names. A Map, so that no name has a meaning of its own. */
export type KeyRing = ReadonlyMap<string, readonly VerifyKey[]>;

/** Key types that a signature may be made with (auth.md §4). */
const USABLE_TYPES = new Set(['rsa']);

/** The key of an OpenSSH public key line. @throws Error saying what is wrong with it */
export function parseKey(line: string): VerifyKey {
    const parsed = sshpk.parseKey(line.trim(), 'ssh');
    if (!USABLE_TYPES.has(parsed.type)) {
        throw new Error(
            `keys of type ${parsed.type} are not supported, only ${[...USABLE_TYPES].join(', ')}`,
        );
    }
    return {
        key: createPublicKey(parsed.toString('pkcs8')),
        type: parsed.type,
        fingerprint: parsed.fingerprint('sha256').toString(),
    };
}
