/** Objects of the Moray client: written, read and deleted, by many at once too (moray.md §2.1 to §2.5, §3). */
import assert from 'node:assert/strict';
import type { IndexDefinition, MorayClient, Value } from '../../lib/db/moray-client';
import { BucketDatabase } from '../support/bucket-database';
import type { Postgres } from '../support/postgresql';
import { morayError } from './moray-client-buckets';

const INDEX: Record<string, IndexDefinition> = {
    name: { type: 'string' },
    code: { type: 'string', unique: true },
    size: { type: 'number' },
    public: { type: 'boolean' },
    id: { type: 'uuid' },
    address: { type: 'ip' },
    net: { type: 'subnet' },
    mac: { type: 'mac' },
    day: { type: 'date' },
    sizes: { type: 'numrange' },
    days: { type: 'daterange' },
    tags: { type: '[string]' },
    numbers: { type: '[number]' },
    flags: { type: '[boolean]' },
    dates: { type: '[date]' },
    addresses: { type: '[ip]' },
    macs: { type: '[mac]' },
    nets: { type: '[subnet]' },
};

/** How many write at once. */
const MANY = 100;

export function objectTests(postgres: () => Postgres): void {
    describe('objects (§2)', () => {
        let database: BucketDatabase;
        let client: MorayClient;
        let now = 1_500_000_000_000;

        before(async () => {
            database = await BucketDatabase.make(postgres(), { now: () => now });
            ({ client } = database);
        });

        after(() => database.close());

        beforeEach(() => client.createBucket('b', { index: INDEX }));
        afterEach(() => client.deleteBucket('b'));

        const stored = async (value: Value): Promise<Value> => {
            await client.putObject('b', 'k', value);
            return (await client.getObject('b', 'k')).value;
        };

        it('etags are those of Moray (§2.3)', async () => {
            const vectors: [Value, string][] = [
                [{}, 'A3A6BF43'],
                [{ a: 1 }, '561BACAF'],
                [{ a: 'é' }, '8696A8FD'],
                [{ a: '日' }, '8F8C5199'],
            ];
            for (const [value, etag] of vectors) {
                assert.deepEqual(await client.putObject('b', 'k', value), { etag });
                assert.equal((await database.row('b', 'k'))._etag, etag);
                assert.equal((await client.getObject('b', 'k'))._etag, etag);
            }
        });

        it('a new object has its id, time and columns; absent fields are left out, null is NULL', async () => {
            now = 1_500_000_000_001;
            await client.putObject('b', 'k', { name: 'n', size: null, other: 'o' });
            assert.deepEqual(await client.getObject('b', 'k'), {
                bucket: 'b',
                key: 'k',
                value: { name: 'n', size: null, other: 'o' },
                _id: 1,
                _etag: (await database.row('b', 'k'))._etag,
                _mtime: now,
                _txn_snap: null,
            });
            const row = await database.row('b', 'k');
            assert.equal(row._value, '{"name":"n","size":null,"other":"o"}');
            assert.equal(row._vnode, null);
            assert.equal(row.name, 'n');
            assert.equal(row.size, null);
        });

        it('an update keeps the id and sets every column, those of absent fields to NULL', async () => {
            await client.putObject('b', 'k', { name: 'n', tags: ['a'], size: 1 });
            now++;
            await client.putObject('b', 'k', { size: 2 });
            const { _id, _mtime, value } = await client.getObject('b', 'k');
            assert.deepEqual([_id, _mtime, value], [1, now, { size: 2 }]);
            const { name, tags, size } = await database.row('b', 'k');
            assert.deepEqual([name, tags, size], [null, null, 2]);
        });

        it('values are stored as JSON has them', async () => {
            const day = new Date(0);
            assert.deepEqual(await stored({ at: day, gone: undefined, deep: { list: [undefined, NaN] } }), {
                at: day.toJSON(),
                deep: { list: [null, null] },
            });
            const circle: Record<string, unknown> = {};
            circle.circle = circle;
            for (const value of [circle, { big: 1n }, [], 'text', null, undefined, 5]) {
                await assert.rejects(
                    client.putObject('b', 'k', value as Value),
                    morayError('InvocationError', /value/),
                );
            }
        });

        // Given, and as it is read: in the form of the column's type (§2.1, §2.4).
        const conversions: [field: string, given: unknown, read: unknown][] = [
            ['name', 5, '5'],
            ['name', true, 'true'],
            ['name', { a: 1 }, '[object Object]'],
            ['name', ['a', 'b'], ['a', 'b']],
            ['name', '', ''],
            ['public', 'TRUE', true],
            ['public', 'False', false],
            ['size', '12.50', 12.5],
            ['size', '12abc', 12],
            ['size', 1e21, 1e21],
            ['id', '0f1e2d3c-0000-4000-8000-000000000001', '0f1e2d3c-0000-4000-8000-000000000001'],
            ['address', '10.0.0.1', '10.0.0.1'],
            ['address', 'FE80:0:0::1', 'fe80::1'],
            ['net', '10.0.0.0/8', '10.0.0.0/8'],
            ['mac', '1:2:3:A:b:c', '01:02:03:0a:0b:0c'],
            ['day', '2015-01-02T03:04:05Z', '2015-01-02T03:04:05.000Z'],
            ['sizes', '[1,2.5)', '[1,2.5)'],
            ['days', '[2015-01-01T00:00:00Z,)', '[2015-01-01T00:00:00.000Z,)'],
            ['tags', 'one', ['one']],
            ['tags', [], []],
            ['numbers', ['1', 2.5], [1, 2.5]],
            ['flags', [true, 'false'], [true, false]],
            ['dates', ['2015-01-02T03:04:05Z'], ['2015-01-02T03:04:05.000Z']],
            ['addresses', ['10.0.0.1', '::1'], ['10.0.0.1', '::1']],
            ['macs', ['1:2:3:a:b:c'], ['01:02:03:0a:0b:0c']],
            ['nets', ['10.0.0.0/8'], ['10.0.0.0/8']],
        ];
        it('columns overlay the value, each in the form of its type', async () => {
            for (const [field, given, read] of conversions) {
                assert.deepEqual(await stored({ [field]: given }), { [field]: read }, field);
            }
        });

        it('elements of arrays are kept whatever they are, also those that Moray would lose', async () => {
            const tags = ['', ' a ', 'NULL', 'null', 'a"b', 'c,d', '{e}', '\\', "f'g", '日\n𝄞', '%_*', '1'];
            assert.deepEqual(await stored({ tags }), { tags });
            for (const tag of tags) {
                const text = tag.replace(/[*()\\]/g, (c) => `\\${c.charCodeAt(0).toString(16)}`);
                assert.equal((await client.findObjects('b', `(tags=${text})`).toArray()).length, 1, tag);
            }
            assert.deepEqual(await stored({ tags: ['a', null] }), { tags: ['a', null] });
        });

        it('what is not of the type of its column is refused, and nothing is written', async () => {
            const refused: [string, unknown][] = [
                ['public', 'maybe'],
                ['public', 1],
                ['size', 'many'],
                ['size', {}],
                ['id', 'x'],
                ['address', '10.0.0'],
                ['address', '10.0.0.1/8'],
                ['net', '10.0.0.0'],
                ['net', '10.0.0.1/8'],
                ['net', '10.0.0.0/33'],
                ['mac', 'x'],
                ['day', 'tomorrow'],
                ['day', '2015-13-01T00:00:00Z'],
                ['sizes', '1-2'],
                ['days', '[x,y]'],
                ['numbers', [1, 'x']],
                ['flags', ['yes']],
            ];
            for (const [field, value] of refused) {
                await assert.rejects(
                    client.putObject('b', 'k', { [field]: value }),
                    morayError('InvalidIndexTypeError'),
                    `${field} ${String(value)}`,
                );
            }
            assert.deepEqual(await database.sql('SELECT 1 FROM b'), []);
        });

        it('hostile text is stored as it is, or refused with a reason', async () => {
            const big = Array.from({ length: 2 ** 16 }, (_, at) => `${at}é'"\\`.padEnd(16)).join('');
            const value = {
                text: `'"\\\0\u0001\ud800; DROP TABLE b; --`,
                big,
                name: `'); DROP TABLE b; --"\\`,
            };
            assert.deepEqual(await stored(value), value);
            for (const key of [`'"; DROP TABLE b; --`, '\\', '日𝄞', '', ' ', '%', '$1', 'x'.repeat(1000)]) {
                await client.putObject('b', key, { key });
                assert.equal((await client.getObject('b', key)).key, key);
            }
            for (const key of ['a\0b', '\ud800', 5 as unknown as string]) {
                await assert.rejects(client.putObject('b', key, {}), morayError('InvocationError', /key/));
                await assert.rejects(client.getObject('b', key), morayError('InvocationError', /key/));
            }
            await assert.rejects(
                client.putObject('b', 'k', { tags: ['a\0'] }),
                morayError('InvalidIndexTypeError', /U\+0000/),
            );
            // An index has no room for it.
            await assert.rejects(
                client.putObject('b', 'k', { name: big }),
                morayError('InvalidIndexTypeError'),
            );
            // UTF-8 has no half a surrogate pair, so a column cannot have it either.
            assert.deepEqual(await stored({ name: 'a\ud800' }), { name: 'a\ufffd' });
        });

        it('etag: absent writes over anything, null asks for no object, a string for that one (§2.2)', async () => {
            const put = (key: string, etag?: string | null) =>
                client.putObject('b', key, { n: 1 }, etag === undefined ? {} : { etag });
            await assert.rejects(
                put('k', 'A3A6BF43'),
                morayError('EtagConflictError', /^b::k was expected to have etag "A3A6BF43", but was null$/),
            );
            const { etag } = await put('k', null);
            await assert.rejects(put('k', null), morayError('EtagConflictError'));
            await assert.rejects(put('k', 'A3A6BF43'), morayError('EtagConflictError'));
            await put('k', etag);
            await put('k');
            await assert.rejects(
                client.deleteObject('b', 'k', { etag: 'A3A6BF43' }),
                morayError('EtagConflictError'),
            );
            await client.deleteObject('b', 'k', { etag });
        });

        it('what is not there can be neither read nor deleted (§2.1, §2.5)', async () => {
            const absent = morayError('ObjectNotFoundError', /^b::k does not exist$/);
            await assert.rejects(client.getObject('b', 'k'), absent);
            await assert.rejects(client.deleteObject('b', 'k'), absent);
            await assert.rejects(client.deleteObject('b', 'k', { etag: 'A3A6BF43' }), absent);
        });

        it('a unique attribute has one owner, which the error names', async () => {
            await client.putObject('b', 'a', { code: 'x(1)=(2)' });
            await client.putObject('b', 'c', { code: 'y' });
            for (const key of ['b', 'c']) {
                await assert.rejects(client.putObject('b', key, { code: 'x(1)=(2)' }), (error) => {
                    morayError(
                        'UniqueAttributeError',
                        /^"code" is a unique attribute; value "x\(1\)=\(2\)" already exists$/,
                    )(error);
                    const { details } = error as { details: Record<string, unknown> };
                    assert.deepEqual([details.attribute, details.value], ['code', 'x(1)=(2)']);
                    return true;
                });
            }
        });

        it(`of ${MANY} concurrent updates by etag none is lost`, async () => {
            await client.putObject('b', 'k', {});
            const others = [database.another(), database.another()];
            const add = async (field: string, by: MorayClient): Promise<void> => {
                for (;;) {
                    const { value, _etag } = await by.getObject('b', 'k');
                    try {
                        await by.putObject('b', 'k', { ...value, [field]: true }, { etag: _etag });
                        return;
                    } catch (error) {
                        morayError('EtagConflictError')(error);
                    }
                }
            };
            const fields = Array.from({ length: MANY }, (_, at) => `f${at}`);
            await Promise.all(fields.map((field, at) => add(field, others[at % 2]!)));
            await Promise.all(others.map((other) => other.close()));
            assert.deepEqual(Object.keys((await client.getObject('b', 'k')).value).sort(), fields.sort());
        });

        it(`of ${MANY} concurrent transactions that lock what they read none is lost`, async () => {
            await client.putObject('b', 'k', { size: 0 });
            await Promise.all(
                Array.from({ length: MANY }, () =>
                    client.transaction(async (objects) => {
                        const { value } = await objects.get('b', 'k', 'FOR UPDATE');
                        await objects.put('b', 'k', { size: Number(value.size) + 1 });
                    }),
                ),
            );
            assert.deepEqual((await client.getObject('b', 'k')).value, { size: MANY });
        });

        it('of many that insert one key at once, one is first: others conflict, or write over it', async () => {
            const insert = (key: string, etag?: null) =>
                Promise.allSettled(
                    Array.from({ length: 20 }, (_, n) =>
                        // The unique attribute is as much in the way as the key.
                        client.putObject('b', key, { code: key, n }, etag === null ? { etag } : {}),
                    ),
                );
            assert.ok((await insert('over')).every(({ status }) => status === 'fulfilled'));
            const results = await insert('new', null);
            const refused = results.filter((result) => result.status === 'rejected');
            assert.equal(refused.length, 19);
            refused.forEach(({ reason }) => morayError('EtagConflictError')(reason));
        });

        it('a transaction happens as a whole or not at all, and a conflict on insert does not end it', async () => {
            await client.putObject('b', 'taken', { code: 'x' });
            await client.transaction(async (objects) => {
                await objects.put('b', 'one', {});
                await assert.rejects(
                    objects.put('b', 'two', { code: 'x' }),
                    morayError('UniqueAttributeError'),
                );
                await assert.rejects(
                    objects.put('b', 'taken', {}, { etag: null }),
                    morayError('EtagConflictError'),
                );
                await objects.put('b', 'two', { code: 'y' });
            });
            await assert.rejects(
                client.transaction(async (objects) => {
                    await objects.delete('b', 'one');
                    throw new Error('changed my mind');
                }),
                /changed my mind/,
            );
            const keys = (
                await client.findObjects('b', '(_key=*)', { sort: { attribute: '_key' } }).toArray()
            ).map(({ key }) => key);
            assert.deepEqual(keys, ['one', 'taken', 'two']);
        });

        it('the client answers pings and runs statements', async () => {
            await client.ping();
            const rows = [];
            for await (const row of client.sql('SELECT $1::text AS said', ["it's"])) {
                rows.push({ ...row });
            }
            assert.deepEqual(rows, [{ said: "it's" }]);
            for (const statement of ['SELEC', 'CREATE TABLE x (a int, a int)']) {
                await assert.rejects(
                    client.sql(statement).toArray(),
                    morayError('InternalError', /^Invalid SQL: /),
                );
            }
        });
    });
}
