/** The services of a datacenter, as the rest of the server sees them (ufds.md §4, vm-images.md §2.1). */

/** What this server needs to know of an account. */
export interface Account {
    readonly uuid: string;
    /** The name its owner logs in with. */
    readonly login: string;
}

export interface AccountDirectory {
    /** Whether there is a connection to it at the moment. */
    readonly connected: boolean;
    /**
     * The account with this uuid; undefined if the directory says that there is none.
     * @throws ApiError ServiceUnavailableError if the directory cannot be asked
     */
    find(uuid: string): Promise<Account | undefined>;
    /** Forgets what is remembered of earlier answers, if anything is. */
    dropCache(): void;
    /** Begins to connect. A directory that cannot be reached does not stop the server from starting. */
    open(): Promise<void>;
    close(): Promise<void>;
}

/** A machine, as far as images are made of it. */
export interface Machine {
    readonly uuid: string;
    /** The compute node it is on. */
    readonly serverUuid: string | undefined;
    readonly brand: string | undefined;
    readonly docker: boolean;
    /** Of an LX zone. */
    readonly kernelVersion: string | undefined;
    /** The image it was made from, if it is a zone. */
    readonly imageUuid: string | undefined;
    /** The images its disks were made from; one without an image is left out. */
    readonly diskImages: readonly string[];
}

/** A compute node, as far as images can be made on it. */
export interface ComputeNode {
    /** Such as `7.0`. */
    readonly sdcVersion: string | undefined;
    /** Stamp of the platform it runs, such as `20230126T011510Z`. */
    readonly platform: string | undefined;
}

/** Whose request a call to a service is part of. */
export interface ServiceContext {
    /** Sent as `x-request-id` and `request-id`. */
    readonly requestId: string;
    /** Ends the call at once: it throws the signal's reason. */
    readonly signal: AbortSignal;
}

/** VMAPI and CNAPI. Nothing here retries. */
export interface ComputeServices {
    /**
     * The machine; if an account is given, only one of that account.
     *
     * @throws ServiceFailure whatever the reason; ApiError ServiceUnavailableError if the configuration has no VMAPI
     */
    machine(uuid: string, context: ServiceContext, account?: string): Promise<Machine>;
    /** @throws ServiceFailure whatever the reason; ApiError ServiceUnavailableError if the configuration has no CNAPI */
    computeNode(uuid: string, context: ServiceContext): Promise<ComputeNode>;
    close(): Promise<void>;
}

/** The scripts that make a machine fit to be copied: each runs in the machine itself (vm-images.md §5). */
export interface PrepareScripts {
    /** The script for machines of an `os`; undefined if there is none. @throws Error if it cannot be read */
    get(os: string): Promise<string | undefined>;
}

/** A service did not give what was asked of it. The message is for the log, not for clients. */
export class ServiceFailure extends Error {
    override readonly name = 'ServiceFailure';
    /** Of its answer; undefined if there was none. */
    readonly status: number | undefined;
    /** Its error body, if it sent one of that form. */
    readonly body: { readonly code: string; readonly message: string } | undefined;

    constructor(
        message: string,
        options: { status?: number; body?: { code: string; message: string }; cause?: unknown } = {},
    ) {
        super(message, { cause: options.cause });
        this.status = options.status;
        this.body = options.body;
    }
}
