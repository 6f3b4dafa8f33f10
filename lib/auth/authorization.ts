/** The Authorization header: its parameters, and the text that was signed (auth.md §3, and checks 2 to 8 of §2). */
import httpSignature from 'http-signature';
import { HASH_ALGOS } from 'http-signature/lib/utils';
import { ALGORITHMS, BLOCKED, TAKEN } from './algorithms';
import type { SignedRequest } from './driver';
import { refusal, shown } from './refusal';

export interface Claim {
    readonly keyId: string;
    /** In lower case; one that is taken, or is known and blocked. */
    readonly algorithm: string;
    /** Base64, not checked. */
    readonly signature: string;
    /** Names of what is signed, in lower case: headers, `(request-target)`, `request-line` and other pseudo-headers. */
    readonly signed: readonly string[];
    /** The text that the signature is made of. */
    readonly text: string;
}

// http-signature knows ECDSA, but not the digest that goes with P-384.
HASH_ALGOS.sha384 = true;

/** The date is judged by ourselves, after the rest of the header. */
const OPTIONS: httpSignature.ParseOptions = {
    authorizationHeaderName: 'authorization',
    clockSkew: Number.MAX_SAFE_INTEGER,
    headers: [],
};

/**
 * Has every header, so that http-signature does not stop at one that was not sent: it would before the algorithm was
 * looked up here, and the order of the checks is observable.
 */
const EVERY_HEADER = new Proxy<Record<string, string>>({}, { get: () => '' });

/** A number where only quoted strings are allowed; http-signature 1.4 would take it. */
const NUMBER = /^[^ ]* (?:[A-Za-z]+="[^"]*",)*[A-Za-z]+=\d/;

/** In characters. A signature of the largest keys takes a twentieth of it; what is longer would only keep us busy. */
const LONGEST = 65_536;

const OPENING = 'signature="';
/** Stands in for the signature while the rest of the header is read. */
const PLACEHOLDER = '-';

/**
 * The name of the algorithm in draft-cavage. http-signature takes, and its own signer sends, `ed25519-sha512`; it
 * refuses names without a digest. So this one is replaced before it parses. The text stands in no other place of a
 * header that is well formed: a quote cannot be part of a value.
 */
const BARE_ED25519 = /\balgorithm="(ed25519)"/i;
const ED25519 = 'ed25519-sha512';
/** What is signed of the algorithm, if it is: a line of its own, since no value has more than one line. */
const SIGNED_ED25519 = new RegExp(`^\\(algorithm\\): ${ED25519}$`, 'm');

/** What can be signed beside the headers of the request. */
const PSEUDO_HEADERS: ReadonlySet<string> = new Set([
    'request-line',
    '(request-target)',
    '(keyid)',
    '(algorithm)',
]);

const SYNTAX =
    'The parameters of the Authorization header cannot be read; they are written as name="value", with a comma and ' +
    'no space between them.';

const REPEATED = 'The parameter "headers" of the Authorization header names a header more than once.';

/** What http-signature finds wrong, and what to answer to it. */
const FAULTS: ReadonlyMap<string, string> = new Map([
    ['bad param format', SYNTAX],
    [
        'scheme was not "Signature"',
        'The scheme of the Authorization header has to be "Signature", written so.',
    ],
    ['keyId was not specified', missing('keyId', 'the name of the user')],
    ['algorithm was not specified', missing('algorithm', TAKEN)],
    ['signature was not specified', missing('signature', 'the signature in base64')],
]);

function missing(parameter: string, what: string): string {
    return `The parameter "${parameter}" of the Authorization header is missing or empty: ${what}.`;
}

function notInRequest(name: string): Error {
    return refusal(`The signature covers the header ${shown(name)}, which is not in the request.`);
}

function unknownAlgorithm(name: string): Error {
    return refusal(`The signature algorithm is ${shown(name)}; ${TAKEN}.`, 'algorithm');
}

/**
 * Takes the signature out of the header, of which it is nearly all: http-signature goes from character to character and
 * would take as long for it as for all the rest.
 *
 * Gives the header as it is unless it has the parameter once. The quote may still be the end of another parameter's
 * value, but then a comma or an error of syntax follows.
 */
function takeSignature(header: string): { rest: string; signature?: string } {
    const start = header.indexOf(OPENING) + OPENING.length;
    const end = header.indexOf('"', start);
    const once = start === header.lastIndexOf(OPENING) + OPENING.length;
    if (start < OPENING.length || !once || end <= start || header.charAt(start) === ',') {
        return { rest: header };
    }
    return {
        rest: header.slice(0, start) + PLACEHOLDER + header.slice(end),
        signature: header.slice(start, end),
    };
}

/** The answer to what http-signature threw. */
function refusalOf(err: unknown): unknown {
    const { name, message } = err as Error;
    switch (name) {
        case 'InvalidHeaderError':
            return refusal(FAULTS.get(message) ?? SYNTAX);
        case 'InvalidParamsError':
            return unknownAlgorithm(message.replace(/ is not supported$/, ''));
        case 'RangeError':
            // Longer than a string can be: of the headers there are, each once, it would not become that.
            return refusal(REPEATED);
        case 'MissingHeaderError':
            // All headers are there, but not this parameter, which can be signed as if it were one.
            return notInRequest('(opaque)');
        default:
            return err;
    }
}

function parse(request: SignedRequest, authorization: string): httpSignature.ParsedSignature {
    if (NUMBER.test(authorization)) {
        throw refusal(SYNTAX);
    }
    const { method, url, httpVersion } = request;
    const headers = {
        __proto__: EVERY_HEADER,
        ...request.headers,
        authorization,
        // If it equals Authorization, http-signature takes it as the parameters alone.
        signature: '',
    };
    try {
        return httpSignature.parseRequest({ method, url, httpVersion, headers }, OPTIONS);
    } catch (err) {
        throw refusalOf(err);
    }
}

/**
 * Reads the header and puts together what was signed.
 *
 * @throws ApiError UnauthorizedError for the first of the checks 2 to 8 that fails
 */
export function parseAuthorization(request: SignedRequest, header: string): Claim {
    if (header.length > LONGEST) {
        throw refusal(
            `The Authorization header has ${header.length} characters; at most ${LONGEST} are taken.`,
        );
    }
    const taken = takeSignature(header);
    const bare = BARE_ED25519.exec(taken.rest);
    const authorization = bare ? taken.rest.replace(BARE_ED25519, `algorithm="${ED25519}"`) : taken.rest;
    const { params, signingString } = parse(request, authorization);
    const { keyId, algorithm, headers: signed } = params;
    if (!ALGORITHMS.has(algorithm) && !BLOCKED.has(algorithm)) {
        throw unknownAlgorithm(algorithm);
    }
    for (const name of signed) {
        if (!PSEUDO_HEADERS.has(name) && !Object.hasOwn(request.headers, name)) {
            throw notInRequest(name);
        }
    }
    // Otherwise one header, named again and again, could make a text of many megabytes.
    if (signed.length > 1 && new Set(signed).size !== signed.length) {
        throw refusal(REPEATED);
    }
    const text = bare ? signingString.replace(SIGNED_ED25519, `(algorithm): ${bare[1]}`) : signingString;
    return { keyId, algorithm, signature: taken.signature ?? params.signature, signed, text };
}
