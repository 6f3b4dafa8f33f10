/** `imgapi-standalone-gen-setup-config`: the first configuration of a standalone instance, from its metadata (ops.md §4). */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sshpk from 'sshpk';
import { loadConfig, type ChannelConfig } from '../config';
import { parseOptions, type Flag } from '../config/options';
import { CommandFailure, EXIT_INCOMPLETE, UsageError } from './command';
import { explain } from './log';
import type { AdminProcess } from './main';

const NAME = 'imgapi-standalone-gen-setup-config';

const METADATA = [
    'mode',
    'channels',
    'serverName',
    'mantaUrl',
    'mantaInsecure',
    'mantaUser',
    'mantaBaseDir',
    'instPubKey',
] as const;

type Values = Readonly<Record<(typeof METADATA)[number], string | undefined>>;

/** What `channels` means by `standard`. */
const STANDARD_CHANNELS: readonly ChannelConfig[] = [
    { name: 'experimental', description: 'feature branches and other trials' },
    { name: 'dev', description: 'every build of the main branch', default: true },
    { name: 'staging', description: 'candidates for the next release' },
    { name: 'release', description: 'releases' },
    { name: 'support', description: 'releases with support' },
];

const flags: readonly Flag[] = [
    {
        name: 'metadata',
        short: 'm',
        value: 'NAME=VALUE',
        help: 'takes the place of metadata of the instance; may be repeated',
    },
    { name: 'etc', value: 'FOLDER', help: 'where the key of the instance is (default /data/imgapi/etc)' },
    { name: 'help', short: 'h', help: 'print this text' },
];

const HELP = `Usage: ${NAME} [OPTIONS]

Prints a configuration made of the metadata of this instance, which mdata-get tells, or of what is given:
    ${METADATA.join(', ')}

Options:
    -m, --metadata NAME=VALUE  ${flags[0]?.help ?? ''}
        --etc FOLDER           ${flags[1]?.help ?? ''}
    -h, --help                 ${flags[2]?.help ?? ''}

channels is JSON, or "standard". With mantaUser, the key of the instance is <etc>/<comment of instPubKey>.id_ecdsa.

Exit codes: 0 done; 1 wrong usage, or there is no such configuration.
`;

/** Undefined if the instance has no such metadata, or is none of SmartOS. */
function metadataOf(name: string): string | undefined {
    const result = spawnSync('mdata-get', [name], { encoding: 'utf8' });
    const { status, stdout } = result;
    const error: NodeJS.ErrnoException | undefined = result.error;
    const isMissing = error?.code === 'ENOENT';
    if (isMissing || status === 1) {
        return undefined;
    }
    if (status !== 0) {
        throw new CommandFailure(`mdata-get ${name} ended with ${String(status ?? error?.message)}`);
    }
    return stdout.trim();
}

function valuesOf(given: readonly string[]): Values {
    const pairs = given.map((text) => {
        const [, name = '', value = ''] = /^(\w+)=(.*)$/s.exec(text) ?? [];
        if (!METADATA.some((known) => known === name)) {
            throw new UsageError(
                `--metadata is "${text}"; it takes NAME=VALUE, with one of ${METADATA.join(', ')}`,
            );
        }
        return [name, value] as const;
    });
    const own = new Map(pairs);
    const values = METADATA.map((name) => [name, own.get(name) ?? metadataOf(name)] as const);
    // Empty is as good as absent.
    return Object.fromEntries(
        values.map(([name, value]) => [name, value === '' ? undefined : value]),
    ) as Values;
}

function channelsOf(text: string): unknown {
    if (text === 'standard') {
        return STANDARD_CHANNELS;
    }
    try {
        return JSON.parse(text);
    } catch {
        throw new CommandFailure('channels is neither "standard" nor JSON');
    }
}

function mantaOf(
    { mantaUrl, mantaUser, mantaInsecure, mantaBaseDir, instPubKey }: Values,
    etc: string,
): object {
    if (mantaUrl === undefined || instPubKey === undefined) {
        throw new CommandFailure('mantaUser is given; mantaUrl and instPubKey are needed with it');
    }
    const key = sshpk.parseKey(instPubKey, 'ssh');
    const file = join(etc, `${key.comment ?? ''}.id_ecdsa`);
    if (!existsSync(file)) {
        throw new CommandFailure(`the key of the instance, ${file}, is not there`);
    }
    return {
        url: mantaUrl,
        user: mantaUser,
        key: file,
        keyId: key.fingerprint('sha256').toString(),
        ...(mantaBaseDir !== undefined && { baseDir: mantaBaseDir }),
        insecure: mantaInsecure === 'true',
    };
}

function configOf(values: Values, etc: string): object {
    const { mode, serverName, channels, mantaUser } = values;
    if (mode === 'dc') {
        throw new CommandFailure('mode is "dc", which no standalone instance has');
    }
    return {
        ...(mode !== undefined && { mode }),
        ...(serverName !== undefined && { serverName }),
        ...(channels !== undefined && { channels: channelsOf(channels) }),
        authType: 'signature',
        databaseType: 'local',
        storageTypes: mantaUser === undefined ? ['local'] : ['manta', 'local'],
        ...(mantaUser !== undefined && { manta: mantaOf(values, etc) }),
    };
}

/** @throws ConfigError if a server would not start with it */
function assertUsable(text: string): void {
    const folder = mkdtempSync(join(tmpdir(), 'imgapi-config-'));
    try {
        const file = join(folder, 'config.json');
        writeFileSync(file, text);
        loadConfig({ file });
    } finally {
        rmSync(folder, { recursive: true });
    }
}

/** Runs it. Gives the exit code; nothing is thrown. */
export function runSetupConfig({
    argv,
    stdout,
    stderr,
}: Pick<AdminProcess, 'argv' | 'stdout' | 'stderr'>): number {
    try {
        const parsed = parseOptions(flags, argv);
        const [wrong] = [...parsed.unknown, ...parsed.positionals].map(
            (argument) => `${argument} is not taken`,
        );
        const problem = wrong ?? parsed.problems[0];
        if (problem !== undefined) {
            throw new UsageError(problem);
        }
        if (parsed.flags.has('help')) {
            stdout.write(HELP);
            return 0;
        }
        const values = valuesOf(parsed.flags.get('metadata') ?? []);
        const etc = parsed.flags.get('etc')?.at(-1) ?? '/data/imgapi/etc';
        const text = `${JSON.stringify(configOf(values, etc), undefined, 2)}\n`;
        assertUsable(text);
        stdout.write(text);
        return 0;
    } catch (error) {
        const hint = error instanceof UsageError ? `; run "${NAME} --help" for what it takes` : '';
        stderr.write(`${NAME}: ${explain(error)}${hint}\n`);
        return EXIT_INCOMPLETE;
    }
}
