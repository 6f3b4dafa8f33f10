/** The command line of main.js (config.md §5). */
import { parseOptions, type Flag } from './options';

/** Every flag of the server; usage and parsing both come from these rows. */
const flags = [
    { name: 'help', short: 'h', help: 'Print this help and exit.' },
    { name: 'version', help: 'Print the version and exit.' },
    {
        name: 'debug',
        short: 'd',
        help: 'Log at level debug; twice for trace, three times with source positions.',
    },
    {
        name: 'file',
        short: 'f',
        value: 'PATH',
        help: 'The config file, by default /data/imgapi/etc/imgapi.config.json.',
    },
] as const satisfies readonly Flag[];

type FlagName = (typeof flags)[number]['name'];

export type Arguments =
    | { kind: 'help' }
    | { kind: 'version' }
    /** `debug` counts the -d flags. */
    | { kind: 'run'; file?: string; debug: number }
    /** `options` as they were written. */
    | { kind: 'unknown'; options: string[] }
    | { kind: 'invalid'; message: string };

/** What the arguments (without node and main.js) ask for. Wrong ones come first, so that a mistake is never run. */
export function parseArguments(argv: readonly string[]): Arguments {
    const parsed = parseOptions(flags, argv);
    const given = (name: FlagName): readonly string[] => parsed.flags.get(name) ?? [];
    if (parsed.unknown.length > 0) {
        return { kind: 'unknown', options: [...parsed.unknown] };
    }
    const [problem] = parsed.problems;
    if (problem !== undefined) {
        return { kind: 'invalid', message: problem };
    }
    const [extra] = parsed.positionals;
    if (extra !== undefined) {
        return { kind: 'invalid', message: `unexpected argument "${extra}": only options are taken` };
    }
    if (given('help').length > 0) {
        return { kind: 'help' };
    }
    if (given('version').length > 0) {
        return { kind: 'version' };
    }
    const file = given('file').at(-1);
    return { kind: 'run', debug: given('debug').length, ...(file !== undefined && { file }) };
}

/** The line about options nobody knows, for stderr; a blank line follows it (config.md §5). */
export function unknownOptionsMessage(options: readonly string[]): string {
    return `unknown option${options.length === 1 ? '' : 's'}: ${options.join(', ')}`;
}

/** The usage text, ending in a newline. */
export function usage(): string {
    const rows = flags.map((flag: Flag) => {
        const short = flag.short === undefined ? '    ' : `-${flag.short}, `;
        const value = flag.value === undefined ? '' : ` ${flag.value}`;
        return { option: `${short}--${flag.name}${value}`, help: flag.help };
    });
    const width = Math.max(...rows.map(({ option }) => option.length));
    return [
        'usage: node main.js [OPTIONS]',
        '',
        'options:',
        ...rows.map(({ option, help }) => `    ${option.padEnd(width)}  ${help}`),
        '',
    ].join('\n');
}
