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
    constructor(private readonly local: StorageDriver) {}

    /** Replaces the archived manifest of an image, durably. */
    async write(uuid: string, manifest: Buffer): Promise<void> {
        const staged = await this.local.stage(archiveKey(uuid), once(manifest), {
            contentType: 'application/json',
        });
        await staged.commit();
    }
}
