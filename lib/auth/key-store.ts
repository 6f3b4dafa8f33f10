import { createHash } from 'node:crypto';
import type Logger from 'bunyan';
import type { KeySource } from './key-source';
import type { KeyRing, VerifyKey } from './keys';

/** The keys of all sources together: those of a user in the order of the sources (auth.md §5). */
export class KeyStore {
    #keys: KeyRing = new Map();
    /** Everybody's keys, for {@link standIn}. */
    #standIns: readonly (readonly VerifyKey[])[] = [];
    /** Of the keys, so that all processes that know the same ones agree, and nobody else can tell. */
    #seed = 0;

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
        this.#standIns = [];
    }

    /** The keys of a user, in the order in which they are to be tried. */
    of(user: string): readonly VerifyKey[] {
        return this.#keys.get(user) ?? [];
    }

    /**
     * The keys of some other user: for the same name always those of the same one, as long as the keys stay the same.
     *
     * A signature by somebody who is not there is tried with these, in vain: it takes the time that it would take if
     * the name were one of a user, so that the time tells nobody which users there are.
     */
    standIn(user: string): readonly VerifyKey[] {
        let hash = this.#seed;
        for (let i = 0; i < user.length; i++) {
            // FNV-1a
            hash = Math.imul(hash ^ user.charCodeAt(i), 0x0100_0193);
        }
        return this.#standIns[(hash >>> 0) % this.#standIns.length] ?? [];
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
        this.#standIns = [...keys.keys()].sort().flatMap((user) => {
            const own = keys.get(user) ?? [];
            return own.length > 0 ? [own] : [];
        });
        const seed = createHash('sha256');
        for (const { fingerprint } of this.#standIns.flat()) {
            seed.update(fingerprint);
        }
        this.#seed = seed.digest().readUInt32LE();
    }
}
