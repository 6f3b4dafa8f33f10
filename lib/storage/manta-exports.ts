/** Copies of images at paths of the users' own in Manta (manta.md §6). */
import { createHash } from 'node:crypto';
import {
    ExportRefused,
    type ExportCopyOptions,
    type ExportOptions,
    type StageOptions,
    type StorageExports,
} from './driver';
import type { MantaClient } from './manta-client';
import type { MantaDownload } from './manta-download';
import { MantaFailure, storageError } from './manta-failure';
import { upload } from './manta-upload';

/** Opens one of the storage's own objects; undefined if there is none. */
type OpenObject = (key: string, options: { signal?: AbortSignal }) => Promise<MantaDownload | undefined>;

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
    yield bytes;
}

export class MantaExports implements StorageExports {
    constructor(
        private readonly client: MantaClient,
        private readonly open: OpenObject,
    ) {}

    async isFolder(path: string, signal?: AbortSignal): Promise<boolean> {
        const folder = path.replace(/\/$/, '');
        return reach(folder, this.client.isForeignDirectory(folder, signal));
    }

    async exportBytes(path: string, bytes: Buffer, options: ExportOptions): Promise<void> {
        const expected = {
            ...options,
            size: bytes.length,
            contentMD5: createHash('md5').update(bytes).digest('base64'),
        };
        await reach(path, this.#put(path, once(bytes), expected));
    }

    async exportObject(key: string, path: string, options: ExportCopyOptions): Promise<boolean> {
        const { signal } = options;
        return reach(
            path,
            (async () => {
                const source = await this.open(key, { ...(signal && { signal }) });
                if (source) {
                    await this.#put(path, source.body, options);
                }
                return source !== undefined;
            })(),
        );
    }

    /** The folder has to be there: it is not for us to make folders of others. */
    async #put(path: string, source: AsyncIterable<Uint8Array>, options: StageOptions): Promise<void> {
        const makeParent = async (): Promise<never> => {
            const parent = path.slice(0, path.lastIndexOf('/'));
            throw new ExportRefused(`There is no folder "${parent}" in Manta.`);
        };
        await upload(this.client, { path, source, options, fresh: false, foreign: true, makeParent });
    }
}

/** Waits for what is done at a path; a refusal of the path is told to whoever named it. */
async function reach<T>(path: string, work: Promise<T>): Promise<T> {
    try {
        return await work;
    } catch (error) {
        if (error instanceof MantaFailure && error.aboutPath) {
            const reason = error.code ?? String(error.status);
            throw new ExportRefused(`Manta does not let this server write "${path}": ${reason}.`, {
                cause: error,
            });
        }
        throw storageError(error);
    }
}
