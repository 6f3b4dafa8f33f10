/** `imgapi-sign` with ssh-keygen, ssh-agent, curl and a server, as in a shell. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import sshpk from 'sshpk';
import { send } from '../support/api';
import { makeKey } from '../support/keys';
import { makeFolder, TestServer } from '../support/server';
import { SignCommand } from '../support/sign-command';
import { skip } from '../support/skip';
import { TestAgent } from '../support/ssh-agent';

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

describe('imgapi-sign', () => {
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let command: SignCommand;
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
        command = new SignCommand(folder.path);
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

    /** Answers ssh-add with the passphrase. */
    const asking = { SSH_ASKPASS: '', SSH_ASKPASS_REQUIRE: 'force' };
    const throughAgent = (): Record<string, string> => ({ SSH_AUTH_SOCK: agent.socket });

    /** The headers it prints, by their names in lower case. */
    async function headersOf(...args: Parameters<SignCommand['run']>): Promise<Record<string, string>> {
        const { code, stdout, stderr } = await command.run(...args);
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

    /** An empty home folder. */
    function home(name: string, ...keys: string[]): string {
        const path = file(`home-${name}`);
        mkdirSync(join(path, '.ssh'), { recursive: true });
        for (const key of keys) {
            copyFileSync(file(key), join(path, '.ssh', `id_${key}`));
        }
        return path;
    }

    describe('signs', () => {
        for (const [name, algorithm] of Object.entries(KEYS)) {
            for (const how of ['from its file', 'through ssh-agent']) {
                it(`the date with ${algorithm} by the key ${name} ${how}, as the server takes it`, async function () {
                    if (name === 'dsa' && how === 'through ssh-agent' && !agentTakesDsa) {
                        skip(this, 'ssh-agent takes no DSA keys; OpenSSH 9 does');
                    }
                    const key = how === 'from its file' ? name : `${name}.pub`;
                    const headers = await headersOf(['-i', file(key)], throughAgent());
                    assert.deepEqual(Object.keys(headers), ['date', 'authorization']);
                    const { signature, ...parameters } = parametersOf(headers);
                    assert.deepEqual(parameters, { keyId: 'alice', algorithm, headers: 'date' });
                    assert.ok(signature);
                    assertSigns(headers, name, `date: ${headers.date ?? ''}`);
                    const answer = await send(server.url, 'GET', '/ping', { headers });
                    assert.equal((answer.json as { user?: string }).user, 'alice', answer.text);
                });
            }
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
                    await command.assertRefuses(['-i', file(name)], 2, advice, throughAgent());
                    await command.assertRefuses(['-i', file(name)], 2, /SSH_AUTH_SOCK is not set.*ssh-add/);
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
                await command.assertRefuses(
                    [],
                    2,
                    /several keys.*ECDSA SHA256:.{43} test, RSA SHA256:.{43} /,
                    more,
                );
                await other.add(['-D']);
                await other.add([file('ecdsa-256')]);
                await other.add(['-x'], asking);
                await command.assertRefuses(
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
            await command.assertRefuses([], 2, /several keys.*\.ssh\/id_ed25519, .*\.ssh\/id_rsa/, {
                HOME: two,
            });
            const none = { HOME: home('none') };
            await command.assertRefuses(
                [],
                2,
                /no key to sign with: SSH_AUTH_SOCK names no ssh-agent, and/,
                none,
            );
            await command.assertRefuses([], 2, /no key.*gone cannot be reached \(ENOENT\), and/, {
                ...none,
                SSH_AUTH_SOCK: file('gone'),
            });
        });
    });

    describe('refuses', () => {
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
                await command.assertRefuses(args, 2, message);
            }
            const held = throughAgent();
            await command.assertRefuses(
                ['-i', fingerprint('other', 'md5')],
                2,
                /no key with that fingerprint/,
                held,
            );
            await command.assertRefuses(['-i', file('other.pub')], 2, /does not hold its private half/, held);
            await command.assertRefuses(
                ['-i', file('ecdsa-384.pub'), '-a', 'ecdsa-sha256'],
                2,
                /signs with ecdsa-sha384\.$/,
                held,
            );
            await rm(file('locked-pem.pub'));
            await command.assertRefuses(
                ['-i', file('locked-pem')],
                2,
                /cannot be told which key.*ssh-add/,
                held,
            );
        });

        it('to show anything of a private key', async () => {
            const damaged = readFileSync(file('damaged'), 'utf8');
            const { stderr } = await command.run(['-i', file('damaged')]);
            for (const line of damaged.split('\n').filter((each) => /^[\w+/=]{20,}$/.test(each))) {
                assert.ok(!stderr.includes(line.slice(0, 20)), stderr);
            }
        });
    });
});
