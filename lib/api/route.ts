/** A row of the route table (lib/routes.ts): the router, the reference pages and the test matrix are made from it. */
import type { Mode, Role } from '../config/types';
import type { ErrorCode } from '../errors';
import type { Call } from './call';

/** auth.md §1: strict needs credentials, passive checks those that are there, none ignores them. */
export type AuthClass = 'strict' | 'passive' | 'none';

/** Something that must hold before the handler runs; reads the request, sets its part of `call.state`, or throws. */
export type Step = (call: Call) => void | Promise<void>;

/** A JSON Schema (2020-12), as OpenAPI 3.1 has it. */
export interface Schema {
    readonly [key: string]: SchemaValue;
}
export type SchemaValue = string | number | boolean | null | readonly SchemaValue[] | Schema;

/** A parameter of the query string. */
export interface Parameter {
    /** Ends in `.KEY` where whatever the client puts there is a part of the name. */
    readonly name: string;
    readonly description: string;
    /** What it may be; any text if absent. One of type `array` may be given more than once, all others may not. */
    readonly schema?: Schema;
    /** The route refuses a request without it. */
    readonly required?: true;
    /** A value that the example of a request has, though it may do without. */
    readonly example?: string;
    /** The least role that may give it, where that is more than the route needs. */
    readonly role?: Role;
}

/** Headers that successful answers of some routes have; every answer has those about the server. */
export type AnswerHeader =
    | 'Accept-Ranges'
    | 'Cache-Control'
    | 'Content-MD5'
    | 'Etag'
    | 'Last-Modified'
    | 'Location'
    | 'workflow-api';

export interface Route {
    /** The operation, as the contract and the audit record name it. */
    readonly name: string;
    readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
    /** Path, in which one segment may be a parameter: `:uuid` for an image, or another name. */
    readonly path: string;
    /**
     * The values of the `action` parameter that select this row; '' stands for none given. A row without them takes
     * the requests that no other row of its method and path takes.
     */
    readonly actions?: readonly string[] | undefined;
    /** One sentence or two. */
    readonly summary: string;
    /** What a caller should know beyond the summary, for the reference pages. */
    readonly description?: string;
    readonly auth: AuthClass;
    /** Shows images, so that the configuration may ask for more than `auth` does (`auth.reads`, `auth.hideUnpublished`). */
    readonly read?: true;
    /** Answered however many requests are under way (`limits.requests`): a sign of life. */
    readonly unlimited?: true;
    /** The least role that may send the request: there if, and only if, it has to be signed. */
    readonly role?: Role;
    /** Modes in which the route exists; all if absent. */
    readonly modes?: readonly Mode[];
    /** The route exists only on a server with channels. */
    readonly needsChannels?: true;
    /** What a successful answer holds. */
    readonly answers: 'json' | 'bytes' | 'nothing';
    /** Its status: 200, or 204 for a route that answers with nothing, if absent. */
    readonly status?: 202 | 301;
    /** The headers it has. */
    readonly headers?: readonly AnswerHeader[];
    /** A request may ask to be sent elsewhere for the bytes: then the answer may be a 302. */
    readonly redirects?: true;
    /** Content-Types of the bytes it answers with. */
    readonly contentTypes?: readonly string[];
    readonly body?: 'json' | 'bytes';
    /** Content-Types of the bytes it takes; any if absent. */
    readonly bodyTypes?: readonly string[];
    readonly parameters: readonly Parameter[];
    /** Codes this route can answer with beyond those of its steps and of every route. */
    readonly errors: readonly ErrorCode[];
    /** In the contract's order. */
    readonly steps: readonly Step[];
    readonly handler: (call: Call) => void | Promise<void>;
}
