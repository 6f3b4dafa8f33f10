/** The registry of storage drivers, and the ones a configuration asks for. */
import type Logger from 'bunyan';
import type { Config } from '../config/types';
import { ApiError } from '../errors';
import type { StorageType } from '../manifest';
import type { StorageDriver, StorageSet } from './driver';
import { VERSION } from '../version';
import { createLocalStorage } from './local';
import { createMantaStorage } from './manta';

type CreateDriver = (config: Config, log: Logger) => StorageDriver;

/** Every driver there is. */
export const drivers: Partial<Record<StorageType, CreateDriver>> = {
    local: ({ dataDir }) => createLocalStorage({ dataDir }),
    manta: ({ manta, maxSockets, serverName }, log) => {
        if (manta === undefined) {
            throw new TypeError('The storage "manta" needs its block of the configuration.');
        }
        const { connectTimeout, answerTimeout, idleTimeout, insecure = false, ...where } = manta;
        return createMantaStorage({
            ...where,
            insecure,
            maxSockets,
            timeouts: { connect: connectTimeout, answer: answerTimeout, idle: idleTimeout },
            userAgent: serverName ?? `IMGAPI/${VERSION}`,
            log,
        });
    },
};

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
 * @throws Error if one is named that this version has no driver for
 */
export function createStorages(config: Config, log: Logger): Storages {
    const types = new Set<StorageType>(['local', ...config.storageTypes]);
    return new Storages(
        [...types].map((type) => {
            const create = drivers[type];
            if (create === undefined) {
                throw new Error(
                    `"storageTypes" names "${type}", which is not built into this version yet: ` +
                        `it has ${Object.keys(drivers).join(', ')}.`,
                );
            }
            return create(config, log.child({ storage: type }, true));
        }),
    );
}
