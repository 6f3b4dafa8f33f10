import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { Config } from '../config/types';
import type { LeaseStore, ReplayStore } from '../db/driver';
import type { StorageDriver } from '../storage/driver';
import { configKeys } from './config-keys';
import type { Authenticator } from './driver';
import { FolderKeys } from './folder-keys';
import type { KeySource } from './key-source';
import { KeyStore } from './key-store';
import { MirrorKeys } from './mirror-keys';
import { createNone } from './none';
import { Roles } from './roles';
import { SignatureAuthenticator } from './signature';
import { UsedSignatures } from './used-signatures';

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

/** Where users' keys come from, in the order in which they are tried: config.authKeys, then folders by their path. */
function keySources({ config, log, clock, leases, holder, objectStores }: AuthParts): KeySource[] {
    const etc = resolve(config.dataDir, 'etc');
    const local = ['authkeys', 'keys'].map(
        (folder) => new FolderKeys({ folder: join(etc, folder, 'local'), log }),
    );
    const mirrors = objectStores.map((driver) => {
        const folder = join(etc, 'keys', driver.type);
        return new MirrorKeys({
            driver,
            folder,
            // The original server had a mirror of Manta only.
            ...(driver.type === 'manta' && { formerFolder: join(etc, 'authkeys', driver.type) }),
            leases,
            lease: `auth-keys:${driver.type}:${hostname()}:${folder}`,
            holder,
            clock,
            log,
            interval: config.auth.keyPollInterval,
        });
    });
    const folders = [...local, ...mirrors].sort((a, b) => (a.name < b.name ? -1 : 1));
    return [configKeys(config.authKeys ?? {}, log), ...folders];
}

/** Every way of authenticating, by its `authType`. */
const drivers = {
    none: () => createNone(),
    signature: (parts: AuthParts) => {
        const { config, log, clock } = parts;
        return new SignatureAuthenticator({
            keys: new KeyStore(keySources(parts), log),
            roles: new Roles(config.auth.roles),
            config: config.auth,
            clock,
            log,
            used: config.auth.replayWindow === undefined ? undefined : new UsedSignatures(parts),
        });
    },
} satisfies Record<Config['authType'], (parts: AuthParts) => Authenticator>;

export function createAuthenticator(parts: AuthParts): Authenticator {
    return drivers[parts.config.authType](parts);
}
