/** Lists of thousands of images: streaming, limits and paging (endpoints.md §3 ListImages, clients.md 22). */
import assert from 'node:assert/strict';
import type { Manifest } from '../support/api';
import { testImage, testUuid } from '../support/images';
import { Registry } from '../support/registry';
import { onMoray } from '../support/test-database';

const COUNT = 2345;
/** Of the list of all; the default limit of a server on Moray is less. */
const ALL = onMoray ? '?limit=100000' : '';
/** How many of them have one and the same date of publication. */
const TIES = 100;

describe('ListImages: long lists', () => {
    let registry: Registry;
    let uuids: string[];
    const file = { sha1: 'a'.repeat(40), size: 1, stor: 'local' as const, compression: 'none' };

    before(async () => {
        registry = await Registry.start();
        const images = Array.from({ length: COUNT }, (_, n) =>
            testImage(n, {
                files: [file],
                ...(n >= 950 && n < 950 + TIES && { published_at: testImage(950).published_at }),
            }),
        );
        await registry.plant(...images);
        uuids = images
            .map(({ published_at: date, uuid }) => `${String(date)} ${uuid}`)
            .sort()
            .map((line) => line.split(' ')[1] ?? '');
    });
    after(() => registry.stop());

    it('without a limit have every image once, in order, as valid JSON', async () => {
        const answer = await registry.client.get(`/images${ALL}`);
        assert.deepEqual(answer.uuids, uuids);
        assert.equal(answer.text, JSON.stringify(answer.json, null, 2));
        assert.equal(answer.headers['content-type'], 'application/json');
    });

    it('come without white space where the client accepts plain text only', async () => {
        const image = testImage(5000, { description: 'a "b": c\\', tagsObj: { 'x\\': 'y": z' } });
        await registry.plant(image);
        const pretty = await registry.client.get('/images');
        const compact = await registry.client.get('/images', { accept: 'text/plain' });
        assert.equal(compact.headers['content-type'], 'text/plain');
        assert.equal(compact.text, JSON.stringify(pretty.json));
        await registry.client.delete(`/images/${image.uuid}`);
    });

    it('come descending in exactly the reverse order', async () => {
        assert.deepEqual(
            (await registry.client.get(`/images?sort=published_at.desc&limit=${COUNT}`)).uuids,
            [...uuids].reverse(),
        );
    });

    it('honour limits on both sides of a page', async () => {
        for (const limit of [1, 999, 1000, 1001, 2000, 2345, 5000]) {
            const answer = await registry.client.get(`/images?limit=${limit}`);
            assert.deepEqual(answer.uuids, uuids.slice(0, limit), `limit=${limit}`);
        }
    });

    it('are paged as clients do it: limit and the last uuid as marker, which comes again first', async () => {
        const page = async (query: string) => (await registry.client.get(`/images?${query}`)).manifests;
        const seen: Manifest[] = await page('limit=1000');
        for (;;) {
            const last = seen.at(-1)?.uuid ?? '';
            const next = await page(`limit=1000&marker=${last}`);
            assert.equal(next[0]?.uuid, last);
            seen.push(...next.slice(1));
            if (next.length < 1000) {
                break;
            }
        }
        assert.deepEqual(
            seen.map(({ uuid }) => uuid),
            uuids,
        );
    });

    it('can be paged through images of one date', async () => {
        const seen = [testUuid(950)];
        for (
            let pages = 0;
            pages < 200 && seen.at(-1) !== uuids[uuids.indexOf(testUuid(950)) + TIES];
            pages++
        ) {
            const { uuids: found } = await registry.client.get(`/images?limit=7&marker=${seen.at(-1)}`);
            seen.push(...found.slice(1));
        }
        const start = uuids.indexOf(testUuid(950));
        assert.deepEqual(seen.slice(0, TIES), uuids.slice(start, start + TIES));
    });

    it('have the same headers and no body for HEAD', async () => {
        const answer = await registry.client.head('/images');
        assert.equal(answer.status, 200);
        assert.equal(answer.headers['content-type'], 'application/json');
        assert.equal(answer.body.length, 0);
    });

    it('leave the connection usable, for other clients as well', async () => {
        const answers = await Promise.all(
            Array.from({ length: 8 }, (_, n) =>
                (n % 2 ? registry.anonymous : registry.client).get(`/images${ALL}`),
            ),
        );
        assert.deepEqual(
            answers.map((answer) => answer.uuids.length),
            Array.from({ length: 8 }, () => COUNT),
        );
    });

    it('that nobody reads to the end do no harm', async () => {
        const controller = new AbortController();
        const answer = await registry.server.fetch('/images', { signal: controller.signal });
        await answer.body?.getReader().read();
        controller.abort();
        assert.equal((await registry.client.get('/images?limit=1')).uuids.length, 1);
    });
});
