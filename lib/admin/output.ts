/** What a command prints: results on standard output, the rest and a progress bar on standard error. */
import { Progress, type ProgressTotals } from './progress';

/** A stream to print on. */
export type Terminal = Pick<NodeJS.WritableStream, 'write'> & {
    readonly isTTY?: boolean;
    readonly columns?: number;
};

/** Lets a program go on when nobody reads what it prints any more: it may be in the middle of a change. */
export function outliveReaders({ stdout, stderr }: Pick<NodeJS.Process, 'stdout' | 'stderr'>): void {
    for (const stream of [stdout, stderr]) {
        stream.on('error', () => undefined);
    }
}

export class Output {
    #progress: Progress | undefined;

    constructor(
        private readonly results: Terminal,
        private readonly messages: Terminal,
    ) {}

    /** Whether the results appear where a progress bar tells as much. */
    get isWatched(): boolean {
        return this.#hasBar && this.results.isTTY === true;
    }

    get #hasBar(): boolean {
        return this.messages.isTTY === true;
    }

    /** Prints lines of the result. */
    print(...lines: readonly string[]): void {
        this.#past(() => this.results.write(lines.map((line) => `${line}\n`).join('')));
    }

    /** Prints what comes from elsewhere, as it is, and ends the line. @throws what reading it fails with */
    async pass(source: AsyncIterable<Buffer>): Promise<void> {
        for await (const chunk of source) {
            await new Promise<void>((resolve) => void this.results.write(chunk, () => resolve()));
        }
        this.print('');
    }

    /** Tells the operator something that is not part of the result. */
    say(line: string): void {
        this.#past(() => this.messages.write(`${line}\n`));
    }

    /** Shows how far the work is, if somebody watches; until its `end` is called. */
    progress(totals: ProgressTotals): Progress {
        this.#progress = new Progress(totals, this.#hasBar ? this.messages : undefined);
        return this.#progress;
    }

    /** Writes where the bar was, which then follows. */
    #past(write: () => void): void {
        this.#progress?.clear();
        write();
        this.#progress?.draw();
    }
}
