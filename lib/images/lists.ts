/** Lists of images as they are served: put together from pages of records, tagged, and remembered. */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { ImageQuery, ImageStore, ListPosition, StoredImage } from '../db/driver';
import type { Form, Image } from './image';

/** Images read from the database at a time; a longer list is streamed in pages of this size. */
const PAGE = 1000;

/** Bytes that remembered lists may take. */
const CACHE_BYTES = 24 << 20;

/** Longer names of lists are not worth remembering, in characters. */
const LONGEST_NAME = 2048;

/** A list of manifests as JSON: whole, or in pieces if it is long. */
export type ListBody = WholeList | { pieces: AsyncIterable<Buffer> };

interface WholeList {
    whole: Buffer;
    /** The database's word for what is in the list, if it has one for all of it. */
    mark?: string | undefined;
}

/** A list with its weak ETag; a long one has none if the database cannot tell when images change. */
export type TaggedList = ListBody & { etag: string | undefined };

/** What can be remembered. */
type WholeTaggedList = WholeList & { etag: string };

/** Which images, and in what order; how many at once is not the caller's business. */
type ListedQuery = Omit<ImageQuery, 'limit' | 'after'>;

interface ListsParts {
    /** What the lists of this server depend on, beside their names and the images. */
    seed: () => string;
    /** The image of a record. */
    imageOf: (stored: StoredImage) => Image;
}

/**
 * The lists of this server. A list goes by a name that its caller makes of everything it depends on beside the images.
 *
 * What is remembered is used only while the database's generation is the same or, where it has none, after the database
 * was asked and said that it would find the same; so no list is older than the last commit of any process.
 */
export class ImageLists {
    readonly #store: ImageStore;
    readonly #parts: ListsParts;
    readonly #lists = new LRUCache<string, WholeTaggedList>({ maxSize: CACHE_BYTES });
    /** At which all that is remembered was made. */
    #generation: number | undefined;

    constructor(store: ImageStore, parts: ListsParts) {
        this.#store = store;
        this.#parts = parts;
    }

    /** How many are remembered. */
    get size(): number {
        return this.#lists.size;
    }

    clear(): void {
        this.#lists.clear();
    }

    /** The list remembered under a name, if it is certain that no process has changed images since it was made. */
    remembered(name: string): TaggedList | undefined {
        const generation = this.#store.generation();
        if (generation === undefined) {
            return undefined;
        }
        if (generation !== this.#generation) {
            this.#lists.clear();
            this.#generation = generation;
        }
        return this.#lists.get(name);
    }

    /**
     * Makes a list and, unless it is long, remembers it under its name.
     *
     * @param make gives the list, or says that it is the one that has this mark
     */
    async remember(
        name: string,
        make: (mark: string | undefined) => Promise<ListBody | 'unchanged'>,
    ): Promise<TaggedList> {
        const generation = this.#store.generation();
        const known = this.#lists.get(name);
        const list = await make(known?.mark);
        if (list === 'unchanged') {
            if (!known) {
                throw new TypeError('A list that nobody knows cannot be unchanged.');
            }
            return known;
        }
        if (!('whole' in list)) {
            // Read before the list was: the tag may be older than what is sent, never newer.
            return { ...list, etag: this.#longTag(name, generation) };
        }
        const tagged = { ...list, etag: weakTag(list.whole) };
        if (name.length <= LONGEST_NAME && (list.mark !== undefined || this.#isCurrent(generation))) {
            const size = list.whole.length + name.length + (list.mark?.length ?? 0);
            this.#lists.set(name, tagged, { size });
        }
        return tagged;
    }

    /** Whether all that is remembered was made at this generation, and nothing has changed since. */
    #isCurrent(generation: number | undefined): boolean {
        return (
            generation !== undefined &&
            generation === this.#store.generation() &&
            generation === this.#generation
        );
    }

    /** The ETag that the list of this name has now if it is long; undefined if that cannot be told. */
    longTag(name: string): string | undefined {
        return this.#longTag(name, this.#store.generation());
    }

    /** Every process and every start gives the same tag, as long as no image is changed. */
    #longTag(name: string, generation: number | undefined): string | undefined {
        return generation === undefined ? undefined : weakTag(`${this.#parts.seed()} ${generation} ${name}`);
    }

