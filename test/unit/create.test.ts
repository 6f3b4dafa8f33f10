import assert from 'node:assert/strict';
import { ApiError, type FieldError } from '../../lib/errors';
import {
    buildImage,
    importOwner,
    placeholderExpiry,
    prepareCreate,
    readOrigin,
    requireBody,
    type BuildOptions,
} from '../../lib/images/create';
import { UNSET_OWNER_UUID } from '../../lib/manifest';
import { profileFor, validateImage } from '../../lib/images/validate';
import { ACCOUNT, OTHER_UUID, OWNER, thrown, UUID, without } from '../support/rule-records';

const BODY = { name: 'base', version: '1.0.0', type: 'zone-dataset', os: 'smartos', owner: OWNER };
const CREATE: BuildOptions = { kind: 'create', uuid: UUID };

/** What is wrong with the image that CreateImage makes of the body. */
function faults(body: Record<string, unknown>): string[] {
    const { manifest } = prepareCreate(body, {});
    const raw = buildImage(manifest, CREATE);
    return validateImage(raw, profileFor({ mode: 'dc' }, raw.state)).map(
        ({ field, code }) => `${field} ${code}`,
    );
}

function failure(action: () => unknown): string {
    const { code, status, errors } = thrown(action);
    return `${status} ${code}: ${errors.join(', ')}`;
}

describe('prepareCreate (endpoints.md §3 CreateImage)', () => {
    it('gives owner and origin to look up, and the manifest with its defaults', () => {
        assert.deepEqual(prepareCreate({ ...BODY, origin: OTHER_UUID }, {}), {
            manifest: { ...BODY, origin: OTHER_UUID, v: 2 },
            owner: OWNER,
            origin: OTHER_UUID,
        });
    });

    it('has the account as the owner', () => {
        const body = without(BODY, 'owner');
        const prepared = prepareCreate(body, { account: ACCOUNT });
        assert.equal(prepared.owner, ACCOUNT);
        assert.equal(prepared.manifest.owner, ACCOUNT);
        assert.equal(prepareCreate(BODY, { account: OWNER }).owner, OWNER);
    });

    it('keeps the v of the body', () => {
        assert.equal(prepareCreate({ ...BODY, v: 1 }, {}).manifest.v, 1);
    });

    const refused: [string, unknown, string | undefined, string][] = [
        ['no body', undefined, undefined, '422 ValidationFailed: body MissingParameter'],
        ['a body that is null', null, undefined, '422 ValidationFailed: body MissingParameter'],
        ['a body that is a string', 'x', undefined, '422 ValidationFailed: body MissingParameter'],
        ['a body that is an array', [], undefined, '422 ValidationFailed: body MissingParameter'],
        ['an owner other than the account', BODY, ACCOUNT, '422 InvalidParameter: owner Invalid'],
        [
            'an owner null with an account',
            { ...BODY, owner: null },
            ACCOUNT,
            '422 InvalidParameter: owner Invalid',
        ],
        ['a state', { ...BODY, state: 'active' }, undefined, '422 ValidationFailed: state NotAllowed'],
        ['no owner', { name: 'x' }, undefined, '422 ValidationFailed: owner MissingParameter'],
        ['an owner that is no uuid', { owner: 'x' }, undefined, '422 ValidationFailed: owner Invalid'],
        ['an owner that is null', { owner: null }, undefined, '422 ValidationFailed: owner Invalid'],
        ['an owner that is an object', { owner: { a: 1 } }, undefined, '422 ValidationFailed: owner Invalid'],
        [
            'an origin that is no string',
            { ...BODY, origin: [1] },
            undefined,
            '422 ValidationFailed: origin Invalid',
        ],
    ];
    for (const [what, body, account, expected] of refused) {
        it(`refuses ${what}`, () =>
            assert.equal(
                failure(() => prepareCreate(body, { account })),
                expected,
            ));
    }

    it('looks at owner against account, then state, then owner, then origin', () => {
        const body = { owner: 'x', state: 'active', origin: 5 };
        const account = ACCOUNT;
        assert.equal(
            failure(() => prepareCreate(body, { account })),
            '422 InvalidParameter: owner Invalid',
        );
        assert.equal(
            failure(() => prepareCreate(body, {})),
            '422 ValidationFailed: state NotAllowed',
        );
        const stateless = without(body, 'state');
        assert.equal(
            failure(() => prepareCreate(stateless, {})),
            '422 ValidationFailed: owner Invalid',
        );
    });
});

