/** Algorithms that are not the key's, or none at all; public keys as the secret of a symmetric one. */
import { createHmac, createPublicKey } from 'node:crypto';
import type { TestKey } from '../../support/keys';
import { utf8, type Forgery } from './forgery';

/** Of every family, whether the server takes it or not, and some that are none. */
const ALGORITHMS = [
    ...['rsa-sha1', 'rsa-sha256', 'rsa-sha384', 'rsa-sha512', 'rsa-md5', 'rsa-sha224'],
    ...['dsa-sha1', 'dsa-sha256', 'dsa-sha512'],
    ...['ecdsa-sha1', 'ecdsa-sha256', 'ecdsa-sha384', 'ecdsa-sha512', 'ed25519', 'ed25519-sha512'],
    ...['hmac-sha1', 'hmac-sha256', 'hmac-sha512', 'hs2019', 'none', 'rsa', 'sha256', 'rsa-', '-sha256'],
    ...['rsa-sha256-sha256', 'rsa_sha256', 'rsa-pss-sha256', 'rsassa-pss', ' rsa-sha256', 'rsa-sha256 '],
    ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'],
    ...[
        '__proto__-sha256',
        'constructor-sha256',
        'rsa-__proto__',
        'rsa-constructor',
        'constructor-constructor',
    ],
    ...['rsa-null', 'ecdsa-null', 'ed25519-null', 'RSA-SHA256\t', utf8('rſa-sha256'), 'rsa-sha256\xa0'],
];

/** Users with a key of each type, and the algorithms of which their signatures are. */
const SIGNERS: Readonly<Record<string, readonly string[]>> = {
    alice: ['rsa-sha256'],
    dan: ['dsa-sha1'],
    erin: ['ecdsa-sha256'],
    frank: ['ecdsa-sha384'],
    grace: ['ecdsa-sha512'],
    edith: ['ed25519', 'ed25519-sha512'],
};

/** A right signature that is said to be one of another algorithm. */
const renamed = Object.entries(SIGNERS).flatMap(([by, own]) =>
    ALGORITHMS.filter((algorithm) => !own.includes(algorithm)).map((algorithm): Forgery => ({
        name: `a signature of ${by} said to be of ${JSON.stringify(algorithm)}`,
        says: new RegExp(`"${by}"|algorithm|support`, 'i'),
        by,
        forge: (message) => message.setParameter('algorithm', algorithm),
    })),
);

/** What a program may take for the secret when it is told that the key is one. */
const SECRETS: Readonly<Record<string, (key: TestKey) => Buffer>> = {
    'its line': ({ publicLine }) => Buffer.from(publicLine),
    'its line with a line break': ({ publicLine }) => Buffer.from(`${publicLine}\n`),
    'the base64 of its line': ({ publicLine }) => Buffer.from(publicLine.split(' ')[1]!),
    'the bytes of its line': ({ publicLine }) => Buffer.from(publicLine.split(' ')[1]!, 'base64'),
    'its PEM': ({ privateKey }) =>
        Buffer.from(createPublicKey(privateKey).export({ type: 'spki', format: 'pem' })),
    'its PEM without the last line break': ({ privateKey }) =>
        Buffer.from(createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString().trim()),
    'its DER': ({ privateKey }) => createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    'its PKCS #1 PEM': ({ privateKey }) =>
        Buffer.from(createPublicKey(privateKey).export({ type: 'pkcs1', format: 'pem' })),
    'its modulus': ({ privateKey }) =>
        Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).n!, 'base64url'),
    'the name of the user': () => Buffer.from('alice'),
    nothing: () => Buffer.alloc(0),
};

const symmetric = Object.entries(SECRETS).flatMap(([secret, of]) =>
    ['hmac-sha1', 'hmac-sha256', 'hmac-sha512', 'HMAC-SHA256', 'rsa-sha256', 'rsa-sha1'].map(
        (algorithm): Forgery => ({
            name: `${algorithm} with ${secret} for the secret`,
            says: /"alice"|algorithm|support/i,
            forge: (message) => {
                const digest = algorithm.replace(/^.*-/, '').toLowerCase();
                const signature = createHmac(digest, of(message.key)).update(message.text).digest();
                return message.setParameter('algorithm', algorithm).setSignature(signature);
            },
        }),
    ),
);

export const algorithms: readonly Forgery[] = [...renamed, ...symmetric];
