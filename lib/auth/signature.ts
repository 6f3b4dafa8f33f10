import { verify } from 'node:crypto';
import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { AuthConfig } from '../config/types';
import { digestForCrypto, type Algorithm } from '../signing/algorithms';
import { ALGORITHMS, TAKEN } from './algorithms';
import { parseAuthorization, type Claim } from './authorization';
import { parseDigest } from './digest';
import type { Authentication, Authenticator, ClientCertificate, Principal, SignedRequest } from './driver';
import type { KeyStore } from './key-store';
import type { VerifyKey } from './keys';
import { refusal, shown } from './refusal';
import { CERTIFICATE_PREFIX, type Roles } from './roles';
import type { UsedSignatures } from './used-signatures';

/** Largest difference between the date of a request and the server's clock, in ms, unless `replayWindow` is less. */
const CLOCK_SKEW = 300_000;

/** Two ways of signing the method and the target of the request. */
const REQUEST_TARGET: readonly string[] = ['(request-target)', 'request-line'];

interface Parts {
    keys: KeyStore;
    roles: Roles;
    config: AuthConfig;
    clock: Clock;
    log: Logger;
    /** The signatures that were used; undefined where they may be used again. */
    used?: UsedSignatures | undefined;
}

type Headers = SignedRequest['headers'];

interface SignedDate {
    readonly name: 'x-date' | 'date';
    readonly value: string | undefined;
}

/** The date that the signature has to cover (auth.md §3). */
function dateHeader(headers: Headers): SignedDate {
    const given = headers['x-date'];
    return given !== undefined && given !== ''
        ? { name: 'x-date', value: String(given) }
        : { name: 'date', value: headers.date };
}

function hasBody(headers: Headers): boolean {
    return Number(headers['content-length'] ?? 0) > 0 || headers['transfer-encoding'] !== undefined;
}

/** The bytes of a signature, which has to be written in the one way that base64 has for them. @throws ApiError */
function decode(signature: string): Buffer {
    const bytes = Buffer.from(signature, 'base64');
    if (bytes.toString('base64') !== signature) {
        throw refusal(
            'The parameter "signature" of the Authorization header has to be in base64, with its padding and nothing else.',
        );
    }
    return bytes;
}

function covers(signed: readonly string[], name: string): boolean {
    return REQUEST_TARGET.includes(name)
        ? REQUEST_TARGET.some((other) => signed.includes(other))
        : signed.includes(name);
}

/** HTTP Signature with the users' SSH public keys (auth.md §2–4). */
export class SignatureAuthenticator implements Authenticator {
    readonly type = 'signature';
    /** Largest difference between the date of a request and the server's clock, in ms. */
    readonly #skew: number;
    /** What has to be signed beside the date, in lower case. */
    readonly #required: readonly string[];

    constructor(private readonly parts: Parts) {
        const { replayWindow = CLOCK_SKEW, requireSigned } = parts.config;
        this.#skew = Math.min(CLOCK_SKEW, replayWindow);
        this.#required = requireSigned.map((name) => name.toLowerCase());
    }

    async open(): Promise<void> {
        await this.parts.keys.open();
        this.parts.used?.open();
    }

    async close(): Promise<void> {
        await this.parts.used?.close();
        await this.parts.keys.close();
    }

    reload(): Promise<void> {
        return this.parts.keys.reload();
    }

    certified({ commonName, fingerprint }: ClientCertificate): Principal | undefined {
        const grant = commonName === undefined ? undefined : this.parts.roles.ofCertificate(commonName);
        return (
            grant && {
                user: `${CERTIFICATE_PREFIX}${commonName ?? ''}`,
                keyFingerprint: fingerprint,
                ...grant,
            }
        );
    }

    async authenticate(request: SignedRequest, required: boolean): Promise<Authentication | undefined> {
        const { roles, clock, used } = this.parts;
        const { headers } = request;
        if (headers.authorization === undefined || headers.authorization === '') {
            if (required) {
                throw refusal('This request needs an Authorization header with a signature.', 'missing');
            }
            return undefined;
        }
        const claim = parseAuthorization(request, headers.authorization);
        const now = clock.now();
        const date = dateHeader(headers);
        const time = this.#checkDate(date, now);
        this.#checkCoverage(claim.signed, date.name, headers);
        const algorithm = ALGORITHMS.get(claim.algorithm);
        if (!algorithm) {
            throw refusal(
                `The signature algorithm is ${shown(claim.algorithm)}, which works with a shared secret; ${TAKEN}.`,
                'algorithm',
            );
        }
        const key = this.#findKey(claim, algorithm, decode(claim.signature));
        if (!key) {
            throw refusal(
                `No key of user ${shown(claim.keyId)} verifies the signature: the server has to know the user's key, ` +
                    'and has to receive the request as it was signed.',
                'key',
            );
        }
        const digest = claim.signed.includes('digest') ? parseDigest(String(headers.digest)) : undefined;
        // To be remembered up to the last ms in which its date is accepted.
        await used?.use(key.fingerprint, claim.text, time + this.#skew + 1, now);
        const user = claim.keyId;
        const principal = { user, keyFingerprint: key.fingerprint, ...roles.ofUser(user) };
        return digest ? { principal, digest } : { principal };
    }

    /** The time of a request; NaN if it has none. @throws ApiError unless it is about now (check 9) */
    #checkDate({ name, value }: SignedDate, now: number): number {
        if (value === undefined) {
            return NaN;
        }
        const time = Date.parse(value);
        if (Number.isNaN(time)) {
            throw refusal(
                `The header "${name}" is ${shown(value)}, which is no date; write it as ${new Date(now).toUTCString()}.`,
                'date',
            );
        }
        const skew = now - time;
        if (Math.abs(skew) > this.#skew) {
            throw refusal(
                `The header "${name}" is ${shown(value)}, ${Math.abs(skew) / 1000} s ` +
                    `${skew > 0 ? 'behind' : 'ahead of'} this server's clock; at most ${this.#skew / 1000} s are allowed.`,
                'date',
            );
        }
        return time;
    }

    /** What has to be signed must be (check 10, and `auth.requireSigned`). @throws ApiError naming what is missing */
    #checkCoverage(signed: readonly string[], date: string, headers: Headers): void {
        if (this.#required.length === 0 && signed.includes(date)) {
            return;
        }
        const missing = [date, ...this.#required].filter(
            (name) => !covers(signed, name) && (name !== 'digest' || hasBody(headers)),
        );
        if (missing.length > 0) {
            throw refusal(
                `The signature does not cover ${missing.map((name) => `"${name}"`).join(', ')}: this server needs ` +
                    'that signed, and named in the parameter "headers" of the Authorization header.',
                'coverage',
            );
        }
    }

    /** The user's key that made the signature; undefined if none did, or there is no such user (checks 12 and 13). */
    #findKey({ keyId, text }: Claim, algorithm: Algorithm, signature: Buffer): VerifyKey | undefined {
        const { keys, log } = this.parts;
        const own = keys.of(keyId);
        const standIns = keys.standIn(keyId);
        const digest = digestForCrypto(algorithm);
        const data = Buffer.from(text);
        const found = (own.length > 0 ? own : standIns).find(({ key, type, fingerprint }) => {
            try {
                return type === algorithm.keyType && verify(digest, data, key, signature);
            } catch (err) {
                // OpenSSL can be set up to do without an old algorithm.
                log.warn({ err, user: keyId, fingerprint }, 'a signature cannot be verified with this key');
                return false;
            }
        });
        return own.length > 0 ? found : undefined;
    }
}
