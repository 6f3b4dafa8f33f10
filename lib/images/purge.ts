import type Logger from 'bunyan';
import type { Clock } from '../clock';
import {
    DependencyConflict,
    EtagConflict,
    ImageNotFound,
    type ImageStore,
    type LeaseStore,
} from '../db/driver';
import { ApiError } from '../errors';
import { faultPoint } from '../fault';
import { LeasedTask } from '../leased-task';
import type { RawImage } from '../manifest';
import type { Images } from './images';

/** The first look comes this long after the start, in ms, unless the interval is shorter. */
const FIRST_DELAY = 5000;

/** When another process is at it, or died while it was: look again after this, in ms. */
const AGAIN = 10_000;

/** Placeholders looked at together. */
const PAGE = 500;

/** Failures of the database itself: with them there is no use in trying the next image. */
const OUTAGES: readonly string[] = ['ServiceUnavailableError', 'InsufficientStorage'];

/** An image that was to be made, was not, and may be given up (config.md §6). */
function hasExpired({ state, expires_at }: RawImage, now: number): boolean {
    return (
        (state === 'creating' || state === 'failed') &&
        typeof expires_at === 'string' &&
        Date.parse(expires_at) <= now
    );
}

export interface PurgeResult {
    /** The records of the images that were deleted. */
    deleted: RawImage[];
    /** How many are to go but could not be deleted; the log names them. */
    failed: number;
}

export interface PurgeOptions {
    images: Images;
    /** Where the images are. */
    store: ImageStore;
    leases: LeaseStore;
    clock: Clock;
    log: Logger;
    /** Id of this process among the holders of leases. */
    holder: string;
    /** Time between two looks, in ms (`limits.purgeInterval`). */
    interval: number;
}

/**
 * Deletes placeholders whose time is over: record, files and icon.
 *
 * The version that was judged is the one that is deleted. A placeholder that somebody activates, imports or uploads to
 * meanwhile is another version, and stays: should it still be one that has expired, the next look will find it.
 */
export class Purge {
    readonly #options: PurgeOptions;
    readonly #task: LeasedTask;
    #last: PurgeResult | undefined;

    constructor(options: PurgeOptions) {
        this.#options = options;
        this.#task = new LeasedTask({
            ...options,
            name: 'purge-placeholders',
            run: async (signal) => {
                this.#last = await this.run(signal);
            },
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

    /** Deletes all that have expired, now or as soon as the process that is at it is done. */
    async now(): Promise<PurgeResult> {
        await this.#task.hurry();
        if (!this.#last) {
            throw new Error('The purge was stopped before it was done.');
        }
        return this.#last;
    }

    /** The records of those that have expired by now, at most `limit`. */
    async expired(limit: number): Promise<RawImage[]> {
        const { store, clock } = this.#options;
        const found = await store.expired(new Date(clock.now()).toISOString(), limit);
        return found.map(({ raw }) => raw).filter((raw) => hasExpired(raw, clock.now()));
    }

    /** Deletes all placeholders that have expired by now. One that cannot be deleted hinders no other. */
    async run(signal?: AbortSignal): Promise<PurgeResult> {
        const { store, clock } = this.#options;
        const now = new Date(clock.now()).toISOString();
        const result: PurgeResult = { deleted: [], failed: 0 };
        const kept = new Set<string>();
        for (;;) {
            // Those that stay come first every time: ask for so many more that they hide no others.
            const limit = kept.size + PAGE;
            const found = await store.expired(now, limit);
            for (const { uuid } of found.filter((image) => !kept.has(image.uuid))) {
                if (signal?.aborted === true) {
                    return result;
                }
                if (!(await this.#deleteIfExpired(uuid, result))) {
                    kept.add(uuid);
                }
            }
            if (found.length < limit) {
                return result;
            }
        }
    }

    /** Gives whether the image is deleted. */
    async #deleteIfExpired(uuid: string, result: PurgeResult): Promise<boolean> {
        const { images, clock, log } = this.#options;
        try {
            return await images.turns.take(uuid, async () => {
                const image = await images.get(uuid);
                if (!image || !hasExpired(image.raw, clock.now())) {
                    return false;
                }
                faultPoint('purge:judged');
                await images.remove(image, undefined);
                const { state, expires_at, owner, name } = image.raw;
                log.info(
                    { image_uuid: uuid, state, expires_at, owner, name },
                    'deleted an image that was never finished; its time was over',
                );
                result.deleted.push(image.raw);
                return true;
            });
        } catch (err) {
            result.failed += this.#explain(uuid, err) ? 1 : 0;
            return false;
        }
    }

    /** Gives whether somebody has to see to it. @throws err if it is not about this image alone */
    #explain(uuid: string, err: unknown): boolean {
        const { log } = this.#options;
        if (err instanceof EtagConflict || err instanceof ImageNotFound) {
            log.info(
                { image_uuid: uuid },
                'somebody is at work on an image that has expired; it stays for now',
            );
            return false;
        }
        if (err instanceof DependencyConflict) {
            log.warn(
                { image_uuid: uuid },
                'an image that was never finished has expired, but is the origin of others',
            );
        } else if (err instanceof ApiError && OUTAGES.includes(err.code)) {
            throw err;
        } else {
            log.warn(
                { err, image_uuid: uuid },
                'could not delete an image that has expired; it will be tried again',
            );
        }
        return true;
    }
}
