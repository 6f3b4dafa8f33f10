import { nameFromLevel } from 'bunyan';
import { invalidParameter } from '../../errors';
import { RECENT_LOG, type Processes } from '../../workers/driver';
import type { Page } from './server';

const DEFAULT_LAST = 100;
const MOST = 1000;
const HIGHEST_LEVEL = 100;

const LEVELS: ReadonlyMap<string, number> = new Map(
    Object.entries(nameFromLevel).map(([level, name]) => [name, Number(level)]),
);

function one(query: URLSearchParams, name: string): string | undefined {
    const values = query.getAll(name);
    if (values.length > 1) {
        throw invalidParameter(`Parameter "${name}" is given more than once.`, name);
    }
    return values[0];
}

function wholeNumber(text: string): number | undefined {
    return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function levelOf(text: string): number {
    const level = LEVELS.get(text.toLowerCase()) ?? wholeNumber(text);
    if (level === undefined || level > HIGHEST_LEVEL) {
        throw invalidParameter(
            `Parameter "level" is ${JSON.stringify(text.slice(0, 40))}; it takes one of ` +
                `${[...LEVELS.keys()].join(', ')}, or a whole number up to ${HIGHEST_LEVEL}.`,
            'level',
        );
    }
    return level;
}

function lastOf(text: string): number {
    const last = wholeNumber(text);
    if (last === undefined || last < 1 || last > MOST) {
        throw invalidParameter(
            `Parameter "last" is ${JSON.stringify(text.slice(0, 40))}; it takes a whole number from 1 to ${MOST}.`,
            'last',
        );
    }
    return last;
}

/** The newest records of at least a level, of all processes, oldest first. */
export async function newestRecords(processes: Processes, level: number, last: number): Promise<string[]> {
    const gathered = await processes.gather(RECENT_LOG, { level, last });
    return gathered.flatMap((one) => ('answer' in one ? one.answer : []));
}

/** GET /logs: the newest records of the log, one line of JSON each, such as `bunyan` takes them. */
export const logsPage =
    (processes: Processes): Page =>
    async (query) => {
        const level = levelOf(one(query, 'level') ?? '0');
        const last = lastOf(one(query, 'last') ?? String(DEFAULT_LAST));
        const lines = await newestRecords(processes, level, last);
        return {
            status: 200,
            type: 'application/x-ndjson',
            body: lines.map((line) => `${line}\n`).join(''),
        };
    };
