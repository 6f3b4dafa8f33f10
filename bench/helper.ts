/** Child processes of the benchmark itself: a module that answers calls, one at a time. */
import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { endChild, type Workplace } from './workplace';

type Reply<Result> = { value: Result } | { error: string };

/** The calling side. */
export class Helper<Call, Result> {
    private constructor(
        readonly pid: number,
        private readonly child: ChildProcess,
        readonly stop: () => Promise<void>,
    ) {}

    /** Starts a module of this folder that calls {@link answerCalls}. */
    static start<Call, Result>(workplace: Workplace, module: string): Helper<Call, Result> {
        const { started: child, end } = workplace.keep(
            () => fork(join(__dirname, module), { serialization: 'advanced' }),
            endChild,
        );
        if (child.pid === undefined) {
            throw new Error(`${module} could not be started.`);
        }
        return new Helper(child.pid, child, end);
    }

    /** @throws Error with what went wrong in the child, or if it ends */
    call(call: Call): Promise<Result> {
        return new Promise((resolve, reject) => {
            const onExit = () =>
                reject(new Error('A process of the benchmark ended before it had answered.'));
            this.child.once('exit', onExit);
            this.child.once('message', (reply: Reply<Result>) => {
                this.child.off('exit', onExit);
                if ('error' in reply) {
                    reject(new Error(reply.error));
                } else {
                    resolve(reply.value);
                }
            });
            this.child.send(call as object);
        });
    }
}

/** The called side. It ends with its caller. */
export function answerCalls(answer: (call: never) => Promise<unknown>): void {
    process.on('message', (call) => {
        void answer(call as never).then(
            (value) => process.send?.({ value } satisfies Reply<unknown>),
            (err: unknown) => process.send?.({ error: String(err) } satisfies Reply<unknown>),
        );
    });
    process.once('disconnect', () => process.exit());
}
