import type Logger from 'bunyan';
import type { KeySource } from './key-source';
import type { KeyRing, VerifyKey } from './keys';

/** The keys of all sources together: those of a user in the order of the sources (auth.md §5). */
export class KeyStore {
    #keys: KeyRing = new Map();

    constructor(
        private readonly sources: readonly KeySource[],
        private readonly log: Logger,
    ) {}

    async open(): Promise<void> {
        const changed = () => this.#merge();
        await Promise.all(this.sources.map((source) => source.open(changed)));
        this.#merge();
    }

    async close(): Promise<void> {
        await Promise.all(this.sources.map((source) => source.close()));
        this.#keys = new Map();
    }

    /** The keys of a user, in the order in which they are to be tried. */
    of(user: string): readonly VerifyKey[] {
        return this.#keys.get(user) ?? [];
    }

    /** Loads the keys again; a source that fails keeps its keys and is named in the log. */
    async reload(): Promise<void> {
        await Promise.all(
            this.sources.map(async (source) => {
                try {
                    await source.reload();
                } catch (err) {
                    this.log.warn(
                        { err, source: source.name },
                        'could not load keys again; those loaded before stay in use',
                    );
                }
            }),
        );
        this.#merge();
    }

    #merge(): void {
        const keys = new Map<string, VerifyKey[]>();
        for (const [user, own] of this.sources.flatMap((source) => [...source.keys])) {
            keys.set(user, [...(keys.get(user) ?? []), ...own]);
        }
        this.#keys = keys;
    }
}
