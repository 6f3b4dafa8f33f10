import { createHash } from 'node:crypto';
import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { LeaseStore } from '../db/driver';
import { faultPoint } from '../fault';
import { LeasedTask } from '../leased-task';
import type { ArchiveSpool, SpoolEntry, StorageDriver } from '../storage/driver';
import { archiveKey } from '../storage/driver';
import { isObject } from './json';

/** The first run comes this long after the start, in ms, unless the interval is shorter. */
const FIRST_DELAY = 10_000;

/** When another process is at it, or died while it was: look again after this, in ms. */
const AGAIN = 60_000;

export interface ArchiveShippingOptions {
    spool: ArchiveSpool;
    /** Where the manifests go. */
    target: StorageDriver;
    leases: LeaseStore;
    clock: Clock;
    log: Logger;
    /** Id of this process among the holders of leases. */
    holder: string;
    /** Time between two runs, in ms (`limits.archiveInterval`). */
    interval: number;
}

async function* once(chunk: Buffer): AsyncGenerator<Buffer> {
    yield chunk;
}

/** Whether it holds what an archived manifest does; one that is gone may have. */
async function isManifest(entry: SpoolEntry): Promise<boolean> {
    const bytes = await entry.read();
    try {
        return bytes === undefined || isObject(JSON.parse(bytes.toString()));
    } catch {
        return false;
    }
}

/**
 * Moves archived manifests from the local disk to the object store (config.md §6).
 *
 * A manifest is taken out of the way under a name of its own before its bytes are read and sent. So there is no moment
 * at which a version that another process has archived meanwhile could be deleted in the place of the one that was
 * sent: it is another file. What was taken when a process died or the object store failed is sent by the next run,
 * before whatever has been archived since.
 */
export class ArchiveShipping {
    readonly #options: ArchiveShippingOptions;
    readonly #task: LeasedTask;
    /** Paths that the log has named. */
    readonly #named = new Set<string>();

    constructor(options: ArchiveShippingOptions) {
        this.#options = options;
        this.#task = new LeasedTask({
            ...options,
            name: 'ship-archive',
            run: (signal) => this.#runOrWarn(signal),
            nextIn: (ran) => (ran ? options.interval : Math.min(options.interval, AGAIN)),
        });
    }

    start(): void {
        this.#task.start(Math.min(this.#options.interval, FIRST_DELAY));
    }

    /** Ends the running step and waits for it. */
    async stop(): Promise<void> {
        await this.#task.stop();
    }

    /** Moves all that is there; gives how many manifests. @throws the first failure of the disk or the object store */
    async run(signal?: AbortSignal): Promise<number> {
        const { spool, target, log } = this.#options;
        let moved = 0;
        let works = false;
        for await (const entry of spool.entries()) {
            if (signal?.aborted === true) {
                break;
            }
            if (entry.uuid === undefined) {
                this.#nameOnce(entry, 'is not an archived manifest; it stays');
            } else if (!(await isManifest(entry))) {
                this.#nameOnce(entry, 'is not the JSON of a manifest; it stays');
            } else {
                if (!works) {
                    // While it is down, everything stays under its own name.
                    await target.check();
                    works = true;
                }
                moved += (await this.#move(entry, archiveKey(entry.uuid), signal)) ? 1 : 0;
            }
        }
        if (moved > 0) {
            log.info({ moved, storage: target.type }, 'moved archived manifests to the object store');
        }
        return moved;
    }

    async #runOrWarn(signal: AbortSignal): Promise<void> {
        try {
            await this.run(signal);
        } catch (err) {
            if (!signal.aborted) {
                this.#options.log.warn(
                    { err, storage: this.#options.target.type },
                    'could not move archived manifests to the object store; they stay on the local disk until it works again',
                );
            }
        }
    }

    /** Gives whether it was moved. */
    async #move(entry: SpoolEntry, key: string, signal: AbortSignal | undefined): Promise<boolean> {
        const taken = await entry.take();
        faultPoint('ship:taken');
        const bytes = await taken?.read();
        if (taken === undefined || bytes === undefined) {
            return false;
        }
        await this.#send(key, bytes, signal);
        faultPoint('ship:stored');
        await taken.remove();
        faultPoint('ship:removed');
        return true;
    }

    async #send(key: string, bytes: Buffer, signal: AbortSignal | undefined): Promise<void> {
        const staged = await this.#options.target.stage(key, once(bytes), {
            size: bytes.length,
            contentMD5: createHash('md5').update(bytes).digest('base64'),
            contentType: 'application/json',
            ...(signal && { signal }),
        });
        if (signal?.aborted === true) {
            await staged.discard();
            signal.throwIfAborted();
        }
        const { size } = await staged.commit();
        if (size !== bytes.length) {
            throw new Error(`The object store has ${size} bytes as ${key}; ${bytes.length} were sent.`);
        }
    }

    #nameOnce({ path }: SpoolEntry, fault: string): void {
        if (!this.#named.has(path)) {
            this.#named.add(path);
            this.#options.log.warn({ path }, `a file of the manifest archive ${fault}`);
        }
    }
}
