/** What the parts of the server have to say when a command runs them, as lines for people. */
import Logger from 'bunyan';
import { censorLine } from '../config/censor';
import type { Output } from './output';

/** Fields of every record, which say nothing here. */
const COMMON = new Set(['name', 'hostname', 'pid', 'level', 'time', 'msg', 'v', 'err']);

interface LogRecord {
    level: number;
    msg: string;
    err?: unknown;
}

/** The message with those of its causes, but for what it says itself already. */
export function explain(error: unknown, separator = ': '): string {
    const messages: string[] = [];
    let next = error;
    while (next instanceof Error) {
        const { message } = next;
        if (!messages.some((said) => said.includes(message))) {
            messages.push(message);
        }
        next = next.cause;
    }
    // A full stop in the middle of a line reads like its end.
    return (
        messages
            .map((message, index) =>
                index < messages.length - 1 && separator === ': ' ? message.replace(/\.$/, '') : message,
            )
            .join(separator) || String(error)
    );
}

function lineOf(record: LogRecord): string {
    const fields = Object.fromEntries(Object.entries(record).filter(([key]) => !COMMON.has(key)));
    return [
        `${Logger.nameFromLevel[record.level] ?? record.level}: ${record.msg}`,
        ...(record.err === undefined ? [] : [`(${explain(record.err)})`]),
        ...(Object.keys(fields).length === 0 ? [] : [censorLine(JSON.stringify(fields))]),
    ].join(' ');
}

/** Warnings, or with `verbose` everything, on standard error. */
export function commandLog(output: Output, verbose: boolean): Logger {
    const stream = { write: (record: object) => output.say(lineOf(record as LogRecord)) };
    return Logger.createLogger({
        name: 'imgapiadm',
        streams: [{ type: 'raw', level: verbose ? 'trace' : 'warn', stream }],
    });
}
