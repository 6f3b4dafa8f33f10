/** Several server processes on one folder: they see each other's writes at once and do not get in each other's way. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { at, assertError, FILE, newUuid, sha1, type Client } from '../support/api';
import { makeFolder, type TestServer } from '../support/server';
import { withServer } from '../support/signed';
import { SlowUpload, untilStaged } from '../support/slow-upload';
import { seenImages, untilClean } from '../support/stored-images';

const ROUNDS = 20;
const CLEAN_WITHIN = 10_000;
const config = { limits: { uploadSilence: 1000 } };

describe('two server processes on one folder', function () {
    this.timeout(60_000);

    let place: Awaited<ReturnType<typeof makeFolder>>;
    let dataDir: string;
    beforeEach(async () => {
        place = await makeFolder();
        dataDir = join(place.path, 'data');
    });
    afterEach(() => place.remove());

    async function withTwo(
        work: (one: Client, other: Client, servers: readonly [TestServer, TestServer]) => Promise<void>,
    ): Promise<void> {
        await withServer({ config, dataDir }, (one, first) =>
            withServer({ config, dataDir }, (other, second) => work(one, other, [first, second])),
        );
    }

    /** Asks for what a process remembers, twice, so that it does. */
    async function warm(client: Client, uuid: string): Promise<void> {
        for (let time = 0; time < 2; time++) {
            await client.get(at(uuid));
            await client.get('/images?state=all');
        }
    }

    const listed = async (client: Client, uuid: string) =>
        (await client.get('/images?state=all')).manifests.find((image) => image.uuid === uuid);

    it('see what the other has created, changed and deleted with their next request', async () => {
        await withTwo(async (one, other) => {
            for (let round = 0; round < ROUNDS; round++) {
                const [writer, reader] = round % 2 === 0 ? [one, other] : [other, one];
                await warm(reader, newUuid());
                const { uuid } = await writer.create();
                assert.equal((await reader.get(at(uuid))).status, 200, 'created: get');
                assert.equal((await listed(reader, uuid))?.name, 'base', 'created: list');

                await warm(reader, uuid);
                const name = `changed-${round}`;
                const updated = await writer.action(uuid, 'update', { name });
                assert.equal((await reader.get(at(uuid))).manifest.name, name, 'changed: get');
                assert.equal((await listed(reader, uuid))?.name, name, 'changed: list');
                const condition = { 'if-none-match': String(updated.headers.etag) };
                assert.equal((await reader.get(at(uuid), condition)).status, 304, 'changed: etag');

                const bytes = randomBytes(1000 + round);
                await writer.upload(uuid, bytes);
                assert.deepEqual((await reader.get(at(uuid, '/file'))).body, bytes, 'uploaded');

                await warm(reader, uuid);
                assert.equal((await writer.delete(at(uuid))).status, 204);
                assert.equal((await reader.get(at(uuid))).status, 404, 'deleted: get');
                assert.equal(await listed(reader, uuid), undefined, 'deleted: list');
                assert.equal((await reader.get(at(uuid, '/file'))).status, 404, 'deleted: file');
            }
        });
    });

    it('lose none of the changes that both make to one image', async () => {
        await withTwo(async (one, other) => {
            const { uuid } = await one.create();
            const accounts = Array.from({ length: 2 * ROUNDS }, newUuid);
            const answers = await Promise.all(
                accounts.map((account, index) =>
                    (index % 2 === 0 ? one : other).post(at(uuid, '/acl'), [account]),
                ),
            );
            assert.deepEqual(
                answers.map(({ status }) => status),
                accounts.map(() => 200),
            );
            assert.deepEqual((await one.get(at(uuid))).manifest.acl?.sort(), accounts.sort());
        });
    });

    it('end with one whole file when both receive one for the same image', async () => {
        await withTwo(async (one, other) => {
            const { uuid } = await one.create();
            for (let round = 0; round < 5; round++) {
                const contents = Array.from({ length: 6 }, (_, index) => randomBytes((index + 1) * 150_000));
                const answers = await Promise.all(
                    contents.map((bytes, index) =>
                        (index % 2 === 0 ? one : other).put(at(uuid, '/file?compression=none'), bytes),
                    ),
                );
                assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
                const [image] = await seenImages(one);
                assert.ok(contents.some((bytes) => sha1(bytes) === image?.file));
                assert.deepEqual(await seenImages(other), [image], 'both give the same file');
            }
            await untilClean(dataDir, await seenImages(one), CLEAN_WITHIN);
        });
    });

    it('delete an image once when both are asked to', async () => {
        await withTwo(async (one, other) => {
            for (let round = 0; round < ROUNDS; round++) {
                const { uuid } = await one.create();
                await other.get(at(uuid));
                const answers = await Promise.all([one.delete(at(uuid)), other.delete(at(uuid))]);
                assert.deepEqual(answers.map(({ status }) => status).sort(), [204, 404]);
            }
        });
    });

    it('end with one image when both give two images the same new uuid', async () => {
        await withTwo(async (one, other) => {
            const wanted = newUuid();
            const images = [await one.create(), await one.create()] as const;
            for (const { uuid } of images) {
                await one.upload(uuid, Buffer.from(uuid));
            }
            const answers = await Promise.all([
                one.action(images[0].uuid, 'update', { uuid: wanted }),
                other.action(images[1].uuid, 'update', { uuid: wanted }),
            ]);
            const statuses = answers.map(({ status }) => status);
            assert.deepEqual([...statuses].sort(), [200, 409]);
            const [mover, stayer] = statuses[0] === 200 ? images : [images[1], images[0]];
            const seen = await seenImages(other);
            assert.deepEqual(
                new Map(seen.map(({ uuid, file }) => [uuid, file])),
                new Map([
                    [wanted, sha1(mover.uuid)],
                    [stayer.uuid, sha1(stayer.uuid)],
                ]),
            );
            await untilClean(dataDir, seen, CLEAN_WITHIN);
        });
    });

    it('refuse a file for an image that the other has activated meanwhile', async () => {
        await withTwo(async (one, other, [first]) => {
            const { uuid } = await one.create();
            await one.upload(uuid);
            const upload = new SlowUpload(first.url, at(uuid, '/file?compression=none'));
            await upload.send(randomBytes(1 << 20));
            await untilStaged(dataDir, uuid, 1 << 19);
            assert.equal((await other.action(uuid, 'activate')).status, 200);
            const { status, text } = await upload.finish();
            assert.equal(status, 422, text);
            assert.equal((JSON.parse(text) as { code: string }).code, 'ImageAlreadyActivated');
            const seen = await seenImages(one);
            assert.equal(seen[0]?.file, sha1(FILE));
            await untilClean(dataDir, seen, CLEAN_WITHIN);
        });
    });

    it('give back nothing of an image that one deletes while the other sends it', async () => {
        await withTwo(async (one, other) => {
            const bytes = randomBytes(5 << 20);
            const { uuid } = await one.createActive({}, bytes);
            const [download, removal] = await Promise.all([
                one.get(at(uuid, '/file')),
                other.delete(at(uuid)),
            ]);
            assert.equal(removal.status, 204);
            if (download.status === 200) {
                assert.equal(sha1(download.body), sha1(bytes), 'what was begun is sent to its end');
            } else {
                assertError(download, 404, 'ResourceNotFound');
            }
            await untilClean(dataDir, [], CLEAN_WITHIN);
        });
    });

    it('clear what a third one left, each of it once', async () => {
        const LOST = 6;
        await withServer({ config, dataDir }, async (client, victim) => {
            for (let count = 0; count < LOST; count++) {
                const { uuid } = await client.create();
                const upload = new SlowUpload(victim.url, at(uuid, '/file?compression=none'));
                await upload.send(randomBytes(1 << 20));
                await untilStaged(dataDir, uuid, 1 << 19);
            }
            victim.child.kill('SIGKILL');
            await victim.ended();
        });
        await withTwo(async (one, _other, servers) => {
            await untilClean(dataDir, await seenImages(one), CLEAN_WITHIN);
            await Promise.race(
                servers.map((server) => server.logged(({ removed }) => removed !== undefined)),
            );
            const removed = servers.flatMap(({ log }) => log.map((record) => Number(record.removed ?? 0)));
            assert.equal(
                removed.reduce((sum, count) => sum + count),
                LOST,
            );
        });
    });
});
