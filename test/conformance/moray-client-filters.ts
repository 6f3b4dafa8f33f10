/** Filters of the Moray client: what each term finds, and random ones against an evaluation of their own (moray.md §2.6). */
import assert from 'node:assert/strict';
import type { IndexDefinition, MorayClient, Value } from '../../lib/db/moray-client';
import { parseFilter, type Filter } from '../../lib/db/moray-client/filter';
import { seeded } from '../support/images';
import { BucketDatabase } from '../support/bucket-database';
import type { Postgres } from '../support/postgresql';
import { morayError } from './moray-client-buckets';

const INDEX: Record<string, IndexDefinition> = {
    s: { type: 'string' },
    n: { type: 'number' },
    f: { type: 'boolean' },
    id: { type: 'uuid' },
    ip: { type: 'ip' },
    net: { type: 'subnet' },
    mac: { type: 'mac' },
    day: { type: 'date' },
    range: { type: 'numrange' },
    days: { type: 'daterange' },
    t: { type: '[string]' },
    ns: { type: '[number]' },
    ips: { type: '[ip]' },
    nets: { type: '[subnet]' },
    dates: { type: '[date]' },
};
const UUID = '0f1e2d3c-0000-4000-8000-000000000001';
const OBJECTS: Record<string, Value> = {
    a: {
        s: 'a_b%c',
        n: 5,
        f: true,
        id: UUID,
        ip: '10.0.0.1',
        net: '10.0.0.0/8',
        mac: '1:2:3:4:5:6',
        day: '2015-01-01T00:00:00Z',
        range: '[1,5)',
        days: '[2015-01-01T00:00:00Z,2015-02-01T00:00:00Z)',
        t: ['x', 'y=1'],
        ns: [1, 10],
        ips: ['10.0.0.1'],
        nets: ['10.0.0.0/8'],
        dates: ['2015-01-01T00:00:00Z'],
        free: 'x',
    },
    b: { s: 'axbyc', n: 7.5, f: false, t: [], free: 'y', ns: [2] },
    c: { s: 'p(q)*\\r=s', t: ['*', 'y=2', '"', "'"], n: -1 },
    d: { s: 'é日𝄞\n2', other: null },
    e: {},
};

