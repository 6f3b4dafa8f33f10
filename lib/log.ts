/** The log: bunyan records, one JSON line each (config.md §7). */
import type Logger from 'bunyan';
import { fstatSync, openSync, writeSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { inspect } from 'node:util';
import { censorLine } from './config/censor';
import { FluentdStream } from './fluentd';
import { RecentLog } from './recent-log';

/** Pending text beyond which a write does not wait for the end of the turn, in characters. */
const BATCH = 256 * 1024;
/** Pending text beyond which a slow reader blocks the process, in characters; memory stays bounded and no line is lost. */
const BACKLOG = 16 * 1024 * 1024;
/** ms that lines may wait for others. */
const SOON = 20;
/** ms between attempts on a pipe that is full. */
const RETRY = 5;
/** ms that `flush` waits for a full pipe: the process may be about to exit with nobody reading. */
const FLUSH_PATIENCE = 2000;

const NEWLINE = 0x0a;

type WriteBytes = (fd: number, bytes: Buffer, offset: number) => number;

/** Puts the thread to sleep; for moments at which the event loop may not run again. */
function pause(milliseconds: number): void {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

function codeOf(error: unknown): string {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

/**
 * Writes lines to a file descriptor. Those of one turn of the event loop are joined into one write.
 *
 * A full pipe delays lines but loses and reorders none. When the reader of a pipe has gone the sink falls silent;
 * other failures (a full disk) drop lines until writing works again, and say so once on stderr. Writing never throws.
 */
export class LogSink {
    readonly #fd: number;
    readonly #writeBytes: WriteBytes;
    #pending = '';
    /** What a write has begun with; its first `#written` bytes are out. */
    #batch: Buffer | undefined;
    #written = 0;
    #scheduled = false;
    #timer: NodeJS.Timeout | undefined;
    #retry: NodeJS.Timeout | undefined;
    #failing = false;
    /** The last line out is not ended: what followed was dropped. */
    #torn = false;
    #closed = false;
    #recent: RecentLog | undefined;

    constructor(fd: number, writeBytes: WriteBytes = writeSync) {
        this.#fd = fd;
        this.#writeBytes = writeBytes;
        openSinks.add(this);
    }

    /** Adds a line, or lines, given without the last newline; written at the end of this turn of the event loop. */
    writeLine(line: string): void {
        if (this.#add(line) && !this.#scheduled) {
            this.#scheduled = true;
            setImmediate(() => {
                this.#scheduled = false;
                this.#drainUnlessRetrying();
            });
        }
    }

    /** Keeps the newest records from now on, to be looked at. */
    keepRecent(): void {
        this.#recent ??= new RecentLog();
    }

    get recent(): RecentLog | undefined {
        return this.#recent;
    }

    /** Characters that are not written yet. */
    get waiting(): number {
        return this.#pending.length + (this.#batch ? this.#batch.length - this.#written : 0);
    }

    /** Adds a line that may wait up to 20 ms for others: of a busy server's many lines, most go in one write. */
    writeSoon(line: string): void {
        if (this.#add(line) && !this.#scheduled && !this.#timer) {
            this.#timer = setTimeout(() => {
                this.#timer = undefined;
                this.#drainUnlessRetrying();
            }, SOON);
        }
    }

    /** Adds a line to the pending ones. Gives whether their writing has yet to be scheduled. */
    #add(line: string): boolean {
        this.#recent?.add(line);
        if (this.#closed) {
            return false;
        }
        this.#pending += `${line}\n`;
        if (this.#retry) {
            if (this.#pending.length > BACKLOG) {
                this.#drain(Infinity);
            }
            return false;
        }
        if (this.#pending.length > BATCH) {
            this.#drain(0);
            return false;
        }
        return true;
    }

    #drainUnlessRetrying(): void {
        if (!this.#retry) {
            this.#drain(0);
        }
    }

    /** Writes everything now. Waits up to 2 s for a full pipe. */
    flush(): void {
        this.#drain(performance.now() + FLUSH_PATIENCE);
    }

    /** Flushes and takes no more lines. A file descriptor that the sink was given stays open. */
    close(): void {
        this.flush();
        this.#silence();
    }

    /** Writes until nothing is left, sleeping on a full pipe until `deadline`, then leaving the rest to a timer. */
    #drain(deadline: number): void {
        for (;;) {
            this.#batch ??= this.#takePending();
            if (!this.#batch) {
                clearTimeout(this.#retry);
                this.#retry = undefined;
                return;
            }
            try {
                this.#written += this.#writeBytes(this.#fd, this.#batch, this.#written);
                this.#failing = false;
            } catch (error) {
                if (codeOf(error) !== 'EAGAIN') {
                    this.#giveUp(error);
                } else if (performance.now() < deadline) {
                    pause(RETRY);
                } else {
                    this.#retryLater();
                    return;
                }
                continue;
            }
            if (this.#written === this.#batch.length) {
                this.#batch = undefined;
                this.#written = 0;
            }
        }
    }

    #takePending(): Buffer | undefined {
        if (this.#pending === '') {
            return undefined;
        }
        const bytes = Buffer.from(this.#torn ? `\n${this.#pending}` : this.#pending);
        this.#pending = '';
        this.#torn = false;
        return bytes;
    }

    #retryLater(): void {
        clearTimeout(this.#retry);
        this.#retry = setTimeout(() => this.#drain(0), RETRY);
    }

    #giveUp(error: unknown): void {
        if (codeOf(error) === 'EPIPE') {
            this.#silence();
            return;
        }
        this.#torn = this.#written > 0 && this.#batch?.[this.#written - 1] !== NEWLINE;
        this.#pending = '';
        this.#batch = undefined;
        this.#written = 0;
        if (!this.#failing) {
            this.#failing = true;
            process.stderr.write(
                `The log cannot be written (${codeOf(error)}); lines are dropped until it can.\n`,
            );
        }
    }

    #silence(): void {
        this.#closed = true;
        this.#pending = '';
        this.#batch = undefined;
        this.#written = 0;
        clearTimeout(this.#retry);
        this.#retry = undefined;
        openSinks.delete(this);
    }
}

