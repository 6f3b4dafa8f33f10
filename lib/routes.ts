/**
 * THE route table (endpoints.md §3). The router, the reference pages and the test matrix are made from these rows.
 *
 * The order of the steps is part of the contract: it decides which of two errors a request gets.
 */
import { ACTION } from './api/parameters';
import type { Route } from './api/route';
import { authenticate, imageUuid, plainParameters } from './api/steps';
import type { Config } from './config/types';
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
 * The rows, with the form of their parameters checked as soon as it is known who asks, and that the path is one. The
 * original crashed, or took something else for the value, so that the contract has no place for it.
 */
export const routes: readonly Route[] = table.map((row) => {
    const parameters = row.actions ? [ACTION, ...row.parameters] : row.parameters;
    const at = Math.max(row.steps.indexOf(authenticate), row.steps.indexOf(imageUuid)) + 1;
    const steps = [...row.steps.slice(0, at), plainParameters(parameters), ...row.steps.slice(at)];
    return parameters.length === 0 ? row : { ...row, steps };
});

/** The routes that a server with this configuration has. */
export function existingRoutes({ mode, channels }: Pick<Config, 'mode' | 'channels'>): Route[] {
    return routes.filter(
        (route) =>
            (route.modes?.includes(mode) ?? true) && (route.needsChannels !== true || channels !== undefined),
    );
}
