/** The directories of Manta that objects need, made as they are needed (manta.md §4). */
import { MantaFailure } from './manta-failure';
import type { MantaClient } from './manta-client';

/** How many directories are remembered: all that images are spread over. */
const MOST_REMEMBERED = 10_000;

export class MantaDirectories {
    readonly #client: MantaClient;
    /** Length of `/<user>/stor`, which is always there. */
    readonly #given: number;
    /** Directories that are there, as far as is known. Nobody who keeps to the rules removes them. */
    readonly #made = new Set<string>();

    constructor(client: MantaClient, user: string) {
        this.#client = client;
        this.#given = `/${user}/stor`.length;
    }

    /**
     * Makes a directory, and those above it unless they are known to be there. It itself is made in any case: the one
     * of an image is removed by whoever deletes the last object in it.
     */
    async make(path: string, signal?: AbortSignal): Promise<void> {
        const parents = this.#parentsOf(path);
        const unknown = parents.filter((parent) => !this.#made.has(parent));
        try {
            await this.#makeAll([...unknown, path], signal);
        } catch (error) {
            if (!(error instanceof MantaFailure) || error.code !== 'DirectoryDoesNotExist') {
                throw error;
            }
            // Somebody has cleared away what was known to be there.
            this.#made.clear();
            await this.#makeAll([...parents, path], signal);
        }
    }

    async #makeAll(paths: readonly string[], signal: AbortSignal | undefined): Promise<void> {
        for (const path of paths) {
            await this.#client.mkdir(path, signal);
        }
        if (this.#made.size > MOST_REMEMBERED) {
            this.#made.clear();
        }
        paths.slice(0, -1).forEach((path) => this.#made.add(path));
    }

    /** From the top down, without `/<user>/stor` and what is above. */
    #parentsOf(path: string): string[] {
        const parents: string[] = [];
        for (let end = path.indexOf('/', this.#given + 1); end > 0; end = path.indexOf('/', end + 1)) {
            parents.push(path.slice(0, end));
        }
        return parents;
    }
}
