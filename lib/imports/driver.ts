/**
 * What is fetched from other servers: manifests and files of image repositories, and files by URL.
 *
 * Every connection is judged by the address it is made to, proxies apart (docs/security.md). Redirects are never
 * followed. Nothing here retries.
 */

/** Whose request a call is part of. */
export interface RemoteContext {
    /** Sent as `request-id`. */
    requestId: string;
    /** Ends the call and the transfer at once: both then throw its reason. */
    signal: AbortSignal;
}

/** Bytes on their way from another server. Whoever got them iterates them or aborts the signal of the call. */
export interface RemoteBody {
    /** As announced by Content-Length; undefined if it was not. */
    readonly size: number | undefined;
    readonly contentType: string | undefined;
    /**
     * Rejects with RemoteFailure when the bytes stop coming or come too slowly to ever be done, and when fewer came than
     * were announced. How many come in all is bounded by whoever iterates.
     */
    readonly body: AsyncIterable<Buffer>;
}

/** A repository that speaks IMGAPI. Every call may also throw OutboundRefused, once the name of its host is resolved. */
export interface RemoteRepository {
    /**
     * The manifest of an image as served, for the account if one is given: an object of at most `limits.jsonBytes`,
     * with the uuid that was asked for and nothing else checked. @throws RemoteFailure
     */
    getImage(uuid: string, context: RemoteContext, account?: string): Promise<Record<string, unknown>>;
    /** Files other than the first are asked for with `index`. @throws RemoteFailure */
    getFile(uuid: string, index: number, context: RemoteContext): Promise<RemoteBody>;
    /** @throws RemoteFailure */
    getIcon(uuid: string, context: RemoteContext): Promise<RemoteBody>;
}

export interface Remotes {
    /**
     * The repository at a URL, http or https. A `channel` in the query of the URL goes with every request; a path is kept.
     * @throws OutboundRefused if the URL is none that this server would ever connect to: of another scheme, with
     *     credentials, too long, or for an address that is forbidden. Names are judged when a call connects.
     */
    repository(url: string): RemoteRepository;
    /** Fetches a file by an https URL, never through the proxy. @throws OutboundRefused, RemoteFailure */
    download(url: string, context: RemoteContext): Promise<RemoteBody>;
    close(): Promise<void>;
}

/**
 * The URL, or an address that its host name stands for, is one that this server does not connect to. The message is fit
 * to be shown to the client; it tells no address but one that the URL itself holds.
 */
export class OutboundRefused extends Error {
    override readonly name = 'OutboundRefused';
}

/** Another server did not give what was asked of it. The message is fit to be shown to the client. */
export class RemoteFailure extends Error {
    override readonly name = 'RemoteFailure';
    /** Of its answer; undefined if there was none. */
    readonly status: number | undefined;
    /** Its error body, if it sent one in IMGAPI's form. */
    readonly remote: { code: string; message: string } | undefined;

    constructor(
        message: string,
        options: { status?: number; remote?: { code: string; message: string }; cause?: unknown } = {},
    ) {
        super(message, { cause: options.cause });
        this.status = options.status;
        this.remote = options.remote;
    }
}
