import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { LeaseStore } from '../db/driver';
import { LeasedTask } from '../leased-task';
import type { StorageDriver } from '../storage/driver';
import { FolderKeys } from './folder-keys';
import { hasBeenSynced, KeyMirror } from './key-mirror';
import type { KeySource } from './key-source';
import type { KeyRing } from './keys';

/** After a failure it is tried again this much later, in ms, unless the interval is shorter. */
const RETRY = 30_000;

/** While another process is at it: try again after this, in ms. */
const AGAIN = 250;

export interface MirrorKeysOptions {
    /** The object store. */
    driver: StorageDriver;
    /** The mirror's folder: an absolute path. */
    folder: string;
    /**
     * The folder of the original server's mirror, which nobody keeps up to date any more: its keys count until this
     * mirror has been the same as the object store for the first time. After that a key that is revoked in the object
     * store must not live on there.
     */
    formerFolder?: string;
    leases: LeaseStore;
    /** Name of the lease: the same for all processes that use the folder, and no others. */
    lease: string;
    /** Id of this process among the holders of leases. */
    holder: string;
    clock: Clock;
    log: Logger;
    /** Time between two polls, in ms (`auth.keyPollInterval`). */
    interval: number;
}

/** The key files of an object store, by a mirror on this machine that counts while the store is away. */
export class MirrorKeys implements KeySource {
    readonly name: string;
    readonly #options: MirrorKeysOptions;
    readonly #mirror: KeyMirror;
    readonly #task: LeasedTask;
    readonly #folder: FolderKeys;
    #former: FolderKeys | undefined;
    #keys: KeyRing = new Map();
    #changed: () => void = () => undefined;
    #failure: Error | undefined;
    #closing = false;

    constructor(options: MirrorKeysOptions) {
        const { folder, formerFolder, log, interval } = options;
        this.#options = options;
        this.name = folder;
        this.#mirror = new KeyMirror(options);
        this.#folder = new FolderKeys({ folder, log, onRead: () => this.#leaveFormer() });
        this.#former = formerFolder === undefined ? undefined : new FolderKeys({ folder: formerFolder, log });
        this.#task = new LeasedTask({
            ...options,
            name: options.lease,
            run: (signal) => this.#poll(signal),
            nextIn: (ran) => Math.min(interval, ran ? (this.#failure ? RETRY : interval) : AGAIN),
        });
    }

    get keys(): KeyRing {
        return this.#keys;
    }

    async open(changed: () => void): Promise<void> {
        const merge = () => this.#merge();
        await this.#former?.open(merge);
        await this.#folder.open(merge);
        this.#merge();
        this.#changed = changed;
        this.#task.start(0);
    }

    async close(): Promise<void> {
        this.#closing = true;
        await this.#task.stop();
        this.#changed = () => undefined;
        await this.#folder.close();
        await this.#former?.close();
    }

    /** Polls the object store now. @throws if that failed */
    async reload(): Promise<void> {
        if ((await this.#task.hurry()) && this.#failure) {
            throw this.#failure;
        }
    }

    /** A failure is told once, not again at every attempt. */
    async #poll(signal: AbortSignal): Promise<void> {
        const { driver, folder, log } = this.#options;
        const former = this.#failure;
        try {
            await this.#mirror.poll(signal);
            this.#failure = undefined;
            if (former) {
                log.info({ source: driver.location, folder }, 'keys are fetched from the object store again');
            }
        } catch (err) {
            if (this.#closing) {
                return;
            }
            this.#failure = err instanceof Error ? err : new Error(String(err));
            if (former?.message !== this.#failure.message) {
                log.warn(
                    { err, source: driver.location, folder },
                    'could not fetch the keys of users from the object store; those fetched before stay in use, and it ' +
                        'will be tried again',
                );
            }
        }
        await this.#folder.reload();
        await this.#former?.reload();
    }

    async #leaveFormer(): Promise<void> {
        if (this.#former && (await hasBeenSynced(this.#options.folder))) {
            const former = this.#former;
            this.#former = undefined;
            this.#merge();
            await former.close();
        }
    }

    #merge(): void {
        const keys = new Map(this.#former?.keys);
        for (const [user, own] of this.#folder.keys) {
            keys.set(user, [...(keys.get(user) ?? []), ...own]);
        }
        this.#keys = keys;
        this.#changed();
    }
}
