import assert from 'node:assert/strict';
import { STORAGE_TYPES, UNSET_OWNER_UUID, type StorageType } from '../../lib/manifest';
import type { Config } from '../../lib/config/types';
import { chooseStorage } from '../../lib/images/storage-choice';
import { selectStorage, type StorageChoice } from '../../lib/storage/select';
import { OTHER, OWNER } from '../support/api';

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

/** Every list of one or more storages, in every order. */
function lists(rest: readonly StorageType[] = STORAGE_TYPES): StorageType[][] {
    return rest.flatMap((type) => {
        const others = rest.filter((other) => other !== type);
        return [[type], ...lists(others).map((list) => [type, ...list])];
    });
}

interface Case {
    mode: Config['mode'];
    adminUuid: string | undefined;
    owner: string;
    storageTypes: StorageType[];
    manta: boolean | undefined;
    s3: boolean | undefined;
    requested: StorageType | undefined;
}

function* everyCase(): Generator<Case> {
    for (const mode of ['public', 'private', 'dc'] as const) {
        for (const adminUuid of [undefined, '', OWNER]) {
            for (const owner of [OWNER, OTHER, UNSET_OWNER_UUID]) {
                for (const storageTypes of lists()) {
                    for (const manta of [undefined, false, true]) {
                        for (const s3 of [undefined, false, true]) {
                            for (const requested of [undefined, ...STORAGE_TYPES]) {
                                yield { mode, adminUuid, owner, storageTypes, manta, s3, requested };
                            }
                        }
                    }
                }
            }
        }
    }
}

describe('choice of the storage in every configuration', () => {
    const chosen = ({ owner, requested, manta, s3, ...config }: Case): StorageType =>
        chooseStorage(
            { ...config, manta: { remote: manta }, s3: { remote: s3 } } as unknown as Config,
            { owner },
            requested,
        );
    const all = [...everyCase()];
    const check = (cases: Case[], expected: (of: Case) => StorageType): void => {
        assert.ok(cases.length > 0);
        for (const one of cases) {
            assert.equal(chosen(one), expected(one), JSON.stringify(one));
        }
    };
    const wished = all.filter(({ requested }) => requested !== undefined);
    const open = all.filter(({ requested }) => requested === undefined);
    const store = ({ storageTypes }: Case): 'manta' | 's3' | undefined =>
        storageTypes.find((type) => type !== 'local');
    const far = (one: Case): boolean => {
        const type = store(one);
        return type !== undefined && one[type] === true;
    };

    it('has this many', () => {
        assert.equal(all.length, 3 * 3 * 3 * 15 * 3 * 3 * 4);
    });

    it('is what the operator asks for if that is configured, and local if not', () => {
        check(wished, ({ storageTypes, requested }) =>
            requested !== undefined && storageTypes.includes(requested) ? requested : 'local',
        );
    });

    it('is local without an object store', () => {
        check(
            open.filter((one) => store(one) === undefined),
            () => 'local',
        );
    });

    it('is local for images of the administrator when the first object store is remote', () => {
        check(
            open.filter((one) => far(one) && one.adminUuid === OWNER && one.owner === OWNER),
            () => 'local',
        );
    });

    it('is the first object store in all other cases, in every mode', () => {
        check(
            open.filter((one) => store(one) && !(far(one) && one.adminUuid === OWNER && one.owner === OWNER)),
            (one) => store(one) ?? 'local',
        );
    });
});
