import assert from 'node:assert/strict';
import { StorageSpaces } from '../../lib/http/admin/storage-space';
import type { StorageDriver } from '../../lib/storage/driver';
import { recordingLog } from '../support/recording-log';

describe('the room in storages, as those who watch see it', () => {
    it('does without a storage that does not answer, and without one that cannot tell', async () => {
        const storages = [
            { type: 'local', space: async () => ({ total: 2, free: 1 }) },
            { type: 'manta', space: () => new Promise(() => undefined) },
            { type: 's3' },
        ] as unknown as StorageDriver[];
        const known = await new StorageSpaces(storages, recordingLog([])).get();
        assert.deepEqual([...known], [['local', { total: 2, free: 1 }]]);
    });
});
