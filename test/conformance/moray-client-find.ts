/** Searches of the Moray client, and changes of what they find (moray.md §2.6, §2.7). */
import assert from 'node:assert/strict';
import type { BatchRequest, FindOptions, MorayClient } from '../../lib/db/moray-client';
import { BucketDatabase } from '../support/bucket-database';
import type { Postgres } from '../support/postgresql';
import { morayError } from './moray-client-buckets';

export function findTests(postgres: () => Postgres): void {
    describe('searches (§2.6)', () => {
        let database: BucketDatabase;
        let client: MorayClient;

        before(async () => {
            database = await BucketDatabase.make(postgres(), { now: () => 1_500_000_000_000 });
            ({ client } = database);
            await client.createBucket('b', {
                index: { name: { type: 'string' }, size: { type: 'number' }, tags: { type: '[string]' } },
            });
        });

        after(() => database.close());

        beforeEach(async () => {
            await database.sql('TRUNCATE b RESTART IDENTITY');
            await database.sql("SELECT setval('b_serial', 1, false)");
            const names = ['a', 'B', 'é', '', undefined];
            await client.batch(
                names.map((name, at) => ({
                    bucket: 'b',
                    key: `k${at}`,
                    value: { ...(name !== undefined && { name }), size: at, tags: [`t${at % 2}`], free: at },
                })),
            );
        });

        const keys = async (filter: string, options: FindOptions = {}) =>
            (await client.findObjects('b', filter, options).toArray()).map(({ key }) => key).join();
        const bySize = { sort: { attribute: 'size' } };

        it('finds objects whole, each with the number of all of them', async () => {
            const found = [];
            for await (const object of client.findObjects('b', '(size>=1)', {
                ...bySize,
                limit: 2,
                offset: 1,
            })) {
                found.push(object);
            }
            assert.deepEqual(found, [
                { ...(await client.getObject('b', 'k2')), _count: 4 },
                { ...(await client.getObject('b', 'k3')), _count: 4 },
            ]);
            const [first] = await client.findObjects('b', '(size=1)', { no_count: true }).toArray();
            assert.equal('_count' in first!, false);
        });

        it('a search runs once, when it is asked for', async () => {
            const search = client.findObjects('b', '(name=new)');
            await client.putObject('b', 'new', { name: 'new' });
            assert.equal((await search.toArray()).length, 1);
            await client.deleteObject('b', 'new');
            assert.equal((await search.toArray()).length, 1);
        });

        it('sorts texts by their bytes, and objects without one last, or first if descending', async () => {
            assert.equal(await keys('(_key=*)', { sort: { attribute: 'name' } }), 'k3,k1,k0,k2,k4');
            assert.equal(
                await keys('(_key=*)', { sort: { attribute: 'name', order: 'desc' } }),
                'k4,k2,k0,k1,k3',
            );
            const sort = [{ attribute: 'tags' }, { attribute: '_key', order: 'DESC' }] as const;
            assert.equal(await keys('(_key=*)', { sort }), 'k4,k2,k0,k3,k1');
        });

        it('gives 1,000 unless it is told otherwise', async () => {
            await database.sql(
                "INSERT INTO b (_key, _value, _etag, size) SELECT 'x' || n, '{}', '00000000', n FROM generate_series(1, 1100) n",
            );
            const count = async (options: FindOptions) =>
                (await client.findObjects('b', '(size>=0)', options).toArray()).length;
            assert.equal(await count({}), 1000);
            assert.equal(await count({ noLimit: true }), 1105);
            assert.equal(await count({ limit: 1050 }), 1050);
            assert.equal(await count({ limit: '7', noLimit: true }), 7);
            assert.equal(await count({ limit: 0 }), 0);
            assert.equal(await count({ noLimit: true, offset: '1100' }), 5);
        });

        it('takes out what only memory can tell after the limit: a page may be short', async () => {
            assert.equal(await keys('(&(size>=0)(free=x))'), '');
            assert.equal(await keys('(&(size>=0)(!(free>=2)))', { ...bySize, limit: 3 }), 'k0,k1');
            assert.equal(await keys('(&(size>=0)(free>=2))', { ...bySize, limit: 3 }), 'k2');
        });

        it('options that cannot be are refused', async () => {
            for (const options of [
                { limit: -1 },
                { limit: 1.5 },
                { limit: 'x' },
                { limit: '1; DROP TABLE b' },
                { offset: '-1' },
                { limit: 1e20 },
                { sort: { attribute: 'size', order: 'up' as 'ASC' } },
                { sort: { attribute: 5 as unknown as string } },
            ]) {
                await assert.rejects(keys('(size>=0)', options), morayError('InvocationError'));
            }
            for (const attribute of ['free', '_idx', 'size; DROP TABLE b', '', '_value']) {
                await assert.rejects(
                    keys('(size>=0)', { sort: { attribute } }),
                    morayError('NotIndexedError'),
                );
            }
        });

        it('updateObjects changes columns, times and etags of what it finds, not values', async () => {
            const { _value } = await database.row('b', 'k1');
            const { count, etag } = await client.updateObjects(
                'b',
                { name: 'new', tags: ['x', 'y,z'] },
                '(&(tags=t1)(size>=1))',
            );
            assert.equal(count, 2);
            assert.match(etag, /^u[0-9a-f]{7}$/);
            const row = await database.row('b', 'k1');
            assert.deepEqual(
                [row.name, row.tags, row._etag, row._mtime, row._value],
                ['new', ['x', 'y,z'], etag, 1_500_000_000_000, _value],
            );
            const object = await client.getObject('b', 'k3');
            assert.deepEqual(object.value, { name: 'new', size: 3, tags: ['x', 'y,z'], free: 3 });
            await client.putObject('b', 'k3', object.value, { etag });
            assert.equal((await client.updateObjects('b', { size: 9 }, '(_key=*)', { limit: 2 })).count, 2);
        });

        it('updateObjects refuses what it cannot set', async () => {
            const update = (fields: Record<string, unknown>, filter = '(size=1)') =>
                client.updateObjects('b', fields, filter);
            await assert.rejects(update({}), morayError('FieldUpdateError'));
            await assert.rejects(update({ free: 1 }), morayError('NotIndexedError'));
            await assert.rejects(update({ _etag: 'x' }), morayError('NotIndexedError'));
            await assert.rejects(update({ size: null }), morayError('NotNullableError'));
            await assert.rejects(update({ size: 'x' }), morayError('InvalidIndexTypeError'));
            await assert.rejects(update({ size: 1 }, '(&(size=1)(free=1))'), morayError('NotIndexedError'));
        });

        it('deleteMany deletes what the filter meets, and nothing that only resembles it', async () => {
            await client.putObject('b', 'like', { name: 'a_c' });
            await client.putObject('b', 'unlike', { name: 'abc' });
            assert.deepEqual(await client.deleteMany('b', '(name=a_*)'), { count: 1 });
            assert.deepEqual(await client.deleteMany('b', '(|(size>=3)(name=abc))'), { count: 3 });
            assert.deepEqual(await client.deleteMany('b', '(size>=0)', { limit: 1 }), { count: 1 });
            await assert.rejects(
                client.deleteMany('b', '(&(size>=0)(free=1))'),
                morayError('NotIndexedError'),
            );
            assert.deepEqual(await client.deleteMany('b', '(_key=*)'), { count: 2 });
        });

        it('deleteMany leaves alone what somebody is just changing into what the filter does not meet', async () => {
            const deleting = await client.transaction(async (objects) => {
                await objects.put('b', 'k0', { size: 100 });
                const running = client.deleteMany('b', '(size<=0)');
                let waiting: unknown[] = [];
                while (waiting.length === 0) {
                    waiting = await database.sql(
                        'SELECT 1 FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()',
                    );
                }
                return { running };
            });
            assert.deepEqual(await deleting.running, { count: 0 });
            assert.deepEqual((await client.getObject('b', 'k0')).value, { size: 100 });
        });

        it('texts have the order of their bytes in a database of any language', async () => {
            const other = await BucketDatabase.make(postgres(), {}, "LOCALE_PROVIDER icu ICU_LOCALE 'en'");
            await other.client.createBucket('b', {
                index: { name: { type: 'string' }, tags: { type: '[string]' } },
            });
            for (const name of ['a', 'B', 'é', 'z']) {
                await other.client.putObject('b', name, { name, tags: [name] });
            }
            const found = async (filter: string) =>
                (await other.client.findObjects('b', filter, { sort: { attribute: 'name' } }).toArray())
                    .map(({ key }) => key)
                    .join();
            assert.equal(await found('(name=*)'), 'B,a,z,é');
            assert.equal(await found('(name>=a)'), 'a,z,é');
            assert.equal(await found('(!(name>=a))'), 'B');
            assert.equal(await found('(tags<=a)'), 'B,a');
            assert.equal(await found('(_key>=z)'), 'z,é');
            await other.close();
        });

        const requests: BatchRequest[] = [
            { bucket: 'b', key: 'new', value: { name: 'n', size: 10 }, options: { etag: null } },
            { operation: 'put', bucket: 'b', key: 'k0', value: { name: 'z' } },
            { operation: 'delete', bucket: 'b', key: 'k1' },
            { operation: 'update', bucket: 'b', fields: { size: 11 }, filter: '(size=10)' },
            { operation: 'deleteMany', bucket: 'b', filter: '(size<=3)' },
        ];

        it('batch makes all its changes, one after the other', async () => {
            const { etags } = await client.batch(requests);
            assert.deepEqual(
                etags.map(({ bucket, key, filter, count }) => [bucket, key ?? filter, count]),
                [
                    ['b', 'new', undefined],
                    ['b', 'k0', undefined],
                    ['b', 'k1', undefined],
                    ['b', '(size=10)', 1],
                    ['b', '(size<=3)', 2],
                ],
            );
            assert.equal((await client.getObject('b', 'k0'))._etag, etags[1]?.etag);
            assert.equal((await client.getObject('b', 'new'))._etag, etags[3]?.etag);
            assert.equal(await keys('(_key=*)', { sort: { attribute: '_key' } }), 'k0,k4,new');
        });

        it('batch makes none of them if one fails', async () => {
            const before = await database.sql('SELECT * FROM b ORDER BY _key');
            const faults: [BatchRequest, Parameters<typeof morayError>[0]][] = [
                [{ bucket: 'b', key: 'k4', value: {}, options: { etag: null } }, 'EtagConflictError'],
                [{ operation: 'delete', bucket: 'b', key: 'k1' }, 'ObjectNotFoundError'],
                [{ operation: 'update', bucket: 'b', fields: {}, filter: '(size=1)' }, 'FieldUpdateError'],
                [{ operation: 'deleteMany', bucket: 'b', filter: '(' }, 'InvalidQueryError'],
                [{ bucket: 'nowhere', key: 'k', value: {} }, 'BucketNotFoundError'],
                [{ bucket: 'b', key: 'k', value: { size: 'x' } }, 'InvalidIndexTypeError'],
                [{ operation: 'patch' as 'put', bucket: 'b', key: 'k', value: {} }, 'InvocationError'],
            ];
            for (const [fault, error] of faults) {
                await assert.rejects(client.batch([...requests, fault]), morayError(error));
                assert.deepEqual(await database.sql('SELECT * FROM b ORDER BY _key'), before);
            }
        });
    });
}
