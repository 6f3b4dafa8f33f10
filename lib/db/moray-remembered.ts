/** Records that were read lately, each for exactly its version: what is asked of the database first is the version. */
import { LRUCache } from 'lru-cache';
import type { StoredImage } from './driver';
import type { Row } from './moray-client/types';
import { IMAGES_TABLE, type ImagesLayout } from './moray-layout';
import { isSame, readRow, versionOf, type Version } from './moray-record';

/** Bytes that remembered records may take. */
const BYTES = 32 << 20;
/** Bytes of a parsed record for each character of its JSON text, roughly. */
const BYTES_PER_CHARACTER = 4;
/** Bytes of one that cannot be read, or of what surrounds one that can. */
const LEAST_BYTES = 512;

/** A version of a record; without an image if it cannot be read as one. */
interface Remembered extends Version {
    readonly image: StoredImage | undefined;
}

export interface RecordLog {
    warn(fields: object, message: string): void;
}

export class RememberedRecords {
    readonly #records = new LRUCache<string, Remembered>({ maxSize: BYTES });

    constructor(private readonly log: RecordLog) {}

    /** What is remembered of this version; undefined if nothing is. */
    find(version: Version): Remembered | undefined {
        const known = this.#records.get(version.uuid);
        return isSame(known, version) ? known : undefined;
    }

    /** Whether any version is remembered. */
    has(uuid: string): boolean {
        return this.#records.has(uuid);
    }

    /** The image of a row; undefined if it has none that can be read, which the log is told once. */
    read(row: Row, layout: ImagesLayout): StoredImage | undefined {
        const version = versionOf(row);
        const known = this.find(version);
        if (known) {
            return known.image;
        }
        const read = readRow(row, layout);
        const image = typeof read === 'string' ? undefined : read;
        if (typeof read === 'string') {
            this.log.warn(
                { image_uuid: version.uuid, etag: version.etag },
                `the record of an image in the database ${read}; the image is left out until its row in ` +
                    `${IMAGES_TABLE} is corrected or deleted`,
            );
        }
        const size = LEAST_BYTES + BYTES_PER_CHARACTER * (image?.size ?? 0);
        const { uuid, etag, mtime } = version;
        // Spelled out: V8 looks members of spread objects up the slow way, a hundred times a list.
        this.#records.set(uuid, { uuid, etag, mtime, image }, { size });
        return image;
    }

    forget(uuid: string): void {
        this.#records.delete(uuid);
    }

    clear(): void {
        this.#records.clear();
    }
}
