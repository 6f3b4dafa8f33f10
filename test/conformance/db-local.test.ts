import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { open } from '../support/local-database';
import { describeDatabase } from './db';

describeDatabase('local', async () => {
    const place = await mkdtemp(path.join(os.tmpdir(), 'imgapi-db-'));
    return {
        open: () => open(place),
        opener: { module: require.resolve('../support/local-database'), place },
        remove: () => rm(place, { recursive: true }),
    };
});
