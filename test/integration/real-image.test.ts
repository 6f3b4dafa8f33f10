import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeKey, signedHeaders, type TestKey } from '../support/keys';
import { makeRootFilesystem, NoRootFilesystem } from '../support/root-filesystem';
import { makeFolder, TestServer } from '../support/server';
import { skip } from '../support/skip';

const run = promisify(execFile);

const USER = 'builder';
const OWNER = '930896af-bf8c-48d4-885c-6573a94b1853';
const LEAST_SIZE = 150e6;
const PARTS = 5;

/** How long making the file, and then each request, may take. */
const MAKING = 600_000;
const MOVING = 120_000;

interface Manifest {
    uuid: string;
    state: string;
    files: { sha1: string; size: number; compression: string }[];
}

async function sha1Of(file: string): Promise<string> {
    const hash = createHash('sha1');
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
        hash.update(chunk as Buffer);
    }
    return hash.digest('hex');
}

describe('a real image, by curl with signatures', () => {
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let server: TestServer;
    let key: TestKey;
    let file: string;
    let size: number;
    let sha1: string;
    let uuid: string;

    before(async function () {
        this.timeout(MAKING);
        folder = await makeFolder();
        file = join(folder.path, 'rootfs.tar.gz');
        try {
            await makeRootFilesystem(file);
        } catch (err) {
            if (err instanceof NoRootFilesystem) {
                skip(this, err.message);
            }
            throw err;
        }
        ({ size } = await stat(file));
        sha1 = await sha1Of(file);
        key = makeKey(folder.path);
        server = await TestServer.start({
            config: { mode: 'public', authType: 'signature', authKeys: { [USER]: [key.publicLine] } },
        });
    });
    after(async () => {
        // Nothing was started if the file could not be made.
        await (server as TestServer | undefined)?.stop();
        await folder.remove();
    });

    /** What curl writes; rejects with the answer's body if its status is an error. */
    async function curl(path: string, ...options: string[]): Promise<string> {
        const command = ['-sS', '--fail-with-body', ...options, server.url + path];
        return new Promise((resolve, reject) => {
            execFile('curl', command, (error, stdout, stderr) => {
                if (error) {
                    reject(new Error(`curl ${path}: ${stdout}${stderr}`));
                } else {
                    resolve(stdout);
                }
            });
        });
    }

    /** curl's options for a request signed now. */
    function signed(): string[] {
        const headers = Object.entries(signedHeaders(USER, key));
        return headers.flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    }

    const manifestFrom = (text: string): Manifest => JSON.parse(text) as Manifest;

    it('is as large as real images are', () => {
        assert.ok(size >= LEAST_SIZE, `${size} bytes`);
    });

    it('is created, by a signed request only', async () => {
        const fields = { name: 'rootfs', version: '12.0.0', type: 'lx-dataset', os: 'linux', owner: OWNER };
        const requirements = { brand: 'lx', networks: [{ name: 'net0', description: 'public' }] };
        const json = ['-H', 'Content-Type: application/json', '-d'];
        const body = JSON.stringify({
            ...fields,
            public: true,
            requirements,
            tags: { kernel_version: '6.1.0' },
        });
        await assert.rejects(curl('/images', ...json, body), /UnauthorizedError/);
        const manifest = manifestFrom(await curl('/images', ...signed(), ...json, body));
        assert.equal(manifest.state, 'unactivated');
        ({ uuid } = manifest);
    });

    it('takes the file', async function () {
        this.timeout(MOVING);
        const path = `/images/${uuid}/file?compression=gzip&sha1=${sha1}`;
        const manifest = manifestFrom(await curl(path, ...signed(), '-T', file));
        assert.deepEqual(manifest.files, [{ sha1, size, compression: 'gzip' }]);
    });

    it('is activated and then listed', async () => {
        assert.deepEqual(JSON.parse(await curl('/images')), []);
        const activated = manifestFrom(
            await curl(`/images/${uuid}?action=activate`, ...signed(), '-X', 'POST'),
        );
        assert.equal(activated.state, 'active');
        assert.deepEqual(JSON.parse(await curl('/images')), [activated]);
    });

    it('comes back in parts that make up the same file', async function () {
        this.timeout(MOVING);
        const hash = createHash('sha1');
        const length = Math.ceil(size / PARTS);
        for (let start = 0; start < size; start += length) {
            const part = join(folder.path, 'part');
            const range = `${start}-${Math.min(start + length, size) - 1}`;
            const status = await curl(
                `/images/${uuid}/file`,
                ...['--range', range, '-o', part, '-w', '%{http_code} %header{content-range}'],
            );
            assert.equal(status, `206 bytes ${range}/${size}`);
            for await (const chunk of createReadStream(part, { highWaterMark: 1 << 20 })) {
                hash.update(chunk as Buffer);
            }
        }
        assert.equal(hash.digest('hex'), sha1);
    });

    it('comes back whole, as an archive that tar reads', async function () {
        this.timeout(MOVING);
        const copy = join(folder.path, 'copy.tar.gz');
        await curl(`/images/${uuid}/file`, '-o', copy);
        assert.equal(await sha1Of(copy), sha1);
        const { stdout } = await run('tar', ['-xzOf', copy, './usr/lib/os-release', '--occurrence=1']);
        assert.match(stdout, /ID=debian/);
    });
});
