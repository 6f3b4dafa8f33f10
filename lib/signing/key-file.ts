import { createPrivateKey, sign, type KeyObject } from 'node:crypto';
import { open } from 'node:fs/promises';
import sshpk from 'sshpk';
import { algorithmsOf, digestForCrypto, type Algorithm } from './algorithms';
import { SigningError, type Signer } from './signer';
import { WireReader } from './wire';

/** Far above the largest key, in bytes; so that a wrong name does not fill the memory. */
const LONGEST_FILE = 64 * 1024;

const OPENSSH_MAGIC = 'openssh-key-v1\0';

/** What a key file is good for. */
export type KeyFile =
    /** It holds a private key that can be used. */
    | { readonly signer: Signer }
    /** It names a key that somebody else has to sign with. */
    | { readonly key: sshpk.Key; readonly encrypted: boolean };

/**
 * Reads a private or public key. Private keys may be in PEM (PKCS#1, SEC 1, PKCS#8) or OpenSSH form. Of one with a
 * passphrase the public half is read: from the file itself in OpenSSH form, else from the file `.pub` beside it.
 *
 * @throws SigningError if there is none
 */
export async function readKeyFile(path: string): Promise<KeyFile> {
    const text = await readText(path);
    if (!text.includes('PRIVATE KEY-----')) {
        return { key: parsePublic(text, path), encrypted: false };
    }
    const embedded = publicHalfOfEncrypted(text);
    if (embedded) {
        return { key: embedded, encrypted: true };
    }
    const key = parsePrivate(text, path);
    return key ? { signer: new KeySigner(key, path) } : { key: await beside(path), encrypted: true };
}

async function readText(path: string): Promise<string> {
    try {
        const file = await open(path);
        try {
            const { buffer, bytesRead } = await file.read(Buffer.alloc(LONGEST_FILE + 1));
            if (bytesRead > LONGEST_FILE) {
                throw new SigningError(`${path} is too long to be a key.`);
            }
            return buffer.toString('latin1', 0, bytesRead);
        } finally {
            await file.close();
        }
    } catch (err) {
        if (err instanceof SigningError) {
            throw err;
        }
        const { code = 'unknown error' } = err as NodeJS.ErrnoException;
        throw new SigningError(`The key ${path} cannot be read (${code}).`);
    }
}

// What the parsers say about a file that they reject is left out: it could tell of its content.

function parsePublic(text: string, path: string): sshpk.Key {
    try {
        return sshpk.parseKey(text.trim(), 'auto');
    } catch {
        throw new SigningError(`${path} is no SSH key: neither a private nor a public one.`);
    }
}

/** The private key; undefined if it has a passphrase. @param path what messages call it @throws SigningError */
export function parsePrivate(text: string, path: string): sshpk.PrivateKey | undefined {
    try {
        return sshpk.parsePrivateKey(text, 'auto');
    } catch (err) {
        if (err instanceof Error && err.name === 'KeyEncryptedError') {
            return undefined;
        }
        throw new SigningError(
            `The private key ${path} cannot be read; it has to be an RSA, ECDSA, Ed25519 or DSA key in PEM, PKCS#8 or OpenSSH form.`,
        );
    }
}

/** The public half of an OpenSSH private key with a passphrase, which stands in front of what is encrypted. */
function publicHalfOfEncrypted(text: string): sshpk.Key | undefined {
    const content = /-----BEGIN OPENSSH PRIVATE KEY-----([^-]*)-----END/.exec(text)?.[1];
    const bytes = Buffer.from(content ?? '', 'base64');
    if (!bytes.subarray(0, OPENSSH_MAGIC.length).equals(Buffer.from(OPENSSH_MAGIC))) {
        return undefined;
    }
    const reader = new WireReader(bytes.subarray(OPENSSH_MAGIC.length));
    try {
        const cipher = reader.string().toString('latin1');
        reader.string(); // key derivation, and its options
        reader.string();
        return cipher === 'none' || reader.uint32() !== 1
            ? undefined
            : sshpk.parseKey(reader.string(), 'rfc4253');
    } catch {
        // Whoever reads the private key next will say that it is damaged.
        return undefined;
    }
}

async function beside(path: string): Promise<sshpk.Key> {
    const file = `${path}.pub`;
    try {
        return parsePublic(await readText(file), file);
    } catch {
        throw new SigningError(
            `The private key ${path} has a passphrase, and without ${file} it cannot be told which key of ssh-agent it is. ` +
                `Load it with "ssh-add ${path}" and name it by its fingerprint.`,
        );
    }
}

function keyObject(key: sshpk.PrivateKey): KeyObject {
    if (key.type !== 'ed25519') {
        return createPrivateKey(key.toString('pkcs8'));
    }
    // What sshpk writes of this type, OpenSSL does not read.
    const part = (wanted: string) =>
        key.parts.find(({ name }) => name === wanted)?.data.toString('base64url');
    return createPrivateKey({
        key: { kty: 'OKP', crv: 'Ed25519', d: part('k'), x: part('A') },
        format: 'jwk',
    });
}

/** A private key in memory. */
class KeySigner implements Signer {
    readonly key: sshpk.Key;
    readonly algorithms: readonly Algorithm[];
    readonly #private: KeyObject;

    constructor(key: sshpk.PrivateKey, path: string) {
        this.key = key.toPublic();
        this.algorithms = algorithmsOf(this.key);
        try {
            this.#private = keyObject(key);
        } catch {
            throw new SigningError(`The private key ${path} is damaged.`);
        }
        if (this.algorithms.length === 0) {
            throw new SigningError(`The private key ${path} is of type ${key.type}, which signs nothing.`);
        }
    }

    sign(data: Buffer, algorithm: Algorithm): Promise<Buffer> {
        return new Promise((resolve, reject) => {
            sign(digestForCrypto(algorithm), data, this.#private, (err, signature) => {
                if (err) {
                    reject(
                        new SigningError(`The key cannot sign with ${algorithm.name} here: ${err.message}.`),
                    );
                } else {
                    resolve(signature);
                }
            });
        });
    }
}
