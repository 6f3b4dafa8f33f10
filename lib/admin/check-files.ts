/** `check-files`: compares stored files with what the records say of them (ops.md §5). */
import { fileURLToPath } from 'node:url';
import type { Database } from '../db/driver';
import { ApiError } from '../errors';
import { storedPages } from '../images/lists';
import { filesOf } from '../images/references';
import { isUuid, STORAGE_TYPES, type RawFile, type RawImage, type StorageType } from '../manifest';
import { imageKey, type StorageDriver } from '../storage/driver';
import { CheckedFiles } from './checked-files';
import { UsageError, type Command, type CommandContext } from './command';
import { corruptionReport, descendants } from './corruption';
import { checkFile } from './file-check';
import { explain } from './log';
import { withDatabase, withStorages } from './open';
import { showBytes, type Progress } from './progress';

/** The exit code is the number of errors, as far as an exit code can tell. */
const MOST_ERRORS = 255;

/** How often an image is looked at anew because it was changed meanwhile. */
const ATTEMPTS = 5;

/** Signals that end it, with what it found so far remembered. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

class Stopped extends Error {
    constructor(readonly exitCode: number) {
        super('A signal has ended it.');
    }
}

interface Counts {
    /** Files, and the bytes that were read of them. */
    checked: number;
    bytes: number;
    good: number;
    /** Those of the good ones of which only the size was looked at, since they were found good before. */
    known: number;
    /** Images. */
    corrupt: number;
    failed: number;
}

/** A file of an image, as its record has it. */
interface Placed {
    readonly index: number;
    readonly file: RawFile;
    readonly key: string;
    /** Its bytes were found good before. */
    readonly isKnown: boolean;
}

/** Where an object is, for people. */
function placeOf({ location }: StorageDriver, key: string): string {
    const url = `${location}/${key}`;
    return url.startsWith('file:') ? fileURLToPath(url) : url;
}

/** What one run looks at and how. */
class Run {
    readonly counts: Counts = { checked: 0, bytes: 0, good: 0, known: 0, corrupt: 0, failed: 0 };
    readonly #untested = new Set<string>();
    readonly #simple: boolean;
    readonly #force: boolean;

    constructor(
        private readonly context: CommandContext,
        private readonly database: Database,
        private readonly storage: StorageDriver,
        private readonly cache: CheckedFiles,
        private readonly signal: AbortSignal,
    ) {
        this.#simple = context.flags.has('simple');
        this.#force = context.flags.has('force');
    }

    get errors(): number {
        return this.counts.corrupt + this.counts.failed;
    }

    /** The files of an image in the storage. */
    filesToCheck(raw: RawImage): Placed[] {
        return filesOf(raw)
            .filter(([, { stor }]) => stor === this.storage.type)
            .map(([index, file]) => ({
                index,
                file,
                key: imageKey(raw.uuid, file.object ?? `file${index}`),
                isKnown: this.#isKnown(raw.uuid, index, file),
            }));
    }

    /** How many bytes checking the files means to read. */
    bytesToRead(files: readonly Placed[]): number {
        return files
            .filter(({ isKnown }) => !this.#simple && !isKnown)
            .reduce((sum, { file }) => sum + file.size, 0);
    }

    #isKnown(uuid: string, index: number, file: RawFile): boolean {
        return !this.#simple && !this.#force && index === 0 && this.cache.has(uuid, file);
    }

    /** Checks the files of an image, as it is by now. */
    async check(uuid: string, progress: Progress): Promise<void> {
        let raw = (await this.database.images.get(uuid))?.raw;
        for (let attempt = 1; raw && attempt <= ATTEMPTS; attempt++) {
            const damage = await this.#checkFiles(raw, progress);
            if (damage === undefined) {
                return;
            }
            // Whoever changes or deletes an image deletes its former file.
            const now = (await this.database.images.get(uuid))?.raw;
            if (JSON.stringify(now?.files) === JSON.stringify(raw.files)) {
                this.counts.corrupt++;
                this.cache.remove(uuid);
                const generations = await descendants(this.database.images, uuid);
                this.context.output.print(...corruptionReport(raw, damage, generations));
                return;
            }
            raw = now;
        }
    }

    /** Gives what is wrong with the first one that is damaged. */
    async #checkFiles(raw: RawImage, progress: Progress): Promise<string | undefined> {
        for (const { index, file, key, isKnown } of this.filesToCheck(raw)) {
            const { damage, untested } = await checkFile(this.storage, key, file, {
                simple: this.#simple || isKnown,
                onBytes: (bytes) => {
                    this.counts.bytes += bytes;
                    progress.advance(bytes);
                },
                signal: this.signal,
            });
            this.counts.checked++;
            if (damage !== undefined) {
                return `the file ${placeOf(this.storage, key)} ${damage}`;
            }
            this.counts.good++;
            this.counts.known += isKnown ? 1 : 0;
            if (untested !== undefined) {
                this.#sayUntested(untested);
            } else if (!this.#simple && !isKnown && index === 0) {
                this.cache.add(raw.uuid, file);
            }
        }
        return undefined;
    }

    #sayUntested(program: string): void {
        if (!this.#untested.has(program)) {
            this.#untested.add(program);
            this.context.output.say(
                `warning: ${program} is not installed, so files compressed by it are not tested for that`,
            );
        }
    }
}

function isOfDocker({ tagsObj, tags }: RawImage): boolean {
    const id = tagsObj?.['docker:id'];
    return typeof id === 'string'
        ? id.startsWith('sha256:')
        : (tags ?? []).some((tag) => typeof tag === 'string' && tag.startsWith('docker:id=sha256:'));
}

