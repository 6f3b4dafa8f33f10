import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { ImageFilter, ImageQuery } from '../../lib/db/driver';
import { Connection } from '../../lib/db/local-connection';
import { prepareSchema } from '../../lib/db/local-schema';
import { accessPaths, fallbackPath, pathSize, selectPositions, type SqlText } from '../../lib/db/query-sql';
import { testUuid } from '../support/images';

const active: ImageFilter = { activated: true, disabled: false };

/** One of each filter, alone and with what clients usually ask for. */
const filters: Record<string, ImageFilter> = {
    nothing: {},
    uuid: { uuid: testUuid(1) },
    owner: { owner: testUuid(1) },
    state: { state: 'creating' },
    os: { os: 'linux' },
    origin: { origin: testUuid(1) },
    type: { type: { is: 'zvol' } },
    'not type': { type: { not: 'docker' } },
    name: { name: { is: 'base' } },
    'part of a name': { name: { contains: 'base' } },
    'short part of a name': { name: { contains: 'b' } },
    version: { version: { is: '1' } },
    'part of a version': { version: { contains: '1.0' } },
    unactivated: { activated: false },
    disabled: { disabled: true },
    active,
    public: { public: true },
    acl: { acl: testUuid(1) },
    channel: { channel: 'dev' },
    tag: { tags: ['a=b'] },
    'key of a tag': { tags: ['a='] },
    'billing tag': { billingTags: ['xl'] },
};

describe('image queries as SQL', () => {
    let folder: string;
    let connection: Connection;

    before(async () => {
        folder = await mkdtemp(path.join(os.tmpdir(), 'imgapi-sql-'));
        connection = await Connection.open(path.join(folder, 'imgapi.db'));
        await prepareSchema(connection, testUuid(1));
    });
    after(async () => {
        connection.close();
        await rm(folder, { recursive: true });
    });

    const plan = ({ sql, params }: SqlText) =>
        connection
            .prepare(`EXPLAIN QUERY PLAN ${sql}`)
            .all(params)
            .map((row) => String(row[3]));

    const everyPath = (filter: ImageFilter) =>
        [...accessPaths(filter), fallbackPath(filter)].filter((path) => path.via !== 'key' || filter.uuid);

    for (const [name, filter] of Object.entries(filters)) {
        for (const order of ['asc', 'desc'] as const) {
            it(`by ${name}, ${order}: reads an index in list order and sorts nothing`, () => {
                for (const full of [filter, { ...active, channel: 'release', ...filter }]) {
                    const places: Partial<ImageQuery>[] = [
                        {},
                        { marker: { publishedAt: '2015' } },
                        { after: { publishedAt: '2015', uuid: testUuid(1) } },
                    ];
                    for (const path of everyPath(full)) {
                        for (const place of places) {
                            const steps = plan(
                                selectPositions({ anyOf: [full], order, limit: 100, ...place }, [path]),
                            ).join('\n');
                            assert.doesNotMatch(steps, /SCAN i\b(?! USING COVERING INDEX)/, steps);
                            // A uuid leads to one image, and substrings to a few that are sorted.
                            if (path.via !== 'text' && path.via !== 'key') {
                                assert.doesNotMatch(steps, /TEMP B-TREE/, steps);
                            }
                            if (place.after && path.via === 'order') {
                                assert.match(
                                    steps,
                                    /\(published_at,_key\)[<>]\(\?,\?\)|published_at[<>]\?/,
                                    steps,
                                );
                            }
                        }
                    }
                }
            });
        }
    }

    it('takes the substring path for three characters and more only, sized before use', () => {
        const vias = (filter: ImageFilter) => accessPaths(filter).map((path) => path.via);
        assert.deepEqual(vias({ name: { contains: 'abc' } }), ['text']);
        assert.deepEqual(vias({ name: { contains: 'ab' } }), []);
        assert.deepEqual(vias({ name: { contains: '日本語' } }), ['text']);
        assert.equal(fallbackPath({ name: { contains: 'abc' } }).via, 'order');
    });

    it('looks up the start of a long substring only, and whole characters of it', () => {
        for (const character of ['a', '日', '\u{1f600}']) {
            const contains = character.repeat(100_000);
            const [path] = accessPaths({ name: { contains } });
            assert.deepEqual(path, { via: 'text', match: `name : "${character.repeat(64)}"` });
        }
    });

    it('takes as many conditions at once as a request may have', () => {
        const tags = Array.from({ length: 400 }, (_, at) => `k${at}=v`);
        const filter: ImageFilter = { ...active, tags, billingTags: tags };
        const anyOf = [filter, { ...filter, public: true }, { ...filter, acl: testUuid(1) }];
        const { sql, params } = selectPositions({ anyOf, order: 'asc', limit: 1 }, anyOf.map(fallbackPath));
        assert.deepEqual(connection.prepare(sql).all(params), []);
    });

    it('counts no further than told, without looking at images where side tables suffice', () => {
        for (const path of accessPaths({ tags: ['a=b'], name: { contains: 'abc' } })) {
            const size = pathSize(path, 200);
            assert.equal(size.params.at(-1), 200);
            assert.doesNotMatch(size.sql, /imgapi_images\b/);
        }
    });

    it('keeps the text of filters out of the SQL', () => {
        const nasty = `x'"); DROP TABLE meta; --`;
        const filter: ImageFilter = { owner: nasty, name: { contains: nasty }, tags: [nasty], acl: nasty };
        for (const path of everyPath(filter)) {
            const { sql, params } = selectPositions({ anyOf: [filter], order: 'asc', limit: 1 }, [path]);
            assert.ok(!sql.includes('DROP'));
            assert.ok(params.includes(nasty));
            connection.prepare(sql).all(params);
        }
    });
});
