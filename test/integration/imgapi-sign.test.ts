/** `imgapi-sign` with ssh-keygen, ssh-agent, curl and a server, as in a shell. */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import sshpk from 'sshpk';
import { makeKey } from '../support/keys';
import { makeFolder, TestServer } from '../support/server';
import { skip } from '../support/skip';
import { TestAgent } from '../support/ssh-agent';

const BIN = resolve(__dirname, '../../bin');
const PASSPHRASE = 'correct horse';

/** The keys that there are, and what they sign with unless told otherwise. */
const KEYS = {
    rsa: 'rsa-sha256',
    'rsa-openssh': 'rsa-sha256',
    'rsa-pkcs8': 'rsa-sha256',
    'ecdsa-256': 'ecdsa-sha256',
    'ecdsa-384': 'ecdsa-sha384',
    'ecdsa-521': 'ecdsa-sha512',
    'ecdsa-pem': 'ecdsa-sha256',
    'ecdsa-pkcs8': 'ecdsa-sha256',
    ed25519: 'ed25519-sha512',
    dsa: 'dsa-sha1',
};

interface Outcome {
    code: number | null;
    stdout: string;
    stderr: string;
}

describe('imgapi-sign', () => {
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let server: TestServer;
    let agent: TestAgent;
    /** Newer versions of OpenSSH know no DSA keys any more. */
    let agentTakesDsa: boolean;
    const file = (name: string): string => join(folder.path, name);
    const fingerprint = (name: string, hash: string): string =>
        execFileSync('ssh-keygen', ['-l', '-E', hash, '-f', file(name)])
            .toString()
            .split(' ')[1] ?? '';

    before(async function () {
        this.timeout(60_000);
        folder = await makeFolder();
        const generate = (name: string, ...options: string[]) =>
            execFileSync('ssh-keygen', ['-q', '-N', '', '-C', 'test', '-f', file(name), ...options]);
        makeKey(folder.path, 'rsa');
        makeKey(folder.path, 'dsa', 'dsa');
        const pem = readFileSync(file('rsa'), 'utf8').split('\n');
        writeFileSync(file('damaged'), [...pem.slice(0, 5), ...pem.slice(6)].join('\n'));
        generate('rsa-openssh', '-t', 'rsa', '-b', '2048');
        generate('rsa-pkcs8', '-t', 'rsa', '-b', '3072', '-m', 'PKCS8');
        for (const bits of ['256', '384', '521']) {
            generate(`ecdsa-${bits}`, '-t', 'ecdsa', '-b', bits);
        }
        generate('ecdsa-pem', '-t', 'ecdsa', '-m', 'PEM');
        generate('ecdsa-pkcs8', '-t', 'ecdsa', '-m', 'PKCS8');
        generate('ed25519', '-t', 'ed25519');
        generate('other', '-t', 'ed25519');
        for (const [name, options] of Object.entries({
            'locked-openssh': ['-t', 'ed25519'],
            'locked-pem': ['-t', 'rsa', '-b', '2048', '-m', 'PEM'],
            'locked-pkcs8': ['-t', 'ecdsa', '-m', 'PKCS8'],
        })) {
            generate(name, ...options, '-N', PASSPHRASE);
        }
        asking.SSH_ASKPASS = file('ask');
        writeFileSync(asking.SSH_ASKPASS, `#!/bin/sh\necho '${PASSPHRASE}'\n`, { mode: 0o700 });
        agent = await TestAgent.start(this, folder.path);
        await agent.add(
            Object.keys(KEYS)
                .filter((name) => name !== 'dsa')
                .map(file),
        );
        agentTakesDsa = await agent.add([file('dsa')]).then(
            () => true,
            () => false,
        );
        server = await TestServer.start({
            config: {
                authType: 'signature',
                authKeys: {
                    alice: Object.keys(KEYS).map((name) => readFileSync(file(`${name}.pub`), 'utf8').trim()),
                },
            },
        });
    });
    after(async () => {
        await server.stop();
        await agent.stop();
        await folder.remove();
    });

    const environment = (more: Record<string, string> = {}): Record<string, string | undefined> => ({
        ...process.env,
        PATH: [BIN, dirname(process.execPath), process.env.PATH].join(delimiter),
        HOME: folder.path,
        SSH_AUTH_SOCK: '',
        IMGAPI_CLI_USER: 'alice',
        IMGAPI_CLI_IDENTITY: '',
        ...more,
    });
    /** Answers ssh-add with the passphrase. */
    const asking = { SSH_ASKPASS: '', SSH_ASKPASS_REQUIRE: 'force' };
    const throughAgent = (): Record<string, string> => ({ SSH_AUTH_SOCK: agent.socket });

    async function sign(
        args: readonly string[],
        more: Record<string, string> = {},
        input: Iterable<Buffer | string> = [],
    ): Promise<Outcome> {
        const child = spawn('imgapi-sign', args, { env: environment(more) });
        const ended = once(child, 'exit');
        for (const chunk of input) {
            if (!child.stdin.write(chunk)) {
                await once(child.stdin, 'drain');
            }
        }
        child.stdin.end();
        const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
        await ended;
        return { code: child.exitCode, stdout, stderr };
    }

    /** The headers it prints, by their names in lower case. */
    async function headersOf(...args: Parameters<typeof sign>): Promise<Record<string, string>> {
        const { code, stdout, stderr } = await sign(...args);
        assert.deepEqual([code, stderr], [0, '']);
        return Object.fromEntries(
            stdout
                .trimEnd()
                .split('\n')
                .map((line) => {
                    const [, name = '', value = ''] = /^([^:]+): (.*)$/.exec(line) ?? assert.fail(line);
                    return [name.toLowerCase(), value];
                }),
        );
    }

    /** The parameters of the Authorization header. */
    const parametersOf = ({ authorization = '' }: Record<string, string>): Record<string, string> =>
        Object.fromEntries(
            [...authorization.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
        );

    /** The headers have a signature by the key over exactly this text. */
    function assertSigns(headers: Record<string, string>, key: string, text: string): void {
        const { algorithm = '', signature = '' } = parametersOf(headers);
        const pem = sshpk.parseKey(readFileSync(file(`${key}.pub`)), 'ssh').toString('pkcs8');
        const digest = algorithm.startsWith('ed25519') ? null : algorithm.replace(/^.*-/, '');
        assert.ok(
            verify(digest, Buffer.from(text), createPublicKey(pem), Buffer.from(signature, 'base64')),
            `${key} signs ${text} in ${JSON.stringify(headers)}`,
        );
    }

    /** What a shell gives that runs the script, in which `imgapi-sign` is a command. */
    async function shell(script: string, more: Record<string, string> = {}): Promise<string> {
        const { stdout } = await promisify(execFile)('bash', ['-c', script], {
            env: environment({ url: server.url, ...more }),
        });
        return stdout;
    }

    /** An empty home folder. */
    function home(name: string, ...keys: string[]): string {
        const path = file(`home-${name}`);
        mkdirSync(join(path, '.ssh'), { recursive: true });
        for (const key of keys) {
            copyFileSync(file(key), join(path, '.ssh', `id_${key}`));
        }
        return path;
    }

    /** Fails with one line. */
    async function assertRefuses(
        args: readonly string[],
        code: number,
        message: RegExp,
        more?: Record<string, string>,
    ): Promise<void> {
        const outcome = await sign(args, more);
        assert.deepEqual([outcome.code, outcome.stdout], [code, ''], outcome.stderr);
        const [line = '', hint, ...rest] = outcome.stderr.trimEnd().split('\n');
        assert.match(line, /^imgapi-sign: /);
        assert.match(line, message);
        assert.equal(hint, code === 1 ? 'Run "imgapi-sign --help" for its options.' : undefined);
        assert.deepEqual(rest, []);
    }

    describe('makes headers that the server takes from curl', () => {
        for (const name of Object.keys(KEYS)) {
            for (const how of ['from its file', 'through ssh-agent']) {
                it(`with the key ${name} ${how}`, async function () {
                    if (name === 'dsa' && how === 'through ssh-agent' && !agentTakesDsa) {
                        skip(this, 'ssh-agent takes no DSA keys; OpenSSH 9 does');
                    }
                    const key = how === 'from its file' ? file(name) : file(`${name}.pub`);
                    const answer = await shell('curl -sS -H @<(imgapi-sign) "$url/ping"', {
                        IMGAPI_CLI_IDENTITY: key,
                        ...throughAgent(),
                    });
                    assert.equal((JSON.parse(answer) as { user?: string }).user, 'alice', answer);
                });
            }
        }

        it('read from standard input as well', async () => {
            const answer = await shell(`imgapi-sign -i ${file('rsa')} | curl -sS -H @- "$url/state"`);
            assert.doesNotMatch(answer, /Unauthorized/);
        });
    });

    describe('signs', () => {
        for (const [name, algorithm] of Object.entries(KEYS)) {
            it(`the date with ${algorithm} by the key ${name}`, async () => {
                for (const [key, more] of [
                    [name, {}],
                    ...(name === 'dsa' && !agentTakesDsa ? [] : [[`${name}.pub`, throughAgent()] as const]),
                ] as const) {
                    const headers = await headersOf(['-i', file(key)], more);
                    assert.deepEqual(Object.keys(headers), ['date', 'authorization']);
                    const { signature, ...parameters } = parametersOf(headers);
                    assert.deepEqual(parameters, { keyId: 'alice', algorithm, headers: 'date' });
                    assert.ok(signature);
                    assert.ok(Math.abs(Date.parse(headers.date ?? '') - Date.now()) < 60_000);
                    assertSigns(headers, name, `date: ${headers.date ?? ''}`);
                }
            });
        }

        it('with the algorithm that is asked for', async () => {
            for (const [key, algorithm] of [
                ['rsa', 'rsa-sha1'],
                ['rsa', 'RSA-SHA512'],
                ['ed25519', 'ed25519'],
            ] as const) {
                for (const more of [{}, throughAgent()]) {
                    const identity = 'SSH_AUTH_SOCK' in more ? fingerprint(key, 'sha256') : file(key);
                    const headers = await headersOf(['-i', identity, '-a', algorithm], more);
                    assert.equal(parametersOf(headers).algorithm, algorithm.toLowerCase());
                    assertSigns(headers, key, `date: ${headers.date ?? ''}`);
                }
            }
            const headers = await headersOf(['-i', file('ecdsa-384'), '-a', 'ecdsa-sha512']);
            assertSigns(headers, 'ecdsa-384', `date: ${headers.date ?? ''}`);
        });

        it('the request, its host and further headers, in the order that is asked for', async () => {
            const args = [
                ['-i', file('rsa'), '-s', 'host,request-target', '--sign', 'date,x-b', '-s', 'request-line'],
                ['-H', 'X-A: one ', '-H', 'x-b:two', 'post', 'http://[::1]:8080/images/a%20b?x=1&y='],
            ].flat();
            const headers = await headersOf(args);
            assert.equal(parametersOf(headers).headers, 'host (request-target) date x-b request-line x-a');
            const { authorization, date = '', ...rest } = headers;
            assert.ok(authorization);
            assert.deepEqual(rest, { host: '[::1]:8080', 'x-b': 'two', 'x-a': 'one' });
            assertSigns(
                headers,
                'rsa',
                [
                    'host: [::1]:8080',
                    '(request-target): post /images/a%20b?x=1&y=',
                    `date: ${date}`,
                    'x-b: two',
                    'POST /images/a%20b?x=1&y= HTTP/1.1',
                    'x-a: one',
                ].join('\n'),
            );
        });

        it('the date and host that are given instead of its own', async () => {
            const given = ['-H', 'Date: Thu, 05 Jan 2012 21:31:40 GMT', '-H', 'Host: images', '-s', 'host'];
            const { authorization, ...headers } = await headersOf(['-i', file('rsa'), ...given]);
            assert.ok(authorization);
            assert.deepEqual(headers, { host: 'images', date: 'Thu, 05 Jan 2012 21:31:40 GMT' });
        });

        it('a header of random value, so that no signature is like another', async () => {
            const [one, other] = [
                await headersOf(['-i', file('rsa'), '--nonce']),
                await headersOf(['-i', file('rsa'), '--nonce']),
            ];
            assert.deepEqual(Object.keys(one), ['date', 'x-nonce', 'authorization']);
            assertSigns(one, 'rsa', `date: ${one.date ?? ''}\nx-nonce: ${one['x-nonce'] ?? ''}`);
            assert.notEqual(one['x-nonce'], other['x-nonce']);
        });

        it('the digest of a body, from a file or as it streams in', async () => {
            const body = 'the body\n';
            writeFileSync(file('body'), body);
            const digest = `SHA-256=${createHash('sha256').update(body).digest('base64')}`;
            for (const [name, input] of [
                [file('body'), ''],
                ['-', body],
            ] as const) {
                const headers = await headersOf(['-i', file('rsa'), '--body', name], {}, [input]);
                assert.equal(headers.digest, digest);
                assertSigns(headers, 'rsa', `date: ${headers.date ?? ''}\ndigest: ${digest}`);
            }
            const chunk = Buffer.alloc(1024 * 1024, 'x');
            const hash = createHash('sha256');
            const chunks = Array.from({ length: 64 }, () => (hash.update(chunk), chunk));
            const headers = await headersOf(['-i', file('rsa'), '--body', '-'], {}, chunks);
            assert.equal(headers.digest, `SHA-256=${hash.digest('base64')}`);
        });
    });

    describe('finds the key', () => {
        it('in ssh-agent by its fingerprint', async () => {
            for (const identity of [
                fingerprint('ed25519', 'sha256'),
                fingerprint('ed25519', 'md5'),
                fingerprint('ed25519', 'md5').replace('MD5:', ''),
            ]) {
                const headers = await headersOf(['-i', identity], throughAgent());
                assertSigns(headers, 'ed25519', `date: ${headers.date ?? ''}`);
            }
        });

        it('in ssh-agent if its file has a passphrase', async function () {
            const other = await TestAgent.start(this, home('locked'));
            try {
                for (const name of ['locked-openssh', 'locked-pem', 'locked-pkcs8']) {
                    const advice = new RegExp(`has a passphrase.*Load it with "ssh-add .*/${name}"\\.$`);
                    await assertRefuses(['-i', file(name)], 2, advice, throughAgent());
                    await assertRefuses(['-i', file(name)], 2, /SSH_AUTH_SOCK is not set.*ssh-add/);
                    await other.add([file(name)], asking);
                    const more = { SSH_AUTH_SOCK: other.socket };
                    const headers = await headersOf(['-i', file(name)], more);
                    assertSigns(headers, name, `date: ${headers.date ?? ''}`);
                }
            } finally {
                await other.stop();
            }
        });

        it('in ssh-agent where it holds one, which comes before all files', async function () {
            const path = home('agent', 'rsa', 'ed25519');
            const other = await TestAgent.start(this, path);
            try {
                const more = { HOME: path, SSH_AUTH_SOCK: other.socket };
                await other.add([file('ecdsa-256')]);
                const headers = await headersOf([], more);
                assertSigns(headers, 'ecdsa-256', `date: ${headers.date ?? ''}`);
                await other.add([file('rsa')]);
                await assertRefuses([], 2, /several keys.*ECDSA SHA256:.{43} test, RSA SHA256:.{43} /, more);
                await other.add(['-D']);
                await other.add([file('ecdsa-256')]);
                await other.add(['-x'], asking);
                await assertRefuses(
                    ['-i', file('ecdsa-256.pub')],
                    2,
                    /ssh-agent does not hold its private half, but no key/,
                    more,
                );
            } finally {
                await other.stop();
            }
        });

        it('among the files of ssh-keygen where there is one, and no agent that has any', async () => {
            const one = home('one', 'ed25519');
            for (const socket of ['', file('gone')]) {
                const headers = await headersOf([], { HOME: one, SSH_AUTH_SOCK: socket });
                assertSigns(headers, 'ed25519', `date: ${headers.date ?? ''}`);
            }
            const two = home('two', 'rsa', 'ed25519');
            await assertRefuses([], 2, /several keys.*\.ssh\/id_ed25519, .*\.ssh\/id_rsa/, { HOME: two });
            const none = { HOME: home('none') };
            await assertRefuses([], 2, /no key to sign with: SSH_AUTH_SOCK names no ssh-agent, and/, none);
            await assertRefuses([], 2, /no key.*gone cannot be reached \(ENOENT\), and/, {
                ...none,
                SSH_AUTH_SOCK: file('gone'),
            });
        });
    });

    describe('prints a command of curl', () => {
        const run = (args: string): Promise<string> =>
            shell(`eval "$(imgapi-sign -i ${file('rsa')} ${args})"`, { odd: `it's "$HOME" \\ \n*` });

        it('that sends what was signed, whatever it holds', async () => {
            const manifest = {
                name: 'signed',
                version: '1.0.0',
                type: 'other',
                os: 'other',
                public: true,
                owner: '930896af-bf8c-48d4-885c-6573a94b1853',
                description: `it's "$HOME" \\ \n*`,
            };
            writeFileSync(file("a 'b' {c}.json"), JSON.stringify(manifest));
            const answer = await run(
                `--curl --body "$HOME/a 'b' {c}.json" -s request-target -H 'Content-Type: application/json' POST "$url/images?x[]={1,2}" -- -sS`,
            );
            const { description, uuid } = JSON.parse(answer) as { description: string; uuid: string };
            assert.equal(description, manifest.description);
            const head = await run(`-s request-target --curl head "$url/images/${uuid}" -- -sS -w "$odd"`);
            assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
            assert.ok(head.endsWith(`it's "$HOME" \\ \n*`), head);
            assert.equal(await run(`--curl DELETE "$url/images/${uuid}" -- -sS -w '%{http_code}'`), '204');
        });

        it('that curl could not misunderstand', async () => {
            const { stdout } = await sign(['-i', file('rsa'), '--curl', 'GET', 'http://h', '--', '-d', '']);
            assert.match(
                stdout,
                /^curl --globoff -X GET -H 'Date: [^']+' -H 'Authorization: Signature [^']+' -d '' http:\/\/h\/\n$/,
            );
        });
    });

    describe('satisfies a server', () => {
        /** What curl gets from a server that asks for more, with `url` its address. */
        async function ask(auth: Record<string, unknown>, script: string): Promise<string[]> {
            const authKeys = { alice: [readFileSync(file('ed25519.pub'), 'utf8').trim()] };
            const strict = await TestServer.start({ config: { authType: 'signature', authKeys, auth } });
            try {
                const more = { url: strict.url, IMGAPI_CLI_IDENTITY: file('ed25519') };
                return (await shell(script, more)).trimEnd().split('\n');
            } finally {
                await strict.stop();
            }
        }
        const STATUS = `-sS -o /dev/null -w '%{http_code}\\n'`;

        it('that asks for the request, its host and its body to be signed', async () => {
            writeFileSync(file('manifest'), '{"name":"a","version":"1","type":"other","os":"other"}');
            const commands = [
                `get() { curl ${STATUS} -H @<(imgapi-sign "$@" GET "$url/images?a=1") "$url/images?a=1"; }`,
                'get',
                'get -s request-target',
                'get -s request-target,host',
                'get -s request-line,host',
                `post() { eval "$(imgapi-sign --curl -H 'Content-Type: application/json' -s request-target,host "$@")"; }`,
                `post POST "$url/images" -- ${STATUS} -d @"$HOME/manifest"`,
                `post --body "$HOME/manifest" POST "$url/images" -- ${STATUS}`,
                `changed=$(imgapi-sign -s request-target,host --body "$HOME/manifest" POST "$url/images")`,
                `curl ${STATUS} -H @<(echo "$changed") -H 'Content-Type: application/json' -d '{}' "$url/images"`,
            ].join('\n');
            const required = ['(request-target)', 'host', 'digest'];
            assert.deepEqual(await ask({ requireSigned: required }, commands), [
                ...['401', '401', '200', '200'],
                // The manifest lacks its owner.
                ...['401', '422', '401'],
            ]);
        });

        it('that takes each signature once', async () => {
            const commands = [
                `get() { curl ${STATUS} -H @<(echo "$1") "$url/images"; }`,
                'headers=$(imgapi-sign --nonce)',
                'get "$headers"',
                'get "$headers"',
                'get "$(imgapi-sign --nonce)"',
            ].join('\n');
            assert.deepEqual(await ask({ replayWindow: '60s' }, commands), ['200', '401', '200']);
        });
    });

    describe('refuses', () => {
        describe('a wrong command line, with exit code 1:', () => {
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
                it(JSON.stringify(args), () => assertRefuses(['-i', file('rsa'), ...args], 1, message));
            }
            it('no user at all', () => assertRefuses([], 1, /Whose key/, { IMGAPI_CLI_USER: '' }));
        });

        it('what it cannot sign, with exit code 2', async () => {
            writeFileSync(file('text'), 'neither of them\n');
            writeFileSync(file('large'), Buffer.alloc(100_000));
            for (const [args, message] of [
                [['-i', file('missing')], /missing cannot be read \(ENOENT\)/],
                [['-i', folder.path], /cannot be read \(EISDIR\)/],
                [['-i', file('text')], /neither a private nor a public one/],
                [['-i', file('large')], /too long to be a key/],
                [['-i', file('damaged')], /private key .*\/damaged/],
                [['-i', file('rsa'), '-a', 'hmac-sha256'], /RSA .* signs with rsa-sha256, rsa-sha512/],
                [['-i', file('rsa'), '-a', 'dsa-sha1'], /"dsa-sha1"/],
                [['-i', file('rsa'), '--body', file('missing')], /body .*missing cannot be read \(ENOENT\)/],
                [['-i', file('rsa.pub')], /SSH_AUTH_SOCK is not set/],
                [['-i', fingerprint('rsa', 'sha256')], /SSH_AUTH_SOCK is not set/],
            ] as const) {
                await assertRefuses(args, 2, message);
            }
            const held = throughAgent();
            await assertRefuses(['-i', fingerprint('other', 'md5')], 2, /no key with that fingerprint/, held);
            await assertRefuses(['-i', file('other.pub')], 2, /does not hold its private half/, held);
            await assertRefuses(
                ['-i', file('ecdsa-384.pub'), '-a', 'ecdsa-sha256'],
                2,
                /signs with ecdsa-sha384\.$/,
                held,
            );
            await rm(file('locked-pem.pub'));
            await assertRefuses(['-i', file('locked-pem')], 2, /cannot be told which key.*ssh-add/, held);
        });

        it('to show anything of a private key', async () => {
            const damaged = readFileSync(file('damaged'), 'utf8');
            const { stderr } = await sign(['-i', file('damaged')]);
            for (const line of damaged.split('\n').filter((each) => /^[\w+/=]{20,}$/.test(each))) {
                assert.ok(!stderr.includes(line.slice(0, 20)), stderr);
            }
        });
    });

    it('tells all of this with --help', async () => {
        const { code, stdout, stderr } = await sign(['--help'], { IMGAPI_CLI_USER: '' });
        assert.deepEqual([code, stderr], [0, '']);
        const options = ['user', 'identity', 'algorithm', 'sign', 'header', 'body', 'nonce', 'curl', 'help'];
        for (const word of [...options.map((name) => `--${name}`), ...new Set(Object.values(KEYS))]) {
            assert.ok(stdout.includes(word), word);
        }
        assert.ok(stdout.split('\n').every((line) => line.length <= 120));
    });
});
