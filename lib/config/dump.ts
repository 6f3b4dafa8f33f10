/** The command line of lib/config.js, which shell scripts read (config.md §4). */
import { readSettings } from './load';
import { parseOptions, type Flag } from './options';
import { printed } from './print';
import type { Settings } from './rules';
import { effectiveConfig } from './validate';

/** What a command prints and exits with. */
export interface CommandResult {
    stdout: string;
    stderr: string;
    code: number;
}

const flags: readonly Flag[] = [
    { name: 'help', short: 'h', help: 'Print this help and exit.' },
    { name: 'file', short: 'f', value: 'CONFIG-PATH', help: 'Config file path.' },
];

const USAGE = `usage: node .../lib/config.js [OPTIONS] [KEY]
options:
    -h, --help                          Print this help and exit.
    -f CONFIG-PATH, --file=CONFIG-PATH  Config file path.
`;

const failure = (stderr: string): CommandResult => ({ stdout: '', stderr: `${stderr}\n`, code: 1 });
const refusal = (reason: string): CommandResult => failure(`lib/config.js: error: ${reason}`);
const stackOf = (error: unknown): string =>
    error instanceof Error ? (error.stack ?? error.message) : String(error);

/** @throws Error that names the path up to the first name that is missing */
function lookUp(settings: Settings, key: string): unknown {
    const names = key.split('.');
    return names.reduce<unknown>((value, name, index) => {
        if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) {
            throw new Error(`no property ${names.slice(0, index + 1).join('.')} found`);
        }
        return (value as Settings)[name];
    }, settings);
}

/**
 * Runs `lib/config.js` with these arguments. The environment is never looked at.
 *
 * Without KEY it prints what the files say, merged and computed; with KEY the value in effect, so that keys of our own
 * (`dataDir`, `limits.readTimeout`) have one even where no file sets them.
 */
export function runConfigCommand(argv: readonly string[]): CommandResult {
    const { flags: given, positionals, unknown, problems } = parseOptions(flags, argv);
    if (unknown[0] !== undefined) {
        return refusal(`unknown option: "${unknown[0]}"`);
    }
    if (given.has('help')) {
        return { stdout: USAGE, stderr: '', code: 0 };
    }
    if (problems[0] !== undefined) {
        return refusal(problems[0]);
    }
    if (positionals.length > 1) {
        return refusal(`too many args: ${positionals.join(' ')}`);
    }

    const file = given.get('file')?.at(-1);
    let settings: Settings;
    let effective: Settings;
    try {
        settings = readSettings(file === undefined ? {} : { file }).settings;
        effective = effectiveConfig(settings);
    } catch (error) {
        return refusal(stackOf(error));
    }

    const [key] = positionals;
    try {
        const value = key === undefined ? settings : lookUp(effective, key);
        return { stdout: `${printed(value)}\n`, stderr: '', code: 0 };
    } catch (error) {
        return failure(stackOf(error));
    }
}
