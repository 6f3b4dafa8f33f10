/** `migrate-stor`: moves the files of all images into one storage. */
import { filesOf } from '../images/references';
import { storedPages } from '../images/lists';
import { STORAGE_TYPES, type RawImage, type StorageType } from '../manifest';
import { EXIT_FAILED, EXIT_INCOMPLETE, UsageError, type Command, type CommandContext } from './command';
import { withDatabase } from './open';
import { showBytes, type Progress } from './progress';
import { Server, ServerError, SERVER_FLAGS } from './server';

/** An image with a file elsewhere. */
interface Move {
    readonly uuid: string;
    readonly label: string;
    readonly from: readonly StorageType[];
    readonly bytes: number;
    readonly channel: string | undefined;
}

/** Answers after which there is no use in trying the next image. */
const OUTAGES: ReadonlySet<string> = new Set([
    'StorageIsDown',
    'ServiceUnavailableError',
    'InsufficientStorage',
    'UnauthorizedError',
    'NotAuthorized',
    'OperatorOnly',
]);

function wantedType({ config, flags }: CommandContext): StorageType {
    const given = flags.get('to');
    const configured = new Set<StorageType>(['local', ...config.storageTypes]);
    const choice = [...configured].join(', ');
    if (given === undefined) {
        throw new UsageError(`Where to? Give --to TYPE, one of ${choice}.`);
    }
    const type = STORAGE_TYPES.find((known) => known === given);
    if (type === undefined || !configured.has(type)) {
        throw new UsageError(`--to is "${given}"; it takes one of ${choice}, which the configuration has.`);
    }
    return type;
}

function moveOf(raw: RawImage, to: StorageType): Move | undefined {
    const files = filesOf(raw)
        .map(([, file]) => file)
        .filter(({ stor }) => stor !== to);
    return files.length === 0
        ? undefined
        : {
              uuid: raw.uuid,
              label: `${raw.uuid}  ${raw.name} ${raw.version}`,
              from: [...new Set(files.map(({ stor }) => stor))],
              bytes: files.reduce((sum, { size }) => sum + size, 0),
              channel: raw.channels?.[0],
          };
}

async function movesTo(to: StorageType, context: CommandContext): Promise<Move[]> {
    return withDatabase(context, async ({ images }) => {
        const moves: Move[] = [];
        for await (const page of storedPages(images, { anyOf: [{}], order: 'asc' })) {
            moves.push(...page.flatMap(({ raw }) => moveOf(raw, to) ?? []));
        }
        return moves;
    });
}

/** Asks the server to move one; undefined if it has, else why it has not. @throws what makes the next one fail as well */
async function move(server: Server, { uuid, channel }: Move, to: StorageType): Promise<string | undefined> {
    const query = new URLSearchParams({ action: 'change-stor', stor: to, ...(channel && { channel }) });
    try {
        (await server.request('POST', `/images/${uuid}?${query.toString()}`)).resume();
        return undefined;
    } catch (error) {
        if (!(error instanceof ServerError) || OUTAGES.has(error.code) || error.code === '') {
            throw error;
        }
        return error.text;
    }
}

async function moveAll(
    { output }: CommandContext,
    moves: readonly Move[],
    to: StorageType,
    server: Server,
    progress: Progress,
): Promise<number> {
    let left = 0;
    for (const each of moves) {
        const { label, from, bytes } = each;
        let reason: string | undefined;
        try {
            reason = await move(server, each, to);
        } catch (error) {
            output.say(`${label}: ${error instanceof Error ? error.message : String(error)}`);
            output.say('Stopped. Run the same command again to go on from there.');
            return EXIT_FAILED;
        }
        progress.done(bytes);
        if (reason !== undefined) {
            left++;
            output.say(`${label}: stays in ${from.join(', ')}: ${reason}`);
        } else if (!output.isWatched) {
            output.print(`${label}: moved from ${from.join(', ')} to ${to}, ${showBytes(bytes)}`);
        }
    }
    progress.end();
    output.print(
        `Moved the files of ${moves.length - left} image(s) to ${to}${left > 0 ? `; ${left} stay where they are` : ''}.`,
    );
    return left > 0 ? EXIT_INCOMPLETE : 0;
}

export const migrateStorage: Command = {
    name: 'migrate-stor',
    summary: 'Have the running server move the files of all images into one storage',
    details: [
        'One image after the other: its file is copied, compared, and deleted where it was. Images may be used and',
        'changed meanwhile. Whatever interrupts it, run it again: what is there already is not moved again.',
    ],
    flags: [
        { name: 'to', value: 'TYPE', help: 'local, manta or s3; one that the configuration has' },
        { name: 'dry-run', short: 'n', help: 'name the images only; needs no running server' },
        ...SERVER_FLAGS,
    ],
    async run(context) {
        const { flags, output } = context;
        const to = wantedType(context);
        const isDry = flags.has('dry-run');
        const server = isDry ? undefined : await Server.find(context);
        const moves = await movesTo(to, context);
        const bytes = moves.reduce((sum, each) => sum + each.bytes, 0);
        if (!server) {
            output.print(
                ...moves.map(
                    ({ label, from, bytes: size }) => `${label}: ${from.join(', ')}, ${showBytes(size)}`,
                ),
                `The files of ${moves.length} image(s), ${showBytes(bytes)}, would be moved to ${to}.`,
            );
            return 0;
        }
        const progress = output.progress({ noun: 'images', items: moves.length, bytes });
        try {
            return await moveAll(context, moves, to, server, progress);
        } finally {
            progress.end();
        }
    },
};
