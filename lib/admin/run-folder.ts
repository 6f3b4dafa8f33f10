/** `<dataDir>/run`: what the scripts of a standalone instance remember (ops.md §8). */
import {
    appendFileSync,
    existsSync,
    mkdirSync,
    readFileSync,
    renameSync,
    rmSync,
    writeFileSync,
} from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { takeProcessLock } from '../db/process-lock';
import { CommandFailure } from './command';

export class RunFolder {
    readonly #folder: string;

    constructor(dataDir: string) {
        this.#folder = join(dataDir, 'run');
        mkdirSync(this.#folder, { recursive: true });
    }

    /** Says that a restore was done, so that backups may begin. */
    get restoredMarker(): string {
        return join(this.#folder, 'restored.marker');
    }

    get isRestored(): boolean {
        return existsSync(this.restoredMarker);
    }

    markRestored(): void {
        appendFileSync(this.restoredMarker, `restored at ${new Date().toISOString()}\n`);
        rmSync(this.#unfinished, { force: true });
    }

    get #unfinished(): string {
        return join(this.#folder, 'restoring.marker');
    }

    /** The backup that a restore was begun from and not finished; undefined if there is no such one. */
    get restoring(): string | undefined {
        return existsSync(this.#unfinished) ? readFileSync(this.#unfinished, 'utf8').trim() : undefined;
    }

    markRestoring(id: string): void {
        writeFileSync(this.#unfinished, `${id}\n`);
    }

    get #status(): string {
        return join(this.#folder, 'backup.status');
    }

    writeBackupStatus(code: number): void {
        const unfinished = `${this.#status}.new`;
        writeFileSync(unfinished, `${code}\n`);
        renameSync(unfinished, this.#status);
    }

    /** The exit code of the last backup, and how old it is in ms; undefined if there was none. */
    async backupStatus(): Promise<{ code: string; age: number } | undefined> {
        if (!existsSync(this.#status)) {
            return undefined;
        }
        const { mtimeMs } = await stat(this.#status);
        return { code: readFileSync(this.#status, 'utf8').trim(), age: Date.now() - mtimeMs };
    }

    /** Runs `work` while no other backup or restore of this folder does. @throws CommandFailure if one runs */
    async alone<T>(work: () => Promise<T>): Promise<T> {
        const lock = takeProcessLock(join(this.#folder, 'backup.lock'));
        if (!lock) {
            throw new CommandFailure('Another backup or restore of this instance is running.');
        }
        try {
            return await work();
        } finally {
            lock.release();
        }
    }
}
