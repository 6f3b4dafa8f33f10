import assert from 'node:assert/strict';
import { validateRequirements } from '../../lib/images/requirements';

function faults(requirements: unknown): string[] {
    return validateRequirements(requirements).map(({ field, code }) => `${field} ${code}`);
}

describe('validateRequirements (manifest.md §7)', () => {
    describe('accepts', () => {
        const cases: [string, unknown][] = [
            ['none', {}],
            [
                'all of them',
                {
                    networks: [{ name: 'net0', description: 'public' }],
                    brand: 'bhyve',
                    ssh_key: true,
                    min_ram: 128,
                    max_ram: 128,
                    min_platform: { '7.0': '20130917T001310Z' },
                    max_platform: { '7.0': '20991231T235959Z' },
                    bootrom: 'uefi',
                },
            ],
            [
                'falsy values of any type',
                {
                    networks: 0,
                    brand: null,
                    ssh_key: '',
                    min_ram: false,
                    max_ram: null,
                    min_platform: 0,
                    max_platform: '',
                    bootrom: false,
                },
            ],
            ['a maximum of 0 with a minimum', { min_ram: 5, max_ram: 0 }],
            ['negative memory', { min_ram: -1 }],
            ['a platform with parts that are no numbers', { min_platform: { '7.0': 'yyyymmddThhmmssZ' } }],
            ['the first platform of all', { min_platform: { '7.0': '20120101T000000Z' } }],
            ['bootrom bios', { brand: 'bhyve', bootrom: 'bios' }],
        ];
        for (const [what, requirements] of cases) {
            it(what, () => assert.deepEqual(faults(requirements), []));
        }
    });

    describe('refuses', () => {
        const cases: [string, unknown, string[]][] = [
            ['null', null, ['requirements Invalid']],
            ['a string', 'abc', ['requirements Invalid']],
            ['a number', 5, ['requirements Invalid']],
            ['a boolean', true, ['requirements Invalid']],
            ['an array', [], ['requirements Invalid']],
            ['networks that are no array', { networks: {} }, ['requirements.networks Invalid']],
            [
                'each wrong network',
                { networks: [null, {}, { name: 'a' }, { name: 'a', description: 'b', x: 1 }] },
                Array(4).fill('requirements.networks Invalid'),
            ],
            ['brand', { brand: 5 }, ['requirements.brand Invalid']],
            ['ssh_key', { ssh_key: 'true' }, ['requirements.ssh_key Invalid']],
            ['min_ram', { min_ram: '5' }, ['requirements.min_ram Invalid']],
            ['min_ram with a fraction', { min_ram: 1.5 }, ['requirements.min_ram Invalid']],
            ['max_ram', { max_ram: [5] }, ['requirements.max_ram Invalid']],
            ['a maximum below the minimum', { min_ram: 6, max_ram: 5 }, ['requirements.max_ram Invalid']],
            ['min_platform', { min_platform: 'x' }, ['requirements.min_platform Invalid']],
            ['min_platform that is empty', { min_platform: {} }, ['requirements.min_platform Invalid']],
            ['max_platform', { max_platform: ['x'] }, ['requirements.max_platform Invalid']],
            ['bootrom without brand', { bootrom: 'bios' }, ['requirements.bootrom MissingParameter']],
            ['bootrom of another brand', { brand: 'kvm', bootrom: 'bios' }, ['requirements.bootrom Invalid']],
            ['bootrom', { brand: 'bhyve', bootrom: 'efi' }, ['requirements.bootrom Invalid']],
            ['an unknown one', { gpu: true }, ['gpu Invalid']],
            ['an unknown one that is falsy', { gpu: false }, ['gpu Invalid']],
            [
                'members of every object',
                JSON.parse('{"__proto__":1,"toString":2}'),
                ['__proto__', 'toString'].map((key) => `${key} Invalid`),
            ],
        ];
        for (const [what, requirements, expected] of cases) {
            it(what, () => assert.deepEqual(faults(requirements), expected));
        }

        const platforms = [
            '20111231T235959Z',
            '20130017T001310Z',
            '20131317T001310Z',
            '20130900T001310Z',
            '20130932T001310Z',
            '20130917T241310Z',
            '20130917T006010Z',
            '20130917T001360Z',
            '20130917 001310Z',
            '20130917T001310z',
            '20130917T00131Z',
            '20130917T001310ZZ',
            20130917,
            null,
        ];
        for (const platform of platforms) {
            it(`the platform ${String(platform)}`, () => {
                assert.deepEqual(faults({ min_platform: { '7.0': platform } }), [
                    'requirements.min_platform Invalid',
                ]);
            });
        }
    });

    it('names a hundred of many wrong entries', () => {
        const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`7.${index}`, 'x']));
        assert.equal(faults({ networks: Array(500).fill(0), min_platform: many }).length, 200);
    });

    it('reports in the order of the checks, unknown ones last', () => {
        const requirements = {
            zzz: 1,
            bootrom: 'x',
            max_platform: 1,
            min_platform: 1,
            max_ram: 'x',
            min_ram: 'x',
            ssh_key: 1,
            brand: 1,
            networks: 1,
        };
        assert.deepEqual(
            validateRequirements(requirements).map(({ field }) => field),
            [
                ...[
                    'networks',
                    'brand',
                    'ssh_key',
                    'min_ram',
                    'max_ram',
                    'min_platform',
                    'max_platform',
                    'bootrom',
                ].map((key) => `requirements.${key}`),
                'zzz',
            ],
        );
    });
});
