/**
 * Lets work on the same thing happen one at a time, in the order in which it came.
 *
 * Within one process only: it spares the requests about one image from failing each other over and over. What keeps
 * changes of several processes apart is the etag of the record.
 */
export class Turns {
    /** The end of the last turn of each thing that is being worked on; never rejects. */
    readonly #ends = new Map<string, Promise<void>>();

    /** @param work is told whether it had to wait, so that what it knows of the thing may be old */
    async take<T>(thing: string, work: (waited: boolean) => Promise<T>): Promise<T> {
        const before = this.#ends.get(thing);
        const turn = before ? before.then(() => work(true)) : work(false);
        const end = turn.then(
            () => undefined,
            () => undefined,
        );
        this.#ends.set(thing, end);
        try {
            return await turn;
        } finally {
            if (this.#ends.get(thing) === end) {
                this.#ends.delete(thing);
            }
        }
    }
}
