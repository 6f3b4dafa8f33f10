/** `db copy` and `db reopen`: from the embedded database to PostgreSQL, and back. */
import { randomUUID } from 'node:crypto';
import {
    ChangedMeanwhile,
    DatabaseMoved,
    type CopyMark,
    type CopySide,
    type DatabaseType,
} from '../db/copy-side';
import { openSide } from '../db/copy-sides';
import { EXIT_INCOMPLETE, CommandFailure, UsageError, type Command, type CommandContext } from './command';
import { compareImages, compareJobs, isEqual, type Comparison } from './copy-comparison';
import { copyImages, copyJobs, copyRest, type Sides } from './copy-work';
import { systemClock } from './open';

const TYPES: readonly DatabaseType[] = ['local', 'moray'];

/** Uuids that a message names. */
const SHOWN = 5;

/** One of the two is always Moray's: its part of the configuration has to be there and right. */
const SETTINGS = { databaseType: 'moray' };

interface Plan {
    readonly images: Comparison;
    readonly jobs: Comparison;
}

/** What is known of the two before anything is compared. */
interface Situation {
    /** The id that goes from one to the other. */
    readonly id: string;
    /** An earlier run was ended after the source had given its id away. */
    readonly isReleased: boolean;
    /** All that is in the target came from this source. */
    readonly isResumed: boolean;
}

/** @param name what it was given as */
function typeOf(text: string | undefined, name: string): DatabaseType {
    const type = TYPES.find((known) => known === text);
    if (type === undefined) {
        throw new UsageError(
            text === undefined
                ? `Give --from TYPE and --to TYPE, each one of ${TYPES.join(', ')}.`
                : `${name} is "${text}"; it takes one of ${TYPES.join(', ')}.`,
        );
    }
    return type;
}

function sidesOf(context: CommandContext): Sides {
    const { config, flags, log } = context;
    const from = typeOf(flags.get('from'), '--from');
    const to = typeOf(flags.get('to'), '--to');
    if (from === to) {
        throw new UsageError(
            `--from and --to are both "${from}"; a database is copied into one of the other type.`,
        );
    }
    const side = (type: DatabaseType): CopySide => openSide(type, config, log, systemClock);
    return { source: side(from), target: side(to) };
}

function shown(uuids: Iterable<string>): string {
    const all = [...uuids];
    return all.slice(0, SHOWN).join(', ') + (all.length > SHOWN ? ', …' : '');
}

/** @throws CommandFailure while somebody else works with it, as far as that can be seen */
async function assertUnused(side: CopySide): Promise<void> {
    const users = await side.otherUsers();
    if (users !== undefined) {
        throw new CommandFailure(
            `${side.place} is in use by ${users}: stop all servers of both databases, and run this again.`,
        );
    }
}

/** @throws CommandFailure while it tells of somebody who works with it */
async function assertIdle(side: CopySide, silence: number): Promise<void> {
    const { uploads, leases } = await side.activity(silence);
    if (uploads > 0 || leases.length > 0) {
        const signs = [
            ...(uploads > 0 ? [`${uploads} upload(s) under way`] : []),
            ...(leases.length > 0 ? [`the lease(s) ${shown(leases)}`] : []),
        ];
        throw new CommandFailure(
            `${side.place} is in use: it has ${signs.join(' and ')}. Stop all servers of both databases; if none runs, ` +
                `what they left runs out within ${Math.ceil(silence / 60_000)} min.`,
        );
    }
}

/** undefined if there is nothing left to do. @throws CommandFailure, DatabaseMoved */
async function situation({ source, target }: Sides, hasTarget: boolean): Promise<Situation | undefined> {
    const mark = await source.mark();
    const other = hasTarget ? await target.mark() : undefined;
    if (mark?.state === 'unfinished') {
        throw new CommandFailure(
            `${source.place} is itself the target of a copy from "${mark.from}" that has not come to its end.`,
        );
    }
    const id = mark?.id ?? (await source.readId());
    const isResumed = other?.state === 'unfinished' && other.id === id;
    if (mark && !isResumed) {
        if (hasTarget && !other && (await target.readId()) === id) {
            return undefined;
        }
        throw new DatabaseMoved(source.type, mark);
    }
    return { id, isResumed, isReleased: mark !== undefined };
}

