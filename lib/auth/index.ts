import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { Config } from '../config/types';
import type { Authenticator } from './driver';
import { keyRing } from './keys';
import { createNone } from './none';
import { SignatureAuthenticator } from './signature';

interface Parts {
    config: Config;
    log: Logger;
    clock: Clock;
}

/** Every way of authenticating, by its `authType`. */
const drivers = {
    none: () => createNone(),
    signature: ({ config, log, clock }: Parts) =>
        new SignatureAuthenticator(async () => keyRing(config.authKeys ?? {}, log), clock),
} satisfies Record<Config['authType'], (parts: Parts) => Authenticator>;

export function createAuthenticator(parts: Parts): Authenticator {
    return drivers[parts.config.authType](parts);
}
