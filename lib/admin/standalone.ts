/** Programs that are one command each (ops.md §4): they take what a command of `imgapiadm` takes, under a name of their own. */
import { parseArguments } from './arguments';
import { EXIT_INCOMPLETE, UsageError, type Command } from './command';
import { commandHelp } from './help';
import { explain } from './log';
import { runCommand, type AdminProcess } from './main';
import { Output } from './output';
import { VERSION } from '../version';

/** Runs it. Gives the exit code: all that goes wrong is 1, as callers know it. Nothing is thrown. */
export async function runStandalone(
    command: Command,
    { argv, environment, stdout, stderr }: AdminProcess,
): Promise<number> {
    const output = new Output(stdout, stderr);
    const { name } = command;
    try {
        const invocation = parseArguments([command], [name, ...argv]);
        switch (invocation.kind) {
            case 'help':
                stdout.write(commandHelp(command, ''));
                return 0;
            case 'version':
                output.print(`${name} ${VERSION}`);
                return 0;
            case 'run':
                return await runCommand(invocation, output, environment);
        }
    } catch (error) {
        const hint = error instanceof UsageError ? ` Run "${name} --help" for what it takes.` : '';
        output.say(`${name}: ${explain(error)}${hint}`);
        return EXIT_INCOMPLETE;
    }
}
