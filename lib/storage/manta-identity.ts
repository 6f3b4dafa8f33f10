/** Who this server is to Manta: an account and one of its keys (manta.md §2). */
import sshpk from 'sshpk';
import type { Algorithm } from '../signing/algorithms';
import { readKeyFile } from '../signing/key-file';
import { authorization } from '../signing/request';
import { SigningError, type Signer } from '../signing/signer';

export class MantaIdentity {
    /** MD5 fingerprint of the key, by which Manta knows it. */
    readonly fingerprint: string;
    readonly #signer: Signer;
    readonly #algorithm: Algorithm;
    readonly #user: string;

    private constructor(user: string, signer: Signer, algorithm: Algorithm) {
        this.#user = user;
        this.#signer = signer;
        this.#algorithm = algorithm;
        this.fingerprint = signer.key.fingerprint('md5').toString('hex');
    }

    /**
     * Reads the private key.
     * @param path of a private key without a passphrase
     * @throws Error in a sentence that names the path and says what to do
     */
    static async read(user: string, path: string): Promise<MantaIdentity> {
        let file;
        try {
            file = await readKeyFile(path);
        } catch (error) {
            if (!(error instanceof SigningError)) {
                throw error;
            }
            throw unusable(path, `has to name a private key: ${error.message}`, error);
        }
        if ('signer' in file) {
            // Manta reads no signatures with SHA-384, not even those of keys whose own digest that is.
            const algorithm = file.signer.algorithms.find(({ digest }) => digest !== 'sha384');
            if (algorithm === undefined) {
                throw unusable(
                    path,
                    'names a key of a kind that Manta does not take. Name an RSA or ECDSA key.',
                );
            }
            return new MantaIdentity(user, file.signer, algorithm);
        }
        throw file.encrypted
            ? unusable(
                  path,
                  'names a key with a passphrase, which nobody could type in when the server starts. ' +
                      `Take it away with "ssh-keygen -p -f ${path}", or name another key of the account.`,
              )
            : unusable(path, 'names a public key. Name its private half, the file without ".pub".');
    }

    /** Whether a fingerprint (MD5 or SHA256, as `ssh-keygen -l` prints it) is that of the key. */
    isNamedBy(keyId: string): boolean {
        try {
            return sshpk.parseFingerprint(keyId).matches(this.#signer.key);
        } catch {
            return false;
        }
    }

    /** The headers that sign a request made now. */
    async headers(): Promise<{ date: string; authorization: string }> {
        const date = new Date().toUTCString();
        return {
            date,
            authorization: await authorization(this.#signer, {
                keyId: `/${this.#user}/keys/${this.fingerprint}`,
                algorithm: this.#algorithm,
                request: { names: ['date'], headers: new Map([['date', date]]) },
            }),
        };
    }
}

function unusable(path: string, why: string, cause?: unknown): Error {
    return new Error(`config.manta.key is ${JSON.stringify(path)}; it ${why}`, { cause });
}
