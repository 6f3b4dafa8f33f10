import type Logger from 'bunyan';
import { FolderWatch } from './folder-watch';
import { KeyFolder } from './key-folder';
import type { KeySource } from './key-source';
import type { KeyRing } from './keys';

export interface FolderKeysOptions {
    /** Absolute path; need not be there. */
    folder: string;
    log: Logger;
    /** Called after the folder was read, whether its keys have changed or not. */
    onRead?: () => Promise<void>;
}

/** The key files of a folder of this machine. What happens to them counts within a second. */
export class FolderKeys implements KeySource {
    readonly name: string;
    readonly #options: FolderKeysOptions;
    readonly #folder: KeyFolder;
    readonly #watch: FolderWatch;
    #changed: () => void = () => undefined;
    #reading: Promise<void> = Promise.resolve();
    #next: Promise<void> | undefined;

    constructor(options: FolderKeysOptions) {
        const { folder, log } = options;
        this.#options = options;
        this.name = folder;
        this.#folder = new KeyFolder(folder, log);
        this.#watch = new FolderWatch(folder, log, () => void this.reload());
    }

    get keys(): KeyRing {
        return this.#folder.keys;
    }

    async open(changed: () => void): Promise<void> {
        await this.#watch.open();
        await this.reload();
        this.#changed = changed;
    }

    async close(): Promise<void> {
        await this.#watch.close();
        await this.#next;
        await this.#reading;
        this.#changed = () => undefined;
    }

    /** Reads the folder once more, after the reading that may be going on. */
    reload(): Promise<void> {
        this.#next ??= this.#reading.then(() => {
            this.#next = undefined;
            this.#reading = this.#read();
            return this.#reading;
        });
        return this.#next;
    }

    async #read(): Promise<void> {
        const { log, onRead } = this.#options;
        try {
            const { changed, links } = await this.#folder.read();
            this.#watch.watchLinks(links);
            await onRead?.();
            if (changed) {
                this.#changed();
            }
        } catch (err) {
            log.error({ err, folder: this.name }, 'a folder of key files could not be read');
        }
    }
}
