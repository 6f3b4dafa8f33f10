/** Lists: each filter alone, order and places in it, and random queries against a naive evaluation. */
import assert from 'node:assert/strict';
import type { ImageChange, ImageFilter, ImageQuery } from '../../lib/db/driver';
import type { RawImage } from '../../lib/manifest';
import { seeded, testImage, testUuid, without } from '../support/images';
import type { Subject } from './db';
import { naiveQuery } from './db-naive';

const OWNERS = [testUuid(901), testUuid(902), testUuid(903)];
const TAGS = ['role=db', 'role=web', 'role=', 'env=prod', 'a=b=c', 'a=b', 'é=日', 'rol=x'];

export function randomImage(n: number, random: () => number): RawImage {
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
    const some = (items: readonly string[]) => items.filter(() => random() < 0.3);
    const activated = random() < 0.8;
    const disabled = random() < 0.2;
    const spelled = (value: boolean) => (random() < 0.2 ? String(value) : value);
    const base = without(testImage(n), 'published_at');
    return {
        ...base,
        uuid: testUuid(Math.floor(random() * 1e6) * 1000 + n),
        owner: pick(OWNERS),
        name: pick(['base', 'base-64', 'Base', 'web_100%', 'a"b', 'ubuntu certified', 'ab']),
        version: pick(['1.0.0', '1.0.1', '20.4', '15.1.0']),
        type: pick(['zone-dataset', 'zvol', 'docker']),
        os: pick(['smartos', 'linux', 'windows']),
        public: spelled(random() < 0.5),
        activated: spelled(activated),
        disabled: spelled(disabled),
        state: activated ? (disabled ? 'disabled' : 'active') : pick(['unactivated', 'creating', 'failed']),
        acl: some(OWNERS),
        tags: some(TAGS),
        billing_tags: some(['xl', 'xxl']),
        ...(random() < 0.7 && { channels: some(['dev', 'release', 'staging']) }),
        ...(random() < 0.3 && { origin: testUuid(700 + Math.floor(random() * 3)) }),
        // Few different times, with and without ms: many images share one.
        ...(activated && {
            published_at: `2015-0${1 + Math.floor(random() * 5)}-01T00:00:00${pick(['Z', '.000Z'])}`,
        }),
    };
}

function randomFilter(random: () => number, images: readonly RawImage[]): ImageFilter {
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
    const maybe = <T extends object>(chance: number, part: () => T): T | object =>
        random() < chance ? part() : {};
    return {
        ...maybe(0.05, () => ({ uuid: pick(images).uuid })),
        ...maybe(0.2, () => ({ owner: pick(OWNERS) })),
        ...maybe(0.15, () => ({ state: pick(['active', 'disabled', 'creating', 'nothing']) })),
        ...maybe(0.15, () => ({ os: pick(['smartos', 'linux', 'other']) })),
        ...maybe(0.1, () => ({ origin: testUuid(700) })),
        ...maybe(0.2, () => ({ type: pick([{ is: 'zvol' }, { not: 'docker' }, { not: 'lxd' }]) })),
        ...maybe(0.3, () => ({
            name: pick([
                { is: 'base' },
                { contains: 'base' },
                { contains: 'a' },
                { contains: '0%' },
                { contains: '"' },
                { contains: 'a"b' },
                { contains: '' },
                { contains: 'BASE' },
                { contains: 'tu cer' },
            ]),
        })),
        ...maybe(0.2, () => ({
            version: pick([{ is: '1.0.0' }, { contains: '.0.' }, { contains: '0' }, { contains: '5.1.0' }]),
        })),
        ...maybe(0.3, () => ({ activated: random() < 0.7 })),
        ...maybe(0.3, () => ({ disabled: random() < 0.3 })),
        ...maybe(0.3, () => ({ public: random() < 0.5 })),
        ...maybe(0.15, () => ({ acl: pick(OWNERS) })),
        ...maybe(0.15, () => ({ channel: pick(['dev', 'release', 'none']) })),
        ...maybe(0.2, () => ({
            tags: [pick(TAGS)].concat(random() < 0.3 ? ['env='] : []),
        })),
        ...maybe(0.2, () => ({
            tagKeys: [pick(['role', 'a', 'a=b', 'zz'])].concat(random() < 0.3 ? ['env'] : []),
        })),
        ...maybe(0.1, () => ({ billingTags: random() < 0.5 ? ['xl'] : ['xl', 'xxl'] })),
    };
}

export function randomQuery(random: () => number, images: readonly RawImage[]): ImageQuery {
    const place = () => {
        const raw = images[Math.floor(random() * images.length)]!;
        return { publishedAt: raw.published_at ?? '', uuid: raw.uuid };
    };
    const filters = 1 + Math.floor(random() * 3);
    const { publishedAt, uuid } = place();
    return {
        anyOf: Array.from({ length: filters }, () => randomFilter(random, images)),
        order: random() < 0.5 ? 'asc' : 'desc',
        limit: 1 + Math.floor(random() * (random() < 0.5 ? 5 : 300)),
        ...(random() < 0.3 && { marker: { publishedAt, ...(random() < 0.5 && { uuid }) } }),
        ...(random() < 0.3 && { after: place() }),
    };
}

