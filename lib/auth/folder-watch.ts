import { realpath, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type Logger from 'bunyan';
import type { FSWatcher } from 'chokidar' with { 'resolution-mode': 'import' };
import { isKeyFileName } from './key-file';
import { isAbsent, systemCode } from './system-error';

/** After this long without a change the folder is worth reading; files that are being written are whole then. In ms. */
const QUIET = 100;

/** Changes that do not come to rest do not hold up a reading for longer than this, in ms. */
const LONGEST = 500;

/** How often it is checked whether the folder has come, gone, or is another one, in ms. */
const LOOK = 400;

/** How often the folder is read although nothing was noticed, in ms: network file systems tell no changes of others. */
const READ = 5000;

/** … and where the system cannot tell about changes at all. */
const READ_UNWATCHED = 2000;

/** One watcher of the operating system's. */
interface Watcher {
    close(): Promise<void>;
}

/**
 * Notices that something in a folder may have changed.
 *
 * The folder may be a symlink, may not be there yet, and may be removed and made again, with its parents. The system
 * tells about what happens in the folder that is there; that it is still the same folder is checked every now and then.
 * Never keeps the process alive.
 */
export class FolderWatch {
    /** What the system watches: the folder and what links in it lead to, as a text to compare; undefined if nothing. */
    #subject: string | undefined;
    #watcher: Watcher | undefined;
    #links: readonly string[] = [];
    #unwatched = false;
    #warned = false;
    #timers: { look?: NodeJS.Timeout; quiet?: NodeJS.Timeout } = {};
    #looking: Promise<void> = Promise.resolve();
    #noticedAt: number | undefined;
    #readAt = 0;
    #closed = false;

    /** @param changed called a short while after something may have changed */
    constructor(
        private readonly folder: string,
        private readonly log: Logger,
        private readonly changed: () => void,
    ) {}

    /** Begins to watch. What happens after this has resolved is noticed. */
    async open(): Promise<void> {
        this.#readAt = performance.now();
        await this.#inTurn(() => this.#look());
        this.#lookAgain();
    }

    async close(): Promise<void> {
        this.#closed = true;
        clearTimeout(this.#timers.look);
        clearTimeout(this.#timers.quiet);
        await this.#looking;
        await this.#watcher?.close();
    }

    /** Watches what these symlinks lead to, too, in place of those told before. */
    watchLinks(links: readonly string[]): void {
        this.#links = links;
        void this.#inTurn(() => this.#look());
    }

    /** Looks must not overlap, and one that fails is not the last. */
    #inTurn(look: () => Promise<void>): Promise<void> {
        this.#looking = this.#looking.then(look).catch((err: unknown) => this.#doWithout(err));
        return this.#looking;
    }

    #lookAgain(): void {
        this.#timers.look = setTimeout(() => {
            void this.#inTurn(() => this.#look()).then(() => {
                const every = this.#unwatched ? READ_UNWATCHED : READ;
                if (performance.now() - this.#readAt >= every) {
                    this.#notice();
                }
                if (!this.#closed) {
                    this.#lookAgain();
                }
            });
        }, LOOK).unref();
    }

    /** Has the system watch what there is now. */
    async #look(): Promise<void> {
        const subject = await this.#identify();
        if (this.#closed || subject === this.#subject) {
            return;
        }
        this.#subject = subject;
        await this.#watcher?.close();
        this.#watcher = undefined;
        this.#unwatched = false;
        if (subject !== undefined) {
            await this.#watch();
        }
        this.#notice();
    }

    /** The folder, and what links in it lead to, as they are now; undefined if there is no folder. */
    async #identify(): Promise<string | undefined> {
        try {
            const identities = await Promise.all(
                [this.folder, ...this.#links].map(async (path, index) => {
                    try {
                        // One made anew may get the number of the one removed.
                        const { dev, ino, birthtimeNs } = await stat(path, { bigint: true });
                        return `${path} ${dev} ${ino} ${birthtimeNs}`;
                    } catch (err) {
                        if (index === 0) {
                            throw err;
                        }
                        return path;
                    }
                }),
            );
            return identities.join('\n');
        } catch (err) {
            // Another failure is for whoever reads the folder to tell.
            return isAbsent(err) ? undefined : `${this.folder} ${systemCode(err) ?? ''}`;
        }
    }

    async #watch(): Promise<void> {
        const { watch } = await import('chokidar');
        const folder = await realPath(this.folder);
        if (folder === undefined || this.#closed) {
            return;
        }
        const files = await Promise.all(this.#links.map(realPath));
        const elsewhere = files.filter(
            (file): file is string => file !== undefined && dirname(file) !== folder,
        );
        const watcher = watch([folder, ...elsewhere], {
            persistent: false,
            ignoreInitial: true,
            followSymlinks: false,
            atomic: false,
            depth: 0,
            ignored: (path) => dirname(path) === folder && !isKeyFileName(basename(path)),
        });
        const notice = () => this.#notice();
        // `raw` is all that the system tells, at once; `all` is what chokidar makes of it where that is too little.
        watcher.on('raw', notice).on('all', notice).on('ready', notice);
        watcher.on('error', (err) => {
            // The others are about single files, and come again where those are read.
            if (err instanceof Error && 'syscall' in err && err.syscall === 'watch') {
                this.#doWithout(err);
            }
        });
        this.#watcher = { close: () => closeForGood(watcher) };
    }

    #doWithout(err: unknown): void {
        this.#unwatched = true;
        if (!this.#warned) {
            this.#warned = true;
            this.log.warn(
                { err, folder: this.folder },
                `changes of key files cannot be watched; the folder is read every ${READ_UNWATCHED / 1000} s instead`,
            );
        }
    }

    #notice(): void {
        if (this.#closed) {
            return;
        }
        const now = performance.now();
        this.#noticedAt ??= now;
        const delay = Math.max(0, Math.min(QUIET, this.#noticedAt + LONGEST - now));
        clearTimeout(this.#timers.quiet);
        this.#timers.quiet = setTimeout(() => {
            this.#noticedAt = undefined;
            this.#readAt = performance.now();
            this.changed();
        }, delay).unref();
    }
}

/** Undefined if there is nothing, or it is not to be had: whoever reads it tells why, and the next look will see. */
async function realPath(path: string): Promise<string | undefined> {
    try {
        return await realpath(path);
    } catch {
        return undefined;
    }
}

/** What still goes on in a closed watcher may fail, and nobody listens to it any more. */
async function closeForGood(watcher: FSWatcher): Promise<void> {
    const closed = watcher.close();
    watcher.on('error', () => undefined);
    await closed;
}
