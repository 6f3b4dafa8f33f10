import type { LimitsConfig } from '../config/types';
import type { Gathered, PermitHolder, PermitSource, Processes, Topic } from './driver';
import { Answers } from './answers';
import type { Listening, Serve } from './listening';
import { PermitPool } from './permit-pool';

/** A server of one process: it asks itself. */
export class SingleProcess implements Processes {
    readonly #answers = new Answers();
    readonly #pool: PermitPool;

    constructor(
        limits: LimitsConfig,
        private readonly listening: Listening,
    ) {
        this.#pool = new PermitPool(limits);
    }

    serve(serve: Serve): void {
        this.listening.start(serve);
    }

    leave(): void {
        this.listening.close();
    }

    answer<Question, Answer>(
        about: Topic<Question, Answer>,
        handler: (question: Question) => Answer | Promise<Answer>,
    ): void {
        this.#answers.set(about, handler);
    }

    async gather<Question, Answer>(
        about: Topic<Question, Answer>,
        question: Question,
    ): Promise<Gathered<Answer>[]> {
        return [(await this.#answers.give(about.name, question)) as Gathered<Answer>];
    }

    permits(holder: PermitHolder): PermitSource {
        return this.#pool.attach(holder);
    }
}
