/** What every place that users' keys come from promises. `test/conformance/key-sources.ts` holds each of them to it. */
import type { KeyRing } from './keys';

/**
 * A place that holds the public keys of users.
 *
 * What can be read counts at once, so that to replace a key is to revoke it; a line that is no usable key is skipped with
 * a warning. A user whose keys cannot be read keeps those loaded before, with a warning; one who is not there any more has
 * none. A warning is not repeated while nothing has changed.
 */
export interface KeySource {
    /** Name in the log. */
    readonly name: string;
    /** The keys as they were loaded last; replaced as a whole, never changed. */
    readonly keys: KeyRing;
    /**
     * Loads what is on this machine; other machines are not waited for. Unreadable keys are no failure of it.
     *
     * @param changed called whenever `keys` has been replaced after this has resolved
     */
    open(changed: () => void): Promise<void>;
    /** Stops looking for changes, and waits for what is going on. `keys` stay. May be called again. */
    close(): Promise<void>;
    /** Loads the keys again, from other machines as well. @throws if that failed; the keys loaded before stay then */
    reload(): Promise<void>;
}