/** Filters and the keys of the objects that they meet. */
const FOUND: [filter: string, keys: string][] = [
    ['(s=axbyc)', 'b'],
    ['s=axbyc', 'b'],
    ['!(s=axbyc)', 'a,c,d,e'],
    ['(!(s=axbyc))', 'a,c,d,e'],
    ['(&(n>=5)!(s=axbyc))', 'a'],
    ['(s=p\\28q\\29\\2a\\5cr=s)', 'c'],
    ['(s=p\\(q\\)\\*\\\\r\\=s)', 'c'],
    ['(s=é日𝄞\n2)', 'd'],
    ["(s=' OR true --)", ''],
    ['(s=$1)', ''],
    ['(s=)', ''],
    ['(s=*)', 'a,b,c,d'],
    ['(s=**)', 'a,b,c,d'],
    ['(s=a*)', 'a,b'],
    ['(s=*c)', 'a,b'],
    ['(s=a_b*)', 'a'],
    ['(!(s=a_b*))', 'b,c,d,e'],
    ['(s=*%*)', 'a'],
    ['(s=*\\5c*)', 'c'],
    ['(s=*\\2a*)', 'c'],
    ['(s=a*b*c)', 'a,b'],
    ['(s=*b*b*)', ''],
    ['(s=axby*byc)', ''],
    ['(s=é*2)', 'd'],
    ['(s>=b)', 'c,d'],
    ['(s<=b)', 'a,b'],
    ['(!(s>=b))', 'a,b,e'],
    ['(n=5)', 'a'],
    ['(n=5.0)', 'a'],
    ['(n>=5)', 'a,b'],
    ['(n<=5)', 'a,c'],
    ['(n>=-1)', 'a,b,c'],
    ['(n=*)', 'a,b,c'],
    ['(f=true)', 'a'],
    ['(f=FALSE)', 'b'],
    ['(!(f=true))', 'b,c,d,e'],
    [`(id=${UUID})`, 'a'],
    ['(ip=10.0.0.1)', 'a'],
    ['(ip>=10.0.0.0)', 'a'],
    ['(!(ip=10.0.0.1))', 'b,c,d,e'],
    // Memory knows one half of it, only PostgreSQL the other.
    ['(!(&(ip=10.0.0.9)(s=axbyc)))', 'a,b,c,d,e'],
    ['(ip:within:=10.0.0.0/8)', 'a'],
    ['(!(ip:within:=10.0.0.0/8))', 'b,c,d,e'],
    ['(ips=10.0.0.1)', 'a'],
    ['(ips:within:=10.0.0.0/8)', 'a'],
    ['(ips:within:=11.0.0.0/8)', ''],
    ['(net=10.0.0.0/8)', 'a'],
    ['(net:contains:=10.1.2.3)', 'a'],
    ['(nets:contains:=11.1.2.3)', ''],
    ['(mac=01:02:03:04:05:06)', 'a'],
    ['(day=2015-01-01T00:00:00.000Z)', 'a'],
    ['(day>=2015-01-01T00:00:01Z)', ''],
    ['(day:within:=[2014-01-01T00:00:00Z,2016-01-01T00:00:00Z])', 'a'],
    ['(dates:within:=[,2014-01-01T00:00:00Z])', ''],
    ['(dates<=2015-01-01T00:00:00Z)', 'a'],
    ['(range:overlaps:=[4,9])', 'a'],
    ['(range:overlaps:=[5,9])', ''],
    ['(range:contains:=1)', 'a'],
    ['(range=[1,5\\))', 'a'],
    ['(days:contains:=2015-01-15T00:00:00Z)', 'a'],
    ['(n:within:=[5,6])', 'a'],
    ['(ns:within:=[9,11])', 'a'],
    ['(t=x)', 'a'],
    ['(t=y=2)', 'c'],
    ['(t=\\2a)', 'c'],
    ['(t=")', 'c'],
    ["(t=')", 'c'],
    ['(!(t=x))', 'b,c,d,e'],
    ['(t=*)', 'a,b,c'],
    ['(t>=y=2)', 'c'],
    ['(!(t>=y=2))', 'a,b,d,e'],
    ['(ns=10)', 'a'],
    ['(ns<=1)', 'a'],
    ['(s:caseIgnoreMatch:=AXBYC)', 'b'],
    ['(s:caseIgnoreMatch:=A_B%C)', 'a'],
    ['(s:2.5.13.2:=axBYc)', 'b'],
    ['(s:caseIgnoreSubstringsMatch:=AX*C)', 'b'],
    ['(t:caseIgnoreMatch:=X)', 'a'],
    ['(_key=a)', 'a'],
    ['(_key>=c)', 'c,d,e'],
    ['(_id=2)', 'b'],
    ['(_id>=4)', 'd,e'],
    ['(_id>=3.5)', 'd,e'],
    ['(_id<=99999999999999999999)', 'a,b,c,d,e'],
    ['(_mtime=1500000000000)', 'a,b,c,d,e'],
    ['(_etag=A3A6BF43)', 'e'],
    ['(_txn_snap=1)', ''],
    ['(&(s=*)(free=x))', 'a'],
    ['(&(_key=*)(!(free=*)))', 'c,d,e'],
    ['(&(_key=*)(other=*))', ''],
    ['(&(_key=*)(free=*))', 'a,b'],
    // Not what is left of it when the unindexed term is dropped.
    ['(&(_key=*)(!(&(s=*)(free=x))))', 'b,c,d,e'],
    ['(|(s=axbyc)(&(n=5)(free=x))(&(n=5)(free=no)))', 'a,b'],
    ['(&(|(n=5)(n=7.5))(|(f=true)(t=x)))', 'a'],
];

