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

    constructor(options: PurgeOptions) {
        this.#options = options;
        this.#task = new LeasedTask({
            ...options,
            name: 'purge-placeholders',
            run: (signal) => this.run(signal),
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

    /** Deletes all placeholders that have expired by now. One that cannot be deleted hinders no other. */
    async run(signal?: AbortSignal): Promise<void> {
        const { store, clock } = this.#options;
        const now = new Date(clock.now()).toISOString();
        const kept = new Set<string>();
        for (;;) {
            // Those that stay come first every time: ask for so many more that they hide no others.
            const limit = kept.size + PAGE;
            const found = await store.expired(now, limit);
            for (const { uuid } of found.filter((image) => !kept.has(image.uuid))) {
                if (signal?.aborted === true) {
                    return;
                }
                if (!(await this.#deleteIfExpired(uuid))) {
                    kept.add(uuid);
                }
            }
            if (found.length < limit) {
                return;
            }
        }
    }

    /** Gives whether the image is deleted. */
    async #deleteIfExpired(uuid: string): Promise<boolean> {
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
                return true;
            });
        } catch (err) {
            this.#explain(uuid, err);
            return false;
        }
    }

    /** @throws err if it is not about this image alone */
    #explain(uuid: string, err: unknown): void {
        const { log } = this.#options;
        if (err instanceof EtagConflict || err instanceof ImageNotFound) {
            log.info(
                { image_uuid: uuid },
                'somebody is at work on an image that has expired; it stays for now',
            );
        } else if (err instanceof DependencyConflict) {
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
    }
}
