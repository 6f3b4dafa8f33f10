import type { RestifyRoute, RouteMatch, RouteRegistry } from 'restify';
import type { Route } from '../api/route';

/** Rows of the route table that share a method and a path: which one takes a request is decided by its `action`. */
export type Rows = readonly [Route, ...Route[]];

/** What the registry found for a request that has no route. */
export type Miss = { kind: 'path' } | { kind: 'method'; allowed: string[] } | { kind: 'malformed' };

/** What to do with requests, found or not. */
export interface Dispatch {
    /** @param parameter what the path has in the place of its parameter, without %-escapes; '' if it has none */
    found(rows: Rows, parameter: string): RouteMatch['handler'];
    missed(miss: Miss): RouteMatch['handler'];
}

interface Endpoint {
    /** The path up to its parameter, the name of that, and what follows it. */
    readonly prefix: string;
    readonly parameter: string;
    readonly suffix: string;
    readonly methods: Map<string, { rows: Rows; route: RestifyRoute }>;
}

/** A segment of the table's paths that stands for any text: its name, between what comes before it and after it. */
const PARAMETER = /^(.*\/):(\w+)(.*)$/;

/**
 * Finds the routes of the table for restify, by the rules of endpoints.md §1.5: slashes collapse, a trailing slash
 * does not match, the methods of a path keep the order of the table, HEAD goes where GET goes.
 *
 * Requests without a route are dispatched too, so that their answers are made like all others.
 */
export class Registry implements RouteRegistry {
    readonly #exact = new Map<string, Endpoint>();
    readonly #withParameter: Endpoint[] = [];
    readonly #routes: Record<string, RestifyRoute> = {};

    constructor(
        table: readonly Route[],
        private readonly dispatch: Dispatch,
    ) {
        for (const row of table) {
            this.#add(row);
        }
    }

    #add(row: Route): void {
        const { method, path, name } = row;
        const endpoint = this.#endpoint(path);
        const known = endpoint.methods.get(method);
        const route = known?.route ?? { name, method, path };
        endpoint.methods.set(method, { rows: known ? [...known.rows, row] : [row], route });
        this.#routes[route.name] = route;
    }

    #endpoint(path: string): Endpoint {
        const [, prefix = path, parameter, suffix = ''] = PARAMETER.exec(path) ?? [];
        const known =
            parameter === undefined
                ? this.#exact.get(path)
                : this.#withParameter.find((one) => one.prefix === prefix && one.suffix === suffix);
        if (known) {
            return known;
        }
        const endpoint: Endpoint = { prefix, parameter: parameter ?? '', suffix, methods: new Map() };
        if (parameter === undefined) {
            this.#exact.set(path, endpoint);
        } else {
            this.#withParameter.push(endpoint);
        }
        return endpoint;
    }

    lookup(method: string, rawPath: string): RouteMatch {
        const path = rawPath.includes('//') ? rawPath.replace(/\/{2,}/g, '/') : rawPath;
        const exact = this.#exact.get(path);
        if (exact) {
            return this.#match(exact, method, '');
        }
        for (const endpoint of this.#withParameter) {
            const part = parameterPart(path, endpoint);
            if (part !== undefined) {
                const value = decode(part);
                return value === undefined
                    ? this.#miss({ kind: 'malformed' })
                    : this.#match(endpoint, method, value);
            }
        }
        return this.#miss({ kind: 'path' });
    }

    #match({ parameter, methods }: Endpoint, method: string, value: string): RouteMatch {
        const found = methods.get(method === 'HEAD' ? 'GET' : method);
        return found
            ? {
                  route: found.route,
                  params: { [parameter]: value },
                  handler: this.dispatch.found(found.rows, value),
              }
            : this.#miss({ kind: 'method', allowed: [...methods.keys()] });
    }

    #miss(miss: Miss): RouteMatch {
        return { params: {}, handler: this.dispatch.missed(miss) };
    }

    get(): Record<string, RestifyRoute> {
        return this.#routes;
    }

    toString(): string {
        return Object.values(this.#routes)
            .map(({ method, path }) => `${method} ${path}`)
            .join('\n');
    }
}

/** What stands in the place of the parameter; undefined if the path is not of this endpoint. */
function parameterPart(path: string, { prefix, suffix }: Endpoint): string | undefined {
    if (!path.startsWith(prefix) || !path.endsWith(suffix)) {
        return undefined;
    }
    const part = path.slice(prefix.length, path.length - suffix.length);
    return part === '' || part.includes('/') ? undefined : part;
}

/** The part of a path without %-escapes; undefined if they are malformed. */
function decode(part: string): string | undefined {
    if (!part.includes('%')) {
        return part;
    }
    try {
        return decodeURIComponent(part);
    } catch (err) {
        if (err instanceof URIError) {
            return undefined;
        }
        throw err;
    }
}
