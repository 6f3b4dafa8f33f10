/** The registry of storage drivers, and the ones a configuration asks for. */
import type Logger from 'bunyan';
import type { Config } from '../config/types';
import { ApiError } from '../errors';
import type { StorageType } from '../manifest';
import type { StorageDriver, StorageSet } from './driver';
import { VERSION } from '../version';
import { createLocalStorage } from './local';

type CreateDriver = (config: Config, log: Logger) => StorageDriver | Promise<StorageDriver>;

/** Before a request to Manta is tried again for the first time, in ms. */
const MANTA_PAUSE = 100;

/** Every driver there is. */
const drivers = {
    local: ({ dataDir }) => createLocalStorage({ dataDir }),
    manta: async ({ manta, maxSockets, serverName }, log) => {
        if (manta === undefined) {
            throw new TypeError('The storage "manta" needs its block of the configuration.');
        }
        const { connectTimeout, answerTimeout, idleTimeout, insecure = false, ...where } = manta;
        const { createMantaStorage } = await import('./manta.js');
        return createMantaStorage({
            ...where,
            insecure,
            maxSockets,
            timeouts: {
                connect: connectTimeout,
                answer: answerTimeout,
                idle: idleTimeout,
                pause: MANTA_PAUSE,
            },
            userAgent: serverName ?? `IMGAPI/${VERSION}`,
            log,
        });
    },
    s3: async ({ s3, maxSockets }, log) => {
        if (s3 === undefined) {
            throw new TypeError('The storage "s3" needs its block of the configuration.');
        }
        // The SDK takes time to load and 20 MB of memory, which only those pay who use it.
        const { createS3Storage } = await import('./s3.js');
        return createS3Storage({ config: s3, maxSockets, log });
    },
} satisfies Record<StorageType, CreateDriver>;

/** The storages of this server, by their type. */
export class Storages implements StorageSet {
    readonly #drivers: ReadonlyMap<StorageType, StorageDriver>;

    constructor(drivers: readonly StorageDriver[]) {
        this.#drivers = new Map(drivers.map((driver) => [driver.type, driver]));
    }

    /** @throws ApiError StorageUnsupported if the type is not configured (storage.md §3) */
    get(type: StorageType): StorageDriver {
        const driver = this.#drivers.get(type);
        if (driver === undefined) {
            throw new ApiError(
                'StorageUnsupported',
                `This server is not configured for the storage "${type}"; it has ${[...this.#drivers.keys()].join(', ')}.`,
            );
        }
        return driver;
    }

    has(type: StorageType): boolean {
        return this.#drivers.has(type);
    }

    all(): readonly StorageDriver[] {
        return [...this.#drivers.values()];
    }
}

/**
 * Makes the storages the configuration names, none of them opened yet. `local` is always among them: it is the spool
 * of the manifest archive.
 *
 * @param wanted makes only these, if given
 */
export async function createStorages(
    config: Config,
    log: Logger,
    wanted: readonly StorageType[] = ['local', ...config.storageTypes],
): Promise<Storages> {
    const types = [...new Set(wanted)];
    return new Storages(await Promise.all(types.map((type) => createStorage(type, config, log))));
}

/**
 * Makes the object stores that are configured without being storages of images: they may still hold keys of users
 * (auth.md §5). None of them is opened yet.
 */
export function createKeyStores(config: Config, log: Logger): Promise<StorageDriver[]> {
    const types = (['manta', 's3'] as const).filter(
        (type) => config[type] !== undefined && !config.storageTypes.includes(type),
    );
    return Promise.all(types.map((type) => createStorage(type, config, log)));
}

async function createStorage(type: StorageType, config: Config, log: Logger): Promise<StorageDriver> {
    const create: CreateDriver = drivers[type];
    return create(config, log.child({ storage: type }, true));
}
