/** The help texts of `imgapiadm`, from the tables of commands and options. */
import type { Flag } from '../config/options';
import { GLOBAL_FLAGS } from './arguments';
import type { Command } from './command';

const EXITS = '0 done; 1 wrong usage, or done except for what was named; 2 could not be run.';

function table(rows: readonly (readonly [string, string])[]): string[] {
    const width = Math.max(...rows.map(([left]) => left.length));
    return rows.map(([left, right]) => `    ${left.padEnd(width)}  ${right}`);
}

function optionRows(flags: readonly Flag[]): [string, string][] {
    return flags.map(({ name, short, value, help }) => [
        `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`,
        help,
    ]);
}

/** About all commands. @param configFile the default */
export function generalHelp(commands: readonly Command[], configFile: string): string {
    return [
        'Usage: imgapiadm [OPTIONS] COMMAND [COMMAND-OPTIONS]',
        '',
        'Commands:',
        ...table([
            ['help', 'Print this text, or with the name of a command, what it takes.'],
            ...commands.map(({ name, summary }): [string, string] => [name, `${summary}.`]),
        ]),
        '',
        'Options:',
        ...table(
            optionRows(GLOBAL_FLAGS).map(([option, help]) => [
                option,
                option.includes('--file') ? `${help} (default ${configFile})` : help,
            ]),
        ),
        '',
        `Exit codes: ${EXITS}`,
        '',
    ].join('\n');
}

/** About one command. @param program what stands before its name */
export function commandHelp(
    { name, operands, summary, details = [], flags, exits }: Command,
    program = 'imgapiadm ',
): string {
    return [
        `Usage: ${program}${name}${flags.length > 0 ? ' [OPTIONS]' : ''}${operands === undefined ? '' : ` ${operands}`}`,
        '',
        `${summary}.`,
        ...(details.length > 0 ? ['', ...details] : []),
        ...(flags.length > 0 ? ['', 'Options:', ...table(optionRows(flags))] : []),
        '',
        `Exit codes: ${exits ?? EXITS}`,
        '',
    ].join('\n');
}