describe('readOrigin', () => {
    it('gives any string, as one that no image has does not exist', () => {
        assert.equal(readOrigin({ origin: 'x' }), 'x');
    });

    it('leaves falsy origins to the validator', () => {
        for (const origin of [null, '', 0, false]) {
            assert.equal(readOrigin({ origin }), undefined);
            assert.deepEqual(faults({ ...BODY, origin }), ['origin Invalid']);
        }
    });
});

describe('requireBody', () => {
    it('gives the body', () => assert.equal(requireBody(BODY), BODY));
});

describe('importOwner (manifest.md §4)', () => {
    it('is unset outside a datacenter, whatever the manifest says', () => {
        for (const owner of [OWNER, undefined, 5]) {
            assert.deepEqual(importOwner({ owner }, { mode: 'public' }), {
                owner: UNSET_OWNER_UUID,
                mustExist: false,
            });
        }
    });

    it('is the manifest’s in a datacenter, and has to exist', () => {
        const config = { mode: 'dc', adminUuid: ACCOUNT } as const;
        assert.deepEqual(importOwner({ owner: OWNER }, config), { owner: OWNER, mustExist: true });
    });

    it('is the admin for an image without one', () => {
        const config = { mode: 'dc', adminUuid: ACCOUNT } as const;
        assert.deepEqual(importOwner({ owner: UNSET_OWNER_UUID }, config), {
            owner: ACCOUNT,
            mustExist: false,
        });
    });

    it('stays unset without an admin', () => {
        for (const adminUuid of [undefined, '']) {
            assert.equal(
                importOwner({ owner: UNSET_OWNER_UUID }, { mode: 'dc', adminUuid }).owner,
                UNSET_OWNER_UUID,
            );
        }
    });

    it('has to be a uuid in a datacenter', () => {
        assert.equal(
            failure(() => importOwner({}, { mode: 'dc' })),
            '422 ValidationFailed: owner MissingParameter',
        );
        assert.equal(
            failure(() => importOwner({ owner: 7 }, { mode: 'dc' })),
            '422 ValidationFailed: owner Invalid',
        );
    });
});

