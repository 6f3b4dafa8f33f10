/**
 * THE route table (endpoints.md §3). The router, the reference pages and the test matrix are made from these rows.
 *
 * The order of the steps is part of the contract: it decides which of two errors a request gets.
 */
import { ACTION } from './api/parameters';
import type { Route } from './api/route';
import { authenticate, imageUuid, plainParameters } from './api/steps';
import type { AuthConfig, Config, LimitsConfig, TlsConfig } from './config/types';
import type { ErrorCode } from './errors';
import { docsRoutes } from './routes/docs';
import { fileRoutes } from './routes/files';
import { imageRoutes } from './routes/images';
import { importRoutes } from './routes/imports';
import { jobRoutes } from './routes/jobs';
import { serviceRoutes } from './routes/service';

const table: readonly Route[] = [
    ...serviceRoutes,
    ...imageRoutes,
    ...fileRoutes,
    ...importRoutes,
    ...jobRoutes,
    ...docsRoutes,
];

/**
 * A row with the form of its parameters checked as soon as it is known who asks, and that the path is one. The original
 * crashed, or took something else for the value, so that the contract has no place for it.
 */
function withPlainParameters(row: Route): Route {
    const parameters = row.actions ? [ACTION, ...row.parameters] : row.parameters;
    const at = Math.max(row.steps.indexOf(authenticate), row.steps.indexOf(imageUuid)) + 1;
    const steps = [...row.steps.slice(0, at), plainParameters(parameters), ...row.steps.slice(at)];
    return parameters.length === 0 ? row : { ...row, steps };
}

const rows: readonly Route[] = table.map(withPlainParameters);

/** What can come of asking who the caller is, and of what that one may do. */
interface Verdicts {
    /** A signature can be wrong, or missing. */
    readonly refused: boolean;
    /** It may be impossible to tell whether a signature was used before. */
    readonly unknown: boolean;
    /** There are callers who may not do it. */
    readonly forbidden: boolean;
    /** There may be too many requests already. */
    readonly limited: boolean;
}

function withErrors(row: Route, { refused, unknown, forbidden, limited }: Verdicts): Route {
    const errors = new Set<ErrorCode>(row.errors);
    if (refused) {
        errors.add('UnauthorizedError');
    }
    if (unknown || (limited && row.unlimited !== true)) {
        errors.add('ServiceUnavailableError');
    }
    if (forbidden) {
        errors.add('NotAuthorized');
    }
    return { ...row, errors: [...errors] };
}

/** The rows, with all errors that they can end with on any server. */
export const routes: readonly Route[] = rows.map((row) => {
    const verifies = row.auth !== 'none' || row.read === true;
    const forbidden = row.auth === 'strict';
    return withErrors(row, { refused: verifies, unknown: verifies, forbidden, limited: true });
});

/** What of the configuration decides which routes there are, and what they ask of callers. */
export type RouteConfig = Pick<Config, 'mode' | 'channels' | 'authType'> & {
    readonly auth: Pick<AuthConfig, 'reads' | 'hideUnpublished' | 'roles' | 'replayWindow'>;
    readonly limits: Pick<LimitsConfig, 'requests'>;
    readonly tls?: Pick<TlsConfig, 'requests'>;
};

/** The routes that a server with this configuration has, as they are there. */
export function existingRoutes(config: RouteConfig): Route[] {
    const { mode, channels, authType, auth, limits, tls } = config;
    const hasRoles = Object.keys(auth.roles).length > 0;
    return rows
        .filter(
            (row) =>
                (row.modes?.includes(mode) ?? true) && (row.needsChannels !== true || channels !== undefined),
        )
        .map((row) => (row.read ? asRead(row, auth) : row))
        .map((row) => {
            const verifies = authType === 'signature' && row.auth !== 'none';
            return withErrors(row, {
                refused: verifies,
                unknown: verifies && auth.replayWindow !== undefined,
                // Whoever has a role may read.
                forbidden: verifies && hasRoles && row.auth === 'strict' && row.role !== 'read',
                limited: limits.requests > 0 || (tls?.requests ?? 0) > 0,
            });
        });
}

/** A row that shows images, for the callers that it is to show them to. */
function asRead(row: Route, { reads, hideUnpublished }: RouteConfig['auth']): Route {
    if (reads === 'signed') {
        return { ...row, auth: 'strict', role: 'read' };
    }
    // To some it shows more than to others, so it has to look who asks.
    return hideUnpublished && row.auth === 'none' ? { ...row, auth: 'passive' } : row;
}
