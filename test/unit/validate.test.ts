import assert from 'node:assert/strict';
import type { Mode } from '../../lib/config/types';
import { assertValidImage, profileFor, validateImage } from '../../lib/images/validate';
import { activatedImage, FILE_SHA1, OTHER_UUID, rawImage, thrown } from '../support/rule-records';

type Changes = Record<string, unknown>;

/** `field code` of everything that is wrong with the record. */
function faults(raw: Changes, mode: Mode = 'dc', channels?: string[]): string[] {
    return validateImage(raw, profileFor({ mode, channels }, raw.state)).map(
        ({ field, code }) => `${field} ${code}`,
    );
}

const ZVOL = {
    type: 'zvol',
    nic_driver: 'virtio',
    disk_driver: 'virtio',
    cpu_type: 'host',
    image_size: 10240,
};
const FILE = { sha1: FILE_SHA1, size: 1, compression: 'gzip' };

describe('validateImage (manifest.md §2)', () => {
    it('finds nothing wrong with valid images', () => {
        assert.deepEqual(faults(rawImage()), []);
        assert.deepEqual(faults(activatedImage()), []);
        assert.deepEqual(faults(rawImage(ZVOL)), []);
        assert.deepEqual(faults(rawImage({ public: true }), 'public'), []);
        assert.deepEqual(faults(rawImage(), 'private'), []);
    });

    describe('accepts', () => {
        const cases: [string, Changes][] = [
            ['v as a string', { v: '2' }],
            ['v 1', { v: 1 }],
            ['v 0', { v: 0 }],
            ['every character of a name', { name: 'aZ09._/ -' }],
            ['a name of 1024 characters', { name: 'a'.repeat(1024) }],
            ['every character of a version', { version: 'aZ09._/+-' }],
            ['a version of 512 characters', { version: '1'.repeat(512) }],
            ['a description of 10240 characters', { description: 'ü'.repeat(10240) }],
            ['http and https URLs', { homepage: 'HTTP://example.com', eula: 'https://example.com/x y' }],
            ['booleans as strings', { disabled: 'false', activated: 'false', public: 'true' }],
            ['a date with milliseconds', { published_at: '2024-01-31T12:00:00.123Z' }],
            ['a date without', { published_at: '2024-01-31T12:00:00Z' }],
            ['an empty date', { published_at: '' }],
            ['a falsy urn', { urn: null }],
            ['an origin', { origin: OTHER_UUID }],
            ['error null', { error: null }],
            ['an error object', { error: { code: 'X', message: 'y' } }],
            ['a file', { files: [FILE] }],
            ['two files of lxd', { type: 'lxd', files: [FILE, { ...FILE, compression: 'none' }] }],
            ['a whole icon', { icon: { contentMD5: 'x', size: 1, contentType: 'image/png' } }],
            ['an ACL', { acl: [OTHER_UUID] }],
            ['users', { users: [{ name: 'root' }, { name: 'admin' }] }],
            ['billing tags of 128 characters', { billing_tags: ['x'.repeat(128)] }],
            ['traits of all kinds', { traits: { a: 'x', b: true, c: ['y'], d: false } }],
            ['tags with values of any type', { tags: ['a=', 'b=1'], tagsObj: { a: { deep: [1] }, b: 1 } }],
            ['generate_passwords', { generate_passwords: 'false' }],
            ['inherited directories', { inherited_directories: ['/usr'] }],
            [
                'falsy disk fields of a zone',
                { nic_driver: '', disk_driver: null, cpu_type: '', image_size: 0 },
            ],
            ['an image size as a string', { ...ZVOL, image_size: '10240' }],
            ['an image size of 0 or below', { ...ZVOL, image_size: -1 }],
            ['the placeholder type and os', { type: 'null', os: 'null', state: 'failed' }],
            ['keys nobody knows', { dn: 'x', objectclass: 'sdcimage', expires_at: 7 }],
        ];
        for (const [what, changes] of cases) {
            it(what, () => assert.deepEqual(faults(rawImage(changes)), []));
        }
    });

    describe('refuses', () => {
        const cases: [string, Changes, string[]][] = [
            ['v that is no number', { v: 'two' }, ['v Invalid']],
            ['v below 0', { v: -1 }, ['v Invalid']],
            ['v that is an object', { v: { valueOf: 1, toString: 2 } }, ['v Invalid']],
            ['v without end', { v: Infinity }, ['v Invalid']],
            ['uuid', { uuid: 'x' }, ['uuid Invalid']],
            ['uuid in capitals', { uuid: OTHER_UUID.toUpperCase() }, ['uuid Invalid']],
            ['owner', { owner: null }, ['owner Invalid']],
            ['origin', { origin: 5 }, ['origin Invalid']],
            ['origin null', { origin: null }, ['origin Invalid']],
            ['urn', { urn: 5 }, ['urn Invalid']],
            ['state', { state: 'gone' }, ['state Invalid']],
            ['state that is an array', { state: ['active'] }, ['state Invalid']],
            ['name that is too long', { name: 'a'.repeat(1025) }, ['name Invalid']],
            ['name with other characters', { name: 'bäse' }, ['name Invalid']],
            ['name with a line end', { name: 'base\n' }, ['name Invalid']],
            ['name that is empty', { name: '' }, ['name Invalid']],
            ['name that is a number', { name: 5 }, ['name Invalid']],
            ['name null', { name: null }, ['name Invalid']],
            ['version that is too long', { version: '1'.repeat(513) }, ['version Invalid']],
            ['version with other characters', { version: '1 0' }, ['version Invalid']],
            ['version that is a number', { version: 1 }, ['version Invalid']],
            ['description that is too long', { description: 'x'.repeat(10241) }, ['description Invalid']],
            ['description that is no string', { description: {} }, ['description Invalid']],
            ['homepage of another protocol', { homepage: 'ftp://example.com' }, ['homepage Invalid']],
            ['homepage that is too long', { homepage: `http://${'x'.repeat(1024)}` }, ['homepage Invalid']],
            ['homepage that is no string', { homepage: 7 }, ['homepage Invalid']],
            ['eula of another protocol', { eula: 'javascript:http://x' }, ['eula Invalid']],
            ['eula that is too long', { eula: `http://${'x'.repeat(1024)}` }, ['eula Invalid']],
            ['disabled', { disabled: 'zz' }, ['disabled Invalid']],
            ['activated', { activated: 1 }, ['activated Invalid']],
            ['public', { public: null }, ['public Invalid']],
            ['generate_passwords', { generate_passwords: 'yes' }, ['generate_passwords Invalid']],
            ['published_at', { published_at: '2024-01-31' }, ['published_at Invalid']],
            [
                'published_at of another type',
                { published_at: ['2024-01-31T12:00:00Z'] },
                ['published_at Invalid'],
            ],
            ['type', { type: 'vm' }, ['type Invalid']],
            ['type "null" of an image that is made', { type: 'null' }, ['type Invalid']],
            ['os', { os: 'beos' }, ['os Invalid']],
            ['os "null" of an image that is made', { os: 'null' }, ['os Invalid']],
            ['error', { error: 'broken' }, ['error Invalid']],
            ['files that are no array', { files: {} }, ['files Invalid']],
            ['too many files', { files: [FILE, FILE] }, ['files Invalid']],
            ['too many lxd files', { type: 'lxd', files: [FILE, FILE, FILE] }, ['files Invalid']],
            ['file without sha1', { files: [{ ...FILE, sha1: undefined }] }, ['files Invalid']],
            ['file without size', { files: [{ ...FILE, size: undefined }] }, ['files Invalid']],
            ['file without compression', { files: [{ ...FILE, compression: undefined }] }, ['files Invalid']],
            ['file of unknown compression', { files: [{ ...FILE, compression: 'zip' }] }, ['files Invalid']],
            ['file that is null', { files: [null] }, ['files Invalid']],
            ['icon without contentMD5', { icon: true }, ['icon Invalid']],
            ['icon without size', { icon: { contentMD5: 'x', size: 0 } }, ['icon Invalid']],
            ['icon without contentType', { icon: { contentMD5: 'x', size: 1 } }, ['icon Invalid']],
            ['stored tags that are no array', { tags: 'a=b', tagsObj: {} }, ['tags Invalid']],
            ['stored tags that are no strings', { tags: [1], tagsObj: {} }, ['tags Invalid']],
            ['tags that are no object', { tagsObj: 'a' }, ['tags Invalid']],
            ['tags null', { tagsObj: null }, ['tags Invalid']],
            ['tags that are an array', { tagsObj: ['a'] }, ['tags Invalid']],
            ['tags that are too big', { tagsObj: { a: 'x'.repeat(102_393) } }, ['tags Invalid']],
            ['tags with a NUL', { tagsObj: { a: 'x\0' } }, ['tags Invalid']],
            ['acl that is no array', { acl: null }, ['acl Invalid']],
            ['acl, at its first wrong item', { acl: [OTHER_UUID, 'x', 'y'] }, ['acl Invalid']],
            ['users that are no array', { users: {} }, ['users Invalid']],
            [
                'each wrong user',
                { users: [null, 'root', { name: 'a', x: 1 }, {}] },
                Array(4).fill('users Invalid'),
            ],
            ['billing tags that are no array', { billing_tags: {} }, ['billing_tags Invalid']],
            ['a billing tag that is too long', { billing_tags: ['x'.repeat(129)] }, ['billing_tags Invalid']],
            ['a billing tag that is no string', { billing_tags: [1] }, ['billing_tags Invalid']],
            ['traits that are no object', { traits: 'x' }, ['traits Invalid']],
            ['traits null', { traits: null }, ['traits Invalid']],
            [
                'a trait of another type',
                { traits: { a: 1, b: 'x', c: null } },
                ['traits Invalid', 'traits Invalid'],
            ],
            [
                'inherited directories of another type',
                { type: 'lx-dataset', inherited_directories: [] },
                ['inherited_directories Invalid'],
            ],
            [
                'inherited directories that are no array',
                { inherited_directories: '/usr' },
                ['inherited_directories Invalid'],
            ],
            ['an inherited directory', { inherited_directories: [1] }, ['inherited_directories Invalid']],
            [
                'disk fields of a zone',
                { ...ZVOL, type: 'zone-dataset' },
                ['nic_driver Invalid', 'disk_driver Invalid', 'cpu_type Invalid', 'image_size Invalid'],
            ],
            [
                'disk fields of other types',
                { type: 'zvol', nic_driver: 1, disk_driver: null, cpu_type: [], image_size: 1.5 },
                ['nic_driver Invalid', 'disk_driver Invalid', 'cpu_type Invalid', 'image_size Invalid'],
            ],
            ['an image size that is no number', { ...ZVOL, image_size: NaN }, ['image_size Invalid']],
            [
                'a disk image without them',
                { type: 'zvol' },
                [
                    'nic_driver MissingParameter',
                    'disk_driver MissingParameter',
                    'cpu_type MissingParameter',
                    'image_size MissingParameter',
                ],
            ],
            ['requirements', { requirements: { ssh_key: 1 } }, ['requirements.ssh_key Invalid']],
            ['an unknown requirement', { requirements: { x: 1 } }, ['x Invalid']],
            [
                'an activated image without date and files',
                { activated: true },
                ['published_at MissingParameter', 'files MissingParameter'],
            ],
            ['a name that is wrong twice', { name: '!'.repeat(1025) }, ['name Invalid', 'name Invalid']],
        ];
        for (const [what, changes, expected] of cases) {
            it(what, () => assert.deepEqual(faults(rawImage(changes)), expected));
        }
    });

    it('allows 102400 characters of tags', () => {
        assert.deepEqual(faults(rawImage({ tagsObj: { a: 'x'.repeat(102_392) } })), []);
    });

    it('asks for the fields of the full profile, in its order', () => {
        assert.deepEqual(
            faults({}),
            [
                'v',
                'uuid',
                'owner',
                'name',
                'version',
                'disabled',
                'activated',
                'public',
                'state',
                'type',
                'os',
            ].map((field) => `${field} MissingParameter`),
        );
    });

    it('asks for the fields of the minimal profile of a placeholder, in a datacenter only', () => {
        const placeholder = { state: 'creating' };
        assert.deepEqual(
            faults(placeholder),
            ['v', 'uuid', 'name', 'version', 'type', 'os'].map((field) => `${field} MissingParameter`),
        );
        assert.ok(faults(placeholder, 'private').includes('owner MissingParameter'));
        assert.deepEqual(faults(rawImage({ type: 'null', os: 'null', state: 'creating' })), []);
    });

    it('still checks the other fields of a placeholder', () => {
        assert.deepEqual(faults({ ...rawImage(), state: 'creating', owner: 'x', disabled: 7 }), [
            'owner Invalid',
            'disabled Invalid',
        ]);
    });

    it('reports stored tags and icon first, then required fields, then the others in schema order', () => {
        const wrong = {
            channels: 1,
            image_size: 1,
            inherited_directories: 1,
            generate_passwords: 1,
            traits: 1,
            billing_tags: 1,
            users: 1,
            requirements: 1,
            acl: 1,
            files: 1,
            error: 1,
            origin: 1,
            eula: 1,
            homepage: 1,
            description: 1,
            os: 1,
            type: 1,
            public: 1,
            state: 1,
            published_at: 1,
            activated: 1,
            disabled: 1,
            version: 1,
            name: 1,
            owner: 1,
            uuid: 1,
            v: 'x',
            urn: 1,
            tagsObj: 1,
            icon: 1,
            tags: 1,
        };
        assert.deepEqual(
            validateImage(wrong, profileFor({ mode: 'dc' }, wrong.state)).map(({ field }) => field),
            [
                ['tags', 'icon'],
                ['v', 'uuid', 'owner', 'name', 'version', 'disabled', 'activated', 'published_at', 'public'],
                ['state', 'type', 'os', 'files', 'image_size', 'channels'],
                ['urn', 'description', 'homepage', 'eula', 'origin', 'error', 'acl', 'requirements', 'users'],
                ['billing_tags', 'traits', 'tags', 'generate_passwords', 'inherited_directories'],
            ].flat(),
        );
    });

    describe('in the modes', () => {
        it('has public images only in a public repository', () => {
            assert.deepEqual(faults(rawImage({ public: false }), 'public'), ['public Invalid']);
            assert.deepEqual(faults(rawImage({ public: 'false' }), 'public'), ['public Invalid']);
        });
        it('has private images only in a private repository', () => {
            assert.deepEqual(faults(rawImage({ public: true }), 'private'), ['public Invalid']);
        });
        it('has both in a datacenter', () => {
            assert.deepEqual(faults(rawImage({ public: true })), []);
        });
    });

    describe('with channels', () => {
        const inPublic = (changes: Changes) =>
            faults(rawImage({ public: true, ...changes }), 'public', ['dev']);
        it('asks every image for its channels', () => {
            assert.deepEqual(inPublic({}), ['channels MissingParameter']);
            assert.deepEqual(faults(rawImage(), 'dc', ['dev']), ['channels MissingParameter']);
        });
        it('accepts channels, also ones that are not configured', () => {
            assert.deepEqual(inPublic({ channels: ['dev', 'gone'] }), []);
            assert.deepEqual(faults(rawImage({ channels: ['dev'] }), 'dc', ['dev']), []);
        });
        it('refuses what is no list of names', () => {
            assert.deepEqual(inPublic({ channels: 'dev' }), ['channels Invalid']);
            assert.deepEqual(inPublic({ channels: ['dev', 1, null] }), [
                'channels Invalid',
                'channels Invalid',
            ]);
        });
        it('refuses channels on a server without', () => {
            assert.deepEqual(faults(rawImage({ channels: ['dev'] })), ['channels Invalid']);
            assert.deepEqual(faults(rawImage({ channels: ['dev'], state: 'creating' })), [
                'channels Invalid',
            ]);
        });
    });

    it('tells in each message what was given and what would be right', () => {
        const errors = validateImage(
            rawImage({ os: 'beos', uuid: undefined }),
            profileFor({ mode: 'dc' }, 'x'),
        );
        const [missing, os] = errors.map(({ message }) => message ?? '');
        assert.match(missing ?? '', /uuid.*missing/);
        assert.match(os ?? '', /"beos".*smartos, linux/);
    });

    it('keeps answers short however many entries are wrong', () => {
        const errors = validateImage(
            rawImage({ users: Array(50_000).fill('x'.repeat(1000)) }),
            profileFor({ mode: 'dc' }, 'unactivated'),
        );
        assert.equal(errors.length, 100);
        assert.ok(JSON.stringify(errors).length < 30_000);
    });

    it('never throws, whatever JSON a field holds', () => {
        const deep = '['.repeat(200_000) + ']'.repeat(200_000);
        const junk = [
            'null',
            'true',
            '0',
            '-1',
            '1e999',
            '1.5',
            '""',
            '"\\u0000"',
            '"\\ud800"',
            `"${'x'.repeat(300_000)}"`,
            '[]',
            '{}',
            '[null]',
            '[[]]',
            '[{}]',
            '[1,"a",null,{}]',
            '{"__proto__":1}',
            '{"__proto__":{"name":"x"},"constructor":{"prototype":1}}',
            '[{"__proto__":null}]',
            '{"valueOf":1,"toString":2,"toJSON":3,"length":-1}',
            '[{"toString":null}]',
            '{"hasOwnProperty":1,"brand":{"toString":0},"bootrom":{},"min_ram":{},"networks":{}}',
            '{"bootrom":1,"brand":"bhyve","min_platform":{"__proto__":null},"max_platform":[1]}',
            deep,
            `{"a":${deep},"networks":[${deep}]}`,
        ].map((text): [string, unknown] => [text, JSON.parse(text)]);
        const fields = [
            ...[
                'v',
                'uuid',
                'urn',
                'owner',
                'name',
                'version',
                'description',
                'homepage',
                'eula',
                'disabled',
            ],
            ...[
                'activated',
                'published_at',
                'state',
                'public',
                'type',
                'os',
                'origin',
                'error',
                'files',
                'icon',
            ],
            ...[
                'acl',
                'requirements',
                'users',
                'billing_tags',
                'traits',
                'tags',
                'tagsObj',
                'generate_passwords',
            ],
            ...['inherited_directories', 'nic_driver', 'disk_driver', 'cpu_type', 'image_size', 'channels'],
            ...['__proto__', 'constructor', 'expires_at'],
        ];
        for (const field of fields) {
            for (const [text, value] of junk) {
                for (const base of [rawImage(), activatedImage(ZVOL)]) {
                    const raw = { ...base, [field]: value };
                    for (const channels of [undefined, ['dev']]) {
                        assert.doesNotThrow(
                            () => JSON.stringify(faults(raw, 'dc', channels)),
                            `${field}: ${text.slice(0, 60)}`,
                        );
                    }
                }
            }
        }
        // What is nested too deeply to be written is refused.
        for (const field of ['tagsObj', 'error', 'traits', 'requirements', 'users', 'files']) {
            const raw = { ...rawImage(), [field]: { a: JSON.parse(deep) as unknown } };
            assert.notDeepEqual(faults(raw), [], field);
        }
    });
});

describe('assertValidImage', () => {
    it('passes valid images', () => {
        assert.doesNotThrow(() => assertValidImage(rawImage(), profileFor({ mode: 'dc' }, 'unactivated')));
    });

    it('throws ValidationFailed with all errors, and names the fields in the message', () => {
        const raw = rawImage({ name: '!', os: 'beos' });
        const check = () => assertValidImage(raw, profileFor({ mode: 'dc' }, raw.state));
        assert.deepEqual(thrown(check), {
            code: 'ValidationFailed',
            status: 422,
            errors: ['name Invalid', 'os Invalid'],
        });
        assert.throws(check, /name, os/);
    });
});
