/** The files that `check-files` has found to be good, so that it need not read them again (ops.md §5). */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RawFile } from '../manifest';

interface Checked {
    uuid: string;
    size: number;
    sha1: string;
    /** Where that was: absent for the original's `file0` on the local disk, which is all that its tool knew. */
    stor?: string;
    object?: string;
}

function isChecked(value: unknown): value is Checked {
    const { uuid, size, sha1 } = (value ?? {}) as Partial<Record<keyof Checked, unknown>>;
    return typeof uuid === 'string' && typeof size === 'number' && typeof sha1 === 'string';
}

/** What is remembered of a file. A copy of the same bytes, elsewhere or under another name, is another file. */
function checked(uuid: string, { size, sha1, stor, object }: RawFile): Checked {
    return { uuid, size, sha1, ...(stor !== 'local' && { stor }), ...(object !== undefined && { object }) };
}

/** The folder beside that of the data: `/data/imgapiadm/cache` for `/data/imgapi`. */
function cacheFolder(dataDir: string): string {
    return join(dirname(dataDir), 'imgapiadm', 'cache');
}

export class CheckedFiles {
    readonly file: string;
    readonly #good = new Map<string, Checked>();
    #changed = false;

    /** @param dockerOnly whether it is about images of Docker only, which have a file of their own */
    constructor(dataDir: string, dockerOnly: boolean) {
        this.file = join(cacheFolder(dataDir), `check-files${dockerOnly ? '-v2' : ''}.json`);
        for (const entry of this.#read()) {
            this.#good.set(entry.uuid, entry);
        }
    }

    /** Whether the image's file was found to be good, and is still the same. */
    has(uuid: string, file: RawFile): boolean {
        const known = this.#good.get(uuid);
        const { size, sha1, stor, object } = checked(uuid, file);
        return known?.size === size && known.sha1 === sha1 && known.stor === stor && known.object === object;
    }

    add(uuid: string, file: RawFile): void {
        this.#good.set(uuid, checked(uuid, file));
        this.#changed = true;
    }

    remove(uuid: string): void {
        this.#changed = this.#good.delete(uuid) || this.#changed;
    }

    /** Writes it, as a whole or not at all. @throws the error of the file system */
    save(): void {
        if (this.#changed) {
            mkdirSync(dirname(this.file), { recursive: true });
            const temporary = `${this.file}.${process.pid}`;
            writeFileSync(temporary, JSON.stringify(Object.fromEntries(this.#good)));
            renameSync(temporary, this.file);
            this.#changed = false;
        }
    }

    /** What cannot be read was never found to be good. */
    #read(): Checked[] {
        try {
            const entries = JSON.parse(readFileSync(this.file, 'utf8')) as object | null;
            return Object.values(entries ?? {}).filter(isChecked);
        } catch {
            return [];
        }
    }
}