export function describeQueries(subject: Subject): void {
    const images = () => subject.database.images;
    const put = (raws: readonly RawImage[]) => images().commit({ put: raws.map((raw) => ({ raw })) });
    const uuids = async (query: ImageQuery) => (await images().query(query)).map((image) => image.uuid);

    describe('images: filters', () => {
        const first = testImage(1, {
            owner: OWNERS[0]!,
            state: 'disabled',
            os: 'linux',
            origin: testUuid(70),
            type: 'zvol',
            name: 'Mint-Box',
            version: '7.8',
            activated: 'false',
            disabled: 'true',
            public: 'false',
            acl: [OWNERS[1]!],
            channels: ['dev'],
            tags: ['role=db', 'x='],
            billing_tags: ['xl', 'huge'],
        });
        const cases: [string, ImageFilter, ImageFilter][] = [
            ['uuid', { uuid: testUuid(1) }, { uuid: testUuid(3) }],
            ['owner', { owner: OWNERS[0]! }, { owner: OWNERS[2]! }],
            ['state', { state: 'disabled' }, { state: 'creating' }],
            ['os', { os: 'linux' }, { os: 'bsd' }],
            ['origin', { origin: testUuid(70) }, { origin: testUuid(71) }],
            ['type', { type: { is: 'zvol' } }, { type: { is: 'lxd' } }],
            ['not type', { type: { not: 'zone-dataset' } }, { type: { not: 'zvol' }, os: 'linux' }],
            ['name', { name: { is: 'Mint-Box' } }, { name: { is: 'mint-box' } }],
            ['part of a name', { name: { contains: 'int-B' } }, { name: { contains: 'int-b' } }],
            ['short part of a name', { name: { contains: '-B' } }, { name: { contains: '-b' } }],
            ['version', { version: { is: '7.8' } }, { version: { is: '7' } }],
            ['part of a version', { version: { contains: '.8' } }, { version: { contains: '7_8' } }],
            ['activated', { activated: false }, { activated: true, os: 'linux' }],
            ['disabled', { disabled: true }, { disabled: false, os: 'linux' }],
            ['public', { public: false }, { public: true, os: 'linux' }],
            ['acl', { acl: OWNERS[1]! }, { acl: OWNERS[0]! }],
            ['channel', { channel: 'dev' }, { channel: 'de' }],
            ['tag', { tags: ['role=db'] }, { tags: ['role=d'] }],
            ['tag without a value', { tags: ['x='] }, { tags: ['role='] }],
            ['key of a tag', { tagKeys: ['role'] }, { tagKeys: ['rol'] }],
            ['two tags', { tags: ['role=db', 'x='] }, { tags: ['role=db', 'y='] }],
            ['billing tag', { billingTags: ['huge'] }, { billingTags: ['hug'] }],
            ['two billing tags', { billingTags: ['xl', 'huge'] }, { billingTags: ['xl', 'small'] }],
        ];
        for (const [name, hit, miss] of cases) {
            it(`by ${name}`, async () => {
                await put([first, testImage(2)]);
                assert.deepEqual(await uuids({ anyOf: [hit], order: 'asc', limit: 9 }), [testUuid(1)]);
                assert.deepEqual(await uuids({ anyOf: [miss], order: 'desc', limit: 9 }), []);
            });
        }

        it('by nothing at all: every image; by no filter: none', async () => {
            await put([testImage(1), testImage(2)]);
            assert.deepEqual(await uuids({ anyOf: [{}], order: 'asc', limit: 9 }), [
                testUuid(1),
                testUuid(2),
            ]);
            assert.deepEqual(await uuids({ anyOf: [], order: 'asc', limit: 9 }), []);
        });

        it('by text with NUL, which matches no shorter text', async () => {
            await put([testImage(1, { name: 'a' })]);
            assert.deepEqual(await uuids({ anyOf: [{ name: { is: 'a\0b' } }], order: 'asc', limit: 9 }), []);
        });
    });

    describe('images: order', () => {
        const time = '2015-01-01T00:00:00.000Z';
        const shared = [4, 2, 3].map((n) => testImage(n, { published_at: time }));
        const unpublished = without(testImage(9), 'published_at');
        const last = testImage(1, { published_at: '2016-01-01T00:00:00Z' });

        it('has unpublished images first, then by time and uuid; descending is the reverse', async () => {
            await put([...shared, unpublished, last]);
            const ascending = [9, 2, 3, 4, 1].map(testUuid);
            assert.deepEqual(await uuids({ anyOf: [{}], order: 'asc', limit: 9 }), ascending);
            assert.deepEqual(await uuids({ anyOf: [{}], order: 'desc', limit: 9 }), ascending.toReversed());
        });

        it('starts at a marker, inclusive, and without unpublished images', async () => {
            await put([...shared, unpublished, last]);
            const at = (order: 'asc' | 'desc', marker: ImageQuery['marker']) =>
                uuids({ anyOf: [{}], order, limit: 9, ...(marker && { marker }) });
            assert.deepEqual(await at('asc', { publishedAt: time }), [2, 3, 4, 1].map(testUuid));
            assert.deepEqual(await at('desc', { publishedAt: time }), [4, 3, 2].map(testUuid));
            assert.deepEqual(
                await at('asc', { publishedAt: time, uuid: testUuid(3) }),
                [3, 4, 1].map(testUuid),
            );
            assert.deepEqual(
                await at('desc', { publishedAt: time, uuid: testUuid(3) }),
                [3, 2].map(testUuid),
            );
            assert.deepEqual(await at('asc', { publishedAt: '' }), [2, 3, 4, 1].map(testUuid));
        });

        it('reads the whole list page by page with `after`, each image once', async () => {
            const random = seeded(3);
            const all = Array.from({ length: 60 }, (_item, n) => randomImage(n, random));
            await put(all);
            for (const order of ['asc', 'desc'] as const) {
                const pages: string[] = [];
                let after: ImageQuery['after'];
                for (;;) {
                    const page = await images().query({
                        anyOf: [{}],
                        order,
                        limit: 7,
                        ...(after && { after }),
                    });
                    pages.push(...page.map((image) => image.uuid));
                    const end = page.at(-1);
                    if (!end) {
                        break;
                    }
                    after = { publishedAt: end.raw.published_at ?? '', uuid: end.uuid };
                }
                assert.deepEqual(pages, naiveQuery(all, { anyOf: [{}], order, limit: 100 }));
            }
        });

        it('gives an image that meets several filters once, and as many as the limit says', async () => {
            await put([1, 2, 3].map((n) => testImage(n)));
            const anyOf = [{ os: 'smartos' }, { public: true }, { uuid: testUuid(2) }];
            assert.deepEqual(await uuids({ anyOf, order: 'asc', limit: 2 }), [1, 2].map(testUuid));
            assert.deepEqual(await uuids({ anyOf, order: 'desc', limit: 9 }), [3, 2, 1].map(testUuid));
        });
    });

    it('images: an answer that was read before is told to be the same until one of its images is another', async () => {
        const other = (await subject.another()).images;
        const query: ImageQuery = { anyOf: [{ owner: OWNERS[0]! }], order: 'desc', limit: 3 };
        const read = async (mark?: string) => {
            const found = await images().queryUnless(query, mark);
            return found === 'unchanged' ? found : { ...found, uuids: found.images.map(({ uuid }) => uuid) };
        };
        const raws = [1, 2, 3, 4].map((n) => testImage(n, { owner: OWNERS[0]! }));
        const [first, second, third, fourth] = raws;
        assert.ok(first && second && third && fourth);
        await put(raws.slice(0, 3));
        const changes: [change: ImageChange, uuids: string[]][] = [
            [{ put: [{ raw: { ...second, name: 'changed' } }] }, [third.uuid, second.uuid, first.uuid]],
            [{ put: [{ raw: fourth }] }, [fourth.uuid, third.uuid, second.uuid]],
            [{ delete: [{ uuid: third.uuid }] }, [fourth.uuid, second.uuid, first.uuid]],
            [{ put: [{ raw: { ...fourth, owner: OWNERS[1]! } }] }, [second.uuid, first.uuid]],
        ];
        for (const [change, uuids] of changes) {
            const before = await read();
            assert.ok(before !== 'unchanged');
            // It says in one way or the other whether anything has changed.
            assert.equal(before.mark === undefined, images().generation() !== undefined);
            await other.commit({ put: [{ raw: testImage(9, { owner: OWNERS[2]! }) }] });
            if (before.mark !== undefined) {
                assert.equal(await read(before.mark), 'unchanged');
            }
            const written = await other.commit(change);
            const after = await read(before.mark);
            assert.ok(after !== 'unchanged');
            assert.deepEqual(after.uuids, uuids);
            for (const image of written.filter(({ uuid }) => uuids.includes(uuid))) {
                assert.deepEqual(after.images.find(({ uuid }) => uuid === image.uuid)?.raw, image.raw);
            }
        }
    });

    it('images: answers random queries as a look at every record does, through changes', async () => {
        const random = seeded(42);
        let all = Array.from({ length: 250 }, (_item, n) => randomImage(n, random));
        await put(all);
        for (let round = 0; round < 3; round++) {
            for (let n = 0; n < 250; n++) {
                const query = randomQuery(random, all);
                assert.deepEqual(await uuids(query), naiveQuery(all, query), JSON.stringify(query));
            }
            const gone = all.slice(0, 30);
            const changed = all
                .slice(30, 100)
                .map((raw, n) => ({ ...randomImage(n, random), uuid: raw.uuid }));
            await images().commit({ delete: gone.map(({ uuid }) => ({ uuid })) });
            await put(changed);
            all = [...changed, ...all.slice(100)];
        }
    });
}
