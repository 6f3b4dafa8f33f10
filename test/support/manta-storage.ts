/** A storage in the stand-in for Manta. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Logger from 'bunyan';
import type { StorageDriver } from '../../lib/storage/driver';
import { createMantaStorage, type MantaStorageOptions } from '../../lib/storage/manta';
import { makeKey, type TestKey } from './keys';
import { md5Fingerprint } from './manta-accounts';
import { MantaServer, type MantaServerOptions } from './manta-server';
import { recordingLog } from './recording-log';

export const MANTA_USER = 'imgapi';

/** An account of a stand-in, and its private key in a folder of its own. */
export class MantaAccount {
    readonly #folder = mkdtempSync(join(tmpdir(), 'imgapi-manta-account-'));
    readonly key: TestKey = makeKey(this.#folder, 'id_ecdsa', 'ecdsa');

    /** The block of the configuration. */
    config(url: string): { url: string; user: string; key: string; keyId: string } {
        return {
            url,
            user: MANTA_USER,
            key: this.key.privateKeyFile,
            keyId: md5Fingerprint(this.key.publicLine),
        };
    }

    serve(options: Omit<MantaServerOptions, 'accounts'> = {}): Promise<MantaServer> {
        return MantaServer.start({ accounts: { [MANTA_USER]: [this.key.publicLine] }, ...options });
    }

    /** A driver for a server at this URL, with waits that a test can wait for. */
    storage(
        url: string,
        options: Partial<MantaStorageOptions> = {},
        log: Logger = recordingLog([]),
    ): StorageDriver {
        return createMantaStorage({
            ...this.config(url),
            rootDir: `/${MANTA_USER}/stor/imgapi`,
            insecure: false,
            maxSockets: 100,
            timeouts: { connect: 4000, answer: 10_000, idle: 10_000, pause: 5 },
            userAgent: 'IMGAPI/test',
            log,
            ...options,
        });
    }

    remove(): void {
        rmSync(this.#folder, { recursive: true });
    }
}