    /**
     * The valid images of a query in their served form, at most `limit` of them; 'unchanged' if they are those of the
     * list that has this mark.
     */
    async find(
        query: ListedQuery,
        form: Form,
        limit: number | undefined,
        mark: string | undefined,
    ): Promise<ListBody | 'unchanged'> {
        const first = await this.#store.queryUnless({ ...query, limit: Math.min(limit ?? PAGE, PAGE) }, mark);
        if (first === 'unchanged') {
            return first;
        }
        let reads = 0;
        const store: Readable = {
            query: async (page) => (reads++ === 0 ? first.images : this.#store.query(page)),
        };
        const pages = this.#pages(store, query, form, limit);
        const items: Buffer[] = [];
        for (let page = await pages.next(); !page.done; page = await pages.next()) {
            if (items.length + page.value.length > PAGE) {
                return { pieces: pieces(items.length > 0 ? [items, page.value] : [page.value], pages) };
            }
            items.push(...page.value);
        }
        return {
            whole: items.length === 0 ? Buffer.from('[]') : joined(items),
            mark: reads === 1 ? first.mark : undefined,
        };
    }

    /** Non-empty pages of list items. */
    async *#pages(
        store: Readable,
        query: ListedQuery,
        form: Form,
        limit: number | undefined,
    ): AsyncGenerator<Buffer[], undefined> {
        let left = limit ?? Infinity;
        for await (const page of storedPages(store, query, () => Math.min(left, PAGE))) {
            const items = page
                .map((stored) => this.#parts.imageOf(stored))
                .filter((image) => image.valid)
                .map((image) => image.listItem(form));
            left -= items.length;
            if (items.length > 0) {
                yield items;
            }
        }
    }
}

type Readable = Pick<ImageStore, 'query'>;

/** The records of a query, page by page. @param size how many the next page may have; 0 ends it */
export async function* storedPages(
    store: Readable,
    query: ListedQuery,
    size: () => number = () => PAGE,
): AsyncGenerator<StoredImage[], undefined> {
    let after: ListPosition | undefined;
    for (let limit = size(); limit > 0; limit = size()) {
        const page = await store.query({ ...query, ...(after && { after }), limit });
        yield page;
        const last = page.at(-1);
        if (!last || page.length < limit) {
            return;
        }
        after = { publishedAt: last.publishedAt, uuid: last.uuid };
    }
}

/** A pretty-printed array. */
function joined(items: readonly Buffer[]): Buffer {
    const between = items.flatMap((item, index) => (index === 0 ? [item] : [COMMA, item]));
    return Buffer.concat([OPEN, ...between, CLOSE]);
}

/** The elements of a pretty-printed array, with what stands between them. */
function separated(items: readonly Buffer[]): Buffer {
    return Buffer.concat(items.flatMap((item, index) => (index === 0 ? [item] : [COMMA, item])));
}

/** A pretty-printed array, page by page. */
async function* pieces(first: Buffer[][], rest: AsyncIterable<Buffer[]>): AsyncGenerator<Buffer> {
    yield OPEN;
    let pages = 0;
    for (const items of first) {
        yield separated(items);
        if (++pages < first.length) {
            yield COMMA;
        }
    }
    for await (const items of rest) {
        yield COMMA;
        yield separated(items);
    }
    yield CLOSE;
}

function weakTag(content: Buffer | string): string {
    return `W/"${createHash('sha1').update(content).digest('hex')}"`;
}

const OPEN = Buffer.from('[\n');
const COMMA = Buffer.from(',\n');
const CLOSE = Buffer.from('\n]');
