import type { RestifyRoute, RouteMatch, RouteRegistry } from 'restify';

interface Endpoint {
    readonly pattern: RegExp;
    readonly names: readonly string[];
    readonly routes: Map<string, RestifyRoute>;
}

/** What the registry found for a request that has no route. */
export type Miss = { kind: 'path' } | { kind: 'method'; allowed: string[] } | { kind: 'malformed' };

/**
 * Finds routes for restify by the rules of endpoints.md §1.5: slashes collapse, a trailing slash does not match, the
 * methods of a path keep the order of the route table.
 *
 * Requests without a route are given to `missed`, so that their answers are made like all others.
 */
export class Registry implements RouteRegistry {
    readonly #endpoints = new Map<string, Endpoint>();
    readonly #routes: Record<string, RestifyRoute> = {};
    readonly #missed: (miss: Miss) => RouteMatch;

    constructor(missed: (miss: Miss) => RouteMatch) {
        this.#missed = missed;
    }

    add(route: RestifyRoute): RestifyRoute {
        let endpoint = this.#endpoints.get(route.path);
        if (!endpoint) {
            const names: string[] = [];
            const source = route.path.replace(/:([a-z]+)/g, (_match, name: string) => {
                names.push(name);
                return '([^/]+)';
            });
            endpoint = { pattern: new RegExp(`^${source}$`), names, routes: new Map() };
            this.#endpoints.set(route.path, endpoint);
        }
        endpoint.routes.set(route.method, route);
        this.#routes[route.name] = route;
        return route;
    }

    remove(name: string): RestifyRoute | undefined {
        const route = this.#routes[name];
        if (route) {
            this.#endpoints.get(route.path)?.routes.delete(route.method);
        }
        return route;
    }

    lookup(method: string, rawPathname: string): RouteMatch {
        const pathname = rawPathname.includes('//') ? rawPathname.replace(/\/{2,}/g, '/') : rawPathname;
        const exact = this.#endpoints.get(pathname);
        if (exact?.names.length === 0) {
            return this.#matchMethod(exact, method, {});
        }
        for (const endpoint of this.#endpoints.values()) {
            const match = endpoint.names.length > 0 ? endpoint.pattern.exec(pathname) : null;
            if (match) {
                const params = decodeParams(endpoint.names, match);
                return params
                    ? this.#matchMethod(endpoint, method, params)
                    : this.#missed({ kind: 'malformed' });
            }
        }
        return this.#missed({ kind: 'path' });
    }

    #matchMethod(endpoint: Endpoint, method: string, params: Record<string, string>): RouteMatch {
        const route = endpoint.routes.get(method === 'HEAD' ? 'GET' : method);
        if (!route) {
            return this.#missed({ kind: 'method', allowed: [...endpoint.routes.keys()] });
        }
        return { route, params, handler: (req, res, next) => route.chain.run(req, res, next) };
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

/** The decoded parts of a path; undefined if one is not properly %-escaped. */
function decodeParams(names: readonly string[], match: RegExpExecArray): Record<string, string> | undefined {
    try {
        return Object.fromEntries(
            names.map((name, index) => [name, decodeURIComponent(match[index + 1] ?? '')]),
        );
    } catch (err) {
        if (err instanceof URIError) {
            return undefined;
        }
        throw err;
    }
}
