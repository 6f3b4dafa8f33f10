/** The images of a server without the server: a real database and a real storage, with the time held still. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../lib/config/types';
import type { LocalDatabase } from '../../lib/db/local';
import { Images } from '../../lib/images/images';
import type { RawImage } from '../../lib/manifest';
import { imageKey, type StorageDriver } from '../../lib/storage/driver';
import { Storages } from '../../lib/storage/index';
import { createLocalStorage } from '../../lib/storage/local';
import { put } from '../conformance/storage';
import { localDatabase } from './local-database';
import { recordingLog } from './recording-log';

export interface LoggedRecord {
    level: number;
    msg: string;
    image_uuid?: string;
}

export class Domain {
    now = Date.UTC(2026, 0, 1);
    readonly logged: LoggedRecord[] = [];
    readonly clock = { now: () => this.now, uuid: () => randomUUID() as string };
    readonly log = recordingLog(this.logged);
    readonly storage: StorageDriver;
    readonly database: LocalDatabase;
    readonly config: Config;
    #images: Images | undefined;
    readonly #dataDir: string;

    private constructor(
        readonly place: string,
        settings: Partial<Config>,
    ) {
        this.#dataDir = join(place, 'data');
        this.storage = createLocalStorage({ dataDir: this.#dataDir });
        this.database = localDatabase(place, { clock: this.clock });
        this.config = { mode: 'public', limits: { uploadSilence: 50_000 }, ...settings } as Config;
    }

    get images(): Images {
        return (this.#images ??= this.process());
    }

    static async make(settings: Partial<Config> = {}): Promise<Domain> {
        const domain = new Domain(await mkdtemp(join(tmpdir(), 'imgapi-domain-')), settings);
        await domain.storage.open();
        await domain.database.open();
        return domain;
    }

    async remove(): Promise<void> {
        await this.database.close();
        await rm(this.place, { recursive: true });
    }

    /** The images as another process has them: on the same database and storage, with a memory of its own. */
    process(): Images {
        const { config, database, clock, log } = this;
        return new Images({ config, database, storages: new Storages([this.storage]), clock, log });
    }

    /** Writes records past all rules, and an object for each name that is given. */
    async plant(raw: RawImage, ...objects: string[]): Promise<RawImage> {
        for (const name of objects) {
            await put(this.storage, imageKey(raw.uuid, name), Buffer.from(`${name} of ${raw.uuid}`));
        }
        await this.database.images.commit({ put: [{ raw }] });
        return raw;
    }

    /** The record as it is now; undefined if there is none. */
    async record(uuid: string): Promise<RawImage | undefined> {
        return (await this.database.images.get(uuid))?.raw;
    }

    /** Paths of all objects below the folder of images. */
    async objects(): Promise<string[]> {
        const entries = await readdir(join(this.#dataDir, 'images'), {
            recursive: true,
            withFileTypes: true,
        });
        return entries
            .filter((entry) => entry.isFile())
            .map(({ parentPath, name }) => join(parentPath, name).slice(this.#dataDir.length + 1))
            .sort();
    }
}
