import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { S3Config } from '../lib/config/types';
import type { Workplace } from './workplace';

const SCRIPTS = join(__dirname, '../deps/s3');
/** What the start script ends with where a program is missing. */
const NOT_INSTALLED = 127;

const MIB = 1 << 20;

export interface S3Server {
    readonly config: S3Config;
    stop(): Promise<void>;
}

/** Starts an S3 server that keeps all in memory; undefined, said on stderr, if there is none. */
export function startS3(workplace: Workplace): S3Server | undefined {
    // Its daemons work in it as another user.
    chmodSync(workplace.path, 0o755);
    const folder = workplace.file('s3');
    mkdirSync(folder);
    const { started, end } = workplace.keep(
        () => spawnSync(join(SCRIPTS, 'start'), [folder], { encoding: 'utf8' }),
        async ({ status }) => {
            if (status === 0) {
                spawnSync(join(SCRIPTS, 'stop'), [folder], { stdio: 'inherit' });
            }
        },
    );
    const { status, stdout, stderr } = started;
    if (status === NOT_INSTALLED) {
        console.error(stderr.trim());
        return undefined;
    }
    if (status !== 0) {
        throw new Error(`The S3 server did not start: ${stderr}`);
    }
    const [endpoint = '', bucket = '', accessKeyId = '', secretAccessKey = ''] = stdout.trim().split('\n');
    return {
        config: {
            bucket,
            region: 'us-east-1',
            endpoint,
            forcePathStyle: true,
            accessKeyId,
            secretAccessKey,
            partSize: 8 * MIB,
            connectTimeout: 5000,
            idleTimeout: 60_000,
        },
        stop: end,
    };
}
