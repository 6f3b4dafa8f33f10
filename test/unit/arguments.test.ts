import assert from 'node:assert/strict';
import { parseArguments, unknownOptionsMessage, usage } from '../../lib/config/arguments';

describe('parseArguments (config.md §5)', () => {
    const cases: [string, ReturnType<typeof parseArguments>][] = [
        ['', { kind: 'run', debug: 0 }],
        ['-f /a', { kind: 'run', debug: 0, file: '/a' }],
        ['-f/a', { kind: 'run', debug: 0, file: '/a' }],
        ['--file /a', { kind: 'run', debug: 0, file: '/a' }],
        ['--file=/a=b', { kind: 'run', debug: 0, file: '/a=b' }],
        ['-f /a -f /b', { kind: 'run', debug: 0, file: '/b' }],
        ['-d', { kind: 'run', debug: 1 }],
        ['-d --debug', { kind: 'run', debug: 2 }],
        ['-ddd', { kind: 'run', debug: 3 }],
        ['-ddf /a', { kind: 'run', debug: 2, file: '/a' }],
        ['-h', { kind: 'help' }],
        ['--help -d', { kind: 'help' }],
        ['--version', { kind: 'version' }],
        ['-bogus', { kind: 'unknown', options: ['-bogus'] }],
        ['-a -d -b', { kind: 'unknown', options: ['-a', '-b'] }],
        ['--bogus=1', { kind: 'unknown', options: ['--bogus'] }],
        ['-h --bogus', { kind: 'unknown', options: ['--bogus'] }],
        ['-dx', { kind: 'unknown', options: ['-dx'] }],
        ['-f', { kind: 'invalid', message: '-f needs a value: -f PATH' }],
        ['--file=', { kind: 'invalid', message: '--file needs a value: --file PATH' }],
        ['--debug=2', { kind: 'invalid', message: '--debug takes no value, but got "2"' }],
        ['stray', { kind: 'invalid', message: 'unexpected argument "stray": only options are taken' }],
        ['-- -d', { kind: 'invalid', message: 'unexpected argument "-d": only options are taken' }],
    ];
    for (const [line, expected] of cases) {
        it(`reads "${line}"`, () => {
            assert.deepEqual(parseArguments(line === '' ? [] : line.split(' ')), expected);
        });
    }

    it('tells one unknown option from several', () => {
        assert.equal(unknownOptionsMessage(['-bogus']), 'unknown option: -bogus');
        assert.equal(unknownOptionsMessage(['-a', '-b']), 'unknown options: -a, -b');
    });

    it('lists every flag in the usage', () => {
        const options = usage()
            .split('\n')
            .filter((line) => line.startsWith('    '))
            .map((line) => line.trim().split('  ')[0]);
        assert.deepEqual(options, ['-h, --help', '--version', '-d, --debug', '-f, --file PATH']);
        assert.match(usage(), /^usage: node main\.js \[OPTIONS\]\n/);
        assert.match(usage(), /[^\n]\n$/);
    });
});
