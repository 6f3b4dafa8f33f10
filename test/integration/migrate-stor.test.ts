/** `imgapiadm migrate-stor`: a server moves the files of all images from the disk to Manta, and back. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { at, Client, type Manifest } from '../support/api';
import { CHANNELS } from '../support/channels';
import { Imgapiadm, type Outcome } from '../support/imgapiadm';
import { signedHeaders } from '../support/keys';
import { MantaAccount } from '../support/manta-storage';
import type { MantaServer } from '../support/manta-server';
import { makeFolder, TestServer } from '../support/server';
import { skip } from '../support/skip';

const bytesOf = (n: number): Buffer => Buffer.alloc(1000 * n, n);

describe('imgapiadm migrate-stor', function () {
    this.timeout(90_000);

    let place: Awaited<ReturnType<typeof makeFolder>>;
    let account: MantaAccount;
    let manta: MantaServer;
    let dataDir: string;
    let server: TestServer | undefined;
    let client: Client;
    let adm: Imgapiadm;
    before(() => (account = new MantaAccount()));
    after(() => account.remove());
    beforeEach(async () => {
        place = await makeFolder();
        dataDir = join(place.path, 'data');
        manta = await account.serve();
    });
    afterEach(async () => {
        await server?.stop();
        server = undefined;
        await manta.stop();
        await place.remove();
    });

    /** Starts a server on the same data, by default with the disk and Manta. */
    async function serve(config: Record<string, unknown> = {}): Promise<void> {
        await server?.stop();
        const settings = { storageTypes: ['local', 'manta'], manta: account.config(manta.url), ...config };
        server = await TestServer.start({ config: settings, dataDir });
        client = new Client(server.url, () =>
            config.authType === 'signature' ? signedHeaders('alice', account.key) : {},
        );
        adm = await Imgapiadm.for(server, place.path, settings);
    }

    const migrate = (...args: string[]): Promise<Outcome> => adm.run('migrate-stor', ...args);

    /** Some images whose files are on the disk. */
    async function images(count: number, config: Record<string, unknown> = {}): Promise<Manifest[]> {
        await serve(config);
        const made: Manifest[] = [];
        for (let n = 1; n <= count; n++) {
            const { uuid } = await client.create({ name: `image-${n}` });
            await client.upload(uuid, bytesOf(n), 'compression=none&storage=local');
            made.push((await client.action(uuid, 'activate')).manifest);
        }
        return made;
    }

    /** Where the files are, by their records; proves that they can be downloaded. */
    async function storages(made: readonly Manifest[], query = ''): Promise<(string | undefined)[]> {
        const state = (await client.get('/state')).json as {
            db: { manifestFromUuid: Record<string, { value: Manifest }> };
        };
        return Promise.all(
            made.map(async ({ uuid }, index) => {
                assert.deepEqual((await client.get(at(uuid, `/file${query}`))).body, bytesOf(index + 1));
                return state.db.manifestFromUuid[uuid]?.value.files[0]?.stor;
            }),
        );
    }

    const line = ({ uuid, name }: Manifest, rest: string): string => `${uuid}  ${name} 1.0.0: ${rest}\n`;

    it('moves what is elsewhere, once, and back', async () => {
        const made = await images(3);
        const [one, two, three] = made;
        assert.ok(one && two && three);
        assert.deepEqual(await adm.runWith({}, 'migrate-stor', '--to', 'manta'), {
            code: 0,
            out: [
                line(one, 'moved from local to manta, 1000 bytes'),
                line(two, 'moved from local to manta, 2.0 KiB'),
                line(three, 'moved from local to manta, 2.9 KiB'),
                'Moved the files of 3 image(s) to manta.\n',
            ].join(''),
            err: '',
        });
        assert.deepEqual(await storages(made), ['manta', 'manta', 'manta']);
        assert.deepEqual(
            (await readdir(join(dataDir, 'images'), { recursive: true })).filter((name) =>
                name.includes('file'),
            ),
            [],
        );
        assert.deepEqual(await migrate('--to=manta'), {
            code: 0,
            out: 'Moved the files of 0 image(s) to manta.\n',
            err: '',
        });
        assert.equal((await migrate('--to', 'local')).code, 0);
        assert.deepEqual(await storages(made), ['local', 'local', 'local']);
        assert.deepEqual(
            manta.objects.filter((path) => /\/images\/.*file0/.test(path)),
            [],
        );
    });

    it('only names them with --dry-run, whether the server runs or not', async () => {
        const made = await images(2);
        const [one, two] = made;
        assert.ok(one && two);
        const expected = {
            code: 0,
            out: `${line(one, 'local, 1000 bytes')}${line(two, 'local, 2.0 KiB')}The files of 2 image(s), 2.9 KiB, would be moved to manta.\n`,
            err: '',
        };
        assert.deepEqual(await migrate('--to', 'manta', '--dry-run'), expected);
        assert.deepEqual(await storages(made), ['local', 'local']);
        await server?.stop();
        assert.deepEqual(await migrate('-n', '--to', 'manta'), expected);
    });

    it('names what the server cannot move, and exits with 1', async () => {
        const made = await images(2);
        const [one] = made;
        assert.ok(one);
        await client.uploadIcon(one.uuid);
        await client.post(at(one.uuid, '?action=disable'));
        const { code, out, err } = await migrate('--to', 'manta');
        assert.equal(code, 1);
        assert.match(err, new RegExp(`^${one.uuid} .*: stays in local: Image .* has an icon`));
        assert.match(out, /Moved the files of 1 image\(s\) to manta; 1 stay where they are\.\n$/);
        assert.deepEqual((await storages(made))[1], 'manta');
    });

    it('names what Manta has damaged, leaves it there, and goes on', async () => {
        const made = await images(3);
        assert.equal((await migrate('--to', 'manta')).code, 0);
        await manta.damage(
            manta.objects.find((path) => path.includes(`/images/${made[0]?.uuid.slice(0, 3)}/`)) ?? '',
        );
        const { code, out, err } = await migrate('--to', 'local');
        assert.equal(code, 1, err);
        assert.match(
            err,
            new RegExp(`^${made[0]?.uuid} .*: stays in manta: The stored file .* is damaged\\.\n$`),
        );
        assert.match(out, /Moved the files of 2 image\(s\) to local; 1 stay where they are\.\n$/);
    });

    it('reaches images in whatever channel they are', async () => {
        const made = await images(2, { channels: CHANNELS });
        const other = CHANNELS.find((channel) => channel.default !== true)?.name ?? '';
        const [one] = made;
        assert.ok(one);
        await client.post(at(one.uuid, '?action=channel-add'), { channel: other });
        assert.equal((await client.delete(at(one.uuid))).status, 204);
        assert.equal((await client.get(at(one.uuid))).status, 404, 'it is in the other channel only');
        assert.equal((await migrate('--to', 'manta')).code, 0);
        assert.deepEqual(await storages(made, '?channel=*'), ['manta', 'manta']);
    });

    it('stops while a storage is down, and goes on from there when it is run again', async () => {
        const made = await images(3);
        manta.trouble = (request, response) => {
            const [, uuid] = /\/images\/[^/]+\/([^/]+)\/file0/.exec(request.url ?? '') ?? [];
            if (request.method === 'PUT' && uuid !== undefined && uuid !== made[0]?.uuid) {
                response.writeHead(503, { connection: 'close' }).end();
                return true;
            }
            return false;
        };
        const { code, out, err } = await migrate('--to', 'manta');
        assert.equal(code, 2);
        assert.match(out, /^[^\n]+ moved from local to manta, 1000 bytes\n$/);
        assert.match(err, /answered 503 StorageIsDown: .*\nStopped\. Run the same command again/);
        assert.deepEqual(await storages(made), ['manta', 'local', 'local']);
        manta.trouble = undefined;
        assert.match((await migrate('--to', 'manta')).out, /Moved the files of 2 image\(s\) to manta\.\n$/);
        assert.deepEqual(await storages(made), ['manta', 'manta', 'manta']);
    });

    it('stops when the server dies, and leaves every file readable', async () => {
        const made = await images(2);
        manta.trouble = (request) => {
            if (request.method === 'PUT' && /\/images\/.*\/file0/.test(request.url ?? '')) {
                server?.child.kill('SIGKILL');
            }
            return false;
        };
        const { code, err } = await migrate('--to', 'manta');
        assert.equal(code, 2);
        assert.match(err, /cannot be reached .*\nStopped\./);
        manta.trouble = undefined;
        await serve();
        assert.deepEqual(await storages(made), ['local', 'local']);
        assert.equal((await migrate('--to', 'manta')).code, 0);
        assert.deepEqual(await storages(made), ['manta', 'manta']);
    });

    it('signs where the server wants it, and exits with 2 where it does not let it or does not run', async () => {
        const { key } = account;
        const made = await images(1, {
            authType: 'signature',
            authKeys: { alice: [key.publicLine], writer: [key.publicLine] },
            auth: { roles: { writer: 'write' } },
        });
        for (const [user, complaint] of [
            ['bob', /answered 401 UnauthorizedError/],
            ['writer', /answered 403 NotAuthorized/],
        ] as const) {
            const { code, err } = await migrate('--to', 'manta', '-u', user, '-i', key.privateKeyFile);
            assert.equal(code, 2);
            assert.match(err, complaint);
        }
        assert.equal((await migrate('--to', 'manta')).code, 1);
        assert.equal((await migrate('--to', 'manta', '-u', 'alice', '-i', key.privateKeyFile)).code, 0);
        assert.deepEqual(await storages(made), ['manta']);
        await server?.stop();
        const gone = await migrate('--to', 'local', '-u', 'alice', '-i', key.privateKeyFile);
        assert.deepEqual([gone.code, gone.out], [2, '']);
        assert.match(gone.err, /cannot be reached \(ECONNREFUSED\)/);
    });

    it('shows a bar on a terminal, and what it has moved in files and pipes', async function () {
        await images(2);
        const program = resolve(__dirname, '../../bin/imgapiadm');
        const command = (to: string): string =>
            [process.execPath, program, '-f', adm.file, 'migrate-stor', '--to', to].join(' ');
        const dry = spawnSync('script', ['--version'], { encoding: 'utf8' });
        if (dry.error) {
            skip(this, 'script is missing: apt-get install bsdutils');
        }
        const onTerminal = async (line: string): Promise<string> => {
            const child = spawn('script', ['-qec', line, '/dev/null'], {
                stdio: ['ignore', 'pipe', 'inherit'],
            });
            const [seen] = await Promise.all([text(child.stdout), once(child, 'close')]);
            return seen;
        };
        const seen = await onTerminal(command('manta'));
        assert.match(seen, /\[ +\] +0% {2}0\/2 images {2}0 bytes of 2\.9 KiB/);
        assert.match(seen, /Moved the files of 2 image\(s\) to manta\./);
        assert.doesNotMatch(seen, /moved from local/);
        const file = join(place.path, 'moved');
        const bar = await onTerminal(`${command('local')} > ${file}`);
        assert.match(bar, /0\/2 images/);
        assert.doesNotMatch(bar, /Moved|moved/);
        assert.match(
            await readFile(file, 'utf8'),
            /^([^\n]+: moved from manta to local, .*\n){2}Moved the files of 2/,
        );
    });
});
