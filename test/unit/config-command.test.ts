import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runConfigCommand } from '../../lib/config/dump';

describe('node lib/config.js (config.md §4)', () => {
    const program = join(__dirname, '../../lib/config.js');
    const folder = mkdtempSync(join(tmpdir(), 'imgapi-config-'));
    const file = join(folder, 'c.json');
    const settings = {
        port: 81,
        mode: 'private',
        storageTypes: ['local', 'manta'],
        manta: { url: 'u', user: 'joe', key: 'k', keyId: 'i' },
        limits: { readTimeout: '10s' },
    };

    before(() => writeFileSync(file, JSON.stringify(settings)));
    after(() => rmSync(folder, { recursive: true }));

    it('is a program that prints, exits and never looks at the environment', () => {
        const env = { ...process.env, IMGAPI_PORT: '9', PORT: '9', HOST: 'elsewhere' };
        const spawned = (...args: string[]) =>
            spawnSync(process.execPath, [program, '-f', file, ...args], { encoding: 'utf8', env });
        const found = spawned('port');
        assert.deepEqual([found.stdout, found.stderr, found.status], ['81\n', '', 0]);
        const missing = spawned('a.b');
        assert.deepEqual([missing.stdout, missing.status], ['', 1]);
        assert.match(missing.stderr, /^Error: no property a found\n +at /);
    });

    it('prints its usage', () => {
        const expected = `usage: node .../lib/config.js [OPTIONS] [KEY]
options:
    -h, --help                          Print this help and exit.
    -f CONFIG-PATH, --file=CONFIG-PATH  Config file path.
`;
        for (const option of ['-h', '--help']) {
            const { stdout, stderr, code } = runConfigCommand([option]);
            assert.deepEqual({ stdout, stderr, code }, { stdout: expected, stderr: '', code: 0 });
        }
    });

    it('prints what the files say, merged and computed, without our own defaults', () => {
        const defaults = JSON.parse(
            readFileSync(join(__dirname, '../../etc/defaults.json'), 'utf8'),
        ) as object;
        const manta = { ...settings.manta, baseDir: 'imgapi', rootDir: '/joe/stor/imgapi' };
        const expected = `${JSON.stringify({ ...defaults, ...settings, manta }, null, 4)}\n`;
        const { stdout, code } = runConfigCommand(['-f', file]);
        assert.deepEqual({ stdout, code }, { stdout: expected, code: 0 });
    });

    const values: [string, string][] = [
        ['mode', 'private\n'],
        ['port', '81\n'],
        ['storageTypes.1', 'manta\n'],
        ['storageTypes', '[\n    "local",\n    "manta"\n]\n'],
        ['manta.rootDir', '/joe/stor/imgapi\n'],
        ['dataDir', '/data/imgapi\n'],
        ['limits.readTimeout', '10000\n'],
        ['limits.writeTimeout', '60000\n'],
        ['address', '127.0.0.1\n'],
    ];
    for (const [key, stdout] of values) {
        it(`prints ${key}`, () => {
            const result = runConfigCommand([`--file=${file}`, key]);
            assert.deepEqual(
                { stdout: result.stdout, stderr: result.stderr, code: result.code },
                { stdout, stderr: '', code: 0 },
            );
        });
    }

    const failures: [string, string[], RegExp][] = [
        ['a key that is missing', ['-f', file, 'serverName'], /^Error: no property serverName found\n +at /],
        [
            'a path up to what is missing',
            ['-f', file, 'manta.a.b'],
            /^Error: no property manta\.a found\n +at /,
        ],
        ['what every object has', ['-f', file, 'toString'], /^Error: no property toString found\n/],
        ['two keys', ['a', 'b'], /^lib\/config\.js: error: too many args: a b\n$/],
        ['an unknown option', ['-x'], /^lib\/config\.js: error: unknown option: "-x"\n$/],
        ['an option without its value', ['-f'], /^lib\/config\.js: error: -f needs a value/],
        [
            'a file that is not there',
            ['-f', '/nowhere/c.json'],
            /^lib\/config\.js: error: Error: ENOENT: no such file or directory, open '\/nowhere\/c\.json'\n +at /,
        ],
    ];
    for (const [title, args, message] of failures) {
        it(`refuses ${title}`, () => {
            const { stdout, stderr, code } = runConfigCommand(args);
            assert.match(stderr, message);
            assert.deepEqual({ stdout, code }, { stdout: '', code: 1 });
        });
    }

    it('refuses a configuration the server would not start with', () => {
        const wrong = join(folder, 'wrong.json');
        writeFileSync(wrong, '{"mode": "x"}');
        const { stderr, code } = runConfigCommand(['-f', wrong, 'port']);
        assert.match(
            stderr,
            /^lib\/config\.js: error: ConfigError: invalid IMGAPI config: config\.mode is "x"; /,
        );
        assert.equal(code, 1);
    });
});
