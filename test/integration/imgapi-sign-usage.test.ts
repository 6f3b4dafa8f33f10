/** The command line of `imgapi-sign`: what it refuses before it looks at a key, and what it tells of itself. */
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { ALGORITHMS } from '../../lib/signing/algorithms';
import { SignCommand } from '../support/sign-command';

describe('imgapi-sign', () => {
    const command = new SignCommand(tmpdir());

    describe('refuses a wrong command line, with exit code 1:', () => {
        const get = ['GET', 'http://h/'];
        for (const [args, message] of [
            [['--unknown'], /--unknown/],
            [['-u'], /-u/],
            [['-u', ''], /Whose key/],
            [['-u', 'al"ice'], /The user is "al\\"ice"/],
            [['-u', 'al\nice'], /The user is "al\\nice"/],
            [['-u', 'älice'], /printable ASCII/],
            [['GET'], /"GET" is given without a URL/],
            [[...get, 'more'], /"more" is too much/],
            [[...get, '--', '-v'], /need --curl/],
            [['--curl'], /needs METHOD and URL/],
            [['--curl', '--body', '-', ...get], /give --body a file/],
            [['G T', 'http://h/'], /method is "G T"/],
            [['GET', 'images'], /The URL is "images"/],
            [['GET', 'ftp://h/'], /The URL is "ftp:/],
            [['GET', 'http://u:p@h/'], /user name or password/],
            [['GET', 'http://h/a b'], /http:\/\/h\/a%20b$/],
            [['GET', 'http://h/a/../b'], /http:\/\/h\/b$/],
            [['-s', 'request-target'], /To sign \(request-target\), METHOD and URL/],
            [['-s', 'request-line'], /METHOD and URL/],
            [['-s', 'host'], /METHOD and URL/],
            [['-s', 'digest'], /give --body FILE/],
            [['-s', 'date,,host', ...get], /no value for ""/],
            [['-s', 'content-type'], /give -H "content-type: VALUE"/],
            [['-H', 'X'], /The header is "X"/],
            [['-H', 'X: '], /The header is "X: "/],
            [['-H', 'X: a\r\nY: b'], /The header is "X: a\\r\\nY: b"/],
            [['-H', 'X Y: a'], /The header is "X Y: a"/],
            [['-H', 'X: a', '-H', 'x: b'], /x is given more than once/],
            [['-H', 'Authorization: a'], /cannot be given/],
            [['-H', 'Digest: a', '--body', 'x'], /Digest header is given as well/],
        ] as const) {
            it(JSON.stringify(args), () => command.assertRefuses(args, 1, message));
        }
        it('no user at all', () => command.assertRefuses([], 1, /Whose key/, { IMGAPI_CLI_USER: '' }));
    });

    it('tells all of this with --help', async () => {
        const { code, stdout, stderr } = await command.run(['--help'], { IMGAPI_CLI_USER: '' });
        assert.deepEqual([code, stderr], [0, '']);
        const options = ['user', 'identity', 'algorithm', 'sign', 'header', 'body', 'nonce', 'curl', 'help'];
        for (const word of [...options.map((name) => `--${name}`), ...ALGORITHMS.map(({ name }) => name)]) {
            assert.ok(stdout.includes(word), word);
        }
        assert.ok(stdout.split('\n').every((line) => line.length <= 120));
    });
});
