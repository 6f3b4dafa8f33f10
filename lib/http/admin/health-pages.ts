import { isHealthy, isReady, type Health, type ProcessHealth } from '../../api/health';
import { json, type Page } from './server';

function page(health: Health, isFine: (found: ProcessHealth) => boolean, withStage: boolean): Page {
    return async () => {
        const found = await health.all();
        const fine = isFine(found);
        return json(fine ? 200 : 503, {
            status: fine ? 'ok' : 'unavailable',
            ...(withStage && { server: found.stage === 'ready' ? 'ok' : found.stage }),
            ...found.findings,
        });
    };
}

/** GET /healthz: whether the server can use all that it depends on, one member for each. */
export const healthzPage = (health: Health): Page => page(health, isHealthy, false);

/** GET /readyz: the same, and whether it takes requests. */
export const readyzPage = (health: Health): Page => page(health, isReady, true);
