/** A bar that shows how far some work is, for terminals. */
import type { Terminal } from './output';

export interface ProgressTotals {
    /** What is worked on, e.g. `files`. */
    readonly noun: string;
    readonly items: number;
    readonly bytes: number;
}

/** The least time between two drawings, in ms. */
const REDRAW = 100;
const COLUMNS = 80;
/** Characters of the bar between its brackets, at least and at most. */
const BAR = [10, 40] as const;

/** To the beginning of the line, and all after it removed. */
const CLEAR = '\r\u001b[K';

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A number of bytes for people. */
export function showBytes(bytes: number): string {
    let value = bytes;
    let unit = 0;
    while (value >= 1024 && unit < UNITS.length - 1) {
        value /= 1024;
        unit++;
    }
    return `${unit === 0 ? value : value.toFixed(1)} ${bytes === 1 ? 'byte' : (UNITS[unit] ?? '')}`;
}

function showTime(ms: number): string {
    const seconds = Math.ceil(ms / 1000);
    const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((part) => String(part).padStart(2, '0'));
    return [String(Math.floor(seconds / 3600)), ...parts].join(':');
}

export class Progress {
    #items = 0;
    #bytes = 0;
    #drawn = -REDRAW;
    #isShown = false;
    readonly #begun: number;

    /** @param terminal undefined if nobody watches */
    constructor(
        private readonly totals: ProgressTotals,
        private readonly terminal: Terminal | undefined,
        private readonly now: () => number = () => performance.now(),
    ) {
        this.#begun = now();
        this.draw();
    }

    /** Some bytes more are done. */
    advance(bytes: number): void {
        this.#bytes += bytes;
        if (this.now() - this.#drawn >= REDRAW) {
            this.draw();
        }
    }

    /** One item is done. @param bytes of it that `advance` was not told of */
    done(bytes = 0): void {
        this.#items++;
        this.advance(bytes);
    }

    draw(): void {
        if (this.terminal) {
            this.#drawn = this.now();
            this.#isShown = true;
            const { columns = 0 } = this.terminal;
            // Some terminals do not know how wide they are.
            this.terminal.write(CLEAR + this.#line(columns > 0 ? columns : COLUMNS));
        }
    }

    clear(): void {
        if (this.#isShown) {
            this.terminal?.write(CLEAR);
            this.#isShown = false;
        }
    }

    /** Removes the bar; nothing is drawn any more. */
    end(): void {
        this.clear();
        this.draw = () => undefined;
    }

    #line(columns: number): string {
        const { noun, items, bytes } = this.totals;
        const done = Math.min(bytes > 0 ? this.#bytes / bytes : this.#items / Math.max(items, 1), 1);
        const elapsed = this.now() - this.#begun;
        const facts = [
            `${String(Math.floor(done * 100)).padStart(3)}%`,
            `${this.#items}/${items} ${noun}`,
            ...(bytes > 0 ? [`${showBytes(this.#bytes)} of ${showBytes(bytes)}`] : []),
            ...(done > 0 && elapsed > 1000 ? [`${showTime((elapsed / done) * (1 - done))} left`] : []),
        ].join('  ');
        const [least, most] = BAR;
        const width = Math.min(most, columns - facts.length - 4);
        if (width < least) {
            return facts.slice(0, columns - 1);
        }
        const full = Math.floor(done * width);
        return `[${'='.repeat(full)}${' '.repeat(width - full)}] ${facts}`;
    }
}
