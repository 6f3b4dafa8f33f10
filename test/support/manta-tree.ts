/** What a Manta stand-in holds: directories and objects by their paths, like the metadata tier of Manta. */
import { MantaError } from './manta-error';

export interface MantaDirectory {
    readonly type: 'directory';
    readonly mtime: Date;
}

export interface MantaObject {
    readonly type: 'object';
    readonly mtime: Date;
    readonly etag: string;
    readonly size: number;
    /** In base64. */
    readonly md5: string;
    readonly contentType: string;
    readonly durability: number;
    /** File that holds the bytes; none for an empty object. */
    readonly file: string | undefined;
}

export type MantaEntry = MantaDirectory | MantaObject;

export function parentOf(path: string): string {
    return path.slice(0, path.lastIndexOf('/'));
}

function nameOf(path: string): string {
    return path.slice(path.lastIndexOf('/') + 1);
}

/** `/login` and `/login/stor`: always there, and never to be written. */
export function isRoot(path: string): boolean {
    return /^\/[^/]+(\/(stor|public))?$/.test(path);
}

const byName = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/**
 * The tree. As in Manta, an entry knows the path of its directory but does not need it: a directory that is removed
 * while an upload into it goes on leaves an object that can be read, and that no listing shows until the directory is
 * made again.
 */
export class MantaTree {
    readonly #entries = new Map<string, MantaEntry>();
    readonly #names = new Map<string, Set<string>>();

    get(path: string): MantaEntry | undefined {
        return isRoot(path) ? { type: 'directory', mtime: new Date(0) } : this.#entries.get(path);
    }

    put(path: string, entry: MantaEntry): void {
        this.#entries.set(path, entry);
        const parent = parentOf(path);
        const names = this.#names.get(parent) ?? new Set();
        this.#names.set(parent, names.add(nameOf(path)));
    }

    delete(path: string): void {
        this.#entries.delete(path);
        const names = this.#names.get(parentOf(path));
        names?.delete(nameOf(path));
        if (names?.size === 0) {
            this.#names.delete(parentOf(path));
        }
    }

    /** How many entries a directory has. */
    count(directory: string): number {
        return this.#names.get(directory)?.size ?? 0;
    }

    /** Entries of a directory by name, from the marker on, which is one of them. */
    list(directory: string, marker: string, limit: number): [string, MantaEntry][] {
        return [...(this.#names.get(directory) ?? [])]
            .filter((name) => byName(name, marker) >= 0)
            .sort(byName)
            .slice(0, limit)
            .map((name) => [name, this.#entries.get(`${directory}/${name}`)!]);
    }

    /** Every path of one kind, in no order. */
    paths(type: MantaEntry['type']): string[] {
        return [...this.#entries].filter(([, entry]) => entry.type === type).map(([path]) => path);
    }

    /** @throws MantaError unless an entry may be made here */
    assertParent(path: string): void {
        const parent = this.get(parentOf(path));
        if (parent === undefined) {
            throw new MantaError('DirectoryDoesNotExist', `${parentOf(path)} does not exist`);
        }
        if (parent.type !== 'directory') {
            throw new MantaError('ParentNotDirectory', `${parentOf(path)} is not a directory`);
        }
    }
}
