/** The accounts of a datacenter, as the rest of the server sees them (ufds.md §4). */

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
    /** Begins to connect. A directory that cannot be reached does not stop the server from starting. */
    open(): Promise<void>;
    close(): Promise<void>;
}
