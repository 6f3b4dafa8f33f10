/** SSH keys as ssh-keygen makes them, and HTTP signatures with them, as the clients of the ecosystem make them. */
import { execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sshpk from 'sshpk';

/** Each type of key, with the size it is made in and the algorithm it signs with unless a test says otherwise. */
const KEY_TYPES = {
    rsa: { bits: '2048', algorithm: () => 'rsa-sha256' },
    ecdsa: { bits: '256', algorithm: (bits: string) => `ecdsa-sha${bits === '521' ? '512' : bits}` },
    ed25519: { bits: '256', algorithm: () => 'ed25519' },
    dsa: { bits: '1024', algorithm: () => 'dsa-sha1' },
};

export type TestKeyType = keyof typeof KEY_TYPES;

export interface TestKey {
    /** The line for `authKeys`. */
    publicLine: string;
    /** PEM in a form that node:crypto takes. */
    privateKey: string;
    /** As ssh-keygen wrote it: PEM, for ed25519 the format of OpenSSH. */
    privateKeyFile: string;
    /** The algorithm that requests are signed with unless a test says otherwise. */
    algorithm: string;
}

/** Makes a key in the folder. */
export function makeKey(
    folder: string,
    name = 'id_rsa',
    type: TestKeyType = 'rsa',
    bits = KEY_TYPES[type].bits,
): TestKey {
    const file = join(folder, name);
    if (type === 'dsa') {
        makeDsaFiles(file);
    } else {
        const options = ['-q', '-t', type, '-b', bits, '-m', 'PEM', '-N', '', '-C', 'test', '-f', file];
        execFileSync('ssh-keygen', options);
    }
    const written = readFileSync(file, 'utf8');
    return {
        publicLine: readFileSync(`${file}.pub`, 'utf8').trim(),
        privateKey: type === 'ed25519' ? ed25519Pem(written) : written,
        privateKeyFile: file,
        algorithm: KEY_TYPES[type].algorithm(bits),
    };
}

/** A private key in the format of OpenSSH as PEM. What sshpk writes of this type, OpenSSL does not read. */
function ed25519Pem(openSsh: string): string {
    const { parts } = sshpk.parsePrivateKey(openSsh, 'ssh');
    const part = (wanted: string) => parts.find(({ name }) => name === wanted)?.data.toString('base64url');
    const key = { kty: 'OKP', crv: 'Ed25519', d: part('k'), x: part('A') };
    return createPrivateKey({ key, format: 'jwk' }).export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** DSA keys are in use still, but newer versions of ssh-keygen make none. */
function makeDsaFiles(file: string): void {
    const { privateKey, publicKey } = generateKeyPairSync('dsa', {
        modulusLength: 1024,
        divisorLength: 160,
        privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
        publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    writeFileSync(file, privateKey, { mode: 0o600 });
    writeFileSync(`${file}.pub`, `${sshpk.parseKey(publicKey, 'pem').toString('ssh')} test\n`);
}

/** A signature in base64, as the `Authorization` header has it. */
export function signText(text: string, key: TestKey, algorithm = key.algorithm): string {
    const digest = /^ed25519/i.test(algorithm) ? null : algorithm.replace(/^.*-/, '').toLowerCase();
    return sign(digest, Buffer.from(text), key.privateKey).toString('base64');
}

export interface Signing {
    algorithm?: string;
    /** Text is sent as it is. */
    date?: Date | string;
    /** Names of the headers that are signed; by default only the date, as node-sdc-clients does. */
    signed?: readonly string[];
    /** The request, for `(request-target)` and `request-line`. */
    method?: string;
    path?: string;
    /** Further headers of the request, which may be signed. Their names in lower case. */
    headers?: Record<string, string>;
}

/** The headers that sign a request, with those that were given. */
export function signedHeaders(
    user: string,
    key: TestKey,
    {
        algorithm = key.algorithm,
        date = new Date(),
        signed,
        method = 'GET',
        path = '/',
        headers,
    }: Signing = {},
): Record<string, string> & { date: string; authorization: string } {
    const text = typeof date === 'string' ? date : date.toUTCString();
    const values: Record<string, string> & { date: string } = { ...headers, date: text };
    const lines = (signed ?? [values['x-date'] === undefined ? 'date' : 'x-date']).map((name) => {
        switch (name) {
            case '(algorithm)':
                return `${name}: ${algorithm}`;
            case '(keyid)':
                return `${name}: ${user}`;
            case '(request-target)':
                return `${name}: ${method.toLowerCase()} ${path}`;
            case 'request-line':
                return `${method} ${path} HTTP/1.1`;
            default:
                return `${name}: ${values[name] ?? ''}`;
        }
    });
    const list = signed ? `headers="${signed.join(' ')}",` : '';
    const signature = signText(lines.join('\n'), key, algorithm);
    return {
        ...values,
        authorization: `Signature keyId="${user}",algorithm="${algorithm}",${list}signature="${signature}"`,
    };
}
