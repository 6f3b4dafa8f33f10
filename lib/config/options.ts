/** Reads command line options from a table of flags; usage texts are printed from the same table. */

export interface Flag {
    readonly name: string;
    /** Other names of the same flag. */
    readonly aliases?: readonly string[];
    /** One letter. */
    readonly short?: string;
    /** What the value is called in the usage text; a flag without one takes no value. */
    readonly value?: string;
    readonly help: string;
}

export interface ParsedOptions {
    /** The values given for each flag, in order; a flag without a value adds '' each time. */
    readonly flags: ReadonlyMap<string, readonly string[]>;
    readonly positionals: readonly string[];
    /** Options that are in no table, as they were written. */
    readonly unknown: readonly string[];
    /** Sentences about flags used wrongly. */
    readonly problems: readonly string[];
}

/**
 * Sorts the arguments into flags and positionals.
 *
 * Understands `--name value`, `--name=value`, `-n value`, `-nvalue`, clusters of letters (`-dd`, `-df PATH`), and
 * `--`, after which all is positional. An argument that is wrong in one letter is unknown as a whole. With
 * `untilPositional` all is positional from the first one on: the name of a command, which has options of its own.
 */
export function parseOptions(
    table: readonly Flag[],
    argv: readonly string[],
    { untilPositional = false } = {},
): ParsedOptions {
    const flags = new Map<string, string[]>();
    const positionals: string[] = [];
    const unknown: string[] = [];
    const problems: string[] = [];
    const rest = [...argv];

    const take = (flag: Flag, written: string, attached: string | undefined): void => {
        if (!flag.value && attached !== undefined) {
            problems.push(`${written} takes no value, but got "${attached}"`);
            return;
        }
        const value = flag.value ? (attached ?? rest.shift()) : '';
        if (value === undefined || (flag.value && value === '')) {
            problems.push(`${written} needs a value: ${written} ${flag.value ?? ''}`);
            return;
        }
        flags.set(flag.name, [...(flags.get(flag.name) ?? []), value]);
    };

    for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
        if (argument === '--') {
            positionals.push(...rest.splice(0));
        } else if (argument.startsWith('--')) {
            const equals = argument.indexOf('=');
            const written = equals < 0 ? argument : argument.slice(0, equals);
            const flag = table.find(({ name, aliases }) =>
                [name, ...(aliases ?? [])].some((known) => `--${known}` === written),
            );
            if (flag) {
                take(flag, written, equals < 0 ? undefined : argument.slice(equals + 1));
            } else {
                unknown.push(written);
            }
        } else if (argument.startsWith('-') && argument !== '-') {
            const cluster = splitCluster(table, argument.slice(1));
            if (cluster) {
                cluster.forEach(({ flag, attached }) => take(flag, `-${flag.short ?? ''}`, attached));
            } else {
                unknown.push(argument);
            }
        } else {
            positionals.push(argument, ...(untilPositional ? rest.splice(0) : []));
        }
    }
    return { flags, positionals, unknown, problems };
}

/** The flags of a cluster of letters; undefined if one letter is no flag. A flag with a value takes what follows it. */
function splitCluster(
    table: readonly Flag[],
    letters: string,
): { flag: Flag; attached: string | undefined }[] | undefined {
    const found: { flag: Flag; attached: string | undefined }[] = [];
    for (let i = 0; i < letters.length; i++) {
        const flag = table.find(({ short }) => short === letters[i]);
        if (!flag) {
            return undefined;
        }
        if (flag.value) {
            found.push({ flag, attached: letters.slice(i + 1) || undefined });
            return found;
        }
        found.push({ flag, attached: undefined });
    }
    return found;
}
