/** What the commands of `imgapiadm` have in common. */
import type Logger from 'bunyan';
import type { Flag } from '../config/options';
import type { Config } from '../config/types';
import type { Output } from './output';

/** The command line is wrong, or the command did its work except for what it named. */
export const EXIT_INCOMPLETE = 1;
/** The command could not be run. */
export const EXIT_FAILED = 2;

/** The command line cannot be understood. */
export class UsageError extends Error {
    override readonly name = 'UsageError';
}

/** Why a command cannot be run, in one sentence for the operator. */
export class CommandFailure extends Error {
    override readonly name = 'CommandFailure';
}

/** Variables of the environment that commands look at. */
export interface AdminEnvironment {
    readonly IMGAPI_CLI_USER?: string | undefined;
    readonly IMGAPI_CLI_IDENTITY?: string | undefined;
    readonly SSH_AUTH_SOCK?: string | undefined;
}

/** What a command works with. */
export interface CommandContext {
    readonly config: Config;
    /** Path of the file that the configuration is from. */
    readonly configFile: string;
    /** The flags given, each with its value; '' for those that take none. */
    readonly flags: ReadonlyMap<string, string>;
    /** What else was given. */
    readonly operands: readonly string[];
    readonly output: Output;
    readonly log: Logger;
    readonly environment: AdminEnvironment;
}

export interface Command {
    /** The words that name it. */
    readonly name: string;
    /** What may follow its flags, as the usage text has it; nothing may if absent. */
    readonly operands?: string;
    readonly summary: string;
    /** More about it, in lines of the help text. */
    readonly details?: readonly string[];
    readonly flags: readonly Flag[];
    /** What its exit codes mean, where that differs from other commands. */
    readonly exits?: string;
    /** Settings that it works with whatever the configuration says, so that what it needs of that is checked. */
    readonly settings?: Readonly<Record<string, unknown>>;
    /** Gives the exit code. */
    run(context: CommandContext): Promise<number>;
}
