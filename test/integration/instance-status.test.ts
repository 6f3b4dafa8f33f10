/** `imgapi-standalone-status` (ops.md §4). */
import assert from 'node:assert/strict';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import https from 'node:https';
import http from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { instanceStatus } from '../../lib/admin/instance-status';
import { runStandalone } from '../../lib/admin/standalone';
import { CertificateAuthority } from '../support/certificates';
import { Page, runProgram, type Outcome } from '../support/imgapiadm';
import { MantaAccount } from '../support/manta-storage';
import { makeFolder, TestServer } from '../support/server';

describe('imgapi-standalone-status', () => {
    let place: Awaited<ReturnType<typeof makeFolder>>;
    let server: TestServer;
    before(async () => {
        place = await makeFolder();
        server = await TestServer.start({ config: { databaseType: 'local' } });
        await mkdir(join(server.dataDir, 'run'));
    });
    after(async () => {
        await server.stop();
        await place.remove();
    });

    const run = (name: string) => join(server.dataDir, 'run', name);

    async function configure(changes: Record<string, unknown> = {}): Promise<string> {
        const file = join(place.path, 'config.json');
        const port = Number(new URL(server.url).port);
        await writeFile(
            file,
            JSON.stringify({ authType: 'none', port, dataDir: server.dataDir, ...changes }),
        );
        return file;
    }

    async function status(file: string, ...args: string[]): Promise<Outcome> {
        const [out, err] = [new Page(), new Page()];
        const argv = ['-f', file, ...args];
        const code = await runStandalone(instanceStatus, { argv, environment: {}, stdout: out, stderr: err });
        return { code, out: out.text, err: err.text };
    }

    it('is 0 where all is well, and tells with -v what was looked at', async () => {
        await writeFile(run('restored.marker'), 'restored\n');
        await writeFile(run('backup.status'), '0\n');
        const file = await configure();
        assert.deepEqual(await status(file, '--no-https'), { code: 0, out: '', err: '' });
        const { err } = await status(file, '--no-https', '-v');
        assert.match(err, /\/ping is well[^]*\/images\?limit=1 is well[^]*backup is well/);
    });

    it('is the number of faults, each of which is named', async () => {
        const file = await configure({ port: 1 });
        await writeFile(run('backup.status'), '1\n');
        const { code, out } = await status(file, '--https', 'https://127.0.0.1:1');
        assert.equal(code, 4);
        assert.match(out, /^http:\/\/127\.0\.0\.1:1\/ping: .*ECONNREFUSED/);
        assert.match(out, /\nhttps:\/\/127\.0\.0\.1:1\/ping: .*ECONNREFUSED/);
        assert.match(out, /\nhttps:\/\/127\.0\.0\.1:1\/images\?limit=1: /);
        assert.match(out, /\nbackup: ended with 1\n$/);
        assert.equal((await status(file, '--no-https', '--no-backup')).code, 2);
    });

    it('looks at the age of the last backup', async () => {
        const file = await configure();
        await writeFile(run('backup.status'), '0\n');
        const old = Date.now() / 1000 - 2 * 3600;
        await utimes(run('backup.status'), old, old);
        const { code, out } = await status(file, '--no-https');
        assert.deepEqual([code, out], [1, 'backup: was made 120 minutes ago\n']);
    });

    it('asks by HTTPS whatever the certificate, for a list', async () => {
        const { key, cert } = new CertificateAuthority(place.path).selfSigned('any', 'DNS:any');
        let answer = '[]';
        const front = https.createServer({ key, cert }, (_request, response) => response.end(answer));
        front.listen(0, '127.0.0.1');
        await once(front, 'listening');
        try {
            const url = `https://127.0.0.1:${(front.address() as AddressInfo).port}`;
            const file = await configure();
            assert.equal((await status(file, '--no-backup', '--https', url)).code, 0);
            answer = '<html>';
            const { code, out } = await status(file, '--no-backup', '--https', url);
            assert.deepEqual(
                [code, out],
                [1, `${url}/images?limit=1: answers 200 without a list of images\n`],
            );
        } finally {
            front.close();
        }
    });

    it('asks Manta', async () => {
        const account = new MantaAccount();
        const manta = await account.serve();
        try {
            const file = await configure({ manta: account.config(manta.url) });
            assert.equal((await status(file, '--no-backup', '--no-https')).code, 0);
            manta.accounts.removeKeys('imgapi');
            const { code, out } = await status(file, '--no-backup', '--no-https');
            assert.equal(code, 1);
            assert.ok(out.startsWith(manta.url), out);
        } finally {
            await manta.stop();
            account.remove();
        }
    });

    it('takes a refusal for a list where reads have to be signed', async () => {
        const front = http.createServer((request, response) => {
            response.statusCode = request.url === '/ping' ? 200 : 401;
            response.end('{}');
        });
        front.listen(0, '127.0.0.1');
        await once(front, 'listening');
        try {
            const { port } = front.address() as AddressInfo;
            const signed = await configure({ port, authType: 'signature', auth: { reads: 'signed' } });
            assert.equal((await status(signed, '--no-backup', '--no-https')).code, 0);
            assert.equal((await status(await configure({ port }), '--no-backup', '--no-https')).code, 1);
        } finally {
            front.close();
        }
    });

    it('says what is wrong with the command line', async () => {
        const file = await configure();
        const { code, err } = await runProgram('imgapi-standalone-status', [
            '-f',
            file,
            '--https',
            'http://x',
        ]);
        assert.equal(code, 1);
        assert.match(err, /--https is "http:\/\/x"/);
        const help = await runProgram('imgapi-standalone-status', ['-h']);
        assert.equal(help.code, 0);
        assert.match(help.out, /^Usage: imgapi-standalone-status \[OPTIONS\]\n/);
    });
});
