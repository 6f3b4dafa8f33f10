import assert from 'node:assert/strict';
import type { StorageType } from '../../lib/manifest';
import { selectStorage, type StorageChoice } from '../../lib/storage/select';

type Row = [
    storageTypes: StorageType[],
    remote: StorageChoice['remote'],
    requested: StorageType | undefined,
    ofAdmin: StorageType,
    ofOthers: StorageType,
];

const NONE = undefined;

const table: Row[] = [
    // Without an object store everything is local, whatever is asked for.
    [['local'], {}, NONE, 'local', 'local'],
    [[], {}, NONE, 'local', 'local'],
    [['local'], { manta: true }, NONE, 'local', 'local'],
    [['local'], {}, 'local', 'local', 'local'],
    [['local'], {}, 'manta', 'local', 'local'],
    [['local'], {}, 's3', 'local', 'local'],
    // A near object store takes every image.
    [['manta', 'local'], {}, NONE, 'manta', 'manta'],
    [['local', 'manta'], { manta: false }, NONE, 'manta', 'manta'],
    [['local', 's3'], {}, NONE, 's3', 's3'],
    [['manta'], {}, NONE, 'manta', 'manta'],
    // A remote one takes those that the administrator does not own.
    [['local', 'manta'], { manta: true }, NONE, 'local', 'manta'],
    [['local', 's3'], { s3: true }, NONE, 'local', 's3'],
    // Of two the earlier one is meant, with its own distance.
    [['local', 's3', 'manta'], {}, NONE, 's3', 's3'],
    [['manta', 's3', 'local'], {}, NONE, 'manta', 'manta'],
    [['s3', 'manta', 'local'], { manta: true }, NONE, 's3', 's3'],
    [['s3', 'manta', 'local'], { s3: true }, NONE, 'local', 's3'],
    // What an operator asks for comes first, if it is configured.
    [['local', 'manta'], { manta: true }, 'manta', 'manta', 'manta'],
    [['local', 'manta'], {}, 'local', 'local', 'local'],
    [['manta'], {}, 'local', 'local', 'local'],
    [['local', 'manta'], {}, 's3', 'local', 'local'],
    [['local', 's3', 'manta'], {}, 'manta', 'manta', 'manta'],
];

describe('choice of the storage for a new file (storage.md §2)', () => {
    for (const [storageTypes, remote, requested, ofAdmin, ofOthers] of table) {
        const far = Object.entries(remote).flatMap(([type, is]) => (is ? [`remote ${type}`] : []));
        const title = [storageTypes.join() || 'none', ...far, requested ? `storage=${requested}` : 'no wish'];
        it(`${title.join(', ')}: ${ofAdmin} for the administrator, ${ofOthers} for others`, () => {
            const choose = (ownerIsAdmin: boolean): StorageType =>
                selectStorage({ ownerIsAdmin, requested, storageTypes, remote });
            assert.equal(choose(true), ofAdmin);
            assert.equal(choose(false), ofOthers);
        });
    }
});
