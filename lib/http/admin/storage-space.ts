import type Logger from 'bunyan';
import type { StorageType } from '../../manifest';
import type { StorageDriver, StorageSpace } from '../../storage/driver';
import { SparingValue } from './sparing-value';

/** ms that somebody who asks waits for it: a file system of the network may not answer at all. */
const PATIENCE = 500;

/** How much room there is in each storage that can tell. */
export class StorageSpaces {
    readonly #spaces: readonly (readonly [StorageType, SparingValue<StorageSpace>])[];

    constructor(storages: readonly StorageDriver[], log: Logger) {
        this.#spaces = storages.flatMap((storage) => {
            const find = storage.space?.bind(storage);
            return find
                ? [[storage.type, new SparingValue('the room in a storage', find, log)] as const]
                : [];
        });
    }

    /** Of those of which it is known. Soon; never rejects. */
    async get(): Promise<ReadonlyMap<StorageType, StorageSpace>> {
        const known = await Promise.all(
            this.#spaces.map(async ([type, value]) => [type, await value.get(PATIENCE)] as const),
        );
        return new Map(known.flatMap(([type, space]) => (space ? [[type, space] as const] : [])));
    }
}
