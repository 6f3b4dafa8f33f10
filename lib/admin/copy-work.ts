/** Copying what one database holds into another, once it is clear what that is. */
import type { CopySide } from '../db/copy-side';
import { imagePages, jobPages, type Comparison } from './copy-comparison';

/** Records written or deleted in one transaction. */
const BATCH = 100;

export interface Sides {
    readonly source: CopySide;
    readonly target: CopySide;
}

function batches<T>(items: Iterable<T>): T[][] {
    const all = [...items];
    return Array.from({ length: Math.ceil(all.length / BATCH) }, (_, at) =>
        all.slice(at * BATCH, (at + 1) * BATCH),
    );
}

/** @param onImage is called for each image of the source */
export async function copyImages(
    { source, target }: Sides,
    { fresh, differing, extra }: Comparison,
    onImage: () => void,
): Promise<void> {
    const { images } = target.database;
    // What is to be replaced goes as well: two images may have changed places in what has to be unique.
    for (const uuids of batches([...extra, ...differing])) {
        await images.commit({ delete: uuids.map((uuid) => ({ uuid })) });
    }
    for await (const page of imagePages(source.database.images)) {
        const wanted = page.filter(({ uuid }) => fresh.has(uuid) || differing.has(uuid));
        for (const batch of batches(wanted)) {
            await images.commit({ put: batch.map(({ raw }) => ({ raw })) });
        }
        page.forEach(onImage);
    }
}

export async function copyJobs(
    { source, target }: Sides,
    { fresh, differing, extra }: Comparison,
): Promise<void> {
    const { jobs } = target.database;
    for (const uuids of batches([...extra, ...differing])) {
        await target.deleteJobs(uuids);
    }
    for await (const page of jobPages(source.database.jobs)) {
        for (const job of page) {
            if (fresh.has(job.uuid) || differing.has(job.uuid)) {
                await jobs.put(job, null);
            }
        }
    }
}

/** When tasks were done, signatures that were used, and objects that are to be deleted. */
export async function copyRest({ source, target }: Sides): Promise<void> {
    const { tasks, replay, images } = target.database;
    const [done, remembered] = await Promise.all([target.tasks(), target.remembered()]);
    for (const [name, at] of await source.tasks()) {
        if (done.get(name) !== at) {
            await tasks.done(name, at);
        }
    }
    for (const [value, expires] of await source.remembered()) {
        if (!remembered.has(value)) {
            await replay.remember(value, expires, 0);
        }
    }
    // Nobody is at work in the source, so what is not condemned yet will never be settled.
    for (const batch of batches(await source.pending())) {
        await images.commit({ drop: batch });
    }
}