const REFUSED: [filter: string, error: Parameters<typeof morayError>[0]][] = [
    ['', 'InvalidQueryError'],
    ['(', 'InvalidQueryError'],
    ['(s=a', 'InvalidQueryError'],
    ['(s=a))', 'InvalidQueryError'],
    ['(s=a)(s=b)', 'InvalidQueryError'],
    ['(&)', 'InvalidQueryError'],
    ['(s)', 'InvalidQueryError'],
    ['(=a)', 'InvalidQueryError'],
    ['(s=a(b)', 'InvalidQueryError'],
    ['(s=\\zz)', 'InvalidQueryError'],
    ['(s~=a)', 'InvalidQueryError'],
    ['(a"b=c)', 'InvalidQueryError'],
    ['(s=\0)', 'InvalidQueryError'],
    ['(s=\\00)', 'InvalidQueryError'],
    ['(t=\\00)', 'InvalidQueryError'],
    ['(:caseIgnoreMatch:=a)', 'InvalidQueryError'],
    ['(s:other:=a)', 'InvalidQueryError'],
    ['(f=maybe)', 'InvalidQueryError'],
    ['(n=x)', 'InvalidQueryError'],
    ['(id=x)', 'InvalidQueryError'],
    ['(ip=x)', 'InvalidQueryError'],
    ['(day=today)', 'InvalidQueryError'],
    ['(n=1*)', 'InvalidQueryError'],
    ['(s:overlaps:=[1,2])', 'InvalidQueryError'],
    ['(range:contains:=x)', 'InvalidQueryError'],
    ['(_idx=1)', 'InvalidQueryError'],
    ['(free=x)', 'InvalidQueryError'],
    ['(free=*)', 'InvalidQueryError'],
    ['(!(free=x))', 'InvalidQueryError'],
    ['(_value=*)', 'InvalidQueryError'],
    ['(!(&(s=*)(free=x)))', 'InvalidQueryError'],
    ['(&(free=x)(free=y))', 'NotIndexedError'],
    ['(|(s=a)(free=x))', 'NotIndexedError'],
    ['(t=x*)', 'NotIndexedError'],
    ['(t=k=*)', 'NotIndexedError'],
    ['(free:overlaps:=[1,2])', 'NotIndexedError'],
    ['(&(s=*)(!(&(ip=10.0.0.1)(free=x))))', 'NotIndexedError'],
    [`${'(!'.repeat(501)}(s=a)${')'.repeat(501)}`, 'InvalidQueryError'],
    [`${'(!'.repeat(10_000)}(s=a)${')'.repeat(10_000)}`, 'InvalidQueryError'],
    [`${'(&'.repeat(100_000)}(s=a)${')'.repeat(100_000)}`, 'InvalidQueryError'],
    [`(${'!'.repeat(10_000)}(s=a))`, 'InvalidQueryError'],
    ['('.repeat(10_000), 'InvalidQueryError'],
    [`(|${'(s=a)'.repeat(5001)})`, 'InvalidQueryError'],
    [`(s=${'x'.repeat(5 * 2 ** 20)})`, 'InvalidQueryError'],
];

/** Objects and filters made by chance: the same ones for the same seed. */
const SEED = Number(process.env.MORAY_FILTERS_SEED ?? 1);
const FILTERS = Number(process.env.MORAY_FILTERS ?? 300);
const TEXTS = [
    'a',
    'A',
    'ab',
    'b',
    '%',
    '_',
    'a_b',
    'a%b',
    '\\',
    '*',
    '(',
    '"',
    "'",
    'é',
    '日',
    '𝄞',
    '\uffee',
    '\n',
    '',
];
const NUMBERS = [-1, 0, 0.1, 1, 5, 1e10];

export function filterTests(postgres: () => Postgres): void {
    describe('filters (§2.6)', () => {
        let database: BucketDatabase;
        let client: MorayClient;

        before(async () => {
            database = await BucketDatabase.make(postgres(), { now: () => 1_500_000_000_000 });
            ({ client } = database);
            await client.createBucket('b', { index: INDEX });
            for (const [key, value] of Object.entries(OBJECTS)) {
                await client.putObject('b', key, value);
            }
        });

        after(() => database.close());

        const find = async (filter: string, bucket = 'b') =>
            (await client.findObjects(bucket, filter, { noLimit: true }).toArray())
                .map(({ key }) => key)
                .sort()
                .join();

        for (const [filter, expected] of FOUND) {
            it(`${JSON.stringify(filter)} finds ${expected || 'none'}`, async () => {
                assert.equal(await find(filter), expected);
            });
        }

        it('what cannot be answered is refused, and says why', async () => {
            for (const [filter, error] of REFUSED) {
                await assert.rejects(find(filter), morayError(error), filter.slice(0, 60));
            }
            await assert.rejects(find(5 as unknown as string), morayError('InvalidQueryError'));
        });

        it('the wildcard that Moray refuses for tags is refused here too, and a value of 1 MB is not', async () => {
            const big = 'x'.repeat(2 ** 20);
            assert.equal(await find(`(s=${big})`), '');
            assert.equal(await find(`(s=*${big}*)`), '');
            assert.equal(await find(`(&${'(s=*)'.repeat(5000)})`), 'a,b,c,d');
        });

        it(`${FILTERS} random filters find what they meet (seed ${SEED})`, async function () {
            this.timeout(20_000 + 100 * FILTERS);
            const random = seeded(SEED);
            await client.createBucket('r', { index: INDEX });
            const objects = new Map(
                Array.from({ length: 60 }, (_, at) => [`k${at}`, randomValue(random)] as const),
            );
            await client.batch([...objects].map(([key, value]) => ({ bucket: 'r', key, value })));
            let found = 0;
            for (let round = 0; round < FILTERS; round++) {
                const filter = randomFilter(random, 3);
                const tree = parseFilter(filter);
                const expected = [...objects].filter(([, value]) => meets(tree, value)).map(([key]) => key);
                assert.equal(await find(filter, 'r'), expected.sort().join(), filter);
                found += expected.length;
            }
            assert.ok(found > FILTERS, 'they find something');
        });
    });
}

