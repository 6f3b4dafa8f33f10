/** `imgapi-manta-setup` with a real account directory (ops.md §2, ufds.md §7). */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { mantaSetup } from '../../lib/admin/manta-setup';
import { loadConfig } from '../../lib/config';
import { archiveKey } from '../../lib/storage/driver';
import { createMantaStorage } from '../../lib/storage/manta';
import { TROUBLES } from '../support/http-stand-in';
import { runProgram } from '../support/imgapiadm';
import { makeKey } from '../support/keys';
import { md5Fingerprint } from '../support/manta-accounts';
import { MantaServer } from '../support/manta-server';
import { ACCOUNTS } from '../support/openldap';
import { recordingLog } from '../support/recording-log';
import { PLAIN_METADATA, renderManifest } from '../support/sapi-manifests';
import { DATACENTER_NAME, SetupScene, type SetupOutcome } from '../support/setup-scene';

const URL_OF_MANTA = 'https://us-test.manta.example.com';
const KEY_NAME = `${DATACENTER_NAME} imgapi key`;
const HASTY = { services: { connectTimeout: '300ms', answerTimeout: '300ms' } };

describe('imgapi-manta-setup', function () {
    let scene: SetupScene;
    before(async function () {
        scene = await SetupScene.start(this);
    });
    after(() => scene.stop());
    beforeEach(async () => {
        scene.reset();
        await scene.ufds.deleteKeys(ACCOUNTS.sdc);
        await scene.configure();
    });

    const run = (...args: string[]): Promise<SetupOutcome> => scene.run(mantaSetup, ...args);

    async function setUp(...args: string[]): Promise<SetupOutcome> {
        const outcome = await run(...args);
        assert.equal(outcome.err, '');
        assert.equal(outcome.code, 0);
        assert.ok(!outcome.all.includes('PRIVATE KEY'));
        return outcome;
    }

    async function assertFails(args: string[], message: RegExp): Promise<void> {
        const { code, out, err, all } = await run(...args);
        assert.match(err, /^imgapi-manta-setup: error: /);
        assert.match(err, message);
        assert.equal(err.trim().split('\n').length, 1);
        assert.equal(code, 1);
        assert.equal(out, '');
        assert.ok(!all.includes('PRIVATE KEY'));
        assert.ok(!all.includes(scene.ufds.config.bindPassword));
    }

    const keys = () => scene.ufds.keys(ACCOUNTS.sdc);
    const publicLine = (): string => String(scene.service.IMGAPI_PUBLIC_KEY).trim();
    const changes = () => scene.sapi.http.requests.filter(({ method }) => method !== 'GET');

    async function assertKeyIsKnown(): Promise<void> {
        assert.deepEqual(await keys(), [
            { name: KEY_NAME, openssh: publicLine(), fingerprint: md5Fingerprint(publicLine()) },
        ]);
    }

    it('makes a key, writes the seven keys of metadata, and gives the key to the administrator', async () => {
        const { log } = await setUp(URL_OF_MANTA);
        const { IMGAPI_PRIVATE_KEY, IMGAPI_PUBLIC_KEY, IMGAPI_KEY_ID, ...others } = scene.service;
        assert.deepEqual(others, {
            SERVICE_NAME: 'imgapi',
            IMGAPI_MANTA_URL: URL_OF_MANTA,
            IMGAPI_MANTA_USER: 'sdc',
            IMGAPI_MANTA_INSECURE: false,
            IMGAPI_MANTA_REMOTE: false,
        });
        await assertKeyIsKnown();
        assert.deepEqual(
            changes().map(({ method, path }) => `${method} ${path}`),
            ['PUT /services/e2d3c4b5-0000-4000-8000-000000000003'],
        );
        assert.ok(log.some(({ keyId }) => keyId === IMGAPI_KEY_ID));
        const file = join(scene.folder, 'made.key');
        writeFileSync(file, String(IMGAPI_PRIVATE_KEY), { mode: 0o600 });
        const [bits, keyId] = execFileSync('ssh-keygen', ['-l', '-f', file], { encoding: 'utf8' }).split(' ');
        assert.equal(bits, '256');
        assert.equal(keyId, IMGAPI_KEY_ID);
        const derived = execFileSync('ssh-keygen', ['-y', '-f', file], { encoding: 'utf8' }).trim();
        assert.equal(IMGAPI_PUBLIC_KEY, `${derived} ${KEY_NAME}\n`);
    });

    it('takes each option', async () => {
        await setUp('-r', '-i', URL_OF_MANTA);
        assert.deepEqual(
            [scene.service.IMGAPI_MANTA_REMOTE, scene.service.IMGAPI_MANTA_INSECURE],
            [true, true],
        );
        await setUp('--remote', URL_OF_MANTA, '--force');
        assert.deepEqual(
            [scene.service.IMGAPI_MANTA_REMOTE, scene.service.IMGAPI_MANTA_INSECURE],
            [true, false],
        );
        await setUp('--insecure', URL_OF_MANTA);
        assert.deepEqual(
            [scene.service.IMGAPI_MANTA_REMOTE, scene.service.IMGAPI_MANTA_INSECURE],
            [false, true],
        );
    });

    it('keeps the key when it is run again, and sets what was given', async () => {
        await setUp(URL_OF_MANTA);
        const { IMGAPI_PRIVATE_KEY } = scene.service;
        await setUp('-r', 'https://other.example.com');
        assert.equal(scene.service.IMGAPI_PRIVATE_KEY, IMGAPI_PRIVATE_KEY);
        assert.equal(scene.service.IMGAPI_MANTA_URL, 'https://other.example.com');
        assert.equal(scene.service.IMGAPI_MANTA_REMOTE, true);
        await assertKeyIsKnown();
    });

    it('replaces the key with --force, and takes the former one from the administrator', async () => {
        await setUp(URL_OF_MANTA);
        const former = scene.service.IMGAPI_KEY_ID;
        await setUp('-f', URL_OF_MANTA);
        assert.notEqual(scene.service.IMGAPI_KEY_ID, former);
        await assertKeyIsKnown();
    });

    it('adds what is missing where an earlier run was ended before UFDS had the key', async () => {
        await setUp(URL_OF_MANTA);
        const { IMGAPI_KEY_ID } = scene.service;
        await scene.ufds.deleteKeys(ACCOUNTS.sdc);
        await setUp(URL_OF_MANTA);
        assert.equal(scene.service.IMGAPI_KEY_ID, IMGAPI_KEY_ID);
        await assertKeyIsKnown();
        delete scene.service.IMGAPI_KEY_ID;
        await setUp(URL_OF_MANTA);
        assert.notEqual(scene.service.IMGAPI_KEY_ID, IMGAPI_KEY_ID);
        await assertKeyIsKnown();
    });

    it('goes on where a run was killed between SAPI and UFDS', async () => {
        const file = await scene.configure();
        const program = resolve(__dirname, '../../bin/imgapi-manta-setup');
        const child = spawn(process.execPath, [program, URL_OF_MANTA, '--config', file], { stdio: 'ignore' });
        const exit = once(child, 'exit');
        scene.sapi.http.trouble = ({ method, body }) => {
            if (method === 'PUT') {
                Object.assign(scene.service, (body as { metadata: object }).metadata);
                child.kill('SIGKILL');
            }
            return method === 'PUT';
        };
        assert.deepEqual(await exit, [null, 'SIGKILL']);
        const { IMGAPI_KEY_ID } = scene.service;
        assert.notEqual(IMGAPI_KEY_ID, undefined);
        assert.deepEqual(await keys(), []);
        scene.sapi.http.trouble = undefined;
        await setUp(URL_OF_MANTA);
        assert.equal(scene.service.IMGAPI_KEY_ID, IMGAPI_KEY_ID);
        await assertKeyIsKnown();
    });

    it('leaves other keys of the administrator alone, and a key that is there under another name', async () => {
        await setUp(URL_OF_MANTA);
        const [own] = await keys();
        assert.ok(own);
        await scene.ufds.deleteKeys(ACCOUNTS.sdc);
        const other = makeKey(scene.folder, `id_other_${Date.now()}`, 'ecdsa').publicLine;
        // UFDS may hold SHA256 fingerprints, too, whose characters mean something in names of LDAP.
        await scene.ufds.addKey(ACCOUNTS.sdc, {
            name: 'laptop',
            openssh: other,
            fingerprint: 'SHA256:a+b/c',
        });
        await scene.ufds.addKey(ACCOUNTS.sdc, { ...own, name: 'imgapi' });
        const before = await keys();
        await setUp(URL_OF_MANTA);
        assert.deepEqual(await keys(), before);
        await setUp('--force', URL_OF_MANTA);
        assert.deepEqual(
            (await keys()).map(({ name }) => name),
            ['laptop', KEY_NAME],
        );
    });

    it('takes the place of another key of its name, whatever fingerprint that has', async () => {
        const other = makeKey(scene.folder, `id_other_${Date.now()}`, 'ecdsa').publicLine;
        await scene.ufds.addKey(ACCOUNTS.sdc, {
            name: KEY_NAME,
            openssh: other,
            fingerprint: 'SHA256:a+b/c',
        });
        await setUp(URL_OF_MANTA);
        await assertKeyIsKnown();
    });

    it('does not let the key of a foreign Manta in', async () => {
        const { publicLine: line, privateKey } = makeKey(scene.folder, `id_foreign_${Date.now()}`, 'ecdsa');
        Object.assign(scene.service, {
            IMGAPI_MANTA_URL: 'https://foreign.example.com',
            IMGAPI_MANTA_USER: 'sdc',
            IMGAPI_MANTA_INSECURE: false,
            IMGAPI_MANTA_REMOTE: true,
            IMGAPI_PUBLIC_KEY: line,
            IMGAPI_PRIVATE_KEY: privateKey,
            IMGAPI_KEY_ID: 'SHA256:any',
        });
        await setUp(URL_OF_MANTA);
        assert.notEqual(scene.service.IMGAPI_PRIVATE_KEY, privateKey);
        await assertKeyIsKnown();
    });

    it('asks for --force where the key of the service cannot be used', async () => {
        await setUp(URL_OF_MANTA);
        scene.service.IMGAPI_PRIVATE_KEY = 'none';
        await assertFails([URL_OF_MANTA], /--force/);
        await setUp('--force', URL_OF_MANTA);
        await assertKeyIsKnown();
    });

    it('finds the first load balancer', async () => {
        scene.addManta();
        await setUp('FIRST-LB');
        assert.equal(scene.service.IMGAPI_MANTA_URL, 'https://10.88.88.8');
        assert.equal(
            scene.vmapi.requests[0]?.headers['request-id'],
            scene.sapi.http.requests[0]?.headers['request-id'],
        );
        scene.reset();
        scene.addManta(true);
        await setUp('FIRST-LB');
        assert.equal(scene.service.IMGAPI_MANTA_URL, 'https://10.88.88.8');
    });

    it('says what keeps it from finding one', async () => {
        await assertFails(['FIRST-LB'], /no application "manta"/);
        const vm = scene.addManta();
        vm.nics.pop();
        await assertFails(['FIRST-LB'], /no external address/);
        vm.state = 'stopped';
        await assertFails(['FIRST-LB'], /no load balancer of Manta runs/);
        scene.vmapi.trouble = TROUBLES.wrongShape;
        await assertFails(['FIRST-LB'], /VMAPI answered with what is no list/);
        await scene.configure({ vmapi: { url: '' } });
        await assertFails(['FIRST-LB'], /config\.vmapi_service is missing/);
        await scene.configure({ vmapi: undefined, vmapi_service: scene.vmapi.host });
        scene.vmapi.trouble = undefined;
        vm.state = 'running';
        vm.nics.push({ nic_tag: 'external', ip: '10.88.88.9' });
        await setUp('FIRST-LB');
    });

    it('asks the UFDS of another datacenter where that is the master, and verifies it if it is told to', async () => {
        const { ufds_domain } = scene.datacenter;
        Object.assign(scene.datacenter, {
            ufds_domain: 'ufds.nowhere.invalid',
            ufds_is_master: 'false',
            ufds_remote_ip: ufds_domain,
        });
        await scene.configure({ ufds: { ...scene.ufds.config, ca: scene.ufds.certificate } });
        await setUp(URL_OF_MANTA);
        await assertKeyIsKnown();
    });

    it('says what is wrong with the command line', async () => {
        await assertFails([], /incorrect number of arguments/);
        await assertFails([URL_OF_MANTA, 'more'], /incorrect number of arguments/);
        await assertFails(['--wrong', URL_OF_MANTA], /--wrong is not taken; try "imgapi-manta-setup --help"/);
        await assertFails(['ftp://manta.example.com'], /the URL of Manta is "ftp:/);
        await assertFails(['https://manta.example.com/a/path'], /without a path/);
        assert.deepEqual(scene.sapi.http.requests, []);
        for (const flag of ['-h', '--help']) {
            const { code, out, err } = await run(flag, 'a', 'b');
            assert.deepEqual([code, err], [0, '']);
            assert.match(out, /^Usage: imgapi-manta-setup \[OPTIONS\] <manta-url>\n/);
            assert.match(out, /-f, --force .*\n.*-r, --remote .*\n.*-i, --insecure /);
        }
    });

    it('says what is missing, and changes nothing', async () => {
        scene.datacenter.ufds_admin_uuid = '00000000-0000-4000-8000-000000000000';
        await assertFails([URL_OF_MANTA], /UFDS has no account "00000000-/);
        delete scene.datacenter.ufds_ldap_root_pw;
        await assertFails([URL_OF_MANTA], /no "ufds_ldap_root_pw"/);
        scene.sapi.services.pop();
        await assertFails([URL_OF_MANTA], /no service "imgapi"/);
        scene.sapi.applications.pop();
        await assertFails([URL_OF_MANTA], /no application "sdc"/);
        await scene.configure({ ufds_admin_login: '' });
        await assertFails([URL_OF_MANTA], /config\.ufds_admin_login is missing/);
        await scene.configure({ sapi_service: undefined });
        await assertFails([URL_OF_MANTA], /config\.sapi_service is missing/);
        assert.deepEqual(changes(), []);
        assert.deepEqual(await keys(), []);
    });

    it('gives up on services that are down, slow or talk nonsense, and changes nothing', async () => {
        await scene.configure(HASTY);
        for (const trouble of Object.values(TROUBLES)) {
            scene.sapi.http.trouble = trouble;
            await assertFails([URL_OF_MANTA], /SAPI (answered|did not answer in time)/);
        }
        scene.sapi.http.trouble = undefined;
        scene.datacenter.ufds_ldap_root_pw = 'wrong';
        await assertFails([URL_OF_MANTA], /refuses the login/);
        scene.reset();
        await scene.configure({ ufds: { ...scene.ufds.config, connectTimeout: '300ms', timeout: '300ms' } });
        await scene.ufds.pause();
        try {
            await assertFails([URL_OF_MANTA], /did not answer within 300 ms/);
        } finally {
            scene.ufds.resume();
        }
        scene.datacenter.ufds_domain = '127.0.0.1:1';
        await assertFails([URL_OF_MANTA], /ECONNREFUSED/);
        await scene.configure({ sapi_service: '127.0.0.1:1' });
        await assertFails([URL_OF_MANTA], /SAPI could not be asked/);
        assert.deepEqual(changes(), []);
        assert.deepEqual(await keys(), []);
    });

    it('does not show the key even if SAPI sends it back', async () => {
        scene.sapi.http.trouble = ({ method, body }, response) => {
            if (method === 'PUT') {
                const error = { code: 'InvalidArgument', message: `bad: ${JSON.stringify(body)}` };
                response.writeHead(409, { 'content-type': 'application/json' }).end(JSON.stringify(error));
            }
            return method === 'PUT';
        };
        await assertFails([URL_OF_MANTA], /./);
        assert.deepEqual(await keys(), []);
    });

    it('logs in JSON on standard output, as a process, and leaves no file', async () => {
        const file = await scene.configure();
        const { code, out, err } = await runProgram('imgapi-manta-setup', [
            '-r',
            URL_OF_MANTA,
            '--config',
            file,
        ]);
        assert.deepEqual([code, err], [0, '']);
        const records = out
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line) as { name: string; level: number });
        assert.ok(records.length > 3);
        assert.ok(
            records.every(({ name, level }) => name === 'imgapi-manta-setup' && level === 30),
            out,
        );
        assert.ok(!out.includes('PRIVATE KEY'));
        const wrong = await runProgram('imgapi-manta-setup', []);
        assert.deepEqual([wrong.code, wrong.out], [1, '']);
    });

    it('gives instances what they need to sign what Manta takes', async () => {
        await setUp(URL_OF_MANTA);
        const accounts = { sdc: (await keys()).map(({ openssh }) => openssh) };
        const manta = await MantaServer.start({ accounts });
        try {
            await setUp(manta.url);
            const metadata = { ...PLAIN_METADATA, ...scene.datacenter, ...scene.service };
            const file = join(scene.folder, 'rendered.config.json');
            writeFileSync(file, renderManifest('imgapi', metadata));
            const key = join(scene.folder, 'imgapi.key');
            writeFileSync(key, renderManifest('imgapi_private_key', metadata), { mode: 0o600 });
            const config = loadConfig({ file }).manta;
            assert.ok(config);
            const storage = createMantaStorage({
                ...config,
                key,
                insecure: config.insecure === true,
                maxSockets: 10,
                timeouts: { connect: 4000, answer: 10_000, idle: 10_000, pause: 5 },
                userAgent: 'IMGAPI/test',
                log: recordingLog([]),
            });
            await storage.open();
            try {
                const bytes = Buffer.from('signed with the key that was set up');
                await (await storage.stage(archiveKey(ACCOUNTS.luke), Readable.from([bytes]))).commit();
            } finally {
                await storage.close();
            }
            const root = `/sdc/stor/imgapi/${DATACENTER_NAME}`;
            assert.deepEqual(manta.objects, [`${root}/${archiveKey(ACCOUNTS.luke)}`]);
        } finally {
            await manta.stop();
        }
    });
});
