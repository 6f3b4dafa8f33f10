/** The client's part of http-signature 1.4, for requests that somebody else's code signs. */
declare module 'http-signature' {
    import type { ClientRequest } from 'node:http';

    export interface SignRequestOptions {
        keyId: string;
        /** A private key in any format of OpenSSH, or PEM. */
        key: string;
        /** By default the one that goes with the key. */
        algorithm?: string;
        /** By default the date. */
        headers?: string[];
        httpVersion?: string;
    }

    /** Adds Authorization, and Date if there is none, to a request that was not sent. */
    export function signRequest(request: ClientRequest, options: SignRequestOptions): boolean;
}
