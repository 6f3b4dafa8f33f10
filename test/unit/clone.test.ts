/** Clones while what they are made from changes, or a storage fails (imports.md §9). */
import assert from 'node:assert/strict';
import type { Config } from '../../lib/config/types';
import { DependencyConflict, EtagConflict } from '../../lib/db/driver';
import { ApiError } from '../../lib/errors';
import { cloneImage } from '../../lib/images/clone';
import type { Image } from '../../lib/images/image';
import type { RawFile, RawImage } from '../../lib/manifest';
import { Domain } from '../support/domain';
import { testImage, testUuid } from '../support/images';

const ACCOUNT = testUuid(901);
const ADMIN = testUuid(902);

const file = (): RawFile => ({ sha1: 'a'.repeat(40), size: 1, stor: 'local', compression: 'none' });

/** An image with a file, built on the one before it. */
const link = (n: number, fields: Partial<RawImage> = {}): RawImage =>
    testImage(n, { files: [file()], ...(n > 1 && { origin: testUuid(n - 1) }), ...fields });

describe('A clone', () => {
    let domain: Domain;
    let before: string[];

    /** The administrator's image, and two on it of which the last one is shared. */
    async function make(settings: Partial<Config> = { mode: 'dc' }): Promise<void> {
        domain = await Domain.make(settings);
        const channels = settings.channels && { channels: ['dev', 'release'] };
        await domain.plant(link(1, { owner: ADMIN, ...channels }), 'file0');
        await domain.plant(link(2, { ...(channels && { channels: ['dev'] }) }), 'file0');
        await domain.plant(link(3, { acl: [ACCOUNT], ...channels }), 'file0');
        before = await domain.objects();
    }
    afterEach(() => domain.remove());

    async function clone(judge: (image: Image) => void = () => undefined) {
        const source = await domain.images.get(testUuid(3));
        const { clock } = domain;
        const options = { account: ACCOUNT, adminUuid: ADMIN, uuid: clock.uuid, now: clock.now() };
        return cloneImage(domain.images, source!, { ...options, judge });
    }

    /** Does something as soon as the copy number `n` (from 1) is made. */
    function afterCopy(n: number, act: () => Promise<unknown>): void {
        const copy = domain.storage.copy.bind(domain.storage);
        let count = 0;
        domain.storage.copy = async (from, to) => {
            const info = await copy(from, to);
            if (++count === n) {
                await act();
            }
            return info;
        };
    }

    async function assertNothingLeft(): Promise<void> {
        assert.deepEqual(await domain.objects(), before);
        const owned = { anyOf: [{ owner: ACCOUNT }], order: 'asc', limit: 10 } as const;
        assert.deepEqual(await domain.database.images.query({ ...owned, anyOf: [...owned.anyOf] }), []);
        const rows = await domain.database.pending.condemn(Infinity, 10);
        assert.deepEqual(
            rows.filter(({ key }) => key.startsWith('images/')),
            [],
            'no object is pending',
        );
    }

    for (const changed of [2, 3]) {
        it(`is not made from what is different by now: image ${changed}`, async () => {
            await make();
            afterCopy(2, () => domain.plant(link(changed, { description: 'changed' })));
            await assert.rejects(
                clone(),
                (err) => err instanceof EtagConflict && err.uuid === testUuid(changed),
            );
            await assertNothingLeft();
        });

        it(`is not made from what is gone by now: image ${changed}`, async () => {
            await make();
            const deleted = { delete: [{ uuid: testUuid(changed) }] };
            afterCopy(1, () => domain.database.images.commit(deleted));
            await assert.rejects(
                clone(),
                (err) => err instanceof EtagConflict && err.uuid === testUuid(changed),
            );
            await assertNothingLeft();
        });
    }

    it('is not made without the origin that stays', async () => {
        await make();
        afterCopy(2, () => domain.database.images.commit({ delete: [{ uuid: testUuid(1) }] }));
        await assert.rejects(clone(), (err) => err instanceof DependencyConflict && err.uuid === testUuid(1));
        await assertNothingLeft();
    });

    it('is not made from an object that another version of the image does not have', async () => {
        await make();
        const moved = link(3, { acl: [ACCOUNT], files: [{ ...file(), object: 'file0-other' }] });
        afterCopy(1, async () => {
            await domain.plant(moved, 'file0-other');
            await domain.storage.delete(`images/000/${testUuid(3)}/file0`);
        });
        await assert.rejects(clone(), EtagConflict);
        const { raw } = await clone();
        const copied = await domain.storage.read(
            `images/${raw.uuid.slice(0, 3)}/${raw.uuid}/${raw.files![0]!.object}`,
        );
        const chunks: Buffer[] = [];
        for await (const chunk of copied!.body) {
            chunks.push(Buffer.from(chunk));
        }
        assert.equal(Buffer.concat(chunks).toString(), `file0-other of ${testUuid(3)}`);
    });

    it('leaves nothing when the storage fails in the middle', async () => {
        await make();
        afterCopy(2, () => Promise.reject(new ApiError('StorageIsDown', 'down')));
        await assert.rejects(clone(), /down/);
        await assertNothingLeft();
    });

    it('leaves no files when a manifest cannot be archived', async () => {
        await make();
        const stage = domain.storage.stage.bind(domain.storage);
        let archived = 0;
        domain.storage.stage = (key, ...rest) =>
            key.startsWith('archive/') && ++archived === 2
                ? Promise.reject(new ApiError('InsufficientStorage', 'full'))
                : stage(key, ...rest);
        await assert.rejects(clone(), /full/);
        await assertNothingLeft();
    });

    it('keeps the channels of what it is made from', async () => {
        await make({ mode: 'dc', channels: ['dev', 'release'].map((name) => ({ name, description: name })) });
        const { raw } = await clone();
        assert.deepEqual(raw.channels, ['dev', 'release']);
        assert.deepEqual((await domain.record(raw.origin!))?.channels, ['dev']);
    });
});
