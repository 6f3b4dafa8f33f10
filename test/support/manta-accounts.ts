/** Who asks a Manta stand-in: HTTP Signature as Manta itself checks it (manta.md §2), with the package it uses. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { parseRequest, verifySignature, type ParsedSignature } from 'http-signature';
import { MantaError } from './manta-error';

const ALGORITHMS = new Set([
    'RSA-SHA1',
    'RSA-SHA256',
    'RSA-SHA384',
    'RSA-SHA512',
    'DSA-SHA1',
    'DSA-SHA256',
    'ECDSA-SHA256',
    'ECDSA-SHA384',
    'ECDSA-SHA512',
    'ED25519-SHA512',
]);

/** By how much a signed date may be off, in ms. */
const MOST_SKEW = 300_000;

/** MD5 of a public key line as Manta lists keys: hex in pairs. */
export function md5Fingerprint(publicLine: string): string {
    const blob = Buffer.from(publicLine.split(' ')[1] ?? '', 'base64');
    return createHash('md5').update(blob).digest('hex').match(/../g)!.join(':');
}

/** The accounts and their keys. */
export class MantaAccounts {
    readonly #keys = new Map<string, Map<string, string>>();

    /** @param accounts the public key lines of each login */
    constructor(accounts: Record<string, readonly string[]>) {
        for (const [login, lines] of Object.entries(accounts)) {
            this.#keys.set(login, new Map());
            lines.forEach((line) => this.addKey(login, line));
        }
    }

    addKey(login: string, publicLine: string): void {
        this.#keys.get(login)?.set(md5Fingerprint(publicLine), publicLine);
    }

    /** As somebody does who has lost a laptop. */
    removeKeys(login: string): void {
        this.#keys.get(login)?.clear();
    }

    /**
     * The login that has signed the request.
     * @param clockAhead by how many ms the clock of the server is ahead of ours
     * @throws MantaError
     */
    caller(request: IncomingMessage, clockAhead: number): string {
        const { authorization } = request.headers;
        if (authorization === undefined) {
            throw new MantaError('AuthorizationRequired', 'Authorization is required');
        }
        if (!/^signature /i.test(authorization)) {
            throw new MantaError('AuthorizationSchemeNotAllowed', 'only signatures are taken');
        }
        const signature = parse(request);
        if (Math.abs(clockAhead) > MOST_SKEW) {
            throw invalidHeader(`clock skew of ${clockAhead / 1000}s was greater than 300s`);
        }
        if (!ALGORITHMS.has(signature.algorithm)) {
            throw new MantaError('InvalidAlgorithm', `${signature.algorithm} is not supported`);
        }
        const [empty, login, word, fingerprint, ...more] = signature.keyId.split('/');
        if (empty !== '' || !login || word !== 'keys' || !fingerprint || more.length > 0) {
            throw new MantaError('InvalidKeyId', 'the KeyId is not /:login/keys/:fingerprint');
        }
        const keys = this.#keys.get(login);
        if (!keys) {
            throw new MantaError('AccountDoesNotExist', `${login} does not exist`);
        }
        const key = keys.get(decodeURIComponent(fingerprint));
        if (key === undefined) {
            throw new MantaError('KeyDoesNotExist', `/${login}/keys/${fingerprint} does not exist`);
        }
        if (!verifySignature(signature, key)) {
            throw new MantaError('InvalidSignature', 'the signature does not match');
        }
        return login;
    }
}

function parse(request: IncomingMessage): ParsedSignature {
    const { method = '', url = '', httpVersion, headers } = request;
    try {
        return parseRequest({ method, url, httpVersion, headers });
    } catch (err) {
        // A date that is off by more than five minutes is one of these.
        throw invalidHeader((err as Error).message);
    }
}

function invalidHeader(why: string): MantaError {
    return new MantaError('InvalidHeader', `Invalid Signature Authorization header: ${why}`);
}