type Random = () => number;

function pick<T>(random: Random, items: readonly T[]): T {
    return items[Math.floor(random() * items.length)]!;
}

function randomValue(random: Random): Value {
    const maybe = <T>(make: () => T): T | null | undefined =>
        random() < 0.7 ? make() : random() < 0.5 ? null : undefined;
    const some = <T>(items: readonly T[]) => items.filter(() => random() < 0.2);
    return {
        s: maybe(() => pick(random, TEXTS) + pick(random, TEXTS)),
        n: maybe(() => pick(random, NUMBERS)),
        f: maybe(() => random() < 0.5),
        t: maybe(() => some(TEXTS)),
        ns: maybe(() => some(NUMBERS)),
    };
}

/** Of indexed fields only. */
function randomFilter(random: Random, depth: number): string {
    const inner = () => randomFilter(random, depth - 1);
    const several = () => Array.from({ length: 1 + Math.floor(random() * 3) }, inner).join('');
    if (depth > 0 && random() < 0.7) {
        return pick(random, [() => `(&${several()})`, () => `(|${several()})`, () => `(!${inner()})`])();
    }
    const text = () => pick(random, TEXTS).replace(/[*()\\]/g, (c) => `\\${c.charCodeAt(0).toString(16)}`);
    const number = () => pick(random, NUMBERS);
    return pick(random, [
        () => `(s=${text()}${text()})`,
        () => `(s>=${text()})`,
        () => `(s<=${text()})`,
        () => `(s=${text()}*)`,
        () => `(s=*${text()})`,
        () => `(s=*${text()}*${text()}*)`,
        () => `(n=${number()})`,
        () => `(n>=${number()})`,
        () => `(n<=${number()})`,
        () => `(f=${pick(random, ['true', 'false', 'TRUE'])})`,
        () => `(t=${text()})`,
        () => `(t>=${text()})`,
        () => `(ns=${number()})`,
        () => `(ns<=${number()})`,
        () => `(${pick(random, ['s', 'n', 'f', 't', 'ns'])}=*)`,
    ])();
}

/** An evaluation of its own, over values instead of columns. */
function meets(filter: Filter, value: Value): boolean {
    switch (filter.type) {
        case 'and':
            return filter.filters.every((one) => meets(one, value));
        case 'or':
            return filter.filters.some((one) => meets(one, value));
        case 'not':
            return !meets(filter.filter, value);
    }
    const content = value[filter.attribute];
    const contents = (Array.isArray(content) ? content : [content]) as (
        string | number | boolean | null | undefined
    )[];
    switch (filter.type) {
        case 'present':
            return content != null;
        case 'matches': {
            const { initial, any, final } = filter.pattern;
            const pattern = [initial, ...any, final].map((part) =>
                part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'),
            );
            return contents.some(
                (one) => typeof one === 'string' && new RegExp(`^${pattern.join('.*')}$`, 'su').test(one),
            );
        }
        case 'equal':
        case 'ge':
        case 'le':
            return contents.some((one) => {
                if (typeof one === 'object' || one === undefined) {
                    return false;
                }
                const order =
                    typeof one === 'number'
                        ? one - Number(filter.value)
                        : typeof one === 'boolean'
                          ? Number(one) - Number(filter.value.toLowerCase() === 'true')
                          : byCodePoints(one, filter.value);
                return filter.type === 'equal' ? order === 0 : filter.type === 'ge' ? order >= 0 : order <= 0;
            });
        default:
            throw new Error(filter.type);
    }
}

function byCodePoints(left: string, right: string): number {
    const [a, b] = [left, right].map((text) => Array.from(text, (one) => one.codePointAt(0)!));
    const at = a!.findIndex((point, index) => point !== b![index]);
    return at < 0 ? a!.length - b!.length : a![at]! - (b![at] ?? -1);
}
