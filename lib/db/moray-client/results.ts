/** What a search finds: to be gone through with `for await`, or taken as a whole. */
export class Results<T> implements AsyncIterable<T> {
    private started: Promise<readonly T[]> | undefined;

    /** @param load runs once, when somebody asks first */
    constructor(private readonly load: () => Promise<readonly T[]>) {}

    async toArray(): Promise<T[]> {
        this.started ??= this.load();
        return [...(await this.started)];
    }

    async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
        yield* await this.toArray();
    }
}
