/** Keys of every kind that users may have, requests signed with them, and the verifier by itself. */
import {
    createPrivateKey,
    createPublicKey,
    generateKeyPairSync,
    randomUUID,
    sign,
    type KeyObject,
} from 'node:crypto';
import sshpk from 'sshpk';
import { configKeys } from '../lib/auth/config-keys';
import type { Authenticator } from '../lib/auth/driver';
import { KeyStore } from '../lib/auth/key-store';
import { Roles } from '../lib/auth/roles';
import { SignatureAuthenticator } from '../lib/auth/signature';
import { createLog } from '../lib/log';

/** Each kind of key: how it is made, and what it signs with. */
const kinds = {
    'RSA-2048': { make: () => rsa(2048), algorithm: 'rsa-sha256', digest: 'sha256' },
    'RSA-4096': { make: () => rsa(4096), algorithm: 'rsa-sha256', digest: 'sha256' },
    'ECDSA P-256': { make: () => ecdsa('P-256'), algorithm: 'ecdsa-sha256', digest: 'sha256' },
    'ECDSA P-384': { make: () => ecdsa('P-384'), algorithm: 'ecdsa-sha384', digest: 'sha384' },
    'ECDSA P-521': { make: () => ecdsa('P-521'), algorithm: 'ecdsa-sha512', digest: 'sha512' },
    Ed25519: { make: () => generateKeyPairSync('ed25519'), algorithm: 'ed25519', digest: null },
    'DSA-1024': {
        make: () => generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 }),
        algorithm: 'dsa-sha1',
        digest: 'sha1',
    },
} satisfies Record<string, { make: () => KeyPair; algorithm: string; digest: string | null }>;

interface KeyPair {
    publicKey: KeyObject;
    privateKey: KeyObject;
}

const rsa = (modulusLength: number): KeyPair => generateKeyPairSync('rsa', { modulusLength });
const ecdsa = (namedCurve: string): KeyPair => generateKeyPairSync('ec', { namedCurve });

export type KeyKind = keyof typeof kinds;
export const keyKinds = Object.keys(kinds) as KeyKind[];

export interface SigningKey extends KeyPair {
    /** As in `authKeys`. */
    readonly line: string;
    readonly algorithm: string;
    /** Of the text that is signed; null where the algorithm has its own. */
    readonly digest: string | null;
}

export function makeKey(kind: KeyKind): SigningKey {
    const { make, algorithm, digest } = kinds[kind];
    // Read again from text, as keys of a server are: one that was just made is slower to use.
    const made = make();
    const pem = made.publicKey.export({ type: 'spki', format: 'pem' }).toString();
    return {
        publicKey: createPublicKey(pem),
        privateKey: createPrivateKey(made.privateKey.export({ type: 'pkcs8', format: 'pem' })),
        line: sshpk.parseKey(pem, 'pem').toString('ssh'),
        algorithm,
        digest,
    };
}

export interface Signed {
    /** The headers that sign it. */
    readonly date: string;
    readonly authorization: string;
    readonly text: Buffer;
    readonly signature: Buffer;
}

/** Signs the date. */
export function signDate(user: string, key: SigningKey, time: number): Signed {
    const date = new Date(time).toUTCString();
    const text = Buffer.from(`date: ${date}`);
    const signature = sign(key.digest, text, key.privateKey);
    const authorization = `Signature keyId="${user}",algorithm="${key.algorithm}",signature="${signature.toString('base64')}"`;
    return { date, authorization, text, signature };
}

/** @param users names and their key lines */
export async function openAuthenticator(
    users: Readonly<Record<string, readonly string[]>>,
): Promise<Authenticator> {
    const log = createLog({ name: 'bench', level: 'fatal' });
    const authenticator = new SignatureAuthenticator({
        keys: new KeyStore([configKeys(users, log)], log),
        roles: new Roles({}),
        config: {
            reads: 'anonymous',
            hideUnpublished: false,
            roles: {},
            requireSigned: [],
            keyPollInterval: 3_600_000,
        },
        clock: { now: () => Date.now(), uuid: randomUUID },
        log,
    });
    await authenticator.open();
    return authenticator;
}
