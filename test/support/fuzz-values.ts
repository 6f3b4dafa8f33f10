/** Values that servers stumble over, chosen by a repeatable source of chance. */
import { seeded } from './images';

const NASTY_TEXTS = [
    '',
    ' ',
    '\0',
    '\r\nX-Injected: 1',
    '%',
    '%zz',
    '%00',
    '%c0%ae%c0%ae',
    '%ff%fe',
    '../../../etc/passwd',
    '..%2f..%2fetc%2fpasswd',
    '//',
    '\\..\\',
    '💩',
    'é',
    '\u202e',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '-1',
    '0',
    '1e999',
    'NaN',
    'Infinity',
    '0x10',
    '9'.repeat(400),
    'true',
    'false',
    'null',
    'undefined',
    '[]',
    '{}',
    '[object Object]',
    "' OR 1=1 --",
    '"',
    '*',
    '~',
    '~%',
    '~_',
    '!',
    '!!',
    '2024-01-31',
    '2024-01-31T12:00:00.000Z',
    '+275760-09-13T00:00:00.001Z',
    '-000001-01-01T00:00:00Z',
    '0000-00-00T99:99:99Z',
    'published_at.asc',
    'published_at.',
    'manta',
    's3',
    'local',
    'gzip',
    'none',
    'x'.repeat(3000),
    'ü'.repeat(2000),
];

/** JSON texts, not values: some of them are more than a value can say. */
const NASTY_JSON = [
    'null',
    'true',
    'false',
    '0',
    '-0',
    '-1',
    '1.5',
    '1e999',
    '-1e999',
    '1e308',
    '9007199254740993',
    '9'.repeat(400),
    '""',
    '" "',
    '"\\u0000"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\u202e"',
    '[]',
    '{}',
    '[null]',
    '[[]]',
    '[{}]',
    '[1, "2", null, [], {}]',
    '{"": ""}',
    '{"__proto__": {"polluted": true}}',
    '{"constructor": {"prototype": {"polluted": true}}}',
    '{"toString": null}',
    '{"length": -1}',
    '{"a\\u0000b": "\\u0000"}',
    '{"=": "="}',
    '"2024-01-31T12:00:00.000Z"',
    '"not a date"',
    '"01b2c898-945f-11e1-a523-af1afbe22822"',
    '["01b2c898-945f-11e1-a523-af1afbe22822", "01b2c898-945f-11e1-a523-af1afbe22822"]',
];

/** Fields of a manifest, each with a JSON text that is fit for it. */
const FIELDS: Readonly<Record<string, string>> = {
    v: '2',
    uuid: '"5bd3ed6b-2f3a-4a60-9c45-8f5d1f6e0a11"',
    owner: '"930896af-bf8c-48d4-885c-6573a94b1853"',
    name: '"fuzzed"',
    version: '"1.0.0"',
    type: '"zone-dataset"',
    os: '"smartos"',
    public: 'true',
    description: '"text"',
    homepage: '"http://example.com"',
    eula: '"http://example.com/eula"',
    urn: '"a:b:c:d"',
    disabled: 'false',
    activated: 'false',
    state: '"active"',
    published_at: '"2024-01-31T12:00:00.000Z"',
    origin: '"01b2c898-945f-11e1-a523-af1afbe22822"',
    error: '{"message": "m"}',
    files: '[{"sha1": "x", "size": 1, "compression": "gzip"}]',
    icon: 'true',
    acl: '[]',
    channels: '["dev"]',
    requirements: '{"min_ram": 128, "max_ram": 256, "networks": [{"name": "net0", "description": "d"}]}',
    users: '[{"name": "root"}]',
    billing_tags: '["one"]',
    traits: '{"ssd": true}',
    tags: '{"role": "db"}',
    generate_passwords: 'true',
    inherited_directories: '["/lib"]',
    nic_driver: '"virtio"',
    disk_driver: '"virtio"',
    cpu_type: '"host"',
    image_size: '10240',
    expires_at: '"2024-01-31T12:00:00.000Z"',
    tagsObj: '{}',
};

const REQUIRED = ['owner', 'name', 'version', 'type', 'os', 'public'];

export class Chance {
    readonly #next: () => number;

    constructor(seed: number) {
        this.#next = seeded(seed);
    }

    /** A whole number from 0 to below `end`. */
    below(end: number): number {
        return Math.floor(this.#next() * end);
    }

    /** True once in `times`, on average. */
    onceIn(times: number): boolean {
        return this.below(times) === 0;
    }

    pick<T>(values: readonly T[]): T {
        return values[this.below(values.length)]!;
    }

    bytes(length: number): Buffer {
        return Buffer.from(Array.from({ length }, () => this.below(256)));
    }

    text(): string {
        return this.onceIn(8) ? this.bytes(this.below(30)).toString('latin1') : this.pick(NASTY_TEXTS);
    }

    /** A JSON text; some are deep, some huge, some no JSON. */
    json(): string {
        switch (this.below(24)) {
            case 0:
                return `${'['.repeat(5000)}${']'.repeat(5000)}`;
            case 1:
                return `${'{"a":'.repeat(3000)}1${'}'.repeat(3000)}`;
            case 2:
                return JSON.stringify('x'.repeat(this.below(200_000)));
            case 3:
                return `[${Array.from({ length: this.below(5000) }, () => '"01b2c898-945f-11e1-a523-af1afbe22822"').join()}]`;
            case 4:
                return this.text();
            case 5:
                return `{${JSON.stringify(this.text())}: ${this.json()}}`;
            default:
                return this.pick(NASTY_JSON);
        }
    }

    /**
     * A manifest, or a part of one, as JSON text, with some fields changed.
     *
     * @param options.uuid for one that tells its own
     */
    manifest({ whole, isPublic, uuid }: { whole: boolean; isPublic: boolean; uuid?: string }): string {
        const fields = new Map<string, string>();
        for (const name of whole ? REQUIRED : []) {
            fields.set(name, FIELDS[name]!);
        }
        if (whole) {
            fields.set('public', String(isPublic));
        }
        if (uuid !== undefined) {
            fields.set('uuid', JSON.stringify(uuid));
            fields.set('v', FIELDS.v!);
        }
        // Some are right as they are.
        const changed = !whole || !this.onceIn(3);
        for (let count = changed ? this.below(4) : 0; count > 0; count--) {
            const name = this.pick(Object.keys(FIELDS));
            fields.set(name, FIELDS[name]!);
        }
        for (let count = changed ? this.below(3) : 0; count > 0; count--) {
            fields.set(this.onceIn(5) ? this.text() : this.pick(Object.keys(FIELDS)), this.json());
        }
        if (whole && changed && this.onceIn(8)) {
            fields.delete(this.pick(REQUIRED));
        }
        return `{${[...fields].map(([name, value]) => `${JSON.stringify(name)}: ${value}`).join(', ')}}`;
    }
}
