/** What servers do periodically, done now: the purge of placeholders and the sweep. */
import { Purge } from '../images/purge';
import { Sweep } from '../images/sweep';
import { UnreferencedSweep } from '../images/unreferenced-sweep';
import type { RawImage, StorageType } from '../manifest';
import type { ObjectInfo } from '../storage/driver';
import { EXIT_INCOMPLETE, type Command, type CommandContext } from './command';
import { withRegistry, type Registry } from './open';
import { showBytes } from './progress';

/** More placeholders than any registry has. */
const MOST_LISTED = 1_000_000;

function described({ uuid, name, version, state, expires_at }: RawImage): string {
    return `${uuid}  ${state}  expired ${expires_at ?? ''}  ${name} ${version}`;
}

function notSearched(left: readonly StorageType[]): string[] {
    return left.map((type) => `Storage "${type}" was not searched to its end.`);
}

function purgeOf({ log, config }: CommandContext, registry: Registry): Purge {
    const { images, database, clock, holder } = registry;
    const { images: store, leases } = database;
    return new Purge({ images, store, leases, clock, log, holder, interval: config.limits.purgeInterval });
}

export const purgePlaceholders: Command = {
    name: 'purge-placeholders',
    summary: 'Delete images that were never finished and whose time is over, with their files',
    details: [
        'Servers do the same every limits.purgeInterval. An image that somebody finishes meanwhile stays, and so',
        'does one that is the origin of another.',
    ],
    flags: [{ name: 'dry-run', short: 'n', help: 'name them only' }],
    async run(context) {
        const { output, flags } = context;
        return withRegistry(context, async (registry) => {
            const purge = purgeOf(context, registry);
            try {
                if (flags.has('dry-run')) {
                    const expired = await purge.expired(MOST_LISTED);
                    output.print(...expired.map(described), `${expired.length} image(s) would be deleted.`);
                    return 0;
                }
                const { deleted, failed } = await purge.now();
                output.print(...deleted.map(described), `Deleted ${deleted.length} image(s).`);
                return failed > 0 ? EXIT_INCOMPLETE : 0;
            } finally {
                await purge.stop();
            }
        });
    },
};

export const sweep: Command = {
    name: 'sweep',
    summary: 'Delete what interrupted uploads have left, and files that nothing refers to',
    details: [
        'Servers do the first all the time, the second once a day. Only files that this server has named, that are',
        'over 24 hours old and that no record refers to are deleted, and only from storages that belong to the',
        'database. If a server is at it, it is waited for.',
    ],
    flags: [
        {
            name: 'dry-run',
            short: 'n',
            help: 'name the files that nothing refers to; interrupted uploads are left to the servers',
        },
    ],
    async run(context) {
        const { config, log, output, flags } = context;
        return withRegistry(context, async ({ database, storages, clock, holder }) => {
            const { images, pending, leases, tasks } = database;
            const databaseId = (): string => database.id;
            if (flags.has('dry-run')) {
                const onlyTell = (storage: StorageType, { key, size, mtime }: ObjectInfo): void =>
                    output.print(`${storage}  ${key}  ${showBytes(size)}  of ${mtime.toISOString()}`);
                const search = { databaseId, images, pending, storages, clock, log, onlyTell };
                const { deleted, bytes, left } = await new UnreferencedSweep(search).run();
                output.print(
                    `Unreferenced files: ${deleted} (${showBytes(bytes)}) would be deleted.`,
                    ...notSearched(left),
                );
                return left.length > 0 ? EXIT_INCOMPLETE : 0;
            }
            const silence = config.limits.uploadSilence;
            const task = new Sweep({
                databaseId,
                images,
                pending,
                leases,
                tasks,
                storages,
                clock,
                log,
                holder,
                silence,
            });
            try {
                const { pending: given, unreferenced } = await task.now();
                const { deleted, bytes, left } = unreferenced;
                output.print(
                    `Interrupted operations: removed what ${given.removed} of them had left` +
                        `${given.kept > 0 ? `, could not for ${given.kept}` : ''}.`,
                    `Unreferenced files: deleted ${deleted} (${showBytes(bytes)}).`,
                    ...notSearched(left),
                );
                return given.kept > 0 || left.length > 0 ? EXIT_INCOMPLETE : 0;
            } finally {
                await task.stop();
            }
        });
    },
};
