/**
 * What the parts of a server process know of the other processes of the same server (`cluster.workers`): there may be
 * none, and nothing here says so.
 */

import type { Socket } from 'node:net';

/**
 * Something that every process of this server can be asked. `Question` and `Answer` go from process to process as JSON.
 * Whoever has a use for one makes it with {@link topic}, beside the code that asks and answers.
 */
export interface Topic<Question, Answer> {
    /** The same in every process, and of no other topic. */
    readonly name: string;
    /** Never there: it ties the types to the name. */
    readonly types?: (question: Question) => Answer;
}

export function topic<Question, Answer>(name: string): Topic<Question, Answer> {
    return { name };
}

/** The newest records of the log of all processes, as lines of JSON, oldest first. Asked of whoever gathers that log. */
export const RECENT_LOG = topic<{ level: number; last: number }, string[]>('recent-log');

/** What one process said; or why it said nothing. */
export type Gathered<Answer> =
    { readonly pid: number; readonly answer: Answer } | { readonly pid: number; readonly failure: string };

/** All processes of this server, this one among them. */
export interface Processes {
    /** Says what this process answers when one of them asks. Once for each topic, before the process listens. */
    answer<Question, Answer>(
        about: Topic<Question, Answer>,
        handler: (question: Question) => Answer | Promise<Answer>,
    ): void;
    /**
     * Asks all processes that take requests or finish their last ones, this one included.
     *
     * @param within ms that they have; one that is busy for longer has its place in the result, with a failure. Never
     *   rejects.
     */
    gather<Question, Answer>(
        about: Topic<Question, Answer>,
        question: Question,
        within?: number,
    ): Promise<Gathered<Answer>[]>;
    /** Has this process serve connections from now on. Once, when all is ready. */
    serve(serve: (socket: Socket, secure: boolean) => void): void;
    /** This process wants no more connections. Those that are on their way already may still come. */
    leave(): void;
    /** Where this process gets the permits for its requests (`limits.requests`, `tls.requests`). */
    permits(holder: PermitHolder, kind: PermitKind): PermitSource;
}

/** Which limit a permit is of: that of all requests, or that of requests by TLS (`tls.requests`). */
export const PERMIT_KINDS = ['all', 'tls'] as const;
export type PermitKind = (typeof PERMIT_KINDS)[number];

/** ms that the processes have for an answer, unless the one who asks says otherwise. */
export const ANSWER_WITHIN = 2000;

/**
 * Gives out the permits of `limits.requests`, one number of them for all processes. They are given in batches, so that a
 * process has some at hand, and called back as soon as anybody has to wait.
 */
export interface PermitSource {
    /** Asks for a permit. `id` grows from one to the next, and is not used again. */
    want(id: number): void;
    /** The one who wanted it has gone. It may have been granted already. */
    cancel(id: number): void;
    /** Gives permits back. @param confirms that it keeps none that nobody uses, as it was told by `tighten(true)` */
    giveBack(count: number, confirms?: boolean): void;
}

/** A process that lets requests in, as the source of its permits sees it. */
export interface PermitHolder {
    /** Gives it permits: to those who wait, in the order in which they asked, and the rest to have at hand. */
    grant(count: number): void;
    /** Too many are waiting for this one to wait as well. */
    refuse(id: number): void;
    /** Whether permits that nobody uses have to be given back at once, starting now; answered by `giveBack`. */
    tighten(on: boolean): void;
}
