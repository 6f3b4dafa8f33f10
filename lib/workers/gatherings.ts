import { ANSWER_WITHIN, type Gathered } from './driver';
import type { WorkerHandle } from './worker-handle';

interface Pending {
    readonly worker: WorkerHandle;
    settle(gathered: Gathered<unknown>): void;
}

/** The questions that the parent has put to workers, and waits for the answers to. */
export class Gatherings {
    #lastId = 0;
    readonly #pending = new Map<number, Pending>();

    /** What the workers answer, in their order. @param within ms that they have. Never rejects. */
    async gather(
        workers: readonly WorkerHandle[],
        about: string,
        question: unknown,
        within = ANSWER_WITHIN,
    ): Promise<Gathered<unknown>[]> {
        return Promise.all(workers.map((worker) => this.#ask(worker, about, question, within)));
    }

    #ask(worker: WorkerHandle, about: string, question: unknown, within: number): Promise<Gathered<unknown>> {
        const id = ++this.#lastId;
        return new Promise((resolve) => {
            const timer = setTimeout(() => {
                this.#settle(id, { pid: worker.pid, failure: `no answer within ${within} ms` });
            }, within);
            const settle = (gathered: Gathered<unknown>) => {
                clearTimeout(timer);
                resolve(gathered);
            };
            this.#pending.set(id, { worker, settle });
            worker.send({ kind: 'ask', id, about, question });
        });
    }

    #settle(id: number, gathered: Gathered<unknown>): void {
        const pending = this.#pending.get(id);
        this.#pending.delete(id);
        pending?.settle(gathered);
    }

    answered(id: number, gathered: Gathered<unknown>): void {
        this.#settle(id, gathered);
    }

    /** Nothing will be heard of this worker any more. */
    gone(worker: WorkerHandle): void {
        for (const [id, pending] of this.#pending) {
            if (pending.worker === worker) {
                this.#settle(id, { pid: worker.pid, failure: 'the process has ended' });
            }
        }
    }
}
