/** How what two databases hold differs: the images by the content of their records, the jobs by their etags. */
import type { ImageStore, JobStore, StoredImage, StoredJob } from '../db/driver';
import { morayEtag } from '../db/etag';
import { storedPages } from '../images/lists';

/** Jobs read at a time. */
const PAGE = 500;

/** What there is to copy, by uuid. */
export interface Comparison {
    /** How many the source has. */
    readonly total: number;
    readonly same: number;
    /** In the source only. */
    readonly fresh: ReadonlySet<string>;
    /** In both, with different contents. */
    readonly differing: ReadonlySet<string>;
    /** In the target only. */
    readonly extra: ReadonlySet<string>;
}

export function isEqual({ fresh, differing, extra }: Comparison): boolean {
    return fresh.size + differing.size + extra.size === 0;
}

/** All images, page by page. */
export function imagePages(images: ImageStore): AsyncGenerator<StoredImage[], undefined> {
    return storedPages(images, { anyOf: [{}], order: 'asc' });
}

/** All jobs, page by page; nobody may write any meanwhile. */
export async function* jobPages(jobs: JobStore): AsyncGenerator<StoredJob[], undefined> {
    for (let offset = 0; ; offset += PAGE) {
        const page = await jobs.list({}, { limit: PAGE, offset });
        yield page;
        if (page.length < PAGE) {
            return;
        }
    }
}

/** @param onImage is called for each of the source */
export async function compareImages(
    source: ImageStore,
    target: ImageStore | undefined,
    onImage: () => void = () => undefined,
): Promise<Comparison> {
    return compare(contents(imagePages(source), onImage), target && contents(imagePages(target)));
}

export async function compareJobs(
    source: JobStore | undefined,
    target: JobStore | undefined,
): Promise<Comparison> {
    return compare(source && etags(jobPages(source)), target && etags(jobPages(target)));
}

type Versions = AsyncGenerator<readonly [uuid: string, version: string], undefined>;

/** The contents of records; not the stored etags, which Moray also makes of nothing but chance. */
async function* contents(
    pages: AsyncIterable<StoredImage[]>,
    onImage: () => void = () => undefined,
): Versions {
    for await (const page of pages) {
        for (const { uuid, raw } of page) {
            const json = JSON.stringify(raw);
            yield [uuid, `${morayEtag(json)}-${json.length}`];
            onImage();
        }
    }
}

async function* etags(pages: AsyncIterable<StoredJob[]>): Versions {
    for await (const page of pages) {
        yield* page.map(({ uuid, etag }) => [uuid, etag] as const);
    }
}

async function compare(source: Versions | undefined, target: Versions | undefined): Promise<Comparison> {
    const there = new Map<string, string>();
    for await (const [uuid, version] of target ?? []) {
        there.set(uuid, version);
    }
    const fresh = new Set<string>();
    const differing = new Set<string>();
    let total = 0;
    for await (const [uuid, version] of source ?? []) {
        total++;
        const other = there.get(uuid);
        there.delete(uuid);
        if (other === undefined) {
            fresh.add(uuid);
        } else if (other !== version) {
            differing.add(uuid);
        }
    }
    const same = total - fresh.size - differing.size;
    return { total, same, fresh, differing, extra: new Set(there.keys()) };
}
