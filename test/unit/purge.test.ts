/** The purge of placeholders (config.md §6): it deletes what was never finished, and nothing else. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { ImageChange } from '../../lib/db/driver';
import { ApiError } from '../../lib/errors';
import type { Images } from '../../lib/images/images';
import { Purge } from '../../lib/images/purge';
import type { RawFile, RawImage } from '../../lib/manifest';
import { Domain } from '../support/domain';
import { testImage, testUuid, without } from '../support/images';

const PAST = '2025-12-31T23:59:59.999Z';

const file = (fields: Partial<RawFile> = {}): RawFile => ({
    sha1: 'a'.repeat(40),
    size: 1,
    stor: 'local',
    compression: 'none',
    ...fields,
});

/** A placeholder that has expired. */
const placeholder = (n: number, fields: Partial<RawImage> = {}): RawImage =>
    testImage(n, {
        state: 'creating',
        activated: false,
        type: 'null',
        os: 'null',
        expires_at: PAST,
        ...fields,
    });

describe('The purge of placeholders', () => {
    let domain: Domain;
    beforeEach(async () => {
        domain = await Domain.make({ mode: 'dc' });
    });
    afterEach(() => domain.remove());

    function purge(images: Images = domain.images): Purge {
        const { clock, log } = domain;
        const { images: store, leases } = domain.database;
        return new Purge({ images, store, leases, clock, log, holder: randomUUID(), interval: 60_000 });
    }

    async function present(...numbers: number[]): Promise<number[]> {
        const found = await Promise.all(
            numbers.map(async (n) => [n, await domain.record(testUuid(n))] as const),
        );
        return found.filter(([, record]) => record).map(([n]) => n);
    }

    const messages = (level: number) =>
        domain.logged
            .filter((record) => record.level === level)
            .map(({ image_uuid, msg }) => ({ image_uuid, msg }));

    /** Does something to an image at the last moment: when its record is about to be deleted. */
    function justBeforeDelete(act: () => Promise<unknown>): void {
        const { images: store } = domain.database;
        const commit = store.commit.bind(store);
        store.commit = async (change: ImageChange) => {
            if (change.delete) {
                store.commit = commit;
                await act();
            }
            return commit(change);
        };
    }

    it('deletes the record, the files and the icon, and says so', async () => {
        const icon = { size: 1, contentType: 'image/png', contentMD5: 'x', object: 'icon-1' };
        await domain.plant(placeholder(1, { files: [file()], icon }), 'file0', 'icon-1');
        await domain.plant(
            placeholder(2, { state: 'failed', files: [file({ object: 'file0-2' })] }),
            'file0-2',
        );
        await domain.plant(testImage(3, { files: [file()] }), 'file0');
        await purge().run();
        assert.deepEqual(await present(1, 2, 3), [3]);
        assert.deepEqual(await domain.objects(), [`images/000/${testUuid(3)}/file0`]);
        assert.deepEqual(
            messages(30).map(({ image_uuid }) => image_uuid),
            [testUuid(1), testUuid(2)],
        );
        assert.deepEqual(await domain.database.pending.condemn(Infinity, 10), [], 'nothing is left to do');
    });

    it('leaves everything else', async () => {
        const raws = [
            placeholder(1, { expires_at: new Date(domain.now + 1).toISOString() }),
            placeholder(2, { expires_at: '' }),
            placeholder(4, { expires_at: '2025-no-date' }),
            placeholder(5, { expires_at: 5 as unknown as string }),
            placeholder(6, { state: 'unactivated' }),
            testImage(7, { expires_at: PAST, files: [file()] }),
            testImage(8, { expires_at: PAST, state: 'disabled', disabled: true, files: [file()] }),
        ];
        for (const raw of [...raws, without(placeholder(9), 'expires_at')]) {
            await domain.plant(raw);
        }
        await purge().run();
        assert.deepEqual(await present(1, 2, 4, 5, 6, 7, 8, 9), [1, 2, 4, 5, 6, 7, 8, 9]);
    });

    it('judges by the time of the look', async () => {
        await domain.plant(placeholder(1, { expires_at: new Date(domain.now + 1000).toISOString() }));
        const task = purge();
        domain.now += 999;
        await task.run();
        assert.deepEqual(await present(1), [1]);
        domain.now += 1;
        await task.run();
        assert.deepEqual(await present(1), []);
    });

    it('deletes records that are damaged', async () => {
        await domain.plant({ uuid: testUuid(1), state: 'creating', expires_at: PAST } as RawImage);
        await domain.plant(placeholder(2, { files: 'none' as never, icon: 5 as never, name: null as never }));
        await domain.plant(placeholder(3, { files: [null as never, file({ object: 'file1' })] }), 'file1');
        await purge().run();
        assert.deepEqual(await present(1, 2, 3), []);
        assert.deepEqual(await domain.objects(), []);
        assert.deepEqual(messages(40), []);
    });

    it('deletes the record where a file is gone already, or in a storage that is not there', async () => {
        await domain.plant(placeholder(1, { files: [file()] }));
        await domain.plant(placeholder(2, { files: [file({ stor: 'manta' })] }));
        await purge().run();
        assert.deepEqual(await present(1, 2), []);
        const left = await domain.database.pending.condemn(0, 10);
        assert.deepEqual(
            left.map(({ storage, image }) => [storage, image]),
            [['manta', testUuid(2)]],
            'the sweep will try again',
        );
    });

    it('leaves the origin of another image, with a warning', async () => {
        await domain.plant(placeholder(1, { files: [file()] }), 'file0');
        await domain.plant(testImage(2, { origin: testUuid(1), files: [file()] }));
        await purge().run();
        assert.deepEqual(await present(1, 2), [1, 2]);
        assert.equal((await domain.objects()).length, 1);
        assert.deepEqual(
            messages(40).map(({ image_uuid }) => image_uuid),
            [testUuid(1)],
        );
    });

    it('gets at all others where more than a page of them has to stay', async () => {
        const put: { raw: RawImage }[] = [];
        for (let n = 0; n < 510; n++) {
            put.push({ raw: placeholder(n, { expires_at: '2020-01-01T00:00:00.000Z' }) });
            put.push({ raw: testImage(10_000 + n, { origin: testUuid(n) }) });
        }
        for (let n = 1000; n < 1520; n++) {
            put.push({ raw: placeholder(n) });
        }
        await domain.database.images.commit({ put });
        await purge().run();
        const left = await domain.database.images.expired(PAST, 5000);
        assert.equal(left.length, 510);
        assert.deepEqual(await present(509, 1000, 1519), [509]);
    });

    it('leaves an image that is activated, imported or uploaded to at the last moment', async () => {
        const changes: ((raw: RawImage) => RawImage)[] = [
            (raw) => testImage(1, { files: raw.files! }),
            () => testImage(1, { state: 'unactivated', activated: false, files: [] }),
            (raw) => ({ ...raw, files: [file({ sha1: 'b'.repeat(40), object: 'file0-new' })] }),
        ];
        for (const change of changes) {
            const raw = await domain.plant(placeholder(1, { files: [file()] }), 'file0');
            const next = change(raw);
            justBeforeDelete(() => domain.plant(next, 'file0-new'));
            await purge().run();
            assert.deepEqual(await domain.record(raw.uuid), next);
            assert.equal((await domain.objects()).length, 2, 'its objects stay');
        }
        assert.deepEqual(messages(40), []);
    });

    it('leaves an image that was changed between the look and its turn', async () => {
        const raw = await domain.plant(placeholder(1, { files: [file()] }), 'file0');
        const { images: store } = domain.database;
        const expired = store.expired.bind(store);
        store.expired = async (now, limit) => {
            const found = await expired(now, limit);
            await domain.plant(testImage(1, { files: raw.files! }));
            return found;
        };
        await purge().run();
        assert.deepEqual(await present(1), [1]);
        assert.deepEqual(domain.logged, []);
    });

    it('takes its turn with the requests of its process', async () => {
        await domain.plant(placeholder(1));
        let running: Promise<unknown> | undefined;
        await domain.images.turns.take(testUuid(1), async () => {
            running = purge().run();
            await domain.plant(testImage(1, { files: [file()] }));
        });
        await running;
        assert.deepEqual(await present(1), [1]);
        assert.deepEqual(domain.logged, [], 'there was no conflict');
    });

    it('does not mind that another process deletes the image first', async () => {
        await domain.plant(placeholder(1));
        justBeforeDelete(() => domain.database.images.commit({ delete: [{ uuid: testUuid(1) }] }));
        await purge().run();
        assert.deepEqual(messages(40), []);
    });

    it('deletes each image once where several processes are at it', async () => {
        for (let n = 0; n < 30; n++) {
            await domain.plant(placeholder(n, { files: [file()] }), 'file0');
        }
        await Promise.all(
            [purge(), purge(domain.process()), purge(domain.process())].map((one) => one.run()),
        );
        assert.deepEqual(await domain.objects(), []);
        const deleted = messages(30).filter(({ msg }) => msg.startsWith('deleted'));
        assert.equal(deleted.length, 30);
        assert.equal(new Set(deleted.map(({ image_uuid }) => image_uuid)).size, 30);
    });

    it('goes on after an image that cannot be deleted, and gives up when the database is away', async () => {
        await domain.plant(placeholder(1, { expires_at: '2020-01-01T00:00:00.000Z' }));
        await domain.plant(placeholder(2));
        justBeforeDelete(() => Promise.reject(new Error('of no kind that is known')));
        await purge().run();
        assert.deepEqual(await present(1, 2), [1]);
        assert.equal(messages(40).length, 1);
        justBeforeDelete(() => Promise.reject(new ApiError('ServiceUnavailableError', 'away')));
        await assert.rejects(purge().run(), /away/);
    });

    it('stops between two images', async () => {
        await domain.plant(placeholder(1));
        await domain.plant(placeholder(2));
        const controller = new AbortController();
        justBeforeDelete(async () => controller.abort());
        await purge().run(controller.signal);
        assert.equal((await present(1, 2)).length, 1);
    });
});