async function planOf({ source, target }: Sides, hasTarget: boolean): Promise<Plan> {
    const other = hasTarget ? target.database : undefined;
    const images = await compareImages(source.database.images, other?.images);
    const unreadable = (await source.countImages()) - images.total;
    if (unreadable !== 0) {
        throw new CommandFailure(
            `${Math.abs(unreadable)} record(s) of ${source.place} cannot be read as images, see the warnings: repair or ` +
                'delete them first, or they would be lost.',
        );
    }
    return { images, jobs: await compareJobs(source.jobs, hasTarget ? target.jobs : undefined) };
}

/** @throws CommandFailure if the target holds what is not the source's */
function assertMixesNothing({ images, jobs }: Plan, { target }: Sides): void {
    const reasons = [
        ...(images.extra.size > 0 ? [`${images.extra.size} other image(s) (${shown(images.extra)})`] : []),
        ...(images.differing.size > 0
            ? [`${images.differing.size} image(s) in another version (${shown(images.differing)})`]
            : []),
        ...(jobs.extra.size + jobs.differing.size > 0
            ? [`${jobs.extra.size + jobs.differing.size} other job(s) or in another version`]
            : []),
    ];
    if (reasons.length > 0) {
        throw new CommandFailure(
            `${target.place} has ${reasons.join(', ')}. If all it holds is to be replaced, give --replace.`,
        );
    }
}

function summary({ images, jobs }: Plan): string {
    const { fresh, differing, extra, same } = images;
    return (
        `${fresh.size} image(s) would be added, ${differing.size} replaced, ${extra.size} deleted, ${same} are there ` +
        `already; ${jobs.fresh.size} job(s) would be added, ${jobs.differing.size} replaced, ${jobs.extra.size} deleted.`
    );
}

async function dryRun(context: CommandContext, sides: Sides, hasTarget: boolean): Promise<number> {
    const { output, flags } = context;
    const found = await situation(sides, hasTarget);
    if (!found) {
        return doneAlready(context, sides);
    }
    const plan = await planOf(sides, hasTarget);
    output.print(
        ...[...plan.images.differing].map((uuid) => `${uuid}: would be replaced`),
        ...[...plan.images.extra].map((uuid) => `${uuid}: would be deleted`),
        summary(plan),
    );
    if (!found.isResumed && !flags.has('replace')) {
        assertMixesNothing(plan, sides);
    }
    return 0;
}

function doneAlready({ output }: CommandContext, { source, target }: Sides): number {
    output.print(
        `${source.place} was copied to ${target.place} already, and that one is in its place since.`,
    );
    return 0;
}

/** Compares all once more. Gives what fingerprint the source had at that, or undefined if there are differences. */
async function verify({ output }: CommandContext, sides: Sides): Promise<string | undefined> {
    const { source, target } = sides;
    const fingerprint = await source.fingerprint();
    const { images, jobs } = await planOf(sides, true);
    const [here, there] = await Promise.all([source.countImages(), target.countImages()]);
    for (const uuid of [...images.fresh, ...images.differing]) {
        output.say(`${uuid}: was changed in ${source.place} while it was copied`);
    }
    for (const uuid of images.extra) {
        output.say(`${uuid}: is in ${target.place} only`);
    }
    for (const uuid of [...jobs.fresh, ...jobs.differing, ...jobs.extra]) {
        output.say(`job ${uuid}: was changed while it was copied`);
    }
    if (here !== there) {
        output.say(`${source.place} has ${here} image(s), ${target.place} has ${there}`);
    }
    return isEqual(images) && isEqual(jobs) && here === there ? fingerprint : undefined;
}

async function handOver(
    { source, target }: Sides,
    { id, isReleased }: Situation,
    fingerprint: string,
): Promise<void> {
    const mark: CopyMark = { state: 'moved', to: target.type, id, at: new Date().toISOString() };
    if (!isReleased) {
        await source.release(mark, randomUUID(), fingerprint);
    }
    await target.adopt(id);
}

