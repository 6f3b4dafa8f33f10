import { verify } from 'node:crypto';
import httpSignature from 'http-signature';
import type { Clock } from '../clock';
import type { AuthConfig } from '../config/types';
import type { ReplayStore } from '../db/driver';
import { ApiError } from '../errors';
import type { Authentication, Authenticator, SignedRequest } from './driver';
import type { KeyStore } from './key-store';
import type { Roles } from './roles';

/** Largest difference between the date of a request and the server's clock, in seconds. */
const CLOCK_SKEW = 300;

/** Signature algorithms that are accepted, with their digest. */
const ALGORITHMS: ReadonlyMap<string, { keyType: string; digest: string }> = new Map([
    ['rsa-sha1', { keyType: 'rsa', digest: 'sha1' }],
    ['rsa-sha256', { keyType: 'rsa', digest: 'sha256' }],
]);

/** The errors by which http-signature says what is wrong with a header. */
const PARSE_ERRORS = new Set([
    'ExpiredRequestError',
    'InvalidHeaderError',
    'InvalidParamsError',
    'MissingHeaderError',
    'StrictParsingError',
]);

const unauthorized = (message: string) => new ApiError('UnauthorizedError', message);

/** Text of the parameters that must be quoted strings; http-signature 1.4 also lets bare numbers pass. */
function isText(value: unknown): value is string {
    return typeof value === 'string';
}

/** The date that the signature has to cover, and its header's name (auth.md §3). */
function dateHeader(headers: SignedRequest['headers']): { name: string; value: string | undefined } {
    const given = headers['x-date'];
    return given !== undefined && given !== ''
        ? { name: 'x-date', value: String(given) }
        : { name: 'date', value: headers.date };
}

function parse(request: SignedRequest): httpSignature.ParsedSignature {
    // Without a prototype, so that no header is found that was not sent; without a Signature header, which
    // http-signature would take in place of Authorization.
    const headers = Object.assign(Object.create(null) as Record<string, unknown>, request.headers);
    delete headers.signature;
    const { method, url, httpVersion } = request;
    try {
        return httpSignature.parseRequest({ method, url, httpVersion, headers }, { clockSkew: CLOCK_SKEW });
    } catch (err) {
        // Anything else it throws comes from parameters that are no strings.
        throw unauthorized(
            err instanceof Error && PARSE_ERRORS.has(err.name)
                ? `The Authorization header was refused: ${err.message}.`
                : 'The Authorization header was refused: its parameters must be quoted strings.',
        );
    }
}

interface Parts {
    keys: KeyStore;
    roles: Roles;
    config: AuthConfig;
    clock: Clock;
    /** Signatures that were used; needed with `replayWindow`. */
    replay?: ReplayStore;
}

/** HTTP Signature with the users' SSH public keys (auth.md §2–4). */
export class SignatureAuthenticator implements Authenticator {
    readonly type = 'signature';

    constructor(private readonly parts: Parts) {}

    open(): Promise<void> {
        return this.parts.keys.open();
    }

    close(): Promise<void> {
        return this.parts.keys.close();
    }

    reload(): Promise<void> {
        return this.parts.keys.reload();
    }

    async authenticate(request: SignedRequest, required: boolean): Promise<Authentication | undefined> {
        const { keys, roles, clock } = this.parts;
        const header = request.headers.authorization;
        if (header === undefined || header === '') {
            if (required) {
                throw unauthorized('This request needs an Authorization header with a signature.');
            }
            return undefined;
        }
        const { params, signingString } = parse(request);
        if (!isText(params.keyId) || !isText(params.algorithm) || !isText(params.signature)) {
            throw unauthorized(
                'The Authorization header was refused: its parameters must be quoted strings.',
            );
        }
        const date = dateHeader(request.headers);
        const time = Date.parse(date.value ?? '');
        if (Number.isNaN(time) || Math.abs(clock.now() - time) > CLOCK_SKEW * 1000) {
            throw unauthorized(
                `The ${date.name} header is "${date.value ?? ''}"; it must be within ${CLOCK_SKEW} s of the server's clock.`,
            );
        }
        const algorithm = ALGORITHMS.get(params.algorithm.toLowerCase());
        if (!algorithm) {
            throw unauthorized(
                `The signature algorithm is "${params.algorithm}"; this server takes ${[...ALGORITHMS.keys()].join(', ')}.`,
            );
        }
        const data = Buffer.from(signingString);
        const signature = Buffer.from(params.signature, 'base64');
        const key = keys
            .of(params.keyId)
            .find(
                ({ key, type }) =>
                    type === algorithm.keyType && verify(algorithm.digest, data, key, signature),
            );
        if (!key) {
            throw unauthorized(`No key of user "${params.keyId}" verifies the signature.`);
        }
        const user = params.keyId;
        return { principal: { user, keyFingerprint: key.fingerprint, ...roles.ofUser(user) } };
    }
}
