import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** ms that a process may take to end after SIGTERM. */
const PATIENCE = 10_000;

/** The folder of one run, and the processes that work in it. Closing it leaves neither. */
export class Workplace {
    readonly #endings = new Set<() => Promise<void>>();
    #closed: Promise<void> | undefined;

    private constructor(readonly path: string) {}

    static async make(): Promise<Workplace> {
        return new Workplace(await mkdtemp(join(tmpdir(), 'imgapi-bench-')));
    }

    /**
     * Starts something that has to be ended; gives it back with the function that ends it, once.
     *
     * @throws Error if the workplace is closed: after Ctrl-C nothing new begins
     */
    keep<T>(start: () => T, end: (started: T) => Promise<void>): { started: T; end: () => Promise<void> } {
        if (this.#closed) {
            throw new Error('The benchmark is being stopped.');
        }
        const started = start();
        const ending = async () => {
            if (this.#endings.delete(ending)) {
                await end(started);
            }
        };
        this.#endings.add(ending);
        return { started, end: ending };
    }

    /** A path in the folder. */
    file(name: string): string {
        return join(this.path, name);
    }

    /** Ends what runs and removes the folder. */
    close(): Promise<void> {
        this.#closed ??= this.#close();
        return this.#closed;
    }

    async #close(): Promise<void> {
        await Promise.all([...this.#endings].map((end) => end()));
        await rm(this.path, { recursive: true, force: true });
    }
}

/** Ends a child process, by force if it takes too long. */
export async function endChild(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) {
        return;
    }
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
    await exit;
    clearTimeout(timer);
}