async function copy(context: CommandContext, sides: Sides): Promise<number> {
    const { config, flags, output } = context;
    const { source, target } = sides;
    const hadTarget = await target.exists();
    await target.open();
    const found = await situation(sides, hadTarget);
    if (!found) {
        return doneAlready(context, sides);
    }
    await assertIdle(source, config.limits.uploadSilence);
    await assertIdle(target, config.limits.uploadSilence);
    const plan = await planOf(sides, true);
    if (!found.isResumed) {
        if (!flags.has('replace')) {
            assertMixesNothing(plan, sides);
        }
        await target.setMark({ state: 'unfinished', from: source.type, id: found.id });
    }
    const progress = output.progress({ noun: 'images', items: plan.images.total, bytes: 0 });
    try {
        await copyImages(sides, plan.images, () => progress.done());
        await copyJobs(sides, plan.jobs);
        await copyRest(sides);
    } finally {
        progress.end();
    }
    const fingerprint = await verify(context, sides);
    try {
        if (fingerprint === undefined) {
            throw new ChangedMeanwhile();
        }
        await handOver(sides, found, fingerprint);
    } catch (error) {
        if (!(error instanceof ChangedMeanwhile)) {
            throw error;
        }
        output.say(
            `The copy is not what ${source.place} holds: something has changed it meanwhile. Stop all servers, and run ` +
                'this again.',
        );
        return EXIT_INCOMPLETE;
    }
    output.print(
        `Copied ${plan.images.total} image(s) and ${plan.jobs.total} job(s) from ${source.place} to ${target.place}.`,
        `Servers with databaseType "${target.type}" may be started now; ones with "${source.type}" refuse to.`,
    );
    return 0;
}

export const copyDatabase: Command = {
    name: 'db copy',
    summary: 'Copy all images and jobs from the embedded database to PostgreSQL, or back',
    details: [
        'Both databases are those of the configuration: databaseDir, and moray.pg. Stop all servers of both first, but',
        'for a dry run. Whatever interrupts it, run it again: what is there already is not written again. In',
        'the end all is compared. From then on the copy is in the place of the former database, which servers refuse',
        'until it is copied back to. The stored files stay where they are.',
    ],
    flags: [
        { name: 'from', value: 'TYPE', help: 'local or moray' },
        { name: 'to', value: 'TYPE', help: 'the other one' },
        { name: 'dry-run', short: 'n', help: 'say what would be done only' },
        { name: 'replace', help: 'where the target holds other images or versions, replace all it holds' },
    ],
    settings: SETTINGS,
    async run(context) {
        const sides = sidesOf(context);
        const { source, target } = sides;
        const isDry = context.flags.has('dry-run');
        try {
            if (!(await source.exists())) {
                throw new CommandFailure(`There is no database ${source.place}: there is nothing to copy.`);
            }
            if (isDry) {
                const hasTarget = await target.exists();
                await source.open({ forReading: true });
                if (hasTarget) {
                    await target.open({ forReading: true });
                }
                return await dryRun(context, sides, hasTarget);
            }
            await assertUnused(source);
            await assertUnused(target);
            await source.open();
            return await copy(context, sides);
        } finally {
            await source.close();
            await target.close();
        }
    },
};

export const reopenDatabase: Command = {
    name: 'db reopen',
    operands: 'TYPE',
    summary: 'Let servers use a database again that was copied elsewhere',
    details: [
        'For when the database it was copied to is lost, or was never used: what has been changed there is not here.',
        'TYPE is local or moray. Never have servers use both.',
    ],
    flags: [],
    settings: SETTINGS,
    async run({ config, operands, output, log }) {
        const [operand, ...more] = operands;
        if (operand === undefined || more.length > 0) {
            throw new UsageError(`Name one database: ${TYPES.join(' or ')}.`);
        }
        const side = openSide(typeOf(operand, 'TYPE'), config, log, systemClock);
        try {
            if (!(await side.exists())) {
                throw new CommandFailure(`There is no database ${side.place}.`);
            }
            await side.open();
            const mark = await side.mark();
            if (mark?.state === 'unfinished') {
                throw new CommandFailure(
                    `${side.place} holds a part of a copy only; use databaseType "${mark.from}", or finish the copy.`,
                );
            }
            if (!mark) {
                output.print(`${side.place} is in use already.`);
                return 0;
            }
            await side.adopt(mark.id);
            output.print(`${side.place} may be used again, as it was at ${mark.at}.`);
            return 0;
        } finally {
            await side.close();
        }
    },
};
