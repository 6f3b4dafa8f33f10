import type { Config } from '../config/types';
import type { Gathered, PermitHolder, PermitKind, PermitSource, Processes, Topic } from './driver';
import { Answers } from './answers';
import type { Listening, Serve } from './listening';
import { permitLimits, PermitPool } from './permit-pool';

/** A server of one process: it asks itself. */
export class SingleProcess implements Processes {
    readonly #answers = new Answers();
    readonly #pools: Record<PermitKind, PermitPool>;

    constructor(
        config: Config,
        private readonly listening: Listening,
    ) {
        const limits = permitLimits(config);
        this.#pools = { all: new PermitPool(limits.all), tls: new PermitPool(limits.tls) };
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

    permits(holder: PermitHolder, kind: PermitKind): PermitSource {
        return this.#pools[kind].attach(holder);
    }
}
