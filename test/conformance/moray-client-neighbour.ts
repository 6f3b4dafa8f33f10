/** Beside a live Moray: rows that it wrote, tables in all their shapes, and buckets that it changes (moray.md §5, §6). */
import assert from 'node:assert/strict';
import type { BucketConfig, MorayClient } from '../../lib/db/moray-client';
import { objectOf } from '../../lib/db/moray-client';
import { morayEtag } from '../../lib/db/etag';
import { BucketDatabase } from '../support/bucket-database';
import type { Postgres } from '../support/postgresql';
import { IMAGES, morayError } from './moray-client-buckets';

/** A version that brought `size`, which is still being filled. */
const REINDEXING: BucketConfig = {
    index: { name: { type: 'string' }, size: { type: 'number' } },
    options: { version: 1 },
};

export function neighbourTests(postgres: () => Postgres): void {
    describe('beside Moray (§5, §6)', () => {
        let database: BucketDatabase;
        let client: MorayClient;
        let now = 1_500_000_000_000;

        before(async () => {
            database = await BucketDatabase.make(postgres(), { now: () => now });
        });

        after(() => database.close());

        beforeEach(async () => {
            await database.clear();
            ({ client } = database);
        });

        const keys = async (bucket: string, filter: string, by = client) =>
            (await by.findObjects(bucket, filter).toArray())
                .map(({ key }) => key)
                .sort()
                .join();

        it('rows that Moray wrote are read with their columns over their values', async () => {
            await client.createBucket('imgapi_images', { index: IMAGES });
            const uuid = '01b2c898-945f-11e1-a523-af1afbe22822';
            const value = {
                uuid,
                name: 'before',
                owner: null,
                public: 'true',
                tags: ['a=b'],
                acl: 'one',
                os: 'smartos',
                files: [{ size: 5 }],
            };
            const text = JSON.stringify(value);
            // As Moray does, with its literals for arrays; updateObjects changed columns alone since.
            await database.sql(
                `INSERT INTO imgapi_images (_key, _value, _etag, _mtime, _vnode, uuid, name, owner, public, tags, acl)
                VALUES ($1, $2, $3, $4, NULL, $1, 'after', NULL, 'TRUE', '{a=b, "c=d,e"}', '{one}')`,
                [uuid, text, morayEtag(text), '1400000000000'],
            );
            await database.sql("UPDATE imgapi_images SET _etag = 'u1234567' WHERE _key = $1", [uuid]);
            const object = await client.getObject('imgapi_images', uuid);
            assert.deepEqual(object, {
                bucket: 'imgapi_images',
                key: uuid,
                value: {
                    uuid,
                    name: 'after',
                    owner: null,
                    public: true,
                    tags: ['a=b', 'c=d,e'],
                    acl: ['one'],
                    files: [{ size: 5 }],
                },
                _id: 1,
                _etag: 'u1234567',
                _mtime: 1_400_000_000_000,
                _txn_snap: null,
            });
            await client.putObject('imgapi_images', uuid, object.value, { etag: 'u1234567' });
            const row = await database.row('imgapi_images', uuid);
            assert.equal(row._etag, morayEtag(String(row._value)));
            assert.deepEqual(JSON.parse(String(row._value)), object.value);
            assert.deepEqual(
                [row.name, row.public, row.tags, row.os],
                ['after', true, ['a=b', 'c=d,e'], null],
            );
        });

        it('tables have columns that are in no configuration, and lack those that are in it', async () => {
            await client.createBucket('b', { index: { name: { type: 'string' }, size: { type: 'number' } } });
            await database.sql('ALTER TABLE b ADD COLUMN extra TEXT, DROP COLUMN size');
            await client.putObject('b', 'k', { name: 'n', size: 5, extra: 'e' });
            await database.sql("UPDATE b SET extra = 'theirs'");
            assert.deepEqual((await client.getObject('b', 'k')).value, { name: 'n', size: 5, extra: 'e' });
            await client.putObject('b', 'k', { name: 'm', size: 6 });
            assert.equal((await database.row('b', 'k')).extra, 'theirs');
            assert.equal(await keys('b', '(&(name=m)(size=6))'), 'k');
            await assert.rejects(keys('b', '(size=6)'), morayError('InvalidQueryError'));
        });

        it('definitions of unknown types and impossible names are no columns', async () => {
            await client.createBucket('b', { index: { name: { type: 'string' } } });
            const index = {
                name: { type: 'string' },
                'x"; DROP TABLE b; --': { type: 'string' },
                p: { type: 'point' },
            };
            await database.sql('UPDATE buckets_config SET index = $1, options = NULL', [
                JSON.stringify(index),
            ]);
            await client.putObject('b', 'k', { name: 'n', p: 1, 'x"; DROP TABLE b; --': 2 });
            assert.equal(await keys('b', '(&(name=n)(p=*))'), 'k');
        });

        it('an old INTEGER _id is read; _idx takes over where it has an index', async () => {
            await client.createBucket('b', { index: { name: { type: 'string' } } });
            await database.sql('ALTER TABLE b ALTER COLUMN _id TYPE INTEGER');
            await client.putObject('b', 'a', { name: 'a' });
            await database.sql('ALTER TABLE b ADD COLUMN _idx BIGINT');
            await database.sql('CREATE INDEX b__idx_idx ON b USING BTREE (_idx) WHERE _idx IS NOT NULL');
            await database.sql(
                "ALTER TABLE b ALTER COLUMN _id DROP DEFAULT, ALTER COLUMN _idx SET DEFAULT nextval('b_serial')",
            );
            await database.sql("SELECT setval('b_serial', 3000000000)");
            await client.getBucket('b');
            await client.putObject('b', 'b', { name: 'b' });
            await client.putObject('b', 'c', { name: 'c' });
            assert.equal((await client.getObject('b', 'b'))._id, 3_000_000_001);
            assert.equal(await keys('b', '(_id=3000000001)'), 'b');
            assert.equal(await keys('b', '(_id>=1)'), 'a,b,c');
            assert.equal(await keys('b', '(_id<=3000000001)'), 'a,b');
            assert.equal(await keys('b', '(!(_id=1))'), 'b,c');
            for (const [order, expected] of [
                ['ASC', 'a,b,c'],
                ['DESC', 'c,b,a'],
            ] as const) {
                const found = client.findObjects('b', '(name=*)', { sort: { attribute: '_id', order } });
                assert.equal((await found.toArray()).map(({ key }) => key).join(), expected);
            }
            await assert.rejects(keys('b', '(_idx=1)'), morayError('InvalidQueryError', /_idx/));
            assert.deepEqual(await client.deleteMany('b', '(_id>=2)'), { count: 2 });
        });

        it('ids beyond 2^53 are refused rather than rounded', async () => {
            await client.createBucket('b');
            await client.putObject('b', 'k', {});
            await database.sql('UPDATE b SET _id = 9007199254740993');
            await assert.rejects(client.getObject('b', 'k'), morayError('InternalError', /2\^53/));
        });

        it('a row without a JSON object is an error that names it', async () => {
            await client.createBucket('b');
            for (const text of ['{"a":', '[]', 'null', '5', '']) {
                await database.sql("INSERT INTO b (_key, _value, _etag) VALUES ('k', $1, '00000000')", [
                    text,
                ]);
                await assert.rejects(client.getObject('b', 'k'), morayError('InternalError', /b::k/));
                // To write over it is the way to repair it.
                await client.putObject('b', 'k', {});
                await client.deleteObject('b', 'k');
            }
        });

        it('a bucket that somebody changes is known anew: after 300 s, by a newer row, by a missing column', async () => {
            await client.createBucket('b', { index: { name: { type: 'string' } }, options: { version: 1 } });
            await client.putObject('b', 'old', { name: 'n', size: 1 });
            const other = database.another();
            const grow = (version: number, ...fields: string[]) =>
                other.updateBucket('b', {
                    index: Object.fromEntries(fields.map((field) => [field, { type: 'string' }] as const)),
                    options: { version },
                });
            const column = async (key: string, name: string) => (await database.row('b', key))[name];

            await grow(2, 'name', 'size');
            await client.putObject('b', 'stale', { size: 2 });
            assert.equal(await column('stale', 'size'), null, 'the known description is used');
            await other.putObject('b', 'newer', { size: 3 });
            await client.putObject('b', 'newer', { size: 4 });
            assert.equal(await column('newer', 'size'), '4', 'the row told of the newer version');

            await grow(3, 'name', 'size', 'colour');
            await client.putObject('b', 'stale', { colour: 'red' });
            assert.equal(await column('stale', 'colour'), null);
            now += 300_000;
            await client.putObject('b', 'stale', { colour: 'red' });
            assert.equal(await column('stale', 'colour'), 'red', 'after 300 s');

            await grow(4, 'name');
            await client.putObject('b', 'fresh', { name: 'x', size: 5 });
            assert.deepEqual((await client.getObject('b', 'fresh')).value, { name: 'x', size: 5 });
            await other.deleteBucket('b');
            await assert.rejects(client.putObject('b', 'k', {}), morayError('BucketNotFoundError'));
            await other.close();
        });

        it('a search that finds a row of a newer version knows the bucket anew', async () => {
            await client.createBucket('b', { index: { name: { type: 'string' } } });
            await client.putObject('b', 'k', { name: 'n', size: 1 });
            const other = database.another();
            await other.updateBucket('b', REINDEXING);
            while ((await other.reindexObjects('b', 10)).processed > 0);
            await other.updateObjects('b', { size: 2 }, '(name=n)');
            const [found] = await client.findObjects('b', '(name=n)').toArray();
            assert.equal(found?.value.size, 2);
            await other.close();
        });

        describe('while columns are filled', () => {
            beforeEach(async () => {
                await client.createBucket('b', { index: { name: { type: 'string' } } });
                for (let at = 0; at < 5; at++) {
                    await client.putObject('b', `k${at}`, { name: 'n', size: at });
                }
                await client.updateBucket('b', REINDEXING);
            });

            it('they are neither read nor searched nor updated, but written with the version', async () => {
                assert.deepEqual((await client.getObject('b', 'k3')).value, { name: 'n', size: 3 });
                assert.equal(await keys('b', '(&(name=n)(size>=3))'), 'k3,k4');
                assert.equal(await keys('b', '(&(name=n)(!(size=3)))'), 'k0,k1,k2,k4');
                await assert.rejects(keys('b', '(size>=3)'), morayError('InvalidQueryError'));
                for (const call of [
                    () => client.findObjects('b', '(&(name=n)(size=1))', { requireIndexes: true }).toArray(),
                    () => client.findObjects('b', '(name=n)', { sort: { attribute: 'size' } }).toArray(),
                    () => client.updateObjects('b', { size: 1 }, '(name=n)'),
                    () => client.deleteMany('b', '(&(name=n)(size=1))'),
                ]) {
                    await assert.rejects(call, morayError('NotIndexedError'));
                }
                await client.putObject('b', 'k3', { name: 'n', size: 33 });
                const { size, _rver } = await database.row('b', 'k3');
                assert.deepEqual([size, _rver], [33, 1]);
                await client.putObject('b', 'new', { name: 'n', size: 34 });
                assert.equal((await database.row('b', 'new'))._rver, 1);
            });

            it('reindexObjects fills them, takes updates of columns into the values, and says when it is done', async () => {
                await client.updateObjects('b', { name: 'm' }, '(_key=k1)');
                const { _etag } = await client.getObject('b', 'k1');
                const done = [];
                for (
                    let last = await client.reindexObjects('b', 2);
                    ;
                    last = await client.reindexObjects('b', 2)
                ) {
                    done.push([last.processed, last.remaining]);
                    if (last.processed === 0) {
                        break;
                    }
                }
                assert.deepEqual(done, [
                    [2, 3],
                    [2, 1],
                    [1, 0],
                    [0, 0],
                ]);
                const row = await database.row('b', 'k1');
                assert.deepEqual(
                    [row._value, row.size, row._rver, row._etag],
                    ['{"name":"m","size":1}', 1, 1, _etag],
                );
                assert.deepEqual(await database.sql('SELECT reindex_active FROM buckets_config'), [
                    { reindex_active: '{}' },
                ]);
                assert.equal(await keys('b', '(size>=3)'), 'k3,k4');
                assert.deepEqual(await client.reindexObjects('b', 2), { processed: 0 });
                await assert.rejects(client.reindexObjects('b', 0), morayError('InvocationError'));
            });
        });

        it('rows that a caller read by a statement of its own become objects, too', async () => {
            await client.createBucket('b', { index: { name: { type: 'string' } } });
            await client.putObject('b', 'k', { name: 'n' });
            const bucket = await client.getBucket('b');
            const [row] = await client.sql('SELECT * FROM b').toArray();
            assert.deepEqual(objectOf(row!, bucket), await client.getObject('b', 'k'));
        });
    });
}
