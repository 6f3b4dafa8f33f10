/** `manta-env`: the variables that the tools of Manta take, from the configuration, for `eval` in a shell (ops.md §1). */
import { ConfigError, DEFAULT_CONFIG_FILE, loadConfig, type MantaConfig } from '../lib/config';
import { parseOptions, type Flag } from '../lib/config/options';

const EXIT_USAGE = 1;
const EXIT_FAILED = 2;

const flags: readonly Flag[] = [
    { name: 'file', short: 'f', value: 'CONFIG', help: 'configuration file' },
    { name: 'help', short: 'h', help: 'print this text' },
];

const HELP = `Usage: manta-env [-f CONFIG]

Prints the variables with which mls, mget and the other tools of Manta work where the server keeps its files:

    eval "$(manta-env)"

Prints nothing if the configuration has no "manta".

Options:
    -f, --file CONFIG  configuration file (default ${DEFAULT_CONFIG_FILE})
    -h, --help         print this text

Exit codes: 0 done; ${EXIT_USAGE} wrong usage; ${EXIT_FAILED} the configuration cannot be used.
`;

/** One word of a shell's command line. */
function quoted(word: string): string {
    return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function exportsOf({ url, user, keyId, insecure }: MantaConfig): string {
    const variables = {
        // The tools want to be told what the server takes for granted.
        MANTA_URL: url.includes('://') ? url : `https://${url}`,
        MANTA_USER: user,
        MANTA_KEY_ID: keyId,
        ...(insecure === true && { MANTA_TLS_INSECURE: '1' }),
    };
    return Object.entries(variables)
        .map(([name, value]) => `export ${name}=${quoted(value)}\n`)
        .join('');
}

function complain(message: string, code: number): number {
    process.stderr.write(`manta-env: ${message}\n`);
    return code;
}

function main(argv: readonly string[]): number {
    const { flags: given, positionals, unknown, problems } = parseOptions(flags, argv);
    const [wrong] = [...unknown, ...positionals].map((argument) => `${argument} is not taken`);
    const mistake = wrong ?? problems[0];
    if (mistake !== undefined) {
        return complain(`${mistake}; run "manta-env --help" for its options.`, EXIT_USAGE);
    }
    if (given.has('help')) {
        process.stdout.write(HELP);
        return 0;
    }
    const file = given.get('file')?.at(-1);
    try {
        const { manta } = loadConfig(file === undefined ? {} : { file });
        process.stdout.write(manta ? exportsOf(manta) : '');
        return 0;
    } catch (error) {
        if (error instanceof ConfigError || (error instanceof Error && 'code' in error)) {
            return complain(error.message, EXIT_FAILED);
        }
        throw error;
    }
}

process.exitCode = main(process.argv.slice(2));
