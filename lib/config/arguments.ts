/** The command line of main.js (config.md §5, daemon.md §1). */
import type { Given } from './environment';
import { parseTarget, TARGET_FORMS } from './listen';
import { parseOptions, type ParsedOptions } from './options';
import { readValue } from './option-values';
import { formatQuantity } from './quantity';
import { LOG_LEVELS, type Settings } from './rules';
import { serverOptions, type OptionName, type ServerOption } from './server-options';
import { withKey } from './settings-path';
import { wrongKey } from './validate';

/** A server as the command line wants it. */
export interface RunArguments {
    readonly kind: 'run';
    /** The config file. */
    readonly file?: string;
    /** How many -d flags there are. */
    readonly debug: number;
    /** The keys that it sets. */
    readonly given: readonly Given[];
    /** A socket that is open already, to listen on and nowhere else. */
    readonly fd?: number;
    /** It says itself where to listen: sockets that a service manager passes do not count. */
    readonly hasTarget?: true;
    /** Do not listen by https. */
    readonly withoutTls?: true;
    readonly portFile?: string;
    readonly pidFile?: string;
    readonly daemonize?: true;
}

export type Arguments =
    | { kind: 'help' }
    | { kind: 'version' }
    | RunArguments
    /** `options` as they were written. */
    | { kind: 'unknown'; options: string[] }
    | { kind: 'invalid'; message: string };

const rows: readonly ServerOption[] = serverOptions;

/** What the arguments (without node and main.js) ask for. Wrong ones come first, so that a mistake is never run. */
export function parseArguments(argv: readonly string[]): Arguments {
    const parsed = parseOptions(rows, argv);
    const has = (name: OptionName): boolean => parsed.flags.has(name);
    if (parsed.unknown.length > 0) {
        return { kind: 'unknown', options: [...parsed.unknown] };
    }
    const given = givenKeys(parsed);
    const problem =
        parsed.problems[0] ??
        contradiction(parsed) ??
        wrongTarget(parsed.positionals) ??
        wrongValue(parsed, given);
    if (problem !== undefined) {
        return { kind: 'invalid', message: problem };
    }
    if (has('help')) {
        return { kind: 'help' };
    }
    return has('version') ? { kind: 'version' } : runArguments(parsed, given);
}

function runArguments({ flags, positionals }: ParsedOptions, given: readonly Given[]): RunArguments {
    const last = (name: OptionName): string | undefined => flags.get(name)?.at(-1);
    const file = last('file');
    const portFile = last('port-file');
    const pidFile = last('pid-file');
    const [uri] = positionals;
    const target = uri === undefined ? undefined : parseTarget(uri);
    const fromTarget = Object.entries(target?.settings ?? {}).map(([key, value]) => ({
        key,
        value,
        origin: String(uri),
    }));
    return {
        kind: 'run',
        debug: flags.get('debug')?.length ?? 0,
        ...(file !== undefined && { file }),
        given: [...given, ...fromTarget],
        ...(target && { hasTarget: true }),
        ...(target?.fd !== undefined && { fd: target.fd }),
        ...(flags.has('no-ssl') && { withoutTls: true }),
        ...(portFile !== undefined && { portFile }),
        ...(pidFile !== undefined && { pidFile }),
        ...(flags.has('daemonize') && { daemonize: true }),
    };
}

function contradiction({ flags }: ParsedOptions): string | undefined {
    return flags.has('daemonize') && flags.has('foreground')
        ? '--daemonize and --foreground are given, and only one of them can be'
        : undefined;
}

function wrongTarget([uri, extra]: readonly string[]): string | undefined {
    if (uri !== undefined && !parseTarget(uri)) {
        return `unexpected argument "${uri}": what is no option says where to listen, as ${TARGET_FORMS}`;
    }
    return extra === undefined
        ? undefined
        : `unexpected argument "${extra}": one place to listen is named already`;
}

/** The keys that flags set, in the order of the table. Of a flag given twice the last one counts, or all if it takes a list. */
function givenKeys({ flags }: ParsedOptions): Given[] {
    const given = rows.flatMap(({ name, key, kind }): Given[] => {
        const texts = flags.get(name);
        if (key === undefined || kind === undefined || !texts) {
            return [];
        }
        const values = texts.map((text) => readValue(kind, text));
        return [{ key, value: kind === 'list' ? values.flat() : values.at(-1), origin: `--${name}` }];
    });
    const levelIsGiven = given.some(({ key }) => key === 'logLevel');
    return flags.has('verbose') && !levelIsGiven
        ? [...given, { key: 'logLevel', value: 'info', origin: '--verbose' }]
        : given;
}

/** The reason against the first value that is wrong, which names its flag. */
function wrongValue({ flags }: ParsedOptions, given: readonly Given[]): string | undefined {
    const level = given.find(({ key }) => key === 'logLevel')?.value;
    if (typeof level === 'string' && !LOG_LEVELS.includes(level.toLowerCase())) {
        return `--log-level is "${level}"; it must be one of ${LOG_LEVELS.join(', ')}, or a number`;
    }
    const settings = given.reduce<Settings>((all, { key, value }) => withKey(all, key, value), {});
    const wrong = wrongKey(settings);
    const path = wrong?.path.join('.') ?? '';
    const row = rows.find(
        ({ name, key }) => flags.has(name) && key !== undefined && `${path}.`.startsWith(`${key}.`),
    );
    if (!wrong || !row) {
        return undefined;
    }
    const { quantity, expected } = wrong.schema;
    const written = flags.get(row.name)?.join(',') ?? '';
    const range =
        quantity &&
        [quantity.minimum, quantity.maximum]
            .map((limit) => formatQuantity(quantity.kind, limit))
            .join(' to ');
    const right =
        quantity === undefined
            ? expected
            : quantity.kind === 'time'
              ? `a time from ${range} such as "500ms", "10s" or "3m", or a number of seconds`
              : `a size from ${range} such as "512KiB" or "1MiB", or a number of bytes`;
    return `--${row.name} is "${written}"; it must be ${right}`;
}

/** The line about options nobody knows, for stderr; a blank line follows it (config.md §5). */
export function unknownOptionsMessage(options: readonly string[]): string {
    return `unknown option${options.length === 1 ? '' : 's'}: ${options.join(', ')}`;
}
