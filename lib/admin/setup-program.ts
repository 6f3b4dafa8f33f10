/** What the scripts that set up Manta have in common: command line, services, errors (ops.md §2 and §3). */
import { randomUUID } from 'node:crypto';
import type Logger from 'bunyan';
import { DEFAULT_CONFIG_FILE, loadConfig, processEnvironment, type Config } from '../config';
import { censorConfig } from '../config/censor';
import { parseOptions, type Flag } from '../config/options';
import { Sapi, type SapiEntry } from '../dc/sapi';
import type { ServiceContext } from '../dc/driver';
import { VERSION } from '../version';
import { CommandFailure, UsageError } from './command';
import { explain } from './log';
import type { Terminal } from './output';

/** Of all that goes wrong: callers only tell it from 0. */
const EXIT_FAILED = 1;

const COMMON_FLAGS: readonly Flag[] = [
    { name: 'config', value: 'FILE', help: `configuration file (default ${DEFAULT_CONFIG_FILE})` },
    { name: 'help', short: 'h', help: 'print this text' },
];

export interface SetupContext {
    readonly config: Config;
    readonly flags: ReadonlySet<string>;
    readonly operands: readonly string[];
    readonly log: Logger;
    readonly sapi: Sapi;
    /** Goes with every request to a service. */
    readonly request: ServiceContext;
    /** What this program calls itself to services. */
    readonly serverName: string;
}

export interface SetupProgram {
    readonly name: string;
    readonly operands: readonly string[];
    /** Lines of the help text. */
    readonly about: readonly string[];
    readonly flags: readonly Flag[];
    /** @throws whatever went wrong */
    run(context: SetupContext): Promise<void>;
}

export interface SetupProcess {
    readonly argv: readonly string[];
    readonly log: Logger;
    readonly stdout: Terminal;
    readonly stderr: Terminal;
}

/** Runs it. Gives the exit code; nothing is thrown. */
export async function runSetup(
    program: SetupProgram,
    { argv, log, stdout, stderr }: SetupProcess,
): Promise<number> {
    try {
        const parsed = parseOptions([...program.flags, ...COMMON_FLAGS], argv);
        const [wrong] = [...parsed.unknown.map((option) => `${option} is not taken`), ...parsed.problems];
        if (wrong !== undefined) {
            throw new UsageError(wrong);
        }
        if (parsed.flags.has('help')) {
            stdout.write(helpOf(program));
            return 0;
        }
        const { positionals: operands, flags } = parsed;
        if (operands.length !== program.operands.length) {
            throw new UsageError(
                `incorrect number of arguments: it takes ${program.operands.join(' ')}, and got ${operands.length}`,
            );
        }
        await runWithServices(program, {
            operands,
            flags: new Set(flags.keys()),
            file: flags.get('config')?.at(-1),
            log,
        });
        return 0;
    } catch (error) {
        const hint = error instanceof UsageError ? `; try "${program.name} --help"` : '';
        // A service may have sent back what it was sent.
        const reason = String(censorConfig(explain(error)));
        stderr.write(`${program.name}: error: ${reason}${hint}\n`);
        return EXIT_FAILED;
    }
}

interface Order {
    readonly operands: readonly string[];
    readonly flags: ReadonlySet<string>;
    readonly file: string | undefined;
    readonly log: Logger;
}

async function runWithServices(program: SetupProgram, { file, ...order }: Order): Promise<void> {
    const config = loadConfig({ ...(file !== undefined && { file }), environment: processEnvironment() });
    const serverName = `${program.name}/${VERSION}`;
    const sapi = new Sapi(configured(config, 'sapi_service'), { config, serverName });
    const request = { requestId: randomUUID(), signal: new AbortController().signal };
    // The timers of what it waits for do not keep a process alive.
    const alive = setInterval(() => undefined, 60_000);
    try {
        await program.run({ ...order, config, sapi, request, serverName });
    } finally {
        clearInterval(alive);
        await sapi.close();
    }
}

function helpOf({ name, operands, about, flags }: SetupProgram): string {
    const rows = [...flags, ...COMMON_FLAGS].map(({ name: long, short, value, help }) => ({
        option: `${short === undefined ? '    ' : `-${short}, `}--${long}${value === undefined ? '' : ` ${value}`}`,
        help,
    }));
    const width = Math.max(...rows.map(({ option }) => option.length));
    return [
        `Usage: ${name} [OPTIONS] ${operands.join(' ')}`,
        '',
        ...about,
        '',
        'Options:',
        ...rows.map(({ option, help }) => `    ${option.padEnd(width)}  ${help}`),
        '',
        'Exit codes: 0 done; 1 wrong usage, or something went wrong: then it can be run again.',
        '',
    ].join('\n');
}

/** A text of the configuration that only these programs need. @throws CommandFailure */
export function configured(config: Config, key: string): string {
    const value = config[key];
    if (typeof value !== 'string' || value === '') {
        throw new CommandFailure(`config.${key} is missing; it is needed to set up Manta in a datacenter`);
    }
    return value;
}

/** The application of the datacenter itself. @throws CommandFailure, ServiceFailure */
export async function findDatacenter({ sapi, request }: SetupContext): Promise<SapiEntry> {
    const application = await sapi.application('sdc', request);
    if (!application) {
        throw new CommandFailure('SAPI has no application "sdc"');
    }
    return application;
}

/** This service in the application of the datacenter. @throws CommandFailure, ServiceFailure */
export async function findService({ sapi, request }: SetupContext, datacenter: string): Promise<SapiEntry> {
    const service = await sapi.service('imgapi', datacenter, request);
    if (!service) {
        throw new CommandFailure('SAPI has no service "imgapi" in the application "sdc"');
    }
    return service;
}
