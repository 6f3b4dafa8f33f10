import assert from 'node:assert/strict';
import { parseArguments, unknownOptionsMessage, type Arguments } from '../../lib/config/arguments';
import { usage } from '../../lib/config/usage';

const run = { kind: 'run', debug: 0, given: [] } as const;

/** The keys that a command line sets, with their values. */
function keysOf(line: string): Record<string, unknown> {
    const parsed = parseArguments(line.split(' '));
    assert(parsed.kind === 'run', JSON.stringify(parsed));
    return Object.fromEntries(parsed.given.map(({ key, value }) => [key, value]));
}

describe('parseArguments (config.md §5, daemon.md §1)', () => {
    const cases: [string, Arguments][] = [
        ['', run],
        ['-f /a', { ...run, file: '/a' }],
        ['-f/a', { ...run, file: '/a' }],
        ['--file /a', { ...run, file: '/a' }],
        ['--config /a', { ...run, file: '/a' }],
        ['--file=/a=b', { ...run, file: '/a=b' }],
        ['-f /a -f /b', { ...run, file: '/b' }],
        ['-d', { ...run, debug: 1 }],
        ['-d --debug', { ...run, debug: 2 }],
        ['-ddd', { ...run, debug: 3 }],
        ['-ddf /a', { ...run, debug: 2, file: '/a' }],
        ['-h', { kind: 'help' }],
        ['--help -d', { kind: 'help' }],
        ['--version', { kind: 'version' }],
        ['-v', { kind: 'version' }],
        ['-bogus', { kind: 'unknown', options: ['-bogus'] }],
        ['-a -d -b', { kind: 'unknown', options: ['-a', '-b'] }],
        ['--bogus=1', { kind: 'unknown', options: ['--bogus'] }],
        ['-h --bogus', { kind: 'unknown', options: ['--bogus'] }],
        ['-dx', { kind: 'unknown', options: ['-dx'] }],
        ['-f', { kind: 'invalid', message: '-f needs a value: -f PATH' }],
        ['--file=', { kind: 'invalid', message: '--file needs a value: --file PATH' }],
        ['--debug=2', { kind: 'invalid', message: '--debug takes no value, but got "2"' }],
        ['--no-ssl --port-file /p', { ...run, withoutTls: true, portFile: '/p' }],
    ];
    for (const [line, expected] of cases) {
        it(`reads "${line}"`, () => {
            assert.deepEqual(parseArguments(line === '' ? [] : line.split(' ')), expected);
        });
    }

    const keys: [string, Record<string, unknown>][] = [
        ['--address ::1 --port 0', { address: '::1', port: 0 }],
        ['--host a --host b', { address: 'b' }],
        ['--scheme http --scheme unix,fd', { 'listen.schemes': ['http', 'unix', 'fd'] }],
        [
            '--read-timeout 5 --write-timeout 500ms',
            { 'limits.readTimeout': '5s', 'limits.writeTimeout': '500ms' },
        ],
        ['--max-header-size 4096', { 'limits.headerBytes': 4096 }],
        ['--max-header-size 1MiB', { 'limits.headerBytes': '1MiB' }],
        ['--keep-alive 0', { 'limits.tcpKeepAlive': '0s' }],
        ['--permit-insecure', { permitInsecure: true }],
        ['--verbose', { logLevel: 'info' }],
        ['--verbose --log-level 20', { logLevel: 20 }],
        ['unix:///run/a.sock', { 'listen.schemes': ['unix'], 'listen.socketPath': '/run/a.sock' }],
        ['--port 1 tcp://10.0.0.1:80', { port: 80, 'listen.schemes': ['http'], address: '10.0.0.1' }],
        ['https://[::1]:8443', { 'listen.schemes': ['https'], 'tls.host': '::1', 'tls.port': 8443 }],
        ['fd://3', { 'listen.schemes': ['fd'] }],
    ];
    for (const [line, expected] of keys) {
        it(`takes "${line}" for keys`, () => assert.deepEqual(keysOf(line), expected));
    }

    const wrong: [string, RegExp][] = [
        ['--port abc', /^--port is "abc"; it must be a whole number from 0 to 65535$/],
        ['--port 70000', /^--port is "70000"; it must be a whole number/],
        ['--tls-port -f', /^--tls-port is "-f"; it must be a whole number/],
        ['--scheme ftp', /^--scheme is "ftp"; it must be one of "http", "https", "unix", "fd"$/],
        ['--socket-path run/x', /^--socket-path is "run\/x"; it must be an absolute path$/],
        [
            '--read-timeout 5x',
            /^--read-timeout is "5x"; it must be a time from 10ms to 24h such as "500ms", "10s" or "3m", or a number of seconds$/,
        ],
        ['--max-header-size big', /^--max-header-size is "big"; it must be a size from 1KiB to 16MiB/],
        ['--log-level loud', /^--log-level is "loud"; it must be one of trace, debug/],
        [
            '--cors https://ui.example.com/',
            /^--cors is "https:\/\/ui\.example\.com\/"; it must be "\*", or origins/,
        ],
        [
            '--cors https://UI.example.com',
            /^--cors is .*; it must be "\*", or origins as browsers write them/,
        ],
        ['--cors ui.example.com', /^--cors is .*; it must be/],
        ['stray', /^unexpected argument "stray": what is no option says where to listen, as unix:/],
        ['-- -d', /^unexpected argument "-d"/],
        ['tcp://127.0.0.1', /^unexpected argument "tcp:/],
        ['tcp://127.0.0.1:99999', /^unexpected argument/],
        ['unix://run/x', /^unexpected argument/],
        ['fd://three', /^unexpected argument/],
        ['fd://3 fd://4', /^unexpected argument "fd:\/\/4": one place to listen is named already$/],
    ];
    for (const [line, message] of wrong) {
        it(`refuses "${line}" in a sentence that names what is wrong`, () => {
            const parsed = parseArguments(line.split(' '));
            assert(parsed.kind === 'invalid', JSON.stringify(parsed));
            assert.match(parsed.message, message);
        });
    }

    it('knows where an open socket is', () => {
        assert.deepEqual(parseArguments(['fd://7']), {
            ...run,
            given: [{ key: 'listen.schemes', value: ['fd'], origin: 'fd://7' }],
            hasTarget: true,
            fd: 7,
        });
    });

    it('tells one unknown option from several', () => {
        assert.equal(unknownOptionsMessage(['-bogus']), 'unknown option: -bogus');
        assert.equal(unknownOptionsMessage(['-a', '-b']), 'unknown options: -a, -b');
    });

    it('lists every flag in the usage, with its default and its variable', () => {
        const text = usage();
        assert.match(text, /^usage: node main\.js \[OPTIONS\] \[URI\]\n/);
        assert.match(text, /[^\n]\n$/);
        const options = text
            .split('\n')
            .filter((line) => /^ {4}-/.test(line))
            .map((line) => line.trim());
        assert.deepEqual(options.slice(0, 4), [
            '-h, --help',
            '-v, --version',
            '-f, --file, --config PATH',
            '-d, --debug',
        ]);
        const flat = text.replace(/\s+/g, ' ');
        assert.ok(
            flat.includes('[default: 8080; environment: IMGAPI_PORT, PORT if the file does not set the key]'),
        );
        assert.ok(
            flat.includes(
                '--tls-port NUMBER Port to listen on by https; 0 takes a free one. [default: 8443; environment: TLS_PORT]',
            ),
        );
        assert.ok(flat.includes('[default: 2m10s]') || flat.includes('[default: 130s]'));
        assert.ok(text.split('\n').every((line) => line.length <= 100));
    });
});
