import type Logger from 'bunyan';
import type { RawImage, StorageType } from '../../manifest';
import type { StorageDriver, StorageSpace } from '../../storage/driver';
import { SparingValue } from './sparing-value';
import type { StorageSpaces } from './storage-space';

/** ms that somebody who asks waits for it: it takes a look at every record. */
const PATIENCE = 500;

/** What images have in one storage, by their records. */
export interface Usage {
    readonly files: number;
    /** Bytes. */
    readonly size: number;
}

export interface StorageUse {
    readonly type: StorageType;
    /** Undefined while it is counted for the first time. */
    readonly usage: Usage | undefined;
    readonly space: StorageSpace | undefined;
}

export interface StorageUsageParts {
    records: () => AsyncIterable<RawImage>;
    storages: readonly StorageDriver[];
    spaces: StorageSpaces;
    log: Logger;
}

const NOTHING: Usage = { files: 0, size: 0 };

/** How much is in each storage. */
export class StorageUsage {
    readonly #storages: readonly StorageDriver[];
    readonly #spaces: StorageSpaces;
    readonly #usage: SparingValue<ReadonlyMap<string, Usage>>;

    constructor({ records, storages, spaces, log }: StorageUsageParts) {
        this.#storages = storages;
        this.#spaces = spaces;
        this.#usage = new SparingValue('the files of images', () => count(records()), log);
    }

    /** Soon; never rejects. */
    async get(): Promise<StorageUse[]> {
        const [byType, spaces] = await Promise.all([this.#usage.get(PATIENCE), this.#spaces.get()]);
        return this.#storages.map(({ type }) => ({
            type,
            usage: byType && (byType.get(type) ?? NOTHING),
            space: spaces.get(type),
        }));
    }
}

async function count(records: AsyncIterable<RawImage>): Promise<Map<string, Usage>> {
    const byType = new Map<string, Usage>();
    for await (const { files = [], icon } of records) {
        for (const { stor = 'local', size } of icon ? [...files, icon] : files) {
            const usage = byType.get(stor) ?? NOTHING;
            byType.set(stor, { files: usage.files + 1, size: usage.size + size });
        }
    }
    return byType;
}
