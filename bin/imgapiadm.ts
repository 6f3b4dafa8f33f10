/** `imgapiadm`: the operator's tool for what the HTTP interface does not do. Each command is one row of `commands`. */
import { parseArgs } from 'node:util';
import { randomUUID } from 'node:crypto';
import { ConfigError, DEFAULT_CONFIG_FILE, loadConfig, processEnvironment, type Config } from '../lib/config';
import { LocalDatabase } from '../lib/db/local';
import { UnseenRawFiles, type RawFileProblem } from '../lib/db/raw-files';

/** The command line is wrong, or the command did its work except for what it named. */
const EXIT_INCOMPLETE = 1;
/** The command could not be run. */
const EXIT_FAILED = 2;

type Flags = ReadonlySet<string>;

interface Command {
    /** The words that name it. */
    name: string;
    summary: string;
    /** Its own flags, with what they do. */
    flags: Readonly<Record<string, string>>;
    /** Gives the exit code. */
    run(config: Config, flags: Flags): Promise<number>;
}

const commands: readonly Command[] = [
    {
        name: 'db import',
        summary: "Import the original server's manifests/*.raw files that the database does not know",
        flags: {
            merge: 'take over new and changed files; the later version of an image wins',
            ignore: 'remember them as they are, without importing',
        },
        run: importFiles,
    },
    {
        name: 'db export',
        summary:
            'Write the database back as manifests/*.raw, for a return to the original server (stop this one first)',
        flags: {},
        run: exportFiles,
    },
];

/** The command line cannot be understood. */
class UsageError extends Error {}

async function importFiles(config: Config, flags: Flags): Promise<number> {
    const merge = flags.has('merge');
    const ignore = flags.has('ignore');
    if (merge && ignore) {
        throw new UsageError('--merge and --ignore exclude each other; give one of them.');
    }
    return withDatabase(config, async (database) => {
        const { rawFiles } = database;
        if ((await rawFiles.isFirstStart()) && !ignore) {
            const { imported, problems } = await rawFiles.takeOver();
            return report(`Imported ${imported} image(s) from ${rawFiles.folder}.`, problems);
        }
        const unseen = await rawFiles.unseen();
        if (ignore) {
            await rawFiles.ignore(unseen);
            return report(`Ignored ${unseen.length} file(s) of ${rawFiles.folder}.`);
        }
        if (merge) {
            const { imported, problems } = await rawFiles.import(unseen);
            return report(`Imported ${imported} image(s) from ${rawFiles.folder}.`, problems);
        }
        if (unseen.length > 0) {
            throw new UnseenRawFiles(rawFiles.folder, unseen);
        }
        return report(`There is nothing new in ${rawFiles.folder}.`);
    });
}

async function exportFiles(config: Config): Promise<number> {
    return withDatabase(config, async (database) => {
        const { rawFiles } = database;
        const unseen = (await rawFiles.isFirstStart()) ? [] : await rawFiles.unseen();
        if (unseen.length > 0) {
            throw new UnseenRawFiles(rawFiles.folder, unseen);
        }
        const { written, linked, removed, problems } = await database.exportRawFiles();
        return report(
            `Wrote ${written} file(s) to ${rawFiles.folder}, linked ${linked} stored object(s), ` +
                `removed ${removed} file(s) of deleted images.`,
            problems,
        );
    });
}

async function withDatabase(
    config: Config,
    work: (database: LocalDatabase) => Promise<number>,
): Promise<number> {
    if (config.databaseType !== 'local') {
        throw new ConfigError(
            `The configuration has databaseType "${config.databaseType}"; this command works on "local" only.`,
        );
    }
    const database = new LocalDatabase({
        databaseDir: config.databaseDir,
        dataDir: config.dataDir,
        // The command reports what a server would log.
        log: { info: () => undefined, warn: () => undefined },
        clock: { now: () => Date.now(), uuid: randomUUID },
    });
    await database.connect();
    try {
        return await work(database);
    } finally {
        await database.close();
    }
}

function report(summary: string, problems: readonly RawFileProblem[] = []): number {
    for (const { file, reason } of problems) {
        process.stderr.write(`${file}: ${reason}\n`);
    }
    process.stdout.write(`${summary}\n`);
    return problems.length > 0 ? EXIT_INCOMPLETE : 0;
}

function help(): string {
    const lines = commands.flatMap(({ name, summary, flags }) => [
        `    ${name}`,
        `        ${summary}.`,
        ...Object.entries(flags).map(([flag, effect]) => `        --${flag}  ${effect}`),
    ]);
    return [
        'Usage: imgapiadm [-f CONFIG] COMMAND [FLAGS]',
        '',
        'Commands:',
        ...lines,
        '',
        'Options:',
        `    -f, --file CONFIG  configuration file (default ${DEFAULT_CONFIG_FILE})`,
        '    -h, --help         print this text',
        '',
        'Exit codes: 0 done; 1 wrong usage, or done except for what was named; 2 could not be run.',
        '',
    ].join('\n');
}

function parse(argv: readonly string[]): { command?: Command; flags: Flags; file?: string } {
    const flagNames = new Set(commands.flatMap((command) => Object.keys(command.flags)));
    const { values, positionals } = parseArgs({
        args: [...argv],
        allowPositionals: true,
        options: {
            file: { type: 'string', short: 'f' },
            help: { type: 'boolean', short: 'h' },
            ...Object.fromEntries([...flagNames].map((name) => [name, { type: 'boolean' as const }])),
        },
    });
    if (values.help === true) {
        return { flags: new Set() };
    }
    const name = positionals.join(' ');
    const command = commands.find((one) => one.name === name);
    if (!command) {
        throw new UsageError(name ? `There is no command "${name}".` : 'Name a command.');
    }
    const flags = new Set(
        [...flagNames].filter((flag) => Object.entries(values).some(([key]) => key === flag)),
    );
    const foreign = [...flags].find((flag) => !(flag in command.flags));
    if (foreign !== undefined) {
        throw new UsageError(`"${name}" does not take --${foreign}.`);
    }
    return { command, flags, ...(typeof values.file === 'string' && { file: values.file }) };
}

function isUsageError(error: unknown): error is Error {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    return error instanceof UsageError || code.startsWith('ERR_PARSE_ARGS');
}

/** The message with those of its causes, one a line. */
function explain(error: unknown): string {
    const lines: string[] = [];
    let next = error;
    while (next instanceof Error) {
        lines.push(next.message);
        next = next.cause;
    }
    return lines.join('\n    ') || String(error);
}

async function main(argv: readonly string[]): Promise<number> {
    try {
        const { command, flags, file } = parse(argv);
        if (!command) {
            process.stdout.write(help());
            return 0;
        }
        const config = loadConfig({ ...(file !== undefined && { file }), environment: processEnvironment() });
        return await command.run(config, flags);
    } catch (error) {
        process.stderr.write(`imgapiadm: ${explain(error)}\n`);
        if (isUsageError(error)) {
            process.stderr.write('Run "imgapiadm --help" for the commands and their flags.\n');
            return EXIT_INCOMPLETE;
        }
        return EXIT_FAILED;
    }
}

void main(process.argv.slice(2)).then((code) => {
    process.exitCode = code;
});
