import { censorConfig } from './config/censor';

/** Records that are kept of each kind: those that somebody should look at are not pushed out by the others. */
const MOST_RECORDS = 1000;
/** Characters of all records of a kind. */
const MOST_CHARACTERS = 4 << 20;
/** A longer record is not kept. */
const LONGEST_RECORD = 256 << 10;

const WARN = 40;
const LEVEL = '"level":';

interface Entry {
    /** Its place among all records. */
    readonly place: number;
    readonly line: string;
}

class Ring {
    #characters = 0;
    readonly entries: Entry[] = [];

    add(entry: Entry): void {
        this.entries.push(entry);
        this.#characters += entry.line.length;
        while (this.entries.length > MOST_RECORDS || this.#characters > MOST_CHARACTERS) {
            this.#characters -= this.entries.shift()?.line.length ?? 0;
        }
    }
}

/** The level of a record, as its line has it: near the beginning, so that it is cheap to find. */
function levelOf(line: string): number {
    const at = line.indexOf(LEVEL);
    return at === -1 ? 0 : Number.parseInt(line.slice(at + LEVEL.length, at + LEVEL.length + 4), 10);
}

function isRecord(value: unknown): value is Record<string, unknown> & { level: number } {
    return (
        typeof value === 'object' &&
        value !== null &&
        typeof (value as { level?: unknown }).level === 'number'
    );
}

/** The newest records of a log, of which only so many are kept (daemon.md §4, GET /logs). */
export class RecentLog {
    readonly #serious = new Ring();
    readonly #others = new Ring();
    #places = 0;

    /** @param text a line or several */
    add(text: string): void {
        for (const line of text.includes('\n') ? text.split('\n') : [text]) {
            if (line.length <= LONGEST_RECORD) {
                const ring = levelOf(line) >= WARN ? this.#serious : this.#others;
                ring.add({ place: this.#places++, line });
            }
        }
    }

    /** The last records of at least this level, oldest first, as lines of JSON without secrets. */
    newest(level: number, last: number): string[] {
        const all = [...this.#serious.entries, ...(level >= WARN ? [] : this.#others.entries)];
        all.sort((a, b) => b.place - a.place);
        const found: string[] = [];
        for (const { line } of all) {
            const record = parse(line);
            if (isRecord(record) && record.level >= level) {
                found.push(JSON.stringify(censorConfig(record)));
                if (found.length === last) {
                    break;
                }
            }
        }
        return found.reverse();
    }
}

/** Half a line of a process that was killed is no record. */
function parse(line: string): unknown {
    try {
        return JSON.parse(line);
    } catch {
        return undefined;
    }
}
