/** Which key signs: the one that is named, or the only one that there is. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import sshpk from 'sshpk';
import { readKeyFile } from './key-file';
import { describeKey, SigningError, type Signer } from './signer';
import { SshAgent } from './ssh-agent';

/** Where `ssh-keygen` puts keys unless it is told otherwise. */
const DEFAULT_FILES = ['id_ed25519', 'id_ecdsa', 'id_rsa', 'id_dsa'];

const FINGERPRINT = /^(SHA256:[a-z0-9+/]{43}=?|(MD5:)?[0-9a-f]{2}(:[0-9a-f]{2}){15})$/i;

export interface KeyPlaces {
    /** Socket of ssh-agent, if one runs: `SSH_AUTH_SOCK`. */
    agent?: string | undefined;
    /** The user's folder of keys, `~/.ssh`. */
    folder: string;
}

/**
 * The signer for a key.
 *
 * @param identity a private key file, or the name of a key in ssh-agent: a public key file, a private key file with a
 *   passphrase, or a fingerprint (SHA256 or MD5). Without it, the only key of ssh-agent, or else the only one of the
 *   default files in the folder.
 * @throws SigningError if there is no such key, or several that could be meant
 */
export async function findSigner(identity: string | undefined, places: KeyPlaces): Promise<Signer> {
    if (identity === undefined) {
        return onlySigner(places);
    }
    if (FINGERPRINT.test(identity)) {
        const fingerprint = sshpk.parseFingerprint(identity);
        return agentSigner(
            identity,
            places,
            fingerprint,
            'ssh-agent has no key with that fingerprint',
            'Load it with ssh-add, or name the file of the private key',
        );
    }
    const file = await readKeyFile(identity);
    if ('signer' in file) {
        return file.signer;
    }
    const fingerprint = file.key.fingerprint('sha256');
    return file.encrypted
        ? agentSigner(
              identity,
              places,
              fingerprint,
              'it has a passphrase, and ssh-agent does not hold it',
              `Load it with "ssh-add ${identity}"`,
          )
        : agentSigner(
              identity,
              places,
              fingerprint,
              'it is a public key, and ssh-agent does not hold its private half',
              'Load that with ssh-add, or name its file',
          );
}

async function agentSigner(
    identity: string,
    { agent }: KeyPlaces,
    fingerprint: sshpk.Fingerprint,
    missing: string,
    advice: string,
): Promise<Signer> {
    if (agent === undefined) {
        throw new SigningError(
            `ssh-agent has to sign with ${identity}, but SSH_AUTH_SOCK is not set. Start one with 'eval "$(ssh-agent)"'. ${advice}.`,
        );
    }
    const signers = await new SshAgent(agent).signers();
    const found = signers.find(({ key }) => fingerprint.matches(key));
    if (!found) {
        throw new SigningError(
            `The key ${identity} cannot be used: ${missing}, but ${listed(signers)}. ${advice}.`,
        );
    }
    return found;
}

async function onlySigner({ agent, folder }: KeyPlaces): Promise<Signer> {
    let signers: Signer[] = [];
    let looked = 'SSH_AUTH_SOCK names no ssh-agent';
    if (agent !== undefined) {
        try {
            signers = await new SshAgent(agent).signers();
            looked = 'ssh-agent holds no key that can sign requests';
        } catch (err) {
            if (!(err instanceof SigningError)) {
                throw err;
            }
            // An agent that is gone is common, and no reason not to take a file.
            looked = err.message.replace(/\.$/, '');
        }
    }
    if (signers.length > 1) {
        throw new SigningError(
            `ssh-agent holds several keys, so the one to sign with has to be named: ${listed(signers)}.`,
        );
    }
    const [only] = signers;
    if (only) {
        return only;
    }
    const files = DEFAULT_FILES.map((name) => join(folder, name)).filter((file) => existsSync(file));
    if (files.length > 1) {
        throw new SigningError(
            `There are several keys, so the one to sign with has to be named: ${files.join(', ')}.`,
        );
    }
    const [file] = files;
    if (file === undefined) {
        throw new SigningError(
            `There is no key to sign with: ${looked}, and ${folder} has none of ${DEFAULT_FILES.join(', ')}.`,
        );
    }
    return findSigner(file, { agent, folder });
}

function listed(signers: readonly Signer[]): string {
    return signers.map(({ key }) => describeKey(key)).join(', ') || 'no key';
}
