import type { Clock } from '../clock';
import type { PendingStore } from '../db/driver';
import { faultPoint } from '../fault';
import type { StorageDriver } from '../storage/driver';
import { archiveKey } from '../storage/driver';

async function* once(chunk: Buffer): AsyncGenerator<Buffer> {
    yield chunk;
}

/**
 * The archive of manifests: the last served form of every image there ever was, kept beside the files as plain JSON
 * (storage.md §5). Written before the database, never removed.
 */
export class Archive {
    constructor(
        private readonly local: StorageDriver,
        private readonly pending: PendingStore,
        private readonly clock: Clock,
    ) {}

    /**
     * Replaces the archived manifest of an image, durably.
     *
     * Gives the id of a pending row, to settle with the record: it names the unfinished file of a write that did not
     * end, so that the sweep finds it. After any failure the row is the sweep's to forget.
     */
    async write(uuid: string, manifest: Buffer): Promise<string> {
        const key = archiveKey(uuid);
        const id = this.clock.uuid();
        const unfinished = { id, image: uuid, storage: this.local.type, key: `${key}.${id}` };
        await this.pending.add(unfinished, this.clock.now());
        faultPoint('archive:pending');
        const staged = await this.local.stage(key, once(manifest), { id, contentType: 'application/json' });
        await staged.commit();
        return id;
    }

    /** Replaces the archived manifest where no record is written along with it. */
    async rewrite(uuid: string, manifest: Buffer): Promise<void> {
        await this.pending.remove([await this.write(uuid, manifest)]);
    }
}
