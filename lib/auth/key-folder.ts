import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type Logger from 'bunyan';
import { isKeyFileName, keyText, parseKeys, readRegularFile, UnreadableKeyFile, userOf } from './key-file';
import type { KeyRing, VerifyKey } from './keys';
import { isAbsent, messageOf } from './system-error';

/** Lines of one file that are named in the log one by one. */
const NAMED_LINES = 10;

/** What is known of one file. */
interface KeyFile {
    /** What was read last; undefined if it never could be. */
    readonly text: string | undefined;
    readonly keys: readonly VerifyKey[];
    /** Why it could not be read; undefined if it could. */
    readonly problem: string | undefined;
}

/** What a look into the folder has found. */
export interface Look {
    /** Whether the keys are others than before. */
    readonly changed: boolean;
    /** Paths of the files that are symlinks. */
    readonly links: readonly string[];
}

/**
 * The key files `<user>.keys` of one folder (auth.md §5).
 *
 * A file that cannot be read keeps the keys that it had, and so do all files of a folder that cannot be read. What is
 * in a file that can be read counts at once: to replace a key is to revoke it.
 */
export class KeyFolder {
    #files: ReadonlyMap<string, KeyFile> = new Map();
    #problem: string | undefined;
    #keys: KeyRing = new Map();

    constructor(
        readonly path: string,
        private readonly log: Logger,
    ) {}

    /** The keys as they were read last; replaced as a whole. */
    get keys(): KeyRing {
        return this.#keys;
    }

    /** Reads the folder again. Must not be called while it is being read. */
    async read(): Promise<Look> {
        const found = await this.#list();
        if (found === undefined) {
            return { changed: false, links: [] };
        }
        const files = new Map<string, KeyFile>();
        for (const { name } of found) {
            const file = await this.#readFile(name, this.#files.get(name));
            if (file) {
                files.set(name, file);
            }
        }
        const before = this.#files;
        this.#files = files;
        const changed = [...new Set([...before.keys(), ...files.keys()])].filter(
            (name) => before.get(name)?.keys !== files.get(name)?.keys,
        );
        if (changed.length > 0) {
            this.#keys = new Map([...files].map(([name, { keys }]) => [userOf(name), keys]));
            const users = changed.map((name) => ({
                user: userOf(name),
                keys: files.get(name)?.keys.length ?? 0,
            }));
            this.log.info({ folder: this.path, users }, 'key files were added, changed or removed');
        }
        const links = found.filter(({ isLink }) => isLink).map(({ name }) => join(this.path, name));
        return { changed: changed.length > 0, links };
    }

    /** The key files there are, by their names; undefined if that cannot be known. */
    async #list(): Promise<{ name: string; isLink: boolean }[] | undefined> {
        try {
            const entries = await readdir(this.path, { withFileTypes: true });
            this.#problem = undefined;
            return entries
                .filter(({ name }) => isKeyFileName(name))
                .map((entry) => ({ name: entry.name, isLink: entry.isSymbolicLink() }))
                .sort((a, b) => (a.name < b.name ? -1 : 1));
        } catch (err) {
            if (isAbsent(err)) {
                this.#problem = undefined;
                return [];
            }
            const problem = messageOf(err);
            if (problem !== this.#problem) {
                this.log.warn(
                    { err, folder: this.path },
                    'a folder of key files cannot be read; the keys read from it before stay in use',
                );
            }
            this.#problem = problem;
            return undefined;
        }
    }

    /** Undefined if the file is not there. */
    async #readFile(name: string, former: KeyFile | undefined): Promise<KeyFile | undefined> {
        const path = join(this.path, name);
        try {
            const text = keyText(await readRegularFile(path));
            if (former?.text === text) {
                return { ...former, problem: undefined };
            }
            const { keys, faults } = await parseKeys(text);
            for (const { line, message } of faults.slice(0, NAMED_LINES)) {
                this.log.warn(
                    { file: path, line, reason: message },
                    'a line of a key file is no usable key and is skipped',
                );
            }
            if (faults.length > NAMED_LINES) {
                this.log.warn(
                    { file: path, lines: faults.length - NAMED_LINES },
                    'further lines of a key file are no usable keys and are skipped',
                );
            }
            return { text, keys, problem: undefined };
        } catch (err) {
            // So is a symlink that leads nowhere: whoever removes the file behind it revokes its keys.
            if (isAbsent(err)) {
                return undefined;
            }
            const problem = messageOf(err);
            const keys = former?.keys ?? [];
            if (problem !== former?.problem) {
                const line = err instanceof UnreadableKeyFile ? err.line : undefined;
                this.log.warn(
                    { file: path, ...(line !== undefined && { line }), reason: problem, keys: keys.length },
                    'a key file cannot be read; the keys read from it before stay in use',
                );
            }
            return { text: former?.text, keys, problem };
        }
    }
}
