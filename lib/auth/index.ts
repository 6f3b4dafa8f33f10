import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { Config } from '../config/types';
import type { LeaseStore, ReplayStore } from '../db/driver';
import type { StorageDriver } from '../storage/driver';
import { configKeys } from './config-keys';
import type { Authenticator } from './driver';
import { KeyStore } from './key-store';
import { createNone } from './none';
import { Roles } from './roles';
import { SignatureAuthenticator } from './signature';

export interface AuthParts {
    config: Config;
    log: Logger;
    clock: Clock;
    /** Signatures that were used, where each may be only once. */
    replay: ReplayStore;
    leases: LeaseStore;
    /** Id of this process among the holders of leases. */
    holder: string;
    /** The storages that may hold keys: those that other machines reach. */
    objectStores: readonly StorageDriver[];
}

/** Every way of authenticating, by its `authType`. */
const drivers = {
    none: () => createNone(),
    signature: ({ config, log, clock, replay }: AuthParts) =>
        new SignatureAuthenticator({
            keys: new KeyStore([configKeys(config.authKeys ?? {}, log)], log),
            roles: new Roles(config.auth.roles),
            config: config.auth,
            clock,
            replay,
        }),
} satisfies Record<Config['authType'], (parts: AuthParts) => Authenticator>;

export function createAuthenticator(parts: AuthParts): Authenticator {
    return drivers[parts.config.authType](parts);
}
