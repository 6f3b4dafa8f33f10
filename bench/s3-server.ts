import type { S3Config } from '../lib/config/types';
import { startDependency } from './dependency';
import type { Workplace } from './workplace';

const MIB = 1 << 20;

export interface S3Server {
    readonly config: S3Config;
    stop(): Promise<void>;
}

/** Starts an S3 server that keeps all in memory; undefined, said on stderr, if there is none. */
export function startS3(workplace: Workplace): S3Server | undefined {
    const s3 = startDependency(workplace, 's3');
    if (!s3) {
        return undefined;
    }
    const [endpoint = '', bucket = '', accessKeyId = '', secretAccessKey = ''] = s3.printed;
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
        stop: s3.stop,
    };
}
