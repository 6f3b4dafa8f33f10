/** A source of users' keys in use, for tests. */
import type Logger from 'bunyan';
import type { KeySource } from '../../lib/auth/key-source';
import { parseKey } from '../../lib/auth/keys';
import { recordingLog } from './recording-log';

export const fingerprint = (line: string): string => parseKey(line).fingerprint;

/** Changes count within a second, and are found by looking again after five, in ms. */
const PATIENCE = 4000;

/** A warning as somebody reads it. */
interface Warning {
    readonly record: Record<string, unknown>;
    readonly text: string;
}

/** An open source, and what it has reported. */
export class OpenKeys {
    readonly #records: (Record<string, unknown> & { level: number; err?: Error })[] = [];
    readonly source: KeySource;
    changes = 0;
    readonly #waiting = new Set<() => void>();

    private constructor(make: (log: Logger) => KeySource) {
        this.source = make(recordingLog(this.#records));
    }

    static async on(make: (log: Logger) => KeySource): Promise<OpenKeys> {
        const opened = new OpenKeys(make);
        await opened.source.open(() => {
            opened.changes++;
            opened.#waiting.forEach((look) => look());
        });
        return opened;
    }

    get warnings(): Warning[] {
        return this.#records
            .filter(({ level }) => level >= 40)
            .map((record) => ({ record, text: JSON.stringify({ ...record, err: record.err?.message }) }));
    }

    /** Fingerprints of the keys of each user. */
    users(): Record<string, string[]> {
        return Object.fromEntries(
            [...this.source.keys].map(([user, keys]) => [user, keys.map(({ fingerprint }) => fingerprint)]),
        );
    }

    /**
     * Resolves as soon as the test is true of the users, which are looked at whenever the source reports a change.
     *
     * @throws Error after {@link PATIENCE}: what the source is not told, and finds by looking again, does not count
     */
    async until(test: (users: Record<string, string[]>) => boolean): Promise<void> {
        const { promise, resolve, reject } = withResolvers();
        const look = (): void => {
            if (test(this.users())) {
                resolve();
            }
        };
        const timer = setTimeout(
            () => reject(new Error(`The keys are still ${JSON.stringify(this.users())}.`)),
            PATIENCE,
        );
        this.#waiting.add(look);
        look();
        try {
            await promise;
        } finally {
            clearTimeout(timer);
            this.#waiting.delete(look);
        }
    }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void; reject: (err: Error) => void } {
    let resolve = (): void => undefined;
    let reject: (err: Error) => void = () => undefined;
    const promise = new Promise<void>((fulfil, fail) => {
        resolve = fulfil;
        reject = fail;
    });
    return { promise, resolve, reject };
}
