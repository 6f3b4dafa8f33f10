/** Buckets of the Moray client: the tables it makes, and how their configuration is kept (moray.md §1, §2.7). */
import assert from 'node:assert/strict';
import type { BucketConfig, IndexDefinition, IndexType, MorayClient } from '../../lib/db/moray-client';
import { isMorayError } from '../../lib/db/moray-client';
import { BucketDatabase } from '../support/bucket-database';
import type { Postgres } from '../support/postgresql';

/** The bucket of images, field by field (moray.md §1.3). */
const STRINGS = ['name', 'version', 'owner', 'origin', 'state'] as const;
const LATER_STRINGS = ['os', 'type', 'expires_at', 'published_at'] as const;
export const IMAGES: Record<string, IndexDefinition> = {
    uuid: { type: 'string', unique: true },
    ...Object.fromEntries(STRINGS.map((field) => [field, { type: 'string' }] as const)),
    urn: { type: 'string', unique: true },
    ...Object.fromEntries(
        ['tags', 'billing_tags', 'acl'].map((field) => [field, { type: '[string]' }] as const),
    ),
    ...Object.fromEntries(
        ['activated', 'disabled', 'public'].map((field) => [field, { type: 'boolean' }] as const),
    ),
    ...Object.fromEntries(LATER_STRINGS.map((field) => [field, { type: 'string' }] as const)),
};

/** PostgreSQL's names and kinds of index, by type (moray.md §1.2). */
const TYPES: Record<IndexType, [column: string, index: string]> = {
    string: ['text', 'btree'],
    number: ['numeric', 'btree'],
    boolean: ['boolean', 'btree'],
    uuid: ['uuid', 'btree'],
    ip: ['inet', 'btree'],
    subnet: ['cidr', 'btree'],
    mac: ['macaddr', 'btree'],
    date: ['timestamp with time zone', 'btree'],
    numrange: ['numrange', 'gist'],
    daterange: ['tstzrange', 'gist'],
    '[string]': ['text[]', 'gin'],
    '[number]': ['numeric[]', 'gin'],
    '[boolean]': ['boolean[]', 'gin'],
    '[date]': ['timestamp with time zone[]', 'gin'],
    '[ip]': ['inet[]', 'gin'],
    '[mac]': ['macaddr[]', 'gin'],
    '[subnet]': ['cidr[]', 'gin'],
};

/** An error of the client by its name, and by its message where that is given. */
export function morayError(name: Parameters<typeof isMorayError>[1], message?: RegExp) {
    return (error: unknown): boolean => {
        assert.ok(isMorayError(error, name), `${name} was expected, not ${String(error)}`);
        assert.match(error.message, message ?? /./);
        return true;
    };
}

