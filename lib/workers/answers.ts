import type { Gathered, Topic } from './driver';

/** What this process answers when it is asked about a topic. */
export class Answers {
    readonly #handlers = new Map<string, (question: unknown) => unknown>();

    set<Question, Answer>(
        { name }: Topic<Question, Answer>,
        handler: (question: Question) => Answer | Promise<Answer>,
    ): void {
        this.#handlers.set(name, handler as (question: unknown) => unknown);
    }

    knows(name: string): boolean {
        return this.#handlers.has(name);
    }

    /** The answer of this process; never rejects. */
    async give(name: string, question: unknown): Promise<Gathered<unknown>> {
        const { pid } = process;
        const handler = this.#handlers.get(name);
        if (!handler) {
            // Another version of the program may know it, in the middle of an update.
            return { pid, failure: `this process knows nothing about "${name}"` };
        }
        try {
            return { pid, answer: await handler(question) };
        } catch (err) {
            return { pid, failure: err instanceof Error ? err.message : String(err) };
        }
    }
}
