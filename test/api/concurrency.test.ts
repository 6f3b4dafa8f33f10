/** Many requests about one image at the same time: none is lost, none leaves half of something. */
import assert from 'node:assert/strict';
import { at, FILE, newUuid, sha1 } from '../support/api';
import { Registry } from '../support/registry';

describe('Concurrency', () => {
    let registry: Registry;

    before(async () => {
        registry = await Registry.start();
    });
    after(() => registry.stop());

    it('100 updates at once of different fields lose none', async () => {
        const { uuid } = await registry.client.create();
        const fields: Record<string, (n: number) => unknown> = {
            description: (n) => `description ${n}`,
            homepage: (n) => `https://example.com/${n}`,
            eula: (n) => `https://example.com/eula/${n}`,
            tags: (n) => ({ n }),
            users: (n) => [{ name: `user${n}` }],
            requirements: (n) => ({ min_ram: n }),
            inherited_directories: (n) => [`/opt/${n}`],
            name: (n) => `name-${n}`,
            version: (n) => `1.0.${n}`,
            billing_tags: (n) => [`tag${n}`],
        };
        const names = Object.keys(fields);
        const updates = Array.from({ length: 100 }, (_, n) => {
            const name = names[n % names.length] ?? '';
            return { [name]: fields[name]?.(n) };
        });
        const answers = await Promise.all(
            updates.map((body) => registry.client.action(uuid, 'update', body)),
        );
        assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
        const manifest = (await registry.client.get(at(uuid, '?inclAdminFields=true'))).json as Record<
            string,
            unknown
        >;
        const record = await registry.record(uuid);
        for (const name of names) {
            const value = name === 'billing_tags' ? record?.billing_tags : manifest[name];
            const possible = updates.filter((body) => name in body).map((body) => JSON.stringify(body[name]));
            assert.ok(possible.includes(JSON.stringify(value)), `${name}: ${JSON.stringify(value)}`);
        }
    });

    it('a condition holds for one of many updates only', async () => {
        const { uuid } = await registry.client.create();
        const etag = String((await registry.client.get(at(uuid))).headers.etag);
        const answers = await Promise.all(
            Array.from({ length: 10 }, (_, n) =>
                registry.client.action(uuid, 'update', { description: `by ${n}` }, { 'if-match': etag }),
            ),
        );
        const statuses = answers.map(({ status }) => status).sort();
        assert.deepEqual(statuses, [200, ...Array.from({ length: 9 }, () => 412)]);
        const winner = answers.find(({ status }) => status === 200);
        assert.equal((await registry.client.get(at(uuid))).text, winner?.text);
    });

    it('one of many activations succeeds', async () => {
        const { uuid } = await registry.client.create();
        await registry.client.upload(uuid);
        const answers = await Promise.all(
            Array.from({ length: 10 }, () => registry.client.action(uuid, 'activate')),
        );
        const codes = answers.map(({ status, json }) =>
            status === 200 ? 'done' : (json as { code: string }).code,
        );
        assert.deepEqual(codes.sort(), [...Array.from({ length: 9 }, () => 'ImageAlreadyActivated'), 'done']);
    });

    it('activations against uploads: an active image has the file that its manifest tells of', async () => {
        for (let round = 0; round < 10; round++) {
            const { uuid } = await registry.client.create();
            await registry.client.upload(uuid);
            const bytes = Buffer.alloc(200_000, `round ${round} `);
            const [upload, activate] = await Promise.all([
                registry.client.put(at(uuid, '/file?compression=none'), bytes),
                registry.client.action(uuid, 'activate'),
            ]);
            assert.equal(activate.status, 200, activate.text);
            const { files } = (await registry.client.get(at(uuid))).manifest;
            const { body } = await registry.client.get(at(uuid, '/file'));
            assert.equal(sha1(body), files[0]?.sha1);
            if (upload.status === 200) {
                assert.deepEqual(body, bytes);
            } else {
                assert.ok(
                    ['ImageAlreadyActivated', 'ImageFilesImmutable'].includes(upload.error.code),
                    upload.text,
                );
                assert.deepEqual(body, FILE);
            }
            assert.equal((await registry.stored(uuid)).length, 1);
        }
    });

    it('deletions against uploads: nothing stays behind', async () => {
        for (let round = 0; round < 10; round++) {
            const { uuid } = await registry.client.create();
            const [upload, deletion] = await Promise.all([
                registry.client.put(at(uuid, '/file?compression=none'), Buffer.alloc(100_000)),
                registry.client.delete(at(uuid)),
            ]);
            assert.equal(deletion.status, 204, deletion.text);
            assert.ok([200, 404].includes(upload.status), upload.text);
            await registry.untilStored(uuid, []);
        }
    });

    it('a download that has begun is whole although the image is deleted or its file replaced', async () => {
        const bytes = Buffer.alloc(30_000_000, 'a large file ');
        for (const disturb of [
            (uuid: string) => registry.client.delete(at(uuid)),
            (uuid: string) => registry.client.put(at(uuid, '/file?compression=none'), FILE),
        ]) {
            const { uuid } = await registry.client.create();
            await registry.client.upload(uuid, bytes);
            const answer = await registry.server.fetch(at(uuid, '/file'));
            assert.ok((await disturb(uuid)).status < 300);
            assert.equal(sha1(Buffer.from(await answer.arrayBuffer())), sha1(bytes));
        }
    });

    it('downloads while the file is replaced are always one of the two, whole', async () => {
        const { uuid } = await registry.client.create();
        const versions = [Buffer.alloc(400_000, 'one '), Buffer.alloc(300_000, 'other ')];
        const sums = versions.map(sha1);
        await registry.client.upload(uuid, versions[0]);
        let done = false;
        const readers = Array.from({ length: 4 }, async () => {
            while (!done) {
                const { status, body, headers } = await registry.anonymous.get(at(uuid, '/file'));
                assert.equal(status, 200);
                assert.equal(headers.etag, sha1(body));
                assert.ok(sums.includes(sha1(body)));
            }
        });
        for (let n = 1; n <= 10; n++) {
            await registry.client.upload(uuid, versions[n % 2]);
        }
        done = true;
        await Promise.all(readers);
        assert.equal((await registry.stored(uuid)).length, 1);
    });

    it('many images created at once are all there', async () => {
        const name = `mass-${newUuid()}`;
        const created = await Promise.all(Array.from({ length: 50 }, () => registry.client.create({ name })));
        const { uuids } = await registry.client.get(`/images?state=all&name=${name}`);
        assert.deepEqual(uuids.sort(), created.map(({ uuid }) => uuid).sort());
    });

    it('a uuid given to two images at once becomes that of one', async () => {
        const target = newUuid();
        const images = await Promise.all([registry.client.create(), registry.client.create()]);
        await Promise.all(images.map(({ uuid }) => registry.client.upload(uuid)));
        const answers = await Promise.all(
            images.map(({ uuid }) => registry.client.action(uuid, 'update', { uuid: target })),
        );
        assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409]);
        assert.equal((await registry.stored(target)).length, 1);
        assert.equal((await registry.client.get(at(target, '/file'))).status, 200);
    });
});