describe('buildImage of CreateImage (manifest.md §6)', () => {
    it('makes a valid, unactivated image of a bare body', () => {
        const { manifest } = prepareCreate(BODY, {});
        const raw = buildImage(manifest, CREATE);
        assert.equal(
            JSON.stringify(raw),
            JSON.stringify({
                ...{
                    v: 2,
                    owner: OWNER,
                    name: 'base',
                    version: '1.0.0',
                    type: 'zone-dataset',
                    os: 'smartos',
                },
                ...{
                    public: false,
                    disabled: false,
                    activated: false,
                    state: 'unactivated',
                    acl: [],
                    uuid: UUID,
                },
            }),
        );
        assert.deepEqual(faults(BODY), []);
    });

    it('has the keys in the order of the stored form', () => {
        const body = {
            ...{ image_size: '10240', cpu_type: 'host', disk_driver: 'virtio', nic_driver: 'virtio' },
            ...{
                origin: OTHER_UUID,
                inherited_directories: [],
                generate_passwords: 'false',
                billing_tags: 'x',
            },
            ...{ tags: { role: 'db' }, traits: {}, users: [], requirements: {}, error: {}, eula: 'http://e' },
            ...{ homepage: 'http://h', description: 'd', acl: ACCOUNT, disabled: 'true', public: 'true' },
            ...{ ...BODY, type: 'zvol', v: 2 },
        };
        const raw = buildImage(body, { ...CREATE, channels: ['dev'] });
        assert.equal(
            Object.keys(raw).join(' '),
            'v owner name version type os public disabled activated state acl description homepage eula error ' +
                'requirements users traits tags tagsObj billing_tags generate_passwords inherited_directories ' +
                'origin channels nic_driver disk_driver cpu_type image_size uuid',
        );
        assert.deepEqual(
            [raw.public, raw.disabled, raw.generate_passwords, raw.acl, raw.billing_tags, raw.image_size],
            [true, true, false, [ACCOUNT], ['x'], 10240],
        );
        assert.deepEqual([raw.tags, raw.tagsObj, raw.channels], [['role=db'], { role: 'db' }, ['dev']]);
    });

    it('disregards files, icon and channels of the body', () => {
        const raw = buildImage({ ...BODY, v: 2, files: [{}], icon: true, channels: ['x'] }, CREATE);
        assert.ok(!('files' in raw) && !('icon' in raw) && !('channels' in raw));
    });

    it('drops empty texts', () => {
        const raw = buildImage({ ...BODY, v: 2, description: '', homepage: null, eula: 0 }, CREATE);
        assert.ok(!('description' in raw) && !('homepage' in raw) && !('eula' in raw));
    });

    it('refuses fields it does not take, in the order of the body', () => {
        const extra = {
            ...{
                zzz: 1,
                uuid: UUID,
                published_at: 'x',
                urn: 'x',
                activated: true,
                tagsObj: {},
                expires_at: 'x',
            },
            ...{ nic_driver: 'virtio', image_size: 5, __v: 1 },
        };
        const create = () => buildImage({ ...extra, ...BODY, v: 2 }, CREATE);
        assert.deepEqual(thrown(create), {
            code: 'InvalidParameter',
            status: 422,
            errors: Object.keys(extra).map((field) => `${field} Invalid`),
        });
        assert.throws(create, /"zzz", "uuid"/);
    });

    it('refuses members of every object, and sets none', () => {
        const body = JSON.parse(`{"__proto__":{"activated":true},"constructor":1}`) as Record<
            string,
            unknown
        >;
        const { manifest } = prepareCreate({ ...body, ...BODY }, {});
        assert.equal(
            failure(() => buildImage(manifest, CREATE)),
            '422 InvalidParameter: __proto__ Invalid, constructor Invalid',
        );
    });

    it('keeps everything else for the validator to judge', () => {
        const cases: [Record<string, unknown>, string[]][] = [
            [{ tags: null }, ['tags Invalid']],
            [{ tags: 'x' }, ['tags Invalid']],
            [{ tags: ['a=b'] }, ['tags Invalid']],
            [{ acl: null }, ['acl Invalid']],
            [{ users: null }, ['users Invalid']],
            [{ traits: null }, ['traits Invalid']],
            [{ requirements: null }, ['requirements Invalid']],
            [{ billing_tags: null }, ['billing_tags Invalid']],
            [{ error: null }, []],
            [{ public: null }, ['public Invalid']],
            [{ disabled: 'zz' }, ['disabled Invalid']],
            [{ generate_passwords: 5 }, ['generate_passwords Invalid']],
            [{ name: undefined, version: null }, ['name MissingParameter', 'version Invalid']],
            [{ v: 'x' }, ['v Invalid']],
            [
                { type: 'zvol' },
                [
                    ...['nic_driver', 'disk_driver', 'cpu_type'].map((field) => `${field} MissingParameter`),
                    'image_size Invalid',
                ],
            ],
        ];
        for (const [changes, expected] of cases) {
            assert.deepEqual(faults({ ...BODY, ...changes }), expected, JSON.stringify(changes));
        }
    });

    it('names the size that a disk image lacks', () => {
        const raw = buildImage({ ...BODY, v: 2, type: 'zvol' }, CREATE);
        const errors: FieldError[] = validateImage(raw, profileFor({ mode: 'dc' }, raw.state));
        assert.match(errors.at(-1)?.message ?? '', /NaN/);
    });
});