/** The images to look at: those that are named, or all active ones. */
async function* selectImages(
    { operands, flags, output }: CommandContext,
    { images }: Database,
    counts: Counts,
): AsyncGenerator<RawImage> {
    for (const uuid of operands) {
        const image = await images.get(uuid);
        if (image) {
            yield image.raw;
        } else {
            counts.failed++;
            output.say(`${uuid}: there is no such image`);
        }
    }
    if (operands.length > 0) {
        return;
    }
    for await (const page of storedPages(images, { anyOf: [{ state: 'active' }], order: 'asc' })) {
        yield* page.map(({ raw }) => raw).filter((raw) => !flags.has('docker-v2') || isOfDocker(raw));
    }
}

async function checkAll(
    context: CommandContext,
    database: Database,
    storage: StorageDriver,
    signal: AbortSignal,
): Promise<Run> {
    const { output, flags, config } = context;
    const cache = new CheckedFiles(config.dataDir, flags.has('docker-v2'));
    const run = new Run(context, database, storage, cache, signal);
    const images: string[] = [];
    let bytes = 0;
    for await (const raw of selectImages(context, database, run.counts)) {
        const files = run.filesToCheck(raw);
        if (files.length > 0) {
            images.push(raw.uuid);
            bytes += run.bytesToRead(files);
        }
    }
    const progress = output.progress({ noun: 'images', items: images.length, bytes });
    try {
        for (const [index, uuid] of images.entries()) {
            try {
                signal.throwIfAborted();
                await run.check(uuid, progress);
            } catch (error) {
                if (signal.aborted) {
                    break;
                }
                run.counts.failed++;
                output.say(`${uuid}: could not be checked: ${explain(error)}`);
                if (await isDown(storage, error)) {
                    run.counts.failed += images.length - index - 1;
                    output.say(
                        `The storage "${storage.type}" cannot be used: the other images are not checked.`,
                    );
                    break;
                }
            }
            progress.done();
        }
    } finally {
        // First of all: the terminal may be gone.
        save(cache, context);
        progress.end();
    }
    return run;
}

/** Whether an error is of the whole storage, so that every other image would wait for the same. */
async function isDown(storage: StorageDriver, error: unknown): Promise<boolean> {
    if (!(error instanceof ApiError)) {
        return false;
    }
    return storage.check().then(
        () => false,
        () => true,
    );
}

function save(cache: CheckedFiles, { output }: CommandContext): void {
    try {
        cache.save();
    } catch (error) {
        output.say(`warning: what was found good cannot be remembered: ${explain(error)}`);
    }
}

function summary({ checked, bytes, good, known, corrupt, failed }: Counts): string {
    const parts = [
        `${good} good`,
        `${corrupt} image(s) corrupt`,
        ...(failed > 0 ? [`${failed} image(s) not checked`] : []),
        ...(known > 0 ? [`of ${known} found good before only the size`] : []),
    ];
    return `Checked ${checked} file(s), ${showBytes(bytes)} of them read: ${parts.join(', ')}.`;
}

function wantedStorage({ flags, config }: CommandContext): StorageType {
    const configured = new Set<StorageType>(['local', ...config.storageTypes]);
    const given = flags.get('stor') ?? 'local';
    const type = STORAGE_TYPES.find((known) => known === given);
    if (type === undefined || !configured.has(type)) {
        throw new UsageError(`--stor is "${given}"; it takes one of ${[...configured].join(', ')}.`);
    }
    return type;
}

export const checkFiles: Command = {
    name: 'check-files',
    operands: '[UUID...]',
    summary: 'Compare stored files with the size and SHA-1 of their manifests, and test their compression',
    details: [
        'Of all active images, or of those that are named. What was found good is remembered in',
        '<dataDir>/../imgapiadm/cache, and the next time only its size is looked at. For each image with a damaged',
        'file it prints why, and what to delete; images that are made from it come first.',
    ],
    flags: [
        { name: 'force', short: 'f', help: 'read the files again that were found good before' },
        { name: 'docker-v2', short: 'd', help: 'only images of Docker whose id is a digest (tag docker:id)' },
        { name: 'simple', short: 's', help: 'compare sizes only; remembers nothing' },
        { name: 'stor', value: 'TYPE', help: 'check the files in this storage (default local)' },
    ],
    exits: `the number of images whose file is damaged or could not be checked, at most ${MOST_ERRORS}; 129, 130 or 143 if a
    signal ended it. A command line that is wrong is 1, and what keeps it from running 2: then nothing is on standard output.`,
    async run(context) {
        const { operands, output } = context;
        const wrong = operands.find((operand): boolean => !isUuid(operand));
        if (wrong !== undefined) {
            throw new UsageError(`"${wrong}" is not the uuid of an image.`);
        }
        const type = wantedStorage(context);
        const controller = new AbortController();
        const ends = Object.entries(SIGNALS).map(([signal, code]) => ({
            signal,
            end: () => controller.abort(new Stopped(code)),
        }));
        ends.forEach(({ signal, end }) => process.once(signal, end));
        try {
            const run = await withDatabase(context, (database) =>
                withStorages(context, [type], (storages) =>
                    checkAll(context, database, storages.get(type), controller.signal),
                ),
            );
            output.print(summary(run.counts));
            const { reason } = controller.signal as { reason: unknown };
            if (reason instanceof Stopped) {
                output.say('Stopped. What was found good is remembered.');
                return reason.exitCode;
            }
            return Math.min(run.errors, MOST_ERRORS);
        } finally {
            ends.forEach(({ signal, end }) => process.off(signal, end));
        }
    },
};
