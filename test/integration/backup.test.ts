/** `imgapi-standalone-backup` and `-restore` of registries that are in use (ops.md §8). */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { backup } from '../../lib/admin/backup';
import type { Command } from '../../lib/admin/command';
import { takeProcessLock } from '../../lib/db/process-lock';
import { restore } from '../../lib/admin/restore';
import { runStandalone } from '../../lib/admin/standalone';
import { at, Client, FILE, newUuid, sha1 } from '../support/api';
import { testImage } from '../support/images';
import { Imgapiadm, Page, runProgram, type Outcome } from '../support/imgapiadm';
import { MantaAccount } from '../support/manta-storage';
import { RadosGateway } from '../support/radosgw';
import { makeFolder, TestServer } from '../support/server';
import { seenImages } from '../support/stored-images';

const UFDS = { url: 'ldap://127.0.0.1:1', bindDN: 'cn=root', bindPassword: 'x' };
const BIN = resolve(__dirname, '../../bin');

/** A registry and the programs for it. */
class Instance {
    server: TestServer | undefined;

    constructor(
        readonly folder: string,
        private readonly config: Record<string, unknown> = {},
    ) {}

    get dataDir(): string {
        return join(this.folder, 'data');
    }

    get configFile(): string {
        return join(this.folder, 'config.json');
    }

    async configure(): Promise<this> {
        await mkdir(this.dataDir, { recursive: true });
        const config = { ...this.config, authType: 'none', databaseType: 'local', dataDir: this.dataDir };
        await writeFile(this.configFile, JSON.stringify(config));
        return this;
    }

    async start(): Promise<Client> {
        const config = { ...this.config, databaseType: 'local', storageTypes: ['local'] };
        this.server = await TestServer.start({ dataDir: this.dataDir, config });
        return new Client(this.server.url);
    }

    async stop(): Promise<void> {
        await this.server?.stop();
        this.server = undefined;
    }

    async run(command: Command, ...args: string[]): Promise<Outcome> {
        const [out, err] = [new Page(), new Page()];
        const argv = ['-f', this.configFile, '-y', ...args];
        const code = await runStandalone(command, { argv, environment: {}, stdout: out, stderr: err });
        return { code, out: out.text, err: err.text };
    }

    /** Runs a program in a process of its own. */
    runApart(program: string, ...args: string[]): Promise<Outcome> {
        return runProgram(program, ['-f', this.configFile, '-y', ...args]);
    }

    async succeed(command: Command, ...args: string[]): Promise<string> {
        const { code, out, err } = await this.run(command, ...args);
        assert.deepEqual([code, err], [0, '']);
        return out;
    }

    async fail(message: RegExp, command: Command, ...args: string[]): Promise<void> {
        const { code, err } = await this.run(command, ...args);
        assert.match(err, message);
        assert.equal(code, 1);
    }

    async checkFiles(): Promise<Outcome> {
        const adm = await Imgapiadm.with(this.folder, { ...this.config, dataDir: this.dataDir });
        return adm.run('check-files', '--force');
    }
}