describe('buildImage of an import (manifest.md §6.3)', () => {
    const IMPORT: BuildOptions = { kind: 'import' };
    const IMPORTED = { v: 2, uuid: UUID, published_at: '2024-01-31T12:00:00Z', urn: 'sdc:x:y:1', ...BODY };

    it('keeps uuid, date and urn, and nothing of state and files', () => {
        const raw = buildImage({ ...IMPORTED, state: 'active', files: [{}], icon: true }, IMPORT);
        assert.equal(
            Object.keys(raw).join(' '),
            'v owner name version type os public disabled activated state acl uuid published_at urn',
        );
        assert.deepEqual([raw.uuid, raw.published_at, raw.urn], [UUID, IMPORTED.published_at, IMPORTED.urn]);
        assert.deepEqual([raw.activated, raw.state], [false, 'unactivated']);
    });

    it('has no default for v', () => {
        const body = without(IMPORTED, 'v');
        const raw = buildImage(body, IMPORT);
        assert.deepEqual(
            validateImage(raw, profileFor({ mode: 'dc' }, raw.state)).map(
                ({ field, code }) => `${field} ${code}`,
            ),
            ['v MissingParameter'],
        );
    });

    it('takes version 1 manifests', () => {
        const body = without(IMPORTED, 'owner', 'v');
        const raw = buildImage({ ...body, creator_uuid: OWNER, creator_name: 'sdc' }, IMPORT);
        assert.deepEqual([raw.v, raw.owner, raw.public], [2, OWNER, true]);
    });

    it('drops empty dates and urns', () => {
        const raw = buildImage({ ...IMPORTED, published_at: null, urn: '' }, IMPORT);
        assert.ok(!('published_at' in raw) && !('urn' in raw));
    });

    it('refuses a missing uuid, then a date of another type, then other fields', () => {
        const wrong = { ...IMPORTED, uuid: undefined, published_at: 5, x: 1 };
        assert.equal(
            failure(() => buildImage(wrong, IMPORT)),
            '422 InvalidParameter: uuid MissingParameter',
        );
        const dated = { ...wrong, uuid: UUID };
        assert.equal(
            failure(() => buildImage(dated, IMPORT)),
            '422 InvalidParameter: published_at Invalid',
        );
        assert.equal(
            failure(() => buildImage({ ...IMPORTED, x: 1 }, IMPORT)),
            '422 InvalidParameter: x Invalid',
        );
    });
});

describe('buildImage of a placeholder (vm-images.md §3)', () => {
    const expiresAt = '2024-02-07T12:00:00.000Z';
    const PLACEHOLDER: BuildOptions = { kind: 'placeholder', uuid: UUID, expiresAt };

    it('makes an image in state creating that a datacenter accepts', () => {
        const raw = buildImage({ ...BODY, v: 1, uuid: UUID }, PLACEHOLDER);
        assert.equal(
            Object.keys(raw).join(' '),
            'v owner name version type os public disabled activated state acl expires_at uuid',
        );
        assert.deepEqual(
            [raw.v, raw.type, raw.os, raw.state, raw.activated, raw.expires_at],
            [2, 'null', 'null', 'creating', false, expiresAt],
        );
        assert.deepEqual(validateImage(raw, profileFor({ mode: 'dc' }, raw.state)), []);
    });

    it('has no disk fields, which a body of a disk image may have', () => {
        const disk = { nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host', image_size: 1 };
        const raw = buildImage({ ...BODY, ...disk, type: 'zvol' }, PLACEHOLDER);
        assert.deepEqual(validateImage(raw, profileFor({ mode: 'dc' }, raw.state)), []);
        assert.throws(() => buildImage({ ...BODY, ...disk }, PLACEHOLDER), ApiError);
    });

    it('takes no date and no urn', () => {
        assert.equal(
            failure(() => buildImage({ ...BODY, published_at: 'x', urn: 'y' }, PLACEHOLDER)),
            '422 InvalidParameter: published_at Invalid, urn Invalid',
        );
    });

    it('expires some calendar days from now', () => {
        assert.equal(placeholderExpiry(Date.parse('2024-02-25T12:30:00Z'), 7), '2024-03-03T12:30:00.000Z');
    });
});
