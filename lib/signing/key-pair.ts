/** SSH keys of this server itself: made, or read to be handed to a service. */
import { generateKeyPairSync } from 'node:crypto';
import sshpk from 'sshpk';
import { parsePrivate } from './key-file';
import { SigningError } from './signer';

export interface KeyPair {
    /** PEM, ending in a newline. Never to be logged. */
    readonly privateKey: string;
    /** One line as in `authorized_keys`, without a newline. */
    readonly publicLine: string;
    readonly comment: string;
    /** As ssh-keygen prints it: `SHA256:` and base64. */
    readonly sha256: string;
    /** In hexadecimal pairs, joined by colons. */
    readonly md5: string;
}

/**
 * Makes an ECDSA key of 256 bits without a passphrase. Its private half is in the PEM form of SEC 1, which OpenSSH of
 * any age, OpenSSL and the clients of Manta read.
 */
export function makeKeyPair(comment: string): KeyPair {
    const { privateKey, publicKey } = generateKeyPairSync('ec', {
        namedCurve: 'prime256v1',
        privateKeyEncoding: { type: 'sec1', format: 'pem' },
        publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    return describe(privateKey, sshpk.parseKey(publicKey, 'pem'), comment);
}

/**
 * The pair that a private key belongs to.
 *
 * @param pem the private key in any form that `readKeyFile` reads
 * @param name what messages call it
 * @param publicText the public half, if it is known; its comment is kept
 * @throws SigningError if the private key cannot be used, or the public one is not its other half
 */
export function keyPairOf(pem: string, name: string, publicText?: string): KeyPair {
    const key = parsePrivate(pem, name);
    if (!key) {
        throw new SigningError(
            `The private key ${name} has a passphrase, which nobody could type in when it is used. ` +
                'Take it away from a copy with "ssh-keygen -p", and give that.',
        );
    }
    const own = key.toPublic();
    const given = publicText === undefined ? own : parsePublicHalf(publicText, name);
    if (!own.fingerprint('sha256').matches(given)) {
        throw new SigningError(`The public key given with ${name} is not its other half.`);
    }
    return describe(`${pem.trim()}\n`, own, commentOf(given) ?? commentOf(key) ?? '');
}

/** What sshpk calls a key that has none is no comment. */
function commentOf({ comment }: { comment?: string }): string | undefined {
    return comment === '(unnamed)' ? undefined : comment;
}

function parsePublicHalf(text: string, name: string): sshpk.Key {
    try {
        return sshpk.parseKey(text.trim(), 'auto');
    } catch {
        throw new SigningError(`The public key given with ${name} is none.`);
    }
}

function describe(privateKey: string, publicKey: sshpk.Key, comment: string): KeyPair {
    const [type = '', blob = ''] = publicKey.toString('ssh').split(' ');
    return {
        privateKey,
        publicLine: [type, blob, comment].filter(Boolean).join(' '),
        comment,
        sha256: publicKey.fingerprint('sha256').toString(),
        md5: publicKey.fingerprint('md5').toString('hex'),
    };
}
