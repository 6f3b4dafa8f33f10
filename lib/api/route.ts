/** A row of the route table (lib/routes.ts): the router, the reference pages and the test matrix are made from it. */
import type { Mode } from '../config/types';
import type { ErrorCode } from '../errors';
import type { Call } from './call';

/** auth.md §1: strict needs credentials, passive checks those that are there, none ignores them. */
export type AuthClass = 'strict' | 'passive' | 'none';

/** Something that must hold before the handler runs; reads the request, sets its part of `call.state`, or throws. */
export type Step = (call: Call) => void | Promise<void>;

export interface Parameter {
    name: string;
    description: string;
}

export interface Route {
    /** The operation, as the contract and the audit record name it. */
    readonly name: string;
    readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
    /** Path with `:uuid` for the image. */
    readonly path: string;
    /**
     * The values of the `action` parameter that select this row; '' stands for none given. A row without them takes
     * the requests that no other row of its method and path takes.
     */
    readonly actions?: readonly string[] | undefined;
    readonly summary: string;
    readonly auth: AuthClass;
    /** Modes in which the route exists; all if absent. */
    readonly modes?: readonly Mode[];
    /** The route exists only on a server with channels. */
    readonly needsChannels?: true;
    /** What a successful answer holds. */
    readonly answers: 'json' | 'bytes' | 'nothing';
    readonly body?: 'json' | 'bytes';
    readonly parameters: readonly Parameter[];
    /** Codes this route can answer with beyond those of its steps and of every route. */
    readonly errors: readonly ErrorCode[];
    /** In the contract's order. */
    readonly steps: readonly Step[];
    readonly handler: (call: Call) => void | Promise<void>;
}
