/** The tags of lists that change while they are read. */
import assert from 'node:assert/strict';
import type { Config } from '../../lib/config/types';
import type { Database, StoredImage } from '../../lib/db/driver';
import { Images } from '../../lib/images/images';
import type { StorageSet } from '../../lib/storage/driver';
import { testImage } from '../support/images';

const FORM = { channels: false, adminFields: false };

function stored(n: number): StoredImage {
    const raw = testImage(n, {
        files: [{ sha1: 'a', size: 1, stor: 'local', compression: 'none' }],
    });
    return { uuid: raw.uuid, etag: '1', mtime: 1, size: 100, publishedAt: raw.published_at ?? '', raw };
}

/** Images in a database of `count` images, in which another one is changed with every page that is read. */
function restlessImages(count: number, first: number | undefined): Images {
    let generation = first;
    const all = Array.from({ length: count }, (_, n) => stored(n));
    const database = {
        id: 'a',
        images: {
            generation: () => generation,
            queryUnless: async (query: { limit: number }) => ({
                images: await database.images.query(query),
                mark: undefined,
            }),
            query: ({ limit, after }: { limit: number; after?: { uuid: string } }) => {
                if (generation !== undefined) {
                    generation++;
                }
                const start = after ? all.findIndex(({ uuid }) => uuid === after.uuid) + 1 : 0;
                return Promise.resolve(all.slice(start, start + limit));
            },
        },
    };
    return new Images({
        config: { mode: 'public', limits: {} } as Config,
        database: database as unknown as Database,
        storages: { get: () => undefined } as unknown as StorageSet,
        clock: { now: () => 0, uuid: () => '' },
        log: undefined as never,
    });
}

const make = (images: Images, name: string) =>
    images.lists.remember(name, () =>
        images.lists.find({ anyOf: [{}], order: 'asc' }, FORM, undefined, undefined),
    );

describe('The tag of a list that changes while it is read', () => {
    it('is of the time before, so that the next request gets the list once more', async () => {
        const images = restlessImages(2500, 1);
        const before = images.lists.longTag('a');
        const list = await make(images, 'a');
        assert.ok('pieces' in list);
        assert.equal(list.etag, before);
        assert.notEqual(images.lists.longTag('a'), before);
    });

    it('of a short one is that of its bytes, which are not remembered', async () => {
        const images = restlessImages(10, 1);
        images.lists.remembered('a');
        const list = await make(images, 'a');
        assert.ok('whole' in list);
        assert.match(String(list.etag), /^W\/"[0-9a-f]{40}"$/);
        assert.equal(images.lists.remembered('a'), undefined);
    });

    it('is missing for long ones where the database cannot tell of changes', async () => {
        const images = restlessImages(2500, undefined);
        assert.equal((await make(images, 'a')).etag, undefined);
        assert.equal(images.lists.longTag('a'), undefined);
        assert.match(String((await make(restlessImages(1, undefined), 'a')).etag), /^W/);
    });

    it('differs by all that the list is named by', () => {
        const images = restlessImages(1, 7);
        assert.notEqual(images.lists.longTag('limit=2000'), images.lists.longTag('limit=2001'));
        assert.equal(images.lists.longTag('x'), restlessImages(1, 7).lists.longTag('x'));
        assert.notEqual(images.lists.longTag('x'), restlessImages(1, 8).lists.longTag('x'));
    });
});
