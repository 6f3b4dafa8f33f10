/** The routes of servers, for tests that go through them. */
import type { Route } from '../../lib/api/route';
import type { AuthConfig } from '../../lib/config/types';
import { existingRoutes, type RouteConfig } from '../../lib/routes';

type Settings = Partial<Omit<RouteConfig, 'auth'>> & { readonly auth?: Partial<AuthConfig> | undefined };

/** The routes of a server with this configuration; the rest of it is the default. */
export function routesOf({
    mode = 'public',
    channels,
    authType = 'signature',
    auth,
    limits = { requests: 0 },
}: Settings = {}): Route[] {
    return existingRoutes({
        mode,
        channels,
        authType,
        auth: { reads: 'anonymous', hideUnpublished: false, roles: {}, ...auth },
        limits,
    });
}