describe('Backup and restore of a standalone registry', function () {
    this.timeout(120_000);
    let place: Awaited<ReturnType<typeof makeFolder>>;
    const instances: Instance[] = [];
    const path = (name: string): string => join(place.path, name);

    beforeEach(async () => {
        place = await makeFolder();
    });
    afterEach(async () => {
        await Promise.all(instances.splice(0).map((instance) => instance.stop()));
        await place.remove();
    });

    async function instance(name: string, config: Record<string, unknown> = {}): Promise<Instance> {
        const made = await new Instance(path(name), config).configure();
        instances.push(made);
        return made;
    }

    /** One that may be backed up. */
    async function source(config: Record<string, unknown> = {}): Promise<Instance> {
        const made = await instance('source', config);
        await made.succeed(restore, '-p', path('nowhere'));
        return made;
    }

    /** Restores at another place and compares; gives what was seen. */
    async function assertRestorable(target: string, config: Record<string, unknown> = {}): Promise<string[]> {
        const other = await instance('other', config);
        await other.succeed(restore, '-p', target);
        const checked = await other.checkFiles();
        assert.equal(checked.code, 0, checked.out + checked.err);
        const client = await other.start();
        return (await seenImages(client)).map((image) => JSON.stringify(image));
    }

    it('copies what is there, and again only what has changed', async () => {
        const from = await source();
        const client = await from.start();
        const { uuid } = await client.createActive({ name: 'one' });
        await client.uploadIcon(uuid);
        const { uuid: gone } = await client.createActive({ name: 'two' }, Buffer.from('two'));
        assert.match(await from.succeed(backup, '-p', path('to')), /3 file\(s\), 3 of them/);
        await client.delete(at(gone));
        await client.createActive({ name: 'three' }, Buffer.from('three'));
        assert.match(await from.succeed(backup, '-p', path('to')), /3 file\(s\), 1 of them/);
        const objects = (await readdir(path('to/images'), { recursive: true })).filter((name) =>
            name.includes('file0'),
        );
        assert.equal(objects.length, 2);
        assert.equal(await readFile(join(from.dataDir, 'run/backup.status'), 'utf8'), '0\n');
        const before = (await seenImages(client)).map((image) => JSON.stringify(image));
        await from.stop();
        assert.deepEqual(await assertRestorable(path('to')), before);
    });

    it('is whole while images are uploaded, replaced and deleted', async () => {
        const from = await source();
        const client = await from.start();
        const first = await client.createActive({ name: 'first' });
        const busy = new AbortController();
        let finished = 0;
        const use = async (user: number): Promise<void> => {
            for (let n = 0; !busy.signal.aborted; n++) {
                const { uuid } = await client.create({ name: `image-${user}-${n}`, origin: first.uuid });
                await client.upload(uuid, Buffer.from(`${user}-${n}`.repeat(10_000)));
                // Replaced before it is activated, as AddImageFile may.
                await client.upload(uuid, Buffer.from(`${user}-${n}-again`));
                await client.action(uuid, 'activate');
                finished++;
                if (n % 3 === 0) {
                    await client.delete(at(uuid));
                }
            }
        };
        const users = [1, 2, 3].map((user) => use(user));
        try {
            for (let n = 0; n < 4 || finished < 20; n++) {
                const { code, err } = await from.run(backup, '-p', path('to'));
                assert.equal(code, 0, err);
            }
        } finally {
            busy.abort();
            await Promise.all(users);
        }
        await from.stop();
        const restored = await assertRestorable(path('to'));
        assert.ok(restored.some((image) => image.includes('"first"')));
        assert.ok(restored.length > 10);
    });

    it('goes on after it was killed, and the former backup is good until it is done', async () => {
        const from = await source();
        const client = await from.start();
        await client.createActive({ name: 'one' });
        await from.succeed(backup, '-p', path('to'));
        for (let n = 0; n < 30; n++) {
            await client.createActive({ name: `more-${n}` }, Buffer.alloc(200_000, n));
        }
        const before = (await seenImages(client)).map((image) => JSON.stringify(image));
        await from.stop();
        assert.equal(
            await killed(from, 'imgapi-standalone-backup', path('to'), path('to/images'), 5),
            'SIGKILL',
        );
        const other = await instance('half');
        assert.match(await other.succeed(restore, '-p', path('to')), /and 1 file\(s\)/);
        await from.succeed(backup, '-p', path('to'));

        const target = await instance('other');
        assert.equal(
            await killed(target, 'imgapi-standalone-restore', path('to'), join(target.dataDir, 'images'), 5),
            'SIGKILL',
        );
        assert.ok(!existsSync(join(target.dataDir, 'imgapi.db')));
        assert.deepEqual(await assertRestorable(path('to')), before);
    });

    /** Kills a program once it has written that many files into a folder. Gives the signal it ended by. */
    async function killed(
        { configFile }: Instance,
        program: string,
        target: string,
        folder: string,
        files: number,
    ): Promise<NodeJS.Signals | null> {
        await mkdir(folder, { recursive: true });
        const count = async () =>
            (await readdir(folder, { recursive: true })).filter((name) => name.includes('file0-')).length;
        const least = (await count()) + files;
        const child = spawn(process.execPath, [join(BIN, program), '-f', configFile, '-y', '-p', target], {
            stdio: 'ignore',
        });
        const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
        while (child.exitCode === null && child.signalCode === null) {
            if ((await count()) >= least) {
                child.kill('SIGKILL');
                break;
            }
            await setImmediate();
        }
        return (await ended)[1];
    }

    it('is kept in Manta', async () => {
        const account = new MantaAccount();
        const manta = await account.serve();
        try {
            const config = { manta: account.config(manta.url), storageTypes: ['local'] };
            const from = await source(config);
            const client = await from.start();
            await client.createActive({ name: 'one' });
            const { uuid } = await client.createActive({ name: 'two' }, Buffer.from('two'));
            await from.succeed(backup);
            await client.delete(at(uuid));
            await from.succeed(backup, '--place', 'manta');
            const names = manta.objects.map((name) => name.replace('/imgapi/stor/imgapi/backup/', ''));
            assert.equal(names.filter((name) => name.startsWith('images/')).length, 1);
            assert.deepEqual(
                names.filter((name) => name.endsWith('.json')),
                ['manifests/backup.json', 'manifests/registry.json'],
            );
            const before = (await seenImages(client)).map((image) => JSON.stringify(image));
            await from.stop();
            assert.deepEqual(await assertRestorable('manta', config), before);
            manta.accounts.removeKeys('imgapi');
            await from.fail(/KeyDoesNotExist|key/i, backup);
            assert.equal(await readFile(join(from.dataDir, 'run/backup.status'), 'utf8'), '1\n');
        } finally {
            await manta.stop();
            account.remove();
        }
    });

    it('is kept in S3', async function () {
        const gateway = await RadosGateway.start(this);
        try {
            const { accessKeyId, secretAccessKey } = gateway.credentials;
            const s3 = {
                bucket: gateway.bucket,
                region: 'us-east-1',
                endpoint: gateway.url,
                forcePathStyle: true,
                prefix: 'registry',
                accessKeyId,
                secretAccessKey,
            };
            const config = { s3, storageTypes: ['local'] };
            const from = await source(config);
            const client = await from.start();
            await client.createActive({ name: 'one' }, Buffer.alloc(9_000_000, 7));
            const { uuid } = await client.createActive({ name: 'two' }, Buffer.from('two'));
            await from.succeed(backup);
            await client.delete(at(uuid));
            await from.succeed(backup);
            const before = (await seenImages(client)).map((image) => JSON.stringify(image));
            await from.stop();
            assert.deepEqual(await assertRestorable('s3', config), before);
        } finally {
            await gateway.stop();
        }
    });

    it('begins only after a restore, and one at a time', async () => {
        const from = await instance('source');
        await from.fail(/before imgapi-standalone-restore has run/, backup, '-p', path('to'));
        assert.ok(!existsSync(join(from.dataDir, 'run/backup.status')));
        assert.match(await from.succeed(restore, '-p', path('to')), /nothing to restore/);
        await from.fail(/no server has run/, backup, '-p', path('to'));
        await from.start();
        const lock = takeProcessLock(join(from.dataDir, 'run/backup.lock'));
        await from.fail(/Another backup or restore/, backup, '-p', path('to'));
        await from.fail(/Another backup or restore/, restore, '-p', path('to'));
        lock?.release();
        await from.succeed(backup, '-p', path('to'));
    });

    it('takes no place that is not its own', async () => {
        const from = await source();
        const client = await from.start();
        await client.createActive();
        await from.fail(/--place FOLDER/, backup);
        await from.fail(/an absolute path/, backup, '-p', 'relative');
        await from.fail(/which the configuration does not have/, backup, '-p', 's3');
        await from.fail(/a backup has to be elsewhere/, backup, '-p', join(from.dataDir, 'to'));
        const other = await instance('another');
        await other.start();
        await from.fail(/where a registry keeps its own data/, backup, '-p', other.dataDir);
        await mkdir(path('foreign/images'), { recursive: true });
        await writeFile(path('foreign/images/of-somebody'), 'x');
        await from.fail(/holds files that are no backup/, backup, '-p', path('foreign'));
        assert.ok(existsSync(path('foreign/images/of-somebody')));
        await from.succeed(backup, '-p', path('to'));
        await other.succeed(restore, '-p', path('nowhere'));
        await other.fail(/the backup of another registry/, backup, '-p', path('to'));
        await other.succeed(backup, '-p', path('to'), '--force');
        await (
            await instance('dc', { mode: 'dc', datacenterName: 'x', ufds: UFDS })
        ).fail(/config\.mode is "dc"/, backup, '-p', path('to'));
    });

    it('is restored over nothing that has images, unless it is told to', async () => {
        const from = await source();
        const client = await from.start();
        await client.createActive({ name: 'kept' });
        // In processes of their own, because one that has looked into a database keeps it open for a while.
        assert.equal((await from.runApart('imgapi-standalone-backup', '-p', path('to'))).code, 0);
        await client.createActive({ name: 'later' });
        await from.fail(/A server uses/, restore, '-p', path('to'), '--force');
        await from.stop();
        const refused = await from.runApart('imgapi-standalone-restore', '-p', path('to'));
        assert.equal(refused.code, 1);
        assert.match(refused.err, /has images/);
        const { code, err } = await from.runApart('imgapi-standalone-restore', '-p', path('to'), '--force');
        assert.equal(code, 0, err);
        const [, aside = ''] = /is kept as (.*)\.\n/.exec(err) ?? [];
        assert.ok(existsSync(aside));
        const names = (await seenImages(await from.start())).map(({ name }) => name);
        assert.deepEqual(names, ['kept']);
        await from.stop();
        await rm(join(from.dataDir, 'imgapi.db'));
        await from.fail(/is not empty/, restore, '-p', path('to'));
    });

    it('names files that are damaged, where they came from or where they are kept', async () => {
        const from = await source();
        const client = await from.start();
        const damage = async (folder: string): Promise<string> => {
            const names = await readdir(folder, { recursive: true });
            const name = names.find((each) => each.includes('file0-')) ?? '';
            await writeFile(join(folder, name), Buffer.alloc(FILE.length));
            return name;
        };
        await client.createActive();
        await from.succeed(backup, '-p', path('to'));
        const name = await damage(path('to/images'));
        const other = await instance('other');
        const restored = await other.run(restore, '-p', path('to'));
        assert.equal(restored.code, 1);
        assert.match(restored.err, new RegExp(`${name} is damaged in the backup`));
        await damage(join(from.dataDir, 'images'));
        await rm(path('to'), { recursive: true });
        await from.fail(new RegExp(`${name} is damaged`), backup, '-p', path('to'));
        assert.equal(await readFile(join(from.dataDir, 'run/backup.status'), 'utf8'), '1\n');
        await rm(join(from.dataDir, 'images', name));
        await from.fail(new RegExp(`${name} is not there`), backup, '-p', path('to'));
    });

    it("takes over a backup of the original server's", async () => {
        const uuid = newUuid();
        const folder = path(`to/images/${uuid.slice(0, 3)}/${uuid}`);
        await mkdir(folder, { recursive: true });
        await mkdir(path('to/manifests'));
        await writeFile(join(folder, 'file0'), FILE);
        const files = [{ sha1: sha1(FILE), size: FILE.length, compression: 'none', stor: 'local' }];
        const raw = { ...testImage(1), uuid, name: 'old', files };
        await writeFile(path(`to/manifests/${uuid}.raw`), JSON.stringify(raw));
        const target = await instance('target');
        await target.succeed(restore, '-p', path('to'));
        const client = await target.start();
        assert.deepEqual(
            (await seenImages(client)).map(({ name, file }) => [name, file]),
            [['old', sha1(FILE)]],
        );
        assert.equal((await target.checkFiles()).code, 0);
    });

    it('asks before it does anything, unless it is told not to', async () => {
        const from = await source();
        await from.start();
        const args = ['-f', from.configFile, '-p', path('to')];
        const { code, err } = await runProgram('imgapi-standalone-backup', args);
        assert.equal(code, 1);
        assert.match(err, /Press Enter to go on[^]*Nobody has pressed Enter/);
        const help = await runProgram('imgapi-standalone-restore', ['-h']);
        assert.equal(help.code, 0);
        assert.match(help.out, /^Usage: imgapi-standalone-restore \[OPTIONS\]\n/);
        assert.equal((await runProgram('imgapi-standalone-backup', ['--wrong'])).code, 1);
    });
});
