/** The command line of `imgapiadm`: options, the command, its options and operands. */
import { parseOptions, type Flag, type ParsedOptions } from '../config/options';
import { UsageError, type Command } from './command';

/** Options that go before a command, or among its own. */
export const GLOBAL_FLAGS = [
    { name: 'file', short: 'f', value: 'CONFIG', help: 'configuration file' },
    { name: 'verbose', short: 'v', help: 'say on standard error what is done, step by step' },
    { name: 'version', help: 'print the version' },
    { name: 'help', short: 'h', help: 'print the commands, or after a command its options' },
] as const satisfies readonly Flag[];

export type Invocation =
    /** `command` is undefined where help about all of them is wanted. */
    | { readonly kind: 'help'; readonly command: Command | undefined }
    | { readonly kind: 'version' }
    | {
          readonly kind: 'run';
          readonly command: Command;
          readonly file: string | undefined;
          readonly verbose: boolean;
          readonly flags: ReadonlyMap<string, string>;
          readonly operands: readonly string[];
      };

/** What a command takes: its own flags, and the global ones that they leave room for. */
function flagsOf({ flags }: Command): Flag[] {
    const letters = new Set(flags.flatMap(({ short }) => short ?? []));
    const others = GLOBAL_FLAGS.map((flag: Flag): Flag => {
        const { name, value, help } = flag;
        return flag.short !== undefined && letters.has(flag.short)
            ? { name, help, ...(value !== undefined && { value }) }
            : flag;
    });
    return [...flags, ...others];
}

function check({ unknown, problems }: ParsedOptions, taker: string): void {
    const [option] = unknown;
    if (option !== undefined) {
        throw new UsageError(`${taker} does not take ${option}.`);
    }
    const [problem] = problems;
    if (problem !== undefined) {
        throw new UsageError(`${taker}: ${problem}.`);
    }
}

/** The command whose name the words begin with, and the words after it. @throws UsageError */
function findCommand(
    commands: readonly Command[],
    words: readonly string[],
): { command: Command; rest: readonly string[] } {
    for (const length of [2, 1]) {
        const name = words.slice(0, length).join(' ');
        const command = commands.find((one) => one.name === name && words.length >= length);
        if (command) {
            return { command, rest: words.slice(name.split(' ').length) };
        }
    }
    const [first, second] = words;
    if (first === undefined) {
        throw new UsageError('Name a command.');
    }
    const group = commands.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name);
    throw new UsageError(
        group.length > 0
            ? `There is no command "${[first, second ?? ''].join(' ').trim()}"; there are ${group.join(', ')}.`
            : `There is no command "${first}".`,
    );
}

/** @throws UsageError */
export function parseArguments(commands: readonly Command[], argv: readonly string[]): Invocation {
    const before = parseOptions(GLOBAL_FLAGS, argv, { untilPositional: true });
    check(before, 'imgapiadm');
    if (before.flags.has('help')) {
        return { kind: 'help', command: undefined };
    }
    if (before.flags.has('version')) {
        return { kind: 'version' };
    }
    const [word, ...others] = before.positionals;
    if (word === 'help') {
        const about = others.filter((other) => !['-h', '--help'].includes(other));
        return {
            kind: 'help',
            command: about.length === 0 ? undefined : findCommand(commands, about).command,
        };
    }
    const { command, rest } = findCommand(commands, before.positionals);
    const after = parseOptions(flagsOf(command), rest);
    check(after, `"${command.name}"`);
    if (after.flags.has('help')) {
        return { kind: 'help', command };
    }
    if (after.flags.has('version')) {
        return { kind: 'version' };
    }
    const [extra] = after.positionals;
    if (extra !== undefined && command.operands === undefined) {
        throw new UsageError(`"${command.name}" takes options only, and "${extra}" is none.`);
    }
    return {
        kind: 'run',
        command,
        file: (after.flags.get('file') ?? before.flags.get('file'))?.at(-1),
        verbose: after.flags.has('verbose') || before.flags.has('verbose'),
        flags: new Map([...after.flags].map(([name, values]) => [name, values.at(-1) ?? ''])),
        operands: after.positionals,
    };
}