const openSinks = new Set<LogSink>();

process.on('exit', () => openSinks.forEach((sink) => sink.flush()));

const load = createRequire(__filename);
const bunyanFile = load.resolve('bunyan');

/**
 * bunyan without its DTrace probes.
 *
 * It goes without them when their provider gives nothing. The provider is an optional package that looks for compiled
 * parts when it is loaded, so it is kept out even where it is installed.
 */
function loadBunyan(): typeof Logger {
    const provider = resolveProvider(createRequire(bunyanFile));
    if (provider !== undefined && !load.cache[provider]) {
        const nothing = new Module(provider);
        nothing.exports = null;
        nothing.loaded = true;
        load.cache[provider] = nothing;
    }
    return load('bunyan') as typeof Logger;
}

function resolveProvider(loadForBunyan: NodeJS.Require): string | undefined {
    try {
        return loadForBunyan.resolve('dtrace-provider');
    } catch {
        // Not installed, as it should be.
        return undefined;
    }
}

const bunyan = loadBunyan();

/** An error with the errors that caused it: bunyan's own serializer does not know `cause`. */
function serializeError(error: unknown): unknown {
    if (!(error instanceof Error)) {
        return error;
    }
    const { message, name, code, signal } = error as NodeJS.ErrnoException & { signal?: unknown };
    const stacks: string[] = [];
    const seen = new Set<unknown>();
    for (let next: unknown = error; next !== undefined && !seen.has(next);) {
        seen.add(next);
        stacks.push(next instanceof Error ? (next.stack ?? next.message) : inspect(next));
        next = next instanceof Error ? next.cause : undefined;
    }
    return { message, name, stack: stacks.join('\nCaused by: '), code, signal };
}

/** What is read of a bunyan record. */
interface LogRecord {
    level: number;
    time: unknown;
}

/** The ISO form of the latest time: many records are made within one ms. */
let isoTime = { at: NaN, text: '' };

function toIso(time: Date): string {
    const at = time.getTime();
    if (at !== isoTime.at) {
        isoTime = { at, text: time.toJSON() };
    }
    return isoTime.text;
}

/** One line of JSON. A field that JSON has no form for never fails the caller, and the other fields stay. */
function serialize(line: object): string {
    try {
        return JSON.stringify(line);
    } catch {
        const fields = Object.entries(line).filter((entry: [string, unknown]) => entry[1] !== undefined);
        return JSON.stringify(Object.fromEntries(fields.map(([name, value]) => [name, loggable(value)])));
    }
}

/** The value without its cycles and bigints, or a text that says why it cannot be written. */
function loggable(value: unknown): unknown {
    const withoutCycles = bunyan.safeCycles();
    try {
        const text = JSON.stringify(value, (key, inner: unknown): unknown =>
            typeof inner === 'bigint' ? inner.toString() : withoutCycles(key, inner),
        );
        return JSON.parse(text);
    } catch (error) {
        return `(cannot be written: ${error instanceof Error ? error.message : inspect(error)})`;
    }
}

