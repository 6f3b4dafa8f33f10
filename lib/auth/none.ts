import type { Authenticator } from './driver';

/** Nobody is asked who they are, and nobody is known (`authType: none`). */
export function createNone(): Authenticator {
    return {
        type: 'none',
        open: () => Promise.resolve(),
        close: () => Promise.resolve(),
        authenticate: () => Promise.resolve(undefined),
        certified: () => undefined,
        reload: () => Promise.resolve(),
    };
}
