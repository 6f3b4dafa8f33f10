/** `imgapiadm`: the operator's tool for what the HTTP interface does not do. */
import { DEFAULT_CONFIG_FILE, loadConfig, processEnvironment } from '../config';
import { VERSION } from '../version';
import { parseArguments, type Invocation } from './arguments';
import { EXIT_FAILED, EXIT_INCOMPLETE, UsageError, type AdminEnvironment } from './command';
import { commands } from './commands';
import { commandHelp, generalHelp } from './help';
import { commandLog, explain } from './log';
import { Output, type Terminal } from './output';

export interface AdminProcess {
    readonly argv: readonly string[];
    readonly environment: AdminEnvironment;
    readonly stdout: Terminal;
    readonly stderr: Terminal;
}

/** Runs the command that the arguments name. Gives the exit code; nothing is thrown. */
export async function runAdmin({ argv, environment, stdout, stderr }: AdminProcess): Promise<number> {
    const output = new Output(stdout, stderr);
    try {
        const invocation = parseArguments(commands, argv);
        switch (invocation.kind) {
            case 'help':
                stdout.write(
                    invocation.command
                        ? commandHelp(invocation.command)
                        : generalHelp(commands, DEFAULT_CONFIG_FILE),
                );
                return 0;
            case 'version':
                output.print(`imgapiadm ${VERSION}`);
                return 0;
            case 'run':
                return await runCommand(invocation, output, environment);
        }
    } catch (error) {
        output.say(`imgapiadm: ${explain(error, '\n    ')}`);
        if (error instanceof UsageError) {
            output.say('Run "imgapiadm --help" for the commands, and "imgapiadm COMMAND --help" for one.');
            return EXIT_INCOMPLETE;
        }
        return EXIT_FAILED;
    }
}

/** Runs a command with the configuration that its command line names. Gives the exit code. @throws what went wrong */
export async function runCommand(
    { command, file, verbose, flags, operands }: Invocation & { kind: 'run' },
    output: Output,
    environment: AdminEnvironment,
): Promise<number> {
    const log = commandLog(output, verbose);
    const config = loadConfig({
        ...(file !== undefined && { file }),
        environment: processEnvironment(),
        ...(command.settings && { overrides: command.settings }),
        onWarning: (warning) => log.info(warning),
    });
    // The timers of what a command runs do not keep a process alive.
    const alive = setInterval(() => undefined, 60_000);
    try {
        const configFile = file ?? DEFAULT_CONFIG_FILE;
        return await command.run({ config, configFile, flags, operands, output, log, environment });
    } finally {
        clearInterval(alive);
    }
}
