/** A server whose disk is full: it refuses what needs room, keeps what it has and goes on when there is room again. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { assertError, at, FILE, MANIFEST, sha1, type Answer, type Client } from '../support/api';
import { fillDisk } from '../support/fill-disk';
import { makeFolder } from '../support/server';
import { withServer } from '../support/signed';
import { skip } from '../support/skip';
import { leftovers, seenImages } from '../support/stored-images';

const run = promisify(execFile);
const MIB = 1024 * 1024;
const DISK = 16 * MIB;
const TOO_LARGE = randomBytes(20 * MIB);

async function* inChunks(bytes: Buffer): AsyncGenerator<Buffer> {
    for (let start = 0; start < bytes.length; start += MIB) {
        yield bytes.subarray(start, start + MIB);
    }
}

describe('a server on a full disk', function () {
    this.timeout(60_000);

    let place: Awaited<ReturnType<typeof makeFolder>>;
    let dataDir = '';
    let filler = '';
    before(async () => {
        place = await makeFolder();
        dataDir = place.path;
        filler = join(dataDir, 'filler');
    });
    beforeEach(async function () {
        try {
            await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', dataDir]);
        } catch (err) {
            skip(this, `no small file system can be mounted, run the tests as root: ${String(err)}`);
        }
    });
    afterEach(async function () {
        if (this.currentTest?.isPending() !== true) {
            await run('umount', [dataDir]);
        }
    });
    after(() => place.remove());

    /** Takes all the room there is. */
    const fill = () => fillDisk(filler);

    for (const [how, body] of [
        ['with its size announced', () => TOO_LARGE],
        ['in chunks', () => inChunks(TOO_LARGE)],
    ] as const) {
        it(`refuses a file that does not fit, sent ${how}, and keeps the former one`, async () => {
            await withServer({ dataDir }, async (client) => {
                const { uuid } = await client.create();
                await client.upload(uuid);
                const before = await seenImages(client);
                for (let time = 0; time < 3; time++) {
                    const answer = await client.put(at(uuid, '/file?compression=none'), body());
                    assertError(answer, 507, 'InsufficientStorage');
                    assert.deepEqual(await seenImages(client), before);
                    assert.deepEqual(await leftovers(dataDir, before), []);
                }
                assert.equal((await client.get('/ping')).status, 200);
                const fitting = randomBytes(4 * MIB);
                assert.equal((await client.upload(uuid, fitting)).files[0]?.sha1, sha1(fitting));
            });
        });
    }

    /** What needs room of the database, and is refused as long as there is none. */
    const writes: Record<string, (client: Client, uuid: string) => Promise<Answer>> = {
        create: (client) => client.post('/images', { ...MANIFEST, tags: { much: 'x'.repeat(50_000) } }),
        'upload of a file': (client, uuid) => client.put(at(uuid, '/file?compression=none'), FILE),
        'upload of an icon': (client, uuid) =>
            client.put(at(uuid, '/icon'), Buffer.alloc(100), { 'content-type': 'image/png' }),
        update: (client, uuid) => client.action(uuid, 'update', { tags: { much: 'x'.repeat(50_000) } }),
        activation: (client, uuid) => client.action(uuid, 'activate'),
    };

    it('refuses changes that find no room at all, answers reads, and goes on when there is room', async () => {
        let expected: Awaited<ReturnType<typeof seenImages>> = [];
        await withServer({ dataDir }, async (client, server) => {
            const { uuid } = await client.create();
            await client.upload(uuid);
            const before = await seenImages(client);
            const manifest = (await client.get(at(uuid))).text;
            await fill();
            for (let time = 0; time < 3; time++) {
                for (const [name, write] of Object.entries(writes)) {
                    const answer = await write(client, uuid);
                    assertError(answer, 507, 'InsufficientStorage');
                    assert.equal((await client.get(at(uuid))).text, manifest, name);
                    assert.deepEqual(await seenImages(client), before, name);
                    assert.deepEqual(await leftovers(dataDir, before), [], name);
                }
            }
            await rm(filler);
            for (const [name, write] of Object.entries(writes)) {
                const answer = await write(client, uuid);
                assert.equal(answer.status, 200, `${name}: ${answer.text}`);
            }
            expected = await seenImages(client);
            assert.equal(expected.length, 2);
            assert.deepEqual(await leftovers(dataDir, expected), []);
            assert.ok(server.running);
        });
        await withServer({ dataDir }, async (client) => {
            assert.deepEqual(await seenImages(client), expected, 'another process sees the same');
        });
    });

    it('deletes images, which makes room for new ones', async () => {
        await withServer({ dataDir }, async (client) => {
            const { uuid } = await client.create();
            await client.upload(uuid, randomBytes(MIB));
            await fill();
            assert.equal((await client.delete(at(uuid))).status, 204);
            assert.deepEqual(await leftovers(dataDir, []), []);
            assert.equal((await client.create()).files.length, 0);
        });
    });
});
