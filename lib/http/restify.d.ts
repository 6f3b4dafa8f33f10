/** The part of restify 12 that this server uses; the package brings no types of its own. */
declare module 'restify' {
    import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
    import type { EventEmitter } from 'node:events';
    import type Logger from 'bunyan';

    export interface RestifyRoute {
        readonly name: string;
        readonly method: string;
        readonly path: string;
    }

    export type Next = (err?: unknown) => void;

    export interface Request extends IncomingMessage {
        readonly method: string;
        readonly url: string;
        log: Logger;
        params: Record<string, string>;
        getUrl(): { pathname: string };
        /** The best of these content types for the client's Accept header; undefined if none is acceptable. */
        accepts(types: string[]): string | undefined;
    }

    export type Response = ServerResponse;

    /** What finds the route of a request; restify's own is a radix tree. */
    export interface RouteRegistry {
        lookup(method: string, pathname: string): RouteMatch | undefined;
        get(): Record<string, RestifyRoute>;
        toString(): string;
    }

    export interface RouteMatch {
        /** Absent for requests that no route takes. */
        route?: RestifyRoute;
        params: Record<string, string>;
        handler(req: Request, res: Response, next: Next): void;
    }

    export interface ServerOptions {
        /** Value of the Server header; empty for none. */
        name: string;
        log: Logger;
        dtrace?: boolean;
        registry?: RouteRegistry;
    }

    export interface Server extends EventEmitter {
        readonly server: HttpServer;
        /** Handlers before everything else; false ends restify's part in the request. */
        first(handler: (req: Request, res: Response) => boolean | undefined): this;
        inflightRequests(): number;
    }

    export function createServer(options: ServerOptions): Server;
}
