/** What the service `imgapi` has in SAPI to reach Manta (ops.md §2): the names its configuration is rendered from. */
import { checkManta } from '../config/manta';
import type { Metadata } from '../dc/sapi';
import { keyPairOf, type KeyPair } from '../signing/key-pair';
import { SigningError } from '../signing/signer';
import { CommandFailure, UsageError } from './command';

/** How Manta is to be reached. */
export interface MantaAccess {
    readonly url: string;
    readonly user: string;
    readonly insecure: boolean;
    readonly remote: boolean;
}

/** @throws UsageError if the server could not be configured with it */
export function checkAccess({ url, user }: Pick<MantaAccess, 'url' | 'user'>): void {
    const problem = checkManta({ url, user, baseDir: 'imgapi' });
    if (problem !== undefined) {
        // Nobody has written these keys, the operator has given arguments.
        throw new UsageError(
            problem
                .replace(/^config\.manta\.url/, 'the URL of Manta')
                .replace(/^config\.manta\.user/, 'the user'),
        );
    }
}

export function mantaMetadata({ url, user, insecure, remote }: MantaAccess, key: KeyPair): Metadata {
    return {
        IMGAPI_MANTA_URL: url,
        IMGAPI_MANTA_USER: user,
        IMGAPI_MANTA_INSECURE: insecure,
        IMGAPI_MANTA_REMOTE: remote,
        IMGAPI_PUBLIC_KEY: `${key.publicLine}\n`,
        IMGAPI_PRIVATE_KEY: key.privateKey,
        IMGAPI_KEY_ID: key.sha256,
    };
}

const KEYS = [
    'IMGAPI_MANTA_URL',
    'IMGAPI_MANTA_USER',
    'IMGAPI_MANTA_INSECURE',
    'IMGAPI_MANTA_REMOTE',
    'IMGAPI_PUBLIC_KEY',
    'IMGAPI_PRIVATE_KEY',
    'IMGAPI_KEY_ID',
] as const;

/**
 * The key that the service has; undefined if it has not all that belongs to one.
 * @throws CommandFailure if it cannot be used
 */
export function keyOf(metadata: Metadata): KeyPair | undefined {
    if (KEYS.some((name) => metadata[name] === undefined || metadata[name] === null)) {
        return undefined;
    }
    const { IMGAPI_PRIVATE_KEY: privateKey, IMGAPI_PUBLIC_KEY: publicKey } = metadata;
    try {
        return keyPairOf(String(privateKey), 'in the metadata of the service', String(publicKey));
    } catch (error) {
        if (error instanceof SigningError) {
            throw new CommandFailure(
                `${error.message} Run this with --force to have it replaced by a new key.`,
            );
        }
        throw error;
    }
}