/** Where the log was called: what bunyan's own `src` no longer finds on current versions of Node.js. */
function callerPosition(): { file: string; line: number; func?: string } | undefined {
    const here: { stack?: string } = {};
    Error.captureStackTrace(here, callerPosition);
    const frames = (here.stack ?? '').split('\n');
    const caller = frames[frames.findLastIndex((frame) => frame.includes(bunyanFile)) + 1] ?? '';
    const [, func, file, line] = /^ +at (?:(.*) \()?(.*):(\d+):\d+\)?$/.exec(caller) ?? [];
    return file === undefined ? undefined : { file, line: Number(line), ...(func !== undefined && { func }) };
}

/** How much is logged. */
export interface Verbosity {
    /** A bunyan level name or number. */
    readonly level: string | number;
    /** Adds the source position to each record; slow. */
    readonly source: boolean;
}

export interface LogOptions {
    name: string;
    level: string | number;
    source?: boolean;
    /** A file to append to, or standard output (the default). */
    destination?: string;
}

const STDOUT = 1;

/**
 * Standard output for a sink. A write to a full pipe then fails, where it would hold up the whole process, signals
 * included, until somebody reads. Node.js arranges that for its own stream when that is first looked at, and takes it back
 * at the exit.
 */
function unblockedStdout(): number {
    const stats = fstatSync(STDOUT);
    return stats.isFIFO() || stats.isSocket() ? process.stdout.fd : STDOUT;
}

/** The root log: a bunyan logger with a way to write complete lines beside it. */
export interface ServerLog extends Logger {
    readonly sink: LogSink;
    /** From now on this much is logged, unless {@link ServerLog.setTracing} has it log all. */
    setVerbosity(verbosity: Verbosity): void;
    /** Logs all, with source positions; or as much as before. */
    setTracing(on: boolean): void;
    /** Sends trace events to fluentd on this host. */
    sendEvents(host: string): void;
}

/** Where the records of the log itself are among its streams. */
const OWN_STREAM = 0;

/**
 * Makes the log of the process.
 *
 * Records lose their secrets by name wherever they stand ({@link censorLine}). A fatal record is written at once, any
 * other at the end of the turn of the event loop, and all of them when the process exits.
 *
 * @throws the error of the file system if the file cannot be opened
 */
export function createLog(options: LogOptions): ServerLog {
    const { name, level, source = false, destination = 'stdout' } = options;
    let verbosity: Verbosity = { level, source };
    let isTracing = false;
    let hasSource = source;
    const sink = new LogSink(destination === 'stdout' ? unblockedStdout() : openSync(destination, 'a'));
    const records = {
        write: (record: object) => {
            const { level, time } = record as LogRecord;
            const line = {
                ...record,
                ...(time instanceof Date && { time: toIso(time) }),
                ...(hasSource && { src: callerPosition() }),
            };
            sink.writeLine(censorLine(serialize(line)));
            if (level >= bunyan.FATAL) {
                sink.flush();
            }
        },
    };
    const logger = bunyan.createLogger({
        name,
        serializers: { err: serializeError, req: bunyan.stdSerializers.req, res: bunyan.stdSerializers.res },
        // Raw records, because bunyan spends half of its time on the date when it writes them itself.
        streams: [{ type: 'raw', level: level as Logger.LogLevel, stream: records }],
    });
    const apply = (): void => {
        hasSource = isTracing || verbosity.source;
        logger.levels(OWN_STREAM, isTracing ? bunyan.TRACE : (verbosity.level as Logger.LogLevel));
    };
    return Object.assign(logger, {
        sink,
        setVerbosity: (wanted: Verbosity) => {
            verbosity = wanted;
            apply();
        },
        setTracing: (on: boolean) => {
            isTracing = on;
            apply();
        },
        sendEvents: (host: string) => {
            const onDropped = (count: number) =>
                logger.warn({ count }, 'trace events were dropped while fluentd could not be reached');
            const stream = new FluentdStream({ host, onDropped });
            logger.addStream({ type: 'raw', level: bunyan.DEBUG, stream });
        },
    });
}

/** The level and source positions that `logLevel` and the number of -d flags ask for (config.md §5). */
export function logVerbosity(logLevel: string | number, debug: number): Verbosity {
    const level = debug === 0 ? logLevel : debug === 1 ? 'debug' : 'trace';
    const tracing = bunyan.resolveLevel(level as Logger.LogLevel) <= bunyan.TRACE;
    return { level, source: debug === 0 ? tracing : debug >= 3 };
}
