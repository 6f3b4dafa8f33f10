/** What every way of authenticating promises. */
import type { IncomingHttpHeaders } from 'node:http';

/** Who made a request. */
export interface Principal {
    /** The user name, as `keyId` gave it. */
    readonly user: string;
    /** SHA256 fingerprint of the key that verified, for the audit record. */
    readonly keyFingerprint?: string;
}

/** The parts of a request that a signature may cover. */
export interface SignedRequest {
    readonly method: string;
    /** Request target as received, with the query. */
    readonly url: string;
    readonly httpVersion: string;
    readonly headers: IncomingHttpHeaders;
}

export interface Authenticator {
    readonly type: 'none' | 'signature';
    /** Loads what is needed; resolves when requests can be judged. */
    open(): Promise<void>;
    close(): Promise<void>;
    /**
     * Who made the request; undefined for an anonymous one that may pass.
     *
     * @param required whether anonymous requests are refused (auth.md §1, strict) or pass (passive). Credentials that
     *   are present must be right in both cases.
     * @throws ApiError UnauthorizedError (auth.md §2)
     */
    authenticate(request: SignedRequest, required: boolean): Promise<Principal | undefined>;
    /** Loads the keys again (POST /authkeys/reload). */
    reload(): Promise<void>;
}
