/** `imgapi-sign` in a shell with curl, for servers that take what is signed by default and for those that ask for more. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeKey } from '../support/keys';
import { makeFolder, TestServer } from '../support/server';
import { SignCommand } from '../support/sign-command';

describe('imgapi-sign with curl', () => {
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let command: SignCommand;
    let server: TestServer;
    /** The file of a private key. */
    let key: string;
    let authKeys: Record<string, string[]>;
    const file = (name: string): string => join(folder.path, name);

    before(async () => {
        folder = await makeFolder();
        command = new SignCommand(folder.path);
        const { privateKeyFile, publicLine } = makeKey(folder.path, 'key', 'ed25519');
        key = privateKeyFile;
        authKeys = { alice: [publicLine] };
        server = await TestServer.start({ config: { authType: 'signature', authKeys } });
    });
    after(async () => {
        await server.stop();
        await folder.remove();
    });

    describe('prints headers', () => {
        it('that curl reads from a file, or from standard input', async () => {
            for (const script of [
                'curl -sS -H @<(imgapi-sign) "$url/ping"',
                'imgapi-sign | curl -sS -H @- "$url/ping"',
            ]) {
                const answer = await command.shell(script, { url: server.url, IMGAPI_CLI_IDENTITY: key });
                assert.equal((JSON.parse(answer) as { user?: string }).user, 'alice', answer);
            }
        });
    });

    describe('prints a command of curl', () => {
        const run = (args: string): Promise<string> =>
            command.shell(`eval "$(imgapi-sign -i ${key} ${args})"`, {
                url: server.url,
                odd: `it's "$HOME" \\ \n*`,
            });

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
            const { stdout } = await command.run(['-i', key, '--curl', 'GET', 'http://h', '--', '-d', '']);
            assert.match(
                stdout,
                /^curl --globoff -X GET -H 'Date: [^']+' -H 'Authorization: Signature [^']+' -d '' http:\/\/h\/\n$/,
            );
        });
    });

    describe('satisfies a server', () => {
        /** What curl gets from a server that asks for more, with `url` its address. */
        async function ask(auth: Record<string, unknown>, script: string): Promise<string[]> {
            const strict = await TestServer.start({ config: { authType: 'signature', authKeys, auth } });
            try {
                const more = { url: strict.url, IMGAPI_CLI_IDENTITY: key };
                return (await command.shell(script, more)).trimEnd().split('\n');
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
});
