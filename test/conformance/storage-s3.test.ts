import type { S3Config } from '../../lib/config/types';
import { createS3Storage } from '../../lib/storage/s3';
import type { StorageDriver } from '../../lib/storage/driver';
import { RadosGateway } from '../support/radosgw';
import { recordingLog } from '../support/recording-log';
import { describeStorage } from './storage';

const MIB = 1024 * 1024;

describe('S3', () => {
    let server: RadosGateway;

    before(async function () {
        server = await RadosGateway.start(this);
    });
    after(() => server.stop());

    const driver = (config: Partial<S3Config> = {}): StorageDriver =>
        createS3Storage({
            config: { ...server.config, partSize: 5 * MIB, ...config },
            maxSockets: 100,
            log: recordingLog([]),
        });

    describeStorage('s3', async () => ({
        driver: driver({ prefix: 'a/prefix', presignRedirect: true }),
        twin: driver({ prefix: 'a/prefix/' }),
        stranger: driver(),
        leftovers: () => server.contents(),
        remove: async () => undefined,
    }));
});
