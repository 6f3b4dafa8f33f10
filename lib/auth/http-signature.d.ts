/** The part of http-signature 1.4 that this server uses; the package brings no types of its own. */
declare module 'http-signature' {
    export interface ParsedSignature {
        scheme: string;
        params: {
            keyId: string;
            /** In lower case. */
            algorithm: string;
            signature: string;
            /** Names of the signed headers, in lower case. */
            headers: string[];
        };
        signingString: string;
        /** In upper case, e.g. RSA-SHA256. */
        algorithm: string;
        keyId: string;
    }

    export interface ParseOptions {
        /** Largest difference between the request's date and now, in seconds. */
        clockSkew?: number;
        authorizationHeaderName?: string;
        /** Headers that have to be signed; by default the date. */
        headers?: string[];
    }

    /** Throws an error named after the kind of fault, or a TypeError where it takes a number for a string. */
    export function parseRequest(
        request: { method: string; url: string; httpVersion: string; headers: Record<string, unknown> },
        options?: ParseOptions,
    ): ParsedSignature;
}

declare module 'http-signature/lib/utils' {
    /** The digests that names of algorithms may end with. */
    export const HASH_ALGOS: Record<string, boolean>;
}