export function bucketTests(postgres: () => Postgres): void {
    describe('buckets (§1, §2.7)', () => {
        let database: BucketDatabase;
        let client: MorayClient;

        before(async () => {
            database = await BucketDatabase.make(postgres());
        });

        after(() => database.close());

        beforeEach(async () => {
            await database.clear();
            ({ client } = database);
        });

        const columns = (table: string) =>
            database.sql(
                `SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS required,
                    pg_get_expr(adbin, adrelid) AS preset
                FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
                WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
                [table],
            );
        const indexes = async (table: string) => {
            const rows = await database.sql(
                'SELECT indexname, indexdef FROM pg_indexes WHERE tablename = $1',
                [table],
            );
            return Object.fromEntries(
                rows.map(({ indexname, indexdef }) => [String(indexname), String(indexdef)] as const),
            );
        };
        const partial = (table: string, column: string, kind = 'btree') =>
            `CREATE INDEX ${table}_${column}_idx ON public.${table} USING ${kind} (${column}) WHERE (${column} IS NOT NULL)`;

        it('the table of configurations is as Moray makes it', async () => {
            await client.createBucket('empty');
            const column = (name: string, type: string, required: boolean, preset: string | null = null) => ({
                name,
                type,
                required,
                preset,
            });
            assert.deepEqual(await columns('buckets_config'), [
                column('name', 'text', true),
                column('index', 'text', true),
                column('pre', 'text', true),
                column('post', 'text', true),
                column('options', 'text', false),
                column('mtime', 'timestamp without time zone', true, 'now()'),
            ]);
            assert.deepEqual(Object.keys(await indexes('buckets_config')), ['buckets_config_pkey']);
        });

        it('the bucket of images has the columns and indexes of Moray, and no others', async () => {
            await client.createBucket('imgapi_images', { index: IMAGES });
            const own = Object.entries(IMAGES).map(([name, { type }]) => ({
                name,
                type: TYPES[type][0],
                required: false,
                preset: null,
            }));
            assert.deepEqual(await columns('imgapi_images'), [
                {
                    name: '_id',
                    type: 'bigint',
                    required: false,
                    preset: "nextval('imgapi_images_serial'::regclass)",
                },
                { name: '_txn_snap', type: 'integer', required: false, preset: null },
                { name: '_key', type: 'text', required: true, preset: null },
                { name: '_value', type: 'text', required: true, preset: null },
                { name: '_etag', type: 'character(8)', required: true, preset: null },
                {
                    name: '_mtime',
                    type: 'bigint',
                    required: false,
                    preset: '((EXTRACT(epoch FROM now()) * (1000)::numeric))::bigint',
                },
                { name: '_vnode', type: 'bigint', required: false, preset: null },
                ...own,
            ]);
            const kinds = Object.entries(IMAGES).filter(([, { unique }]) => !unique);
            assert.deepEqual(await indexes('imgapi_images'), {
                imgapi_images_pkey:
                    'CREATE UNIQUE INDEX imgapi_images_pkey ON public.imgapi_images USING btree (_key)',
                ...Object.fromEntries(
                    ['uuid', 'urn'].map((column) => [
                        `imgapi_images_${column}_key`,
                        `CREATE UNIQUE INDEX imgapi_images_${column}_key ON public.imgapi_images USING btree (${column})`,
                    ]),
                ),
                ...Object.fromEntries(
                    [
                        ...['_id', '_etag', '_mtime', '_vnode'].map((column) => [column, 'btree'] as const),
                        ...kinds.map(([column, { type }]) => [column, TYPES[type][1]] as const),
                    ].map(([column, kind]) => [
                        `imgapi_images_${column}_idx`,
                        partial('imgapi_images', column, kind),
                    ]),
                ),
            });
            assert.deepEqual(
                await database.sql('SELECT name, index, pre, post, options FROM buckets_config'),
                [
                    {
                        name: 'imgapi_images',
                        index: JSON.stringify(IMAGES),
                        pre: '[]',
                        post: '[]',
                        options: '{"version":0}',
                    },
                ],
            );
        });

        it('every type has its column and its kind of index', async () => {
            const index = Object.fromEntries(
                Object.keys(TYPES).map((type, at) => [`f${at}`, { type: type as IndexType }]),
            );
            await client.createBucket('types', { index });
            const made = new Map((await columns('types')).map(({ name, type }) => [name, type]));
            const kinds = await indexes('types');
            Object.values(TYPES).forEach(([type, kind], at) => {
                assert.equal(made.get(`f${at}`), type);
                assert.equal(kinds[`types_f${at}_idx`], partial('types', `f${at}`, kind));
            });
        });

        it('names fold to lower case, and words of SQL are names like others', async () => {
            const bucket = 'MixedCase';
            await client.createBucket(bucket, {
                index: { createdAt: { type: 'string' }, order: { type: 'number' }, user: { type: 'string' } },
            });
            assert.ok((await columns('mixedcase')).some(({ name }) => name === 'createdat'));
            await client.putObject(bucket, 'k', { createdAt: 'now', order: 2, user: 'bob' });
            const [found] = await client
                .findObjects(bucket, '(&(createdAt=now)(user=bob)(order>=1))', {
                    sort: { attribute: 'order', order: 'DESC' },
                })
                .toArray();
            assert.deepEqual(found?.value, { createdAt: 'now', order: 2, user: 'bob' });
        });

        it('a bucket that guarantees its order has a table for that, and numbers its writes', async () => {
            await client.createBucket('ordered', { options: { guaranteeOrder: true } });
            assert.deepEqual(await database.sql('SELECT * FROM ordered_locking_serial'), [{ id: 1 }]);
            await client.putObject('ordered', 'a', {});
            await client.putObject('ordered', 'a', { n: 1 });
            assert.equal((await client.getObject('ordered', 'a'))._txn_snap, 3);
        });

        const faulty: [string, BucketConfig | undefined, Parameters<typeof morayError>[0]][] = [
            ['1b', {}, 'InvalidBucketNameError'],
            ['b-c', {}, 'InvalidBucketNameError'],
            ['b"; DROP TABLE x; --', {}, 'InvalidBucketNameError'],
            ['', {}, 'InvalidBucketNameError'],
            ['x'.repeat(64), {}, 'InvalidBucketNameError'],
            ['buckets_config', {}, 'InvalidBucketNameError'],
            ['Moray', {}, 'InvalidBucketNameError'],
            ['search', {}, 'InvalidBucketNameError'],
            ['b', { index: { _key: { type: 'string' } } }, 'InvalidBucketConfigError'],
            ['b', { index: { _Value: { type: 'string' } } }, 'InvalidBucketConfigError'],
            ['b', { index: { 'a b': { type: 'string' } } }, 'InvalidBucketConfigError'],
            ['b', { index: { a_: { type: 'string' } } }, 'InvalidBucketConfigError'],
            ['b', { index: { moray_x: { type: 'string' } } }, 'InvalidBucketConfigError'],
            ['b', { index: { a: { type: 'text' as IndexType } } }, 'InvalidBucketConfigError'],
            ['b', { options: { version: -1 } }, 'InvalidBucketConfigError'],
            ['b', { pre: [5 as unknown as string] }, 'NotFunctionError'],
        ];
        it('names and configurations that cannot be are refused, and leave nothing behind', async () => {
            for (const [name, config, error] of faulty) {
                await assert.rejects(client.createBucket(name, config), morayError(error), name);
            }
            await client.createBucket('other');
            assert.deepEqual(
                (await client.listBuckets()).map(({ name }) => name),
                ['other'],
            );
        });

        it('of many that create one bucket at once, one does; the others find it', async () => {
            const all = Array.from({ length: 8 }, () =>
                client.ensureBucket('imgapi_images', { index: IMAGES }),
            );
            assert.deepEqual((await Promise.all(all)).filter(Boolean), [true]);
            await assert.rejects(client.createBucket('imgapi_images'), morayError('BucketConflictError'));
        });

        it('one that exists is never altered by ensureBucket', async () => {
            await client.createBucket('b', { index: { a: { type: 'string' } } });
            assert.equal(await client.ensureBucket('b', { index: IMAGES }), false);
            assert.deepEqual((await client.getBucket('b')).index, { a: { type: 'string' } });
        });

        it('unknown buckets are not found, also before there are any', async () => {
            assert.deepEqual(await client.listBuckets(), []);
            for (const made of [false, true]) {
                if (made) {
                    await client.createBucket('other');
                }
                await assert.rejects(
                    client.getBucket('b'),
                    morayError('BucketNotFoundError', /^b does not exist$/),
                );
                for (const call of [
                    () => client.putObject('b', 'k', {}),
                    () => client.getObject('b', 'k'),
                    () => client.deleteObject('b', 'k'),
                    () => client.findObjects('b', '(a=1)').toArray(),
                    () => client.updateObjects('b', { a: 1 }, '(a=1)'),
                    () => client.deleteMany('b', '(a=1)'),
                    () => client.reindexObjects('b', 1),
                    () => client.updateBucket('b', {}),
                    () => client.deleteBucket('b'),
                ]) {
                    await assert.rejects(call, morayError('BucketNotFoundError'));
                }
            }
        });

        it('putBucket creates; the same version changes nothing, another one and 0 do', async () => {
            const version = (number: number, ...fields: string[]) =>
                client.putBucket('b', {
                    index: Object.fromEntries(fields.map((field) => [field, { type: 'string' }] as const)),
                    options: { version: number },
                });
            const fields = async () => Object.keys((await client.getBucket('b')).index).join();
            await version(0, 'a');
            await version(0, 'a', 'b');
            assert.equal(await fields(), 'a,b');
            await version(2, 'a');
            await version(2, 'a', 'z');
            assert.equal(await fields(), 'a');
            await assert.rejects(version(1, 'a', 'z'), morayError('BucketVersionError'));
            await assert.rejects(
                client.updateBucket('b', { options: { version: 2 } }),
                morayError('BucketVersionError'),
            );
            await version(3, 'z');
            assert.equal(await fields(), 'z');
        });

        it('updateBucket adds and drops columns, and records those that are to be filled', async () => {
            await client.createBucket('b', { index: { a: { type: 'string' }, gone: { type: 'string' } } });
            await client.putObject('b', 'k', { a: 'x', n: 5, u: 'one' });
            await client.updateBucket('b', {
                index: { a: { type: 'number' }, n: { type: 'number' }, u: { type: 'string', unique: true } },
                options: { version: 1 },
            });
            const bucket = await client.getBucket('b');
            assert.deepEqual(bucket.reindexActive, { 1: ['n', 'u'] });
            const made = new Map((await columns('b')).map(({ name, type }) => [name, type]));
            assert.equal(made.has('gone'), false);
            assert.equal(made.get('a'), 'text', 'a changed definition leaves the column as it is');
            assert.equal(made.get('n'), 'numeric');
            assert.equal(made.get('_rver'), 'integer');
            const known = await indexes('b');
            assert.equal(known.b__rver_idx, partial('b', '_rver'));
            assert.equal(known.b_n_idx, partial('b', 'n'));
            assert.equal(known.b_u_idx, partial('b', 'u').replace('CREATE INDEX', 'CREATE UNIQUE INDEX'));

            await client.updateBucket(
                'b',
                { index: { m: { type: 'string' } }, options: { version: 2 } },
                { no_reindex: true },
            );
            assert.deepEqual((await client.getBucket('b')).reindexActive, { 1: ['n', 'u'] });
        });

        it('deleteBucket leaves neither table nor sequence', async () => {
            await client.createBucket('b', { options: { guaranteeOrder: true } });
            await client.putObject('b', 'k', {});
            await client.deleteBucket('b');
            const left = await database.sql("SELECT relname FROM pg_class WHERE relname ~ '^b(_|$)'");
            assert.deepEqual(left, []);
            await client.createBucket('b');
        });
    });
}
