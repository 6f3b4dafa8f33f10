import cluster from 'node:cluster';
import type { Socket } from 'node:net';
import { Answers } from './answers';
import {
    ANSWER_WITHIN,
    type Gathered,
    type PermitHolder,
    type PermitKind,
    type PermitSource,
    type Processes,
    type Topic,
} from './driver';
import type { Serve } from './listening';
import type { FromWorker, Settings, ToWorker } from './message';

/** ms that the parent may be late with the answers of the others. */
const LATE = 500;

/** Permits for all requests that may still come. */
const ANY_NUMBER = 2 ** 31;

/**
 * This process as a worker: its line to the parent, and through it to the other workers.
 *
 * Make it before the event loop runs for the first time, or the first message is missed.
 */
export class WorkerProcess implements Processes {
    /** What the parent wants it to be. */
    readonly settings: Promise<Settings>;
    readonly #answers = new Answers();
    readonly #gathering = new Map<number, (others: readonly Gathered<unknown>[]) => void>();
    #lastId = 0;
    readonly #holders = new Map<PermitKind, PermitHolder>();
    #serve: Serve | undefined;

    /** @param onStop is told when to end, and how patient to be with idle connections (App.stop) */
    constructor(private readonly onStop: (patience: number) => void) {
        this.settings = new Promise((resolve) => {
            process.on('message', (message: ToWorker, socket: Socket | undefined) => {
                if (message.kind === 'start') {
                    resolve(message.settings);
                } else {
                    this.#hear(message, socket);
                }
            });
        });
        cluster.worker?.once('disconnect', () => {
            // Node.js would end the process at once; but transfers may be under way.
            Object.assign(cluster.worker ?? {}, { exitedAfterDisconnect: true });
            // Nobody gives out permits any more; those who wait for one are among what is finished.
            for (const holder of this.#holders.values()) {
                holder.tighten(false);
                holder.grant(ANY_NUMBER);
            }
            onStop(0);
        });
    }

    serve(serve: Serve): void {
        this.#serve = serve;
        this.#send({ kind: 'up' });
    }

    leave(): void {
        this.#send({ kind: 'leaving' });
    }

    answer<Question, Answer>(
        about: Topic<Question, Answer>,
        handler: (question: Question) => Answer | Promise<Answer>,
    ): void {
        this.#answers.set(about, handler);
    }

    async gather<Question, Answer>(
        { name: about }: Topic<Question, Answer>,
        question: Question,
        within = ANSWER_WITHIN,
    ): Promise<Gathered<Answer>[]> {
        const others = this.#askOthers(about, question, within);
        const own = await this.#answers.give(about, question);
        return [own, ...(await others)] as Gathered<Answer>[];
    }

    #askOthers(about: string, question: unknown, within: number): Promise<readonly Gathered<unknown>[]> {
        const id = ++this.#lastId;
        return new Promise((resolve) => {
            const settle = (others: readonly Gathered<unknown>[]) => {
                clearTimeout(timer);
                this.#gathering.delete(id);
                resolve(others);
            };
            const failure = 'the parent of all workers does not answer';
            const timer = setTimeout(() => settle([{ pid: process.ppid, failure }]), within + LATE);
            this.#gathering.set(id, settle);
            if (!this.#send({ kind: 'gather', id, about, question, within })) {
                settle([]);
            }
        });
    }

    permits(holder: PermitHolder, pool: PermitKind): PermitSource {
        this.#holders.set(pool, holder);
        return {
            want: (id) => void this.#send({ kind: 'want', pool, id }),
            cancel: (id) => void this.#send({ kind: 'cancel', pool, id }),
            giveBack: (count, confirms = false) =>
                void this.#send({ kind: 'give-back', pool, count, confirms }),
        };
    }

    #hear(message: Exclude<ToWorker, { kind: 'start' }>, socket: Socket | undefined): void {
        switch (message.kind) {
            case 'serve':
                // The client may have gone on the way.
                if (socket) {
                    this.#serve?.(socket, message.secure);
                }
                this.#send({ kind: 'taken' });
                break;
            case 'stop':
                this.onStop(message.patience);
                break;
            case 'ask':
                void this.#answers
                    .give(message.about, message.question)
                    .then((gathered) => this.#send({ kind: 'answer', id: message.id, gathered }));
                break;
            case 'gathered':
                this.#gathering.get(message.id)?.(message.gathered);
                break;
            case 'grant':
                this.#holders.get(message.pool)?.grant(message.count);
                break;
            case 'refuse':
                this.#holders.get(message.pool)?.refuse(message.id);
                break;
            case 'tighten':
                this.#holders.get(message.pool)?.tighten(message.on);
                break;
        }
    }

    /** False if there is no parent any more. */
    #send(message: FromWorker): boolean {
        if (!process.connected) {
            return false;
        }
        process.send?.(message, undefined, undefined, () => undefined);
        return true;
    }
}
