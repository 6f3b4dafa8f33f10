/** `manta-env`, in a shell (ops.md §1). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { runProgram, type Outcome } from '../support/imgapiadm';
import { makeFolder } from '../support/server';

const MANTA = {
    url: 'https://us-east.manta.example.com',
    user: 'imgapi',
    key: '/root/.ssh/imgapi.key',
    keyId: 'c2:8e:6c:9a:00:11:22:33:44:55:66:77:88:99:aa:bb',
};

describe('manta-env', () => {
    let place: Awaited<ReturnType<typeof makeFolder>>;
    let file: string;

    before(async () => {
        place = await makeFolder();
        file = join(place.path, 'imgapi.config.json');
    });
    after(() => place.remove());

    async function mantaEnv(config: object, ...args: string[]): Promise<Outcome> {
        await writeFile(file, JSON.stringify(config));
        return runProgram('manta-env', ['-f', file, ...args]);
    }

    it('prints what the tools of Manta take', async () => {
        assert.deepEqual(await mantaEnv({ manta: MANTA }), {
            code: 0,
            out: [
                `export MANTA_URL=${MANTA.url}`,
                `export MANTA_USER=${MANTA.user}`,
                `export MANTA_KEY_ID=${MANTA.keyId}`,
                '',
            ].join('\n'),
            err: '',
        });
        const { out } = await mantaEnv({ manta: { ...MANTA, insecure: true } });
        assert.match(out, /\nexport MANTA_TLS_INSECURE=1\n$/);
        assert.doesNotMatch((await mantaEnv({ manta: { ...MANTA, insecure: false } })).out, /TLS/);
    });

    it('gives the tools the scheme that the server takes for granted', async () => {
        const { out } = await mantaEnv({ manta: { ...MANTA, url: 'manta.example.com' } });
        assert.match(out, /^export MANTA_URL=https:\/\/manta\.example\.com\n/);
    });

    it('prints nothing, and that is no error, without Manta in the configuration', async () => {
        assert.deepEqual(await mantaEnv({}), { code: 0, out: '', err: '' });
    });

    it('can be evaluated, whatever the values are', async () => {
        const keyId = `it's "$(false)" \\ of \`two\` words`;
        await writeFile(file, JSON.stringify({ manta: { ...MANTA, keyId } }));
        const program = resolve(__dirname, '../../bin/manta-env');
        const script = `eval "$("$0" "$1" -f "$2")" && printf %s "$MANTA_KEY_ID"`;
        const printed = execFileSync('sh', ['-c', script, process.execPath, program, file]);
        assert.equal(printed.toString(), keyId);
    });

    it('prints its usage', async () => {
        const { code, out } = await runProgram('manta-env', ['--help']);
        assert.equal(code, 0);
        assert.match(out, /^Usage: manta-env[\s\S]*eval "\$\(manta-env\)"/);
    });

    for (const args of [['-x'], ['extra'], ['-f']]) {
        it(`exits with 1 and a sentence for "${args.join(' ')}"`, async () => {
            const { code, out, err } = await runProgram('manta-env', args);
            assert.deepEqual([code, out], [1, '']);
            assert.match(err, /^manta-env: .*--help/);
        });
    }

    it('exits with 2 for a configuration that cannot be used', async () => {
        const missing = await runProgram('manta-env', ['-f', join(place.path, 'no.json')]);
        assert.deepEqual([missing.code, missing.out], [2, '']);
        assert.match(missing.err, /no\.json/);
        const { code, out, err } = await mantaEnv({ manta: { ...MANTA, user: undefined } });
        assert.deepEqual([code, out], [2, '']);
        assert.match(err, /config\.manta/);
    });
});
