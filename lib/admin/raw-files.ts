/** The original server's `manifests/*.raw`: into the database, and back (storage.md §6.1, §7). */
import { ConfigError } from '../config';
import { LocalDatabase } from '../db/local';
import { UnseenRawFiles, type RawFileProblem } from '../db/raw-files';
import { EXIT_INCOMPLETE, UsageError, type Command, type CommandContext } from './command';
import type { Output } from './output';
import { systemClock } from './open';

async function withLocalDatabase(
    { config }: CommandContext,
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
        clock: systemClock,
    });
    await database.connect();
    try {
        return await work(database);
    } finally {
        await database.close();
    }
}

function report(output: Output, summary: string, problems: readonly RawFileProblem[] = []): number {
    for (const { file, reason } of problems) {
        output.say(`${file}: ${reason}`);
    }
    output.print(summary);
    return problems.length > 0 ? EXIT_INCOMPLETE : 0;
}

export const importRawFiles: Command = {
    name: 'db import',
    summary: "Import the original server's manifests/*.raw files that the database does not know",
    flags: [
        { name: 'merge', help: 'take over new and changed files; the later version of an image wins' },
        { name: 'ignore', help: 'remember them as they are, without importing' },
    ],
    async run(context) {
        const { flags, output } = context;
        const merge = flags.has('merge');
        const ignore = flags.has('ignore');
        if (merge && ignore) {
            throw new UsageError('--merge and --ignore exclude each other; give one of them.');
        }
        return withLocalDatabase(context, async ({ rawFiles }) => {
            if ((await rawFiles.isFirstStart()) && !ignore) {
                const { imported, problems } = await rawFiles.takeOver();
                return report(output, `Imported ${imported} image(s) from ${rawFiles.folder}.`, problems);
            }
            const unseen = await rawFiles.unseen();
            if (ignore) {
                await rawFiles.ignore(unseen);
                return report(output, `Ignored ${unseen.length} file(s) of ${rawFiles.folder}.`);
            }
            if (merge) {
                const { imported, problems } = await rawFiles.import(unseen);
                return report(output, `Imported ${imported} image(s) from ${rawFiles.folder}.`, problems);
            }
            if (unseen.length > 0) {
                throw new UnseenRawFiles(rawFiles.folder, unseen);
            }
            return report(output, `There is nothing new in ${rawFiles.folder}.`);
        });
    },
};

export const exportRawFiles: Command = {
    name: 'db export',
    summary: 'Write the database back as manifests/*.raw, for a return to the original server',
    details: ['Stop this server first.'],
    flags: [],
    async run(context) {
        return withLocalDatabase(context, async (database) => {
            const { rawFiles } = database;
            const unseen = (await rawFiles.isFirstStart()) ? [] : await rawFiles.unseen();
            if (unseen.length > 0) {
                throw new UnseenRawFiles(rawFiles.folder, unseen);
            }
            const { written, linked, removed, problems } = await database.exportRawFiles();
            return report(
                context.output,
                `Wrote ${written} file(s) to ${rawFiles.folder}, linked ${linked} stored object(s), ` +
                    `removed ${removed} file(s) of deleted images.`,
                problems,
            );
        });
    },
};
