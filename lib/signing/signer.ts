/** What makes signatures promises; a private key file and ssh-agent do. */
import type sshpk from 'sshpk';
import type { Algorithm } from './algorithms';

/** Why nothing can be signed, in one sentence for the user. It never holds anything of a private key. */
export class SigningError extends Error {
    override readonly name = 'SigningError';
}

export interface Signer {
    /** The public half of the key. */
    readonly key: sshpk.Key;
    /** What it can sign with, the one to take by default first; never empty. */
    readonly algorithms: readonly Algorithm[];
    /**
     * The signature of the data in the form that HTTP Signature carries: of RSA keys as long as the key, of DSA and
     * ECDSA keys in DER, of Ed25519 keys 64 bytes.
     *
     * @param algorithm one of {@link algorithms}
     * @throws SigningError
     */
    sign(data: Buffer, algorithm: Algorithm): Promise<Buffer>;
}

/** A key as it is named to people: its type and fingerprint as `ssh-keygen -l` prints them, and its comment. */
export function describeKey(key: sshpk.Key): string {
    // Comments are another's text, and an agent's may hold anything.
    const comment = (key.comment ?? '').replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 80);
    return [key.type.toUpperCase(), key.fingerprint('sha256').toString(), comment].filter(Boolean).join(' ');
}
