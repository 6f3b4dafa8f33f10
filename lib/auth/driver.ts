/** What every way of authenticating promises. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Role } from '../config/types';

/** What somebody may do. */
export interface Grant {
    readonly role: Role;
    /** The channels in which they may do it; all of them, and what has no channel, if absent. */
    readonly channels?: ReadonlySet<string>;
}

/** Who made a request. */
export interface Principal extends Grant {
    /** The user name, as `keyId` gave it; or `cn:` and the common name of a certificate. */
    readonly user: string;
    /** SHA256 fingerprint of the key that verified, or of the certificate, for the audit record. */
    readonly keyFingerprint?: string;
}

/** A client certificate that an authority of `tls.clientCa` has signed. */
export interface ClientCertificate {
    /** Absent if it has none, or several. */
    readonly commonName?: string;
    /** SHA-256. */
    readonly fingerprint: string;
}

/** The digest of the request's body that the signature covers; the body has to be checked against it. */
export interface SignedDigest {
    readonly algorithm: 'sha256' | 'sha512';
    readonly value: Buffer;
}

/** What credentials have proved. */
export interface Authentication {
    readonly principal: Principal;
    readonly digest?: SignedDigest;
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
    /** Loads what is needed and at hand on this machine; resolves when requests can be judged. */
    open(): Promise<void>;
    close(): Promise<void>;
    /**
     * Who made the request; undefined for an anonymous one that may pass.
     *
     * @param required whether anonymous requests are refused (auth.md §1, strict) or pass (passive). Credentials that
     *   are present must be right in both cases.
     * @throws ApiError UnauthorizedError (auth.md §2); ServiceUnavailableError if it cannot be known whether a
     *   signature was used before (`auth.replayWindow`)
     */
    authenticate(request: SignedRequest, required: boolean): Promise<Authentication | undefined>;
    /** Whom a certificate makes the one who shows it; undefined if `auth.roles` has no entry for it. */
    certified(certificate: ClientCertificate): Principal | undefined;
    /** Loads the keys again, from other machines as well (POST /authkeys/reload). */
    reload(): Promise<void>;
}
