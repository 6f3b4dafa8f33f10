import { createPublicKey, type KeyObject } from 'node:crypto';
import type Logger from 'bunyan';
import sshpk from 'sshpk';

/** A public key that can verify signatures. */
export interface VerifyKey {
    readonly key: KeyObject;
    /** As in sshpk: rsa, dsa, ecdsa, ed25519. */
    readonly type: string;
    /** SHA256 fingerprint, as `ssh-keygen -l` prints it. */
    readonly fingerprint: string;
}

/** The keys of every user, replaced as a whole. A Map, so that no name has a meaning of its own. */
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

/** The key ring of `config.authKeys`. A line that is no usable key is skipped with a warning. */
export function keyRing(authKeys: Record<string, readonly string[]>, log: Logger): KeyRing {
    const ring = new Map<string, VerifyKey[]>();
    for (const [user, lines] of Object.entries(authKeys)) {
        const keys: VerifyKey[] = [];
        for (const [index, line] of lines.entries()) {
            try {
                keys.push(parseKey(line));
            } catch (err) {
                log.warn({ err, user, index }, 'a key in authKeys cannot be used and is skipped');
            }
        }
        ring.set(user, keys);
    }
    return ring;
}
