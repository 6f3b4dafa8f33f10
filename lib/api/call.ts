/**
 * One request, as the API handlers see it. lib/http builds it; nothing here knows restify or sockets.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type Logger from 'bunyan';
import type { Authenticator, ClientCertificate, Principal, SignedDigest } from '../auth/driver';
import type { Clock } from '../clock';
import type { Config } from '../config/types';
import type { AccountDirectory, ComputeServices, PrepareScripts } from '../dc/driver';
import type { Importer } from '../images/importer';
import type { Images } from '../images/images';
import type { Image } from '../images/image';
import type { Remotes } from '../imports/driver';
import type { JobService } from '../jobs/driver';
import type { StorageSet } from '../storage/driver';
import type { Processes } from '../workers/driver';
import type { Reference } from './docs';
import type { Health } from './health';
import type { Query } from './query';
import type { Route } from './route';

/** What handlers work with; put together in lib/app.ts. */
export interface Services {
    readonly config: Config;
    readonly version: string;
    readonly log: Logger;
    readonly images: Images;
    readonly jobs: JobService;
    readonly storages: StorageSet;
    readonly auth: Authenticator;
    /** The accounts of the datacenter; undefined in the other modes, which have none. */
    readonly accounts: AccountDirectory | undefined;
    readonly compute: ComputeServices;
    readonly prepareScripts: PrepareScripts;
    /** Other servers, and what is fetched from them. */
    readonly remotes: Remotes;
    readonly importer: Importer;
    readonly clock: Clock;
    /** This process, and with several workers the others. */
    readonly processes: Processes;
    readonly reference: Reference;
    readonly health: Health;
}

export type Headers = Record<string, string | number>;

/** Results of the steps that ran before the handler; each is set by the step of its name. */
export interface CallState {
    principal?: Principal | undefined;
    /** What the signature says of the body. */
    signedDigest?: SignedDigest | undefined;
    /** The channel that the request works in; `*` is all of them, undefined means the server has none. */
    channel?: string | undefined;
    image?: Image;
    body?: unknown;
    adminFields?: boolean;
}

export interface Call {
    readonly services: Services;
    readonly route: Route;
    /** The request id, as given by the client or made here. */
    readonly id: string;
    readonly log: Logger;
    readonly method: string;
    /** The request target as received. */
    readonly url: string;
    readonly httpVersion: string;
    readonly headers: IncomingHttpHeaders;
    /** What the client has shown, if it had to. */
    readonly certificate: ClientCertificate | undefined;
    /** Scheme and authority of this server as the client reached it, such as `https://images.example.com`. */
    readonly origin: string;
    /** The query string, without its `?`. */
    readonly search: string;
    readonly query: Query;
    /** What the path has in the place of its parameter, without %-escapes; '' if it has none. */
    readonly pathParameter: string;
    /** The same where it is `:uuid`: the uuid of an image, not checked yet. */
    readonly uuid: string;
    /** Whether the client's Accept-Version covers version 2, in which images have channels. */
    readonly version2: boolean;
    /** Aborted when the client goes away before it has the whole answer. */
    readonly signal: AbortSignal;
    readonly state: CallState;

    /** Whether the request has a header more than once; of some, `headers` has the first only. Name in lower case. */
    repeats(header: string): boolean;
    /** Size of the body as announced, in bytes; undefined if it is chunked. */
    readonly contentLength: number | undefined;
    /** The parsed body of a JSON endpoint; undefined if there is none or it is of another type.
     * @throws ApiError InvalidContent, BadDigest, RequestEntityTooLarge, RequestTimeout; UnauthorizedError if it is not
     *   the one whose digest was signed */
    readBody(): Promise<unknown>;
    /** The raw bytes of the body. @throws ApiError RequestTimeout if they stop coming; UnauthorizedError at their end
     *   if they are not those whose digest was signed */
    bodyStream(): AsyncIterable<Buffer>;

    /** Answers with JSON in the form the client accepts. */
    send(status: number, value: unknown, headers?: Headers): void;
    /** Answers with JSON that is at hand as bytes, pretty-printed. */
    sendJson(status: number, pretty: Buffer, headers?: Headers): void;
    /** Answers with JSON that comes in pieces, pretty-printed and cut at line ends only. */
    sendJsonStream(status: number, pieces: AsyncIterable<Buffer>, headers?: Headers): Promise<void>;
    sendBytes(status: number, body: Buffer, headers: Headers): void;
    /** Answers with a stream; resolves when the client has it all. Failing after the first byte cuts the connection. */
    sendStream(status: number, headers: Headers, body: AsyncIterable<Buffer>): Promise<void>;
    sendEmpty(status: number, headers?: Headers): void;
}
