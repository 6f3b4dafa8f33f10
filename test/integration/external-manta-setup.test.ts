/** `imgapi-external-manta-setup` (ops.md §3). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { externalMantaSetup } from '../../lib/admin/external-manta-setup';
import { TROUBLES } from '../support/http-stand-in';
import { runProgram } from '../support/imgapiadm';
import { makeKey, type TestKey } from '../support/keys';
import { ACCOUNTS } from '../support/openldap';
import { SetupScene, type SetupOutcome } from '../support/setup-scene';

const URL_OF_MANTA = 'https://manta.elsewhere.example.com';

describe('imgapi-external-manta-setup', function () {
    let scene: SetupScene;
    let key: TestKey;
    before(async function () {
        scene = await SetupScene.start(this);
        key = makeKey(scene.folder, 'id_rsa');
    });
    after(() => scene.stop());
    beforeEach(async () => {
        scene.reset();
        await scene.configure();
    });

    const run = (...args: string[]): Promise<SetupOutcome> => scene.run(externalMantaSetup, ...args);

    async function setUp(...args: string[]): Promise<void> {
        const { code, err, all } = await run(...args);
        assert.deepEqual([code, err], [0, '']);
        assert.ok(!all.includes('PRIVATE KEY'));
    }

    async function assertFails(args: string[], message: RegExp): Promise<void> {
        const { code, err, all } = await run(...args);
        assert.match(err, /^imgapi-external-manta-setup: error: /);
        assert.match(err, message);
        assert.equal(code, 1);
        assert.ok(!all.includes('PRIVATE KEY'));
        assert.ok(scene.sapi.http.requests.every(({ method }) => method === 'GET'));
    }

    const fingerprint = (file: string) =>
        execFileSync('ssh-keygen', ['-l', '-f', file], { encoding: 'utf8' }).split(' ')[1];

    it('writes the seven keys of metadata, and asks UFDS for nothing', async () => {
        scene.datacenter.ufds_domain = '127.0.0.1:1';
        await setUp(URL_OF_MANTA, 'alice', key.privateKeyFile);
        assert.deepEqual(scene.service, {
            SERVICE_NAME: 'imgapi',
            IMGAPI_MANTA_URL: URL_OF_MANTA,
            IMGAPI_MANTA_USER: 'alice',
            IMGAPI_MANTA_INSECURE: false,
            IMGAPI_MANTA_REMOTE: true,
            IMGAPI_PUBLIC_KEY: `${key.publicLine}\n`,
            IMGAPI_PRIVATE_KEY: readFileSync(key.privateKeyFile, 'utf8'),
            IMGAPI_KEY_ID: fingerprint(key.privateKeyFile),
        });
        assert.deepEqual(await scene.ufds.keys(ACCOUNTS.sdc), []);
    });

    it('overwrites what was there, and takes keys of every form', async () => {
        await setUp(URL_OF_MANTA, 'alice', key.privateKeyFile);
        const file = join(scene.folder, 'id_openssh');
        execFileSync('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-C', 'a b', '-f', file]);
        await setUp('-i', 'https://other.example.com', 'bob', file);
        assert.equal(scene.service.IMGAPI_MANTA_URL, 'https://other.example.com');
        assert.equal(scene.service.IMGAPI_MANTA_USER, 'bob');
        assert.equal(scene.service.IMGAPI_MANTA_INSECURE, true);
        assert.equal(scene.service.IMGAPI_PRIVATE_KEY, readFileSync(file, 'utf8'));
        assert.equal(scene.service.IMGAPI_PUBLIC_KEY, readFileSync(`${file}.pub`, 'utf8'));
        assert.equal(scene.service.IMGAPI_KEY_ID, fingerprint(file));
    });

    it('makes the public half where there is no file of it', async () => {
        const file = join(scene.folder, 'alone');
        writeFileSync(file, readFileSync(key.privateKeyFile), { mode: 0o600 });
        await setUp(URL_OF_MANTA, 'alice', file);
        const [type, blob] = key.publicLine.split(' ');
        assert.equal(scene.service.IMGAPI_PUBLIC_KEY, `${type} ${blob}\n`);
    });

    it('says what is wrong with the key', async () => {
        const file = join(scene.folder, 'wrong');
        const args = [URL_OF_MANTA, 'alice', file];
        await assertFails(args, /the key \S*\/wrong cannot be read \(ENOENT\)/);
        writeFileSync(file, 'no key');
        await assertFails(args, /wrong cannot be read; it has to be an RSA/);
        writeFileSync(file, key.publicLine);
        await assertFails(args, /wrong cannot be read; it has to be an RSA/);
        copyFileSync(key.privateKeyFile, file);
        chmodSync(file, 0o600);
        writeFileSync(`${file}.pub`, makeKey(scene.folder, 'id_other', 'ecdsa').publicLine);
        await assertFails(args, /is not its other half/);
        writeFileSync(`${file}.pub`, 'no key');
        await assertFails(args, /is none/);
        execFileSync('ssh-keygen', ['-q', '-p', '-P', '', '-N', 'secret', '-f', file]);
        await assertFails(args, /has a passphrase/);
        await assertFails([URL_OF_MANTA, 'alice', scene.folder], /cannot be read \(EISDIR\)/);
    });

    it('says what is wrong with the command line', async () => {
        for (const args of [[], [URL_OF_MANTA, 'alice'], [URL_OF_MANTA, 'alice', 'a', 'b']]) {
            await assertFails(
                args,
                /incorrect number of arguments.*; try "imgapi-external-manta-setup --help"/,
            );
        }
        await assertFails(['FIRST:LB', 'alice', key.privateKeyFile], /the URL of Manta is "FIRST:LB"/);
        await assertFails([URL_OF_MANTA, 'a lice', key.privateKeyFile], /the user is "a lice"/);
        await assertFails(['--force', URL_OF_MANTA, 'alice', key.privateKeyFile], /--force is not taken/);
        const { code, out } = await run('-h');
        assert.equal(code, 0);
        assert.match(
            out,
            /^Usage: imgapi-external-manta-setup .*<manta-url> <manta-user> <path-to-priv-key>\n/,
        );
    });

    it('gives up on a SAPI that is down, slow or talks nonsense', async () => {
        await scene.configure({ services: { connectTimeout: '300ms', answerTimeout: '300ms' } });
        for (const trouble of Object.values(TROUBLES)) {
            scene.sapi.http.trouble = trouble;
            await assertFails([URL_OF_MANTA, 'alice', key.privateKeyFile], /SAPI/);
        }
        scene.sapi.http.trouble = undefined;
        scene.sapi.services.pop();
        await assertFails([URL_OF_MANTA, 'alice', key.privateKeyFile], /no service "imgapi"/);
    });

    it('runs as a process', async () => {
        const file = await scene.configure();
        const args = [URL_OF_MANTA, 'alice', key.privateKeyFile, '--config', file];
        const { code, out, err } = await runProgram('imgapi-external-manta-setup', args);
        assert.deepEqual([code, err], [0, '']);
        assert.ok(out.includes('"name":"imgapi-external-manta-setup"'));
        assert.ok(!out.includes('PRIVATE KEY'));
    });
});
