import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PrepareScripts } from './driver';

const FOLDER = join(__dirname, '..', '..', 'etc', 'prepare-image');

/** Scripts in a folder, `<os>-prepare-image` each. One that was read is remembered. */
export class PrepareScriptFolder implements PrepareScripts {
    readonly #folder: string;
    readonly #scripts = new Map<string, string>();

    /** @param folder by default the one that comes with the server */
    constructor(folder = FOLDER) {
        this.#folder = folder;
    }

    async get(os: string): Promise<string | undefined> {
        // A name and nothing else: no path leads out of the folder.
        if (!/^[a-z]+$/.test(os)) {
            return undefined;
        }
        const known = this.#scripts.get(os);
        if (known !== undefined) {
            return known;
        }
        try {
            const script = await readFile(join(this.#folder, `${os}-prepare-image`), 'utf8');
            this.#scripts.set(os, script);
            return script;
        } catch (err) {
            if ((err as NodeJS.ErrnoException).code === 'ENOENT') {
                return undefined;
            }
            throw err;
        }
    }
}
