/** `imgapi-standalone-rotate-key` (ops.md §4). */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rotateKey } from '../../lib/admin/rotate-key';
import { runStandalone } from '../../lib/admin/standalone';
import { loadConfig } from '../../lib/config';
import { createStorages } from '../../lib/storage/index';
import { Page, type Outcome } from '../support/imgapiadm';
import { MantaAccount } from '../support/manta-storage';
import type { MantaServer } from '../support/manta-server';
import { recordingLog } from '../support/recording-log';
import { makeFolder } from '../support/server';

describe('imgapi-standalone-rotate-key', () => {
    let place: Awaited<ReturnType<typeof makeFolder>>;
    let account: MantaAccount;
    let manta: MantaServer;
    let file: string;

    beforeEach(async () => {
        place = await makeFolder();
        account = new MantaAccount();
        manta = await account.serve();
        file = join(place.path, 'config.json');
        configure();
    });
    afterEach(async () => {
        await manta.stop();
        account.remove();
        await place.remove();
    });

    function configure(changes: Record<string, unknown> = {}): void {
        const block = account.config(manta.url);
        const config = { '// note': 'kept', authType: 'none', dataDir: place.path, manta: block, ...changes };
        writeFileSync(file, JSON.stringify(config), { mode: 0o640 });
    }

    async function rotate(...args: string[]): Promise<Outcome> {
        const [out, err] = [new Page(), new Page()];
        const argv = ['-f', file, '-y', '--every', '0.01', '--settle', '0', ...args];
        const code = await runStandalone(rotateKey, { argv, environment: {}, stdout: out, stderr: err });
        assert.ok(!`${out.text}${err.text}`.includes('PRIVATE KEY'));
        return { code, out: out.text, err: err.text };
    }

    const newKeyFile = () => join(place.path, 'etc/newinstkey');

    it('changes to the new key once Manta takes it, and keeps the former one', async () => {
        const former = account.config(manta.url).key;
        const before = readFileSync(former, 'utf8');
        const isRefused = (status: string) => / (401|403)$/.test(status);
        const rotation = rotate();
        // The operator adds the key after Manta was asked for the second time.
        const watch = setInterval(() => {
            if (manta.requests.filter(isRefused).length >= 2) {
                clearInterval(watch);
                manta.accounts.addKey('imgapi', readFileSync(`${newKeyFile()}.pub`, 'utf8').trim());
            }
        }, 5);
        const { code, out, err } = await rotation.finally(() => clearInterval(watch));
        assert.equal(code, 0, err);
        assert.match(out, /^ecdsa-sha2-nistp256 \S+ imgapi-\d{8}T\d{6}Z\n$/);
        const config = loadConfig({ file });
        assert.equal(config['// note'], 'kept');
        assert.equal(statSync(file).mode & 0o777, 0o640);
        const { key, keyId } = config.manta!;
        assert.notEqual(key, former);
        assert.match(keyId, /^SHA256:/);
        assert.equal(statSync(key).mode & 0o777, 0o600);
        assert.ok(existsSync(`${key}.pub`));
        assert.ok(!existsSync(former) && !existsSync(newKeyFile()));
        const old = join(place.path, 'etc/oldinstkeys');
        const kept = readdirSync(old).find((name) => name.startsWith('id_ecdsa.2')) ?? '';
        assert.equal(readFileSync(join(old, kept), 'utf8'), before);
        assert.ok(readdirSync(old).some((name) => name.startsWith('config.json.')));
        const storage = (await createStorages(config, recordingLog([]), ['manta'])).get('manta');
        await storage.open();
        await storage.check();
        await storage.close();
    });

    it('changes nothing while Manta does not take it, and goes on with the same key', async () => {
        const before = readFileSync(file, 'utf8');
        const first = await rotate();
        assert.equal(first.code, 1);
        assert.match(first.err, /does not know the new key/);
        assert.equal(readFileSync(file, 'utf8'), before);
        manta.accounts.addKey('imgapi', first.out.trim());
        const second = await rotate();
        assert.deepEqual([second.code, second.out], [0, first.out]);
    });

    it('gives up where Manta cannot be asked', async () => {
        const before = readFileSync(file, 'utf8');
        await manta.suspend();
        const { code, err } = await rotate();
        assert.equal(code, 1);
        assert.match(err, /ECONNREFUSED/);
        assert.equal(readFileSync(file, 'utf8'), before);
        await manta.resume();
    });

    it('is for standalone instances with Manta', async () => {
        configure({ manta: undefined });
        assert.match((await rotate()).err, /has no "manta"/);
        configure({
            mode: 'dc',
            datacenterName: 'x',
            ufds: { url: 'ldap://127.0.0.1:1', bindDN: 'cn=root', bindPassword: 'x' },
        });
        assert.match((await rotate()).err, /config\.mode is "dc"/);
        configure();
        assert.match((await rotate('--every', 'soon')).err, /--every is "soon"/);
    });
});
