import assert from 'node:assert/strict';
import { applyUpdate } from '../../lib/images/update';
import { profileFor, validateImage } from '../../lib/images/validate';
import {
    ACCOUNT,
    activatedImage,
    FILE_SHA1,
    OTHER_UUID,
    OWNER,
    rawImage,
    thrown,
    UUID,
} from '../support/rule-records';

const FILES = [{ sha1: FILE_SHA1, size: 10, stor: 'local', compression: 'gzip', object: 'file0-x' }];

function failure(body: unknown, raw = rawImage(), account?: string): string[] {
    const { code, status, errors } = thrown(() => applyUpdate(raw, body, { account }));
    assert.equal(`${status} ${code}`, '422 ValidationFailed');
    return errors;
}

/** What is wrong with the updated image. */
function faults(body: unknown, raw = rawImage()): string[] {
    const updated = applyUpdate(raw, body, {});
    return validateImage(updated, profileFor({ mode: 'dc' }, updated.state)).map(
        ({ field, code }) => `${field} ${code}`,
    );
}

describe('applyUpdate (manifest.md §9)', () => {
    describe('refuses', () => {
        it('what is no object', () => {
            for (const body of [undefined, null, 'name=x', 5, true]) {
                assert.deepEqual(failure(body), ['body MissingParameter']);
            }
        });

        it('an update of nothing', () => {
            assert.deepEqual(failure({}), []);
            assert.deepEqual(failure([]), []);
        });

        const never = ['v', 'urn', 'disabled', 'activated', 'published_at', 'type', 'icon'];
        const internal = ['tagsObj', 'expires_at', 'dn', 'zzz', 'constructor', 'toString', 'image_uuid'];
        for (const field of [...never, ...internal]) {
            it(`the field ${field}`, () =>
                assert.deepEqual(failure({ [field]: 1 }), [`${field} NotAllowed`]));
        }

        it('the field __proto__', () => {
            const body = JSON.parse('{"__proto__":{"activated":true},"name":"x"}') as unknown;
            assert.deepEqual(failure(body), ['__proto__ NotAllowed']);
        });

        it('fields in the order of the body, then those for operators in an order of their own', () => {
            const body = {
                ...{
                    uuid: UUID,
                    origin: OTHER_UUID,
                    files: [],
                    traits: {},
                    billing_tags: [],
                    error: {},
                    state: 'x',
                },
                ...{ type: 'zvol', name: 'x', v: 2 },
            };
            assert.deepEqual(
                failure(body, rawImage(), ACCOUNT),
                ['type', 'v', 'state', 'error', 'billing_tags', 'traits', 'files', 'origin', 'uuid'].map(
                    (field) => `${field} NotAllowed`,
                ),
            );
        });

        it('an array with entries', () => assert.deepEqual(failure([1]), ['0 NotAllowed']));

        for (const field of ['state', 'error', 'billing_tags', 'traits', 'files', 'origin', 'uuid']) {
            it(`${field} from an account`, () => {
                assert.deepEqual(failure({ [field]: null }, rawImage(), OWNER), [`${field} NotAllowed`]);
            });
        }

        for (const field of ['files', 'origin', 'uuid']) {
            it(`${field} of an activated image`, () => {
                assert.deepEqual(failure({ [field]: OTHER_UUID }, activatedImage()), [`${field} NotAllowed`]);
                assert.deepEqual(failure({ [field]: 'x' }, activatedImage({ activated: 'true' })), [
                    `${field} NotAllowed`,
                ]);
            });
        }

        it('anything of a file but its digests', () => {
            const raw = rawImage({ files: FILES });
            for (const change of [
                { sha1: 'y' },
                { size: '10' },
                { object: 'x' },
                { new: 1 },
                { stor: null },
            ]) {
                assert.deepEqual(failure({ files: [{ digest: 'd', ...change }] }, raw), ['files NotAllowed']);
            }
            assert.deepEqual(failure({ files: [{ sha1: 'y', size: 1, digest: 'd', stor: 'x' }] }, raw), [
                'files NotAllowed',
                'files NotAllowed',
                'files NotAllowed',
            ]);
            const inherited = JSON.parse('[{"__proto__":null}]') as unknown;
            assert.deepEqual(failure({ files: inherited }, raw), ['files NotAllowed']);
        });

        it('files that are none', () => {
            const raw = rawImage({ files: FILES });
            for (const files of [[], {}, null, 'x', [null], ['x'], [{ digest: 5 }]]) {
                assert.deepEqual(failure({ files }, raw), ['files Invalid']);
            }
        });

        it('files of an image without a file', () => {
            assert.deepEqual(failure({ files: [{ digest: 'd' }] }), ['files Invalid']);
            assert.deepEqual(failure({ files: [{ digest: 'd' }] }, rawImage({ files: [] })), [
                'files Invalid',
            ]);
        });

        it('with the names of the fields in the message', () => {
            assert.throws(() => applyUpdate(rawImage(), { v: 1, urn: 2 }, {}), /v, urn/);
        });
    });

    describe('changes', () => {
        const values: Record<string, unknown> = {
            owner: OTHER_UUID,
            name: 'new',
            version: '2.0.0',
            description: 'd',
            homepage: 'http://h',
            eula: 'http://e',
            public: true,
            os: 'linux',
            acl: [ACCOUNT],
            requirements: { brand: 'lx' },
            users: [{ name: 'root' }],
            generate_passwords: false,
            inherited_directories: ['/usr'],
            nic_driver: 'virtio',
            disk_driver: 'virtio',
            cpu_type: 'host',
            image_size: 5,
            channels: ['dev'],
        };
        for (const [field, value] of Object.entries(values)) {
            it(`${field}, for the account too`, () => {
                assert.deepEqual(
                    applyUpdate(activatedImage(), { [field]: value }, { account: OWNER })[field],
                    value,
                );
            });
        }

        it('the fields for operators', () => {
            const body = { state: 'failed', error: { code: 'X' }, billing_tags: ['b'], traits: { a: 'x' } };
            const updated = applyUpdate(activatedImage(), body, {});
            for (const [field, value] of Object.entries(body)) {
                assert.deepEqual(updated[field], value);
            }
            assert.equal(updated.activated, true);
        });

        it('origin and uuid of an unactivated image', () => {
            const updated = applyUpdate(rawImage(), { origin: OTHER_UUID, uuid: OTHER_UUID }, {});
            assert.deepEqual([updated.origin, updated.uuid], [OTHER_UUID, OTHER_UUID]);
        });

        it('both forms of the tags', () => {
            const updated = applyUpdate(
                rawImage({ tags: ['a=1'], tagsObj: { a: 1 } }),
                { tags: { b: 2 } },
                {},
            );
            assert.deepEqual([updated.tags, updated.tagsObj], [['b=2'], { b: 2 }]);
        });

        it('the digests of a file', () => {
            const [file] = FILES;
            const body = { files: [{ sha1: FILE_SHA1, size: 10, digest: 'd', uncompressedDigest: '' }] };
            assert.deepEqual(applyUpdate(rawImage({ files: FILES }), body, {}).files, [
                { ...file, digest: 'd' },
            ]);
        });

        it('only the first of two files', () => {
            const files = [{ sha1: 'a' }, { sha1: 'b' }];
            assert.deepEqual(applyUpdate(rawImage({ files }), { files: [{ digest: 'd' }] }, {}).files, [
                { sha1: 'a', digest: 'd' },
                { sha1: 'b' },
            ]);
        });

        it('values to the type in which they are stored', () => {
            const body = {
                public: 'true',
                generate_passwords: 'false',
                image_size: '5',
                acl: ACCOUNT,
                billing_tags: 'b',
            };
            const updated = applyUpdate(rawImage(), body, {});
            assert.deepEqual(
                [
                    updated.public,
                    updated.generate_passwords,
                    updated.image_size,
                    updated.acl,
                    updated.billing_tags,
                ],
                [true, false, 5, [ACCOUNT], ['b']],
            );
        });

        it('nothing of the record it was given, and keeps the order of its keys', () => {
            const raw = rawImage({ description: 'old', files: FILES });
            const before = structuredClone(raw);
            const updated = applyUpdate(
                raw,
                { eula: 'http://e', description: 'new', files: [{ digest: 'd' }] },
                {},
            );
            assert.deepEqual(raw, before);
            assert.deepEqual(Object.keys(updated), [...Object.keys(raw), 'eula']);
        });
    });

    describe('deletes with null', () => {
        it('a field', () => {
            const updated = applyUpdate(rawImage({ description: 'd' }), { description: null }, {});
            assert.ok(!('description' in updated));
        });

        it('both forms of the tags', () => {
            const updated = applyUpdate(rawImage({ tags: ['a=1'], tagsObj: { a: 1 } }), { tags: null }, {});
            assert.ok(!('tags' in updated) && !('tagsObj' in updated));
        });

        it('the entries of an ACL', () => {
            assert.deepEqual(applyUpdate(rawImage({ acl: [ACCOUNT] }), { acl: null }, {}).acl, []);
        });
    });

    describe('gives a result that the validator judges', () => {
        const cases: [Record<string, unknown>, string[]][] = [
            [{ name: null }, ['name MissingParameter']],
            [{ owner: null }, ['owner MissingParameter']],
            [{ state: null }, ['state MissingParameter']],
            [{ state: 'x' }, ['state Invalid']],
            [{ uuid: 'x' }, ['uuid Invalid']],
            [{ origin: 5 }, ['origin Invalid']],
            [{ os: 5 }, ['os Invalid']],
            [{ error: 'x' }, ['error Invalid']],
            [{ public: 'x' }, ['public Invalid']],
            [{ tags: 'x' }, ['tags Invalid']],
            [{ tags: '' }, ['tags Invalid']],
            [{ tags: ['a=b'] }, ['tags Invalid']],
            [{ traits: 5 }, ['traits Invalid']],
            [{ image_size: 'big' }, ['image_size Invalid']],
            [{ nic_driver: 'virtio' }, ['nic_driver Invalid']],
            [{ channels: ['dev'] }, ['channels Invalid']],
            [{ description: 'fine' }, []],
        ];
        for (const [body, expected] of cases) {
            it(JSON.stringify(body), () => assert.deepEqual(faults(body), expected));
        }
    });
});
