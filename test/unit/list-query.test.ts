import assert from 'node:assert/strict';
import type { ImageFilter } from '../../lib/db/driver';
import {
    parseListQuery,
    type ListContext,
    type ListParams,
    type ListRequest,
} from '../../lib/images/list-query';
import { ACCOUNT, OWNER, thrown, UUID } from '../support/rule-records';

const OPEN: ListContext = { limited: false };
const LIMITED: ListContext = { limited: true };
const ACTIVE = { activated: true, disabled: false };

/** Parameters as `querystring.parse` gives them: without a prototype. */
function params(values: Record<string, string | string[]>): ListParams {
    return Object.assign(Object.create(null) as object, values);
}

function request(values: Record<string, string | string[]>, context = OPEN): ListRequest {
    const parsed = parseListQuery(params(values), context);
    assert.notEqual(parsed, 'none');
    return parsed as ListRequest;
}

function filters(values: Record<string, string | string[]>, context = OPEN): ImageFilter[] {
    const parsed = parseListQuery(params(values), context);
    return parsed === 'none' ? [] : parsed.anyOf;
}

function failure(values: Record<string, string | string[]>): string {
    const { code, status, errors } = thrown(() => parseListQuery(params(values), OPEN));
    return `${status} ${code}: ${errors.join(', ')}`;
}

describe('parseListQuery (endpoints.md §3 ListImages)', () => {
    it('asks for the active images, oldest first, without parameters', () => {
        assert.deepEqual(request({}), { anyOf: [ACTIVE], order: 'asc', limit: undefined, marker: undefined });
        assert.deepEqual(request({}, LIMITED).anyOf, [ACTIVE]);
    });

    it('passes over parameters it does not know', () => {
        const unknown = {
            'a[b]': 'c',
            zzz: ['1', '2'],
            inclAdminFields: 'true',
            ['__proto__']: 'x',
            'state[x]': 'y',
        };
        assert.deepEqual(filters(unknown), [ACTIVE]);
    });

    describe('limit', () => {
        const cases: [string, number | undefined][] = [
            ['5', 5],
            ['1e3', 1000],
            ['0', undefined],
            ['', undefined],
            ['1e30', Number.MAX_SAFE_INTEGER],
        ];
        for (const [value, expected] of cases) {
            it(`"${value}"`, () => assert.equal(request({ limit: value }).limit, expected));
        }
        it('refuses what is no number, on the field state', () => {
            assert.equal(failure({ limit: 'x' }), '422 InvalidParameter: state Invalid');
        });
        for (const value of ['-1', '1.5', 'Infinity', '-Infinity']) {
            it(`refuses ${value}`, () => {
                assert.equal(failure({ limit: value }), '422 InvalidParameter: limit Invalid');
            });
        }
    });

    describe('state', () => {
        const cases: [string, ImageFilter, boolean][] = [
            ['active', ACTIVE, true],
            ['disabled', { activated: true, disabled: true }, false],
            ['unactivated', { activated: false }, false],
            ['all', {}, true],
            ['creating', { state: 'creating' }, false],
            ['failed', { state: 'failed' }, false],
        ];
        for (const [state, filter, forLimited] of cases) {
            it(state, () => assert.deepEqual(filters({ state }), [filter]));
            it(`${state}, for a limited caller`, () => {
                assert.deepEqual(filters({ state }, LIMITED), forLimited ? [ACTIVE] : []);
            });
        }
        for (const state of ['gone', '', 'ACTIVE', 'constructor']) {
            it(`refuses "${state}"`, () =>
                assert.equal(failure({ state }), '422 InvalidParameter: state Invalid'));
        }
    });

    describe('public', () => {
        it('takes true and false', () => {
            assert.deepEqual(filters({ public: 'true' }), [{ public: true, ...ACTIVE }]);
            assert.deepEqual(filters({ public: 'false' }), [{ public: false, ...ACTIVE }]);
        });
        it('refuses anything else', () => {
            assert.equal(failure({ public: 'zz' }), '422 InvalidParameter: public Invalid');
            assert.equal(failure({ public: '' }), '422 InvalidParameter: public Invalid');
        });
    });

    describe('filters', () => {
        const cases: [Record<string, string | string[]>, ImageFilter][] = [
            [{ name: 'base' }, { name: { is: 'base' } }],
            [{ name: '~as' }, { name: { contains: 'as' } }],
            [{ name: '~' }, { name: { contains: '' } }],
            [{ version: '1.0.0' }, { version: { is: '1.0.0' } }],
            [{ version: '~1.' }, { version: { contains: '1.' } }],
            [{ owner: OWNER }, { owner: OWNER }],
            [{ os: 'linux' }, { os: 'linux' }],
            [{ type: 'zvol' }, { type: { is: 'zvol' } }],
            [{ type: '!docker' }, { type: { not: 'docker' } }],
            [{ 'tag.role': 'db' }, { tags: ['role=db'] }],
            [{ 'tag.role': '' }, { tagKeys: ['role'] }],
            [{ 'tag.a': '1', 'tag.b.c': '2=3' }, { tags: ['a=1', 'b.c=2=3'] }],
            [{ billing_tag: 'x' }, { billingTags: ['x'] }],
            [{ billing_tag: ['x', 'y'] }, { billingTags: ['x', 'y'] }],
        ];
        for (const [values, filter] of cases) {
            it(JSON.stringify(values), () => assert.deepEqual(filters(values), [{ ...filter, ...ACTIVE }]));
        }
        it('the channel of the request', () => {
            assert.deepEqual(filters({ channel: '*' }, { limited: true, channel: 'dev' }), [
                { channel: 'dev', ...ACTIVE },
            ]);
        });
    });

    describe('sort', () => {
        const cases: [string, 'asc' | 'desc'][] = [
            ['published_at', 'asc'],
            ['published_at.asc', 'asc'],
            ['published_at.ASC', 'asc'],
            ['published_at.desc', 'desc'],
            ['published_at.DESC', 'desc'],
            ['published_at.Asc', 'desc'],
            ['published_at.zz', 'desc'],
        ];
        for (const [sort, order] of cases) {
            it(sort, () => assert.equal(request({ sort }).order, order));
        }
        it('refuses other attributes', () => {
            assert.equal(failure({ sort: 'name' }), '422 InvalidParameter: sort Invalid');
            assert.equal(failure({ sort: 'name.asc' }), '422 InvalidParameter: sort Invalid');
        });
    });

    describe('marker', () => {
        it('takes an image', () => assert.deepEqual(request({ marker: UUID }).marker, { uuid: UUID }));
        it('takes a date, to the millisecond', () => {
            for (const marker of ['2024-01-31T12:00:00Z', '2024-01-31T13:00:00+01:00']) {
                assert.deepEqual(request({ marker }).marker, { publishedAt: '2024-01-31T12:00:00.000Z' });
            }
        });
        it('refuses anything else', () => {
            for (const marker of ['x', '', UUID.toUpperCase()]) {
                assert.equal(failure({ marker }), '422 InvalidParameter: marker Invalid');
            }
        });
    });

    describe('account', () => {
        const account = ACCOUNT;
        const publicOnes = { public: true, activated: true };
        const sharedOnes = { public: false, activated: true, acl: ACCOUNT };
        const cases: [string, Record<string, string>, ImageFilter[]][] = [
            [
                'sees its own images, public ones and those shared with it',
                {},
                [
                    { ...ACTIVE, owner: ACCOUNT },
                    { ...ACTIVE, ...publicOnes },
                    { ...ACTIVE, ...sharedOnes },
                ],
            ],
            [
                'has the other filters on all of them',
                { name: '~x', 'tag.a': 'b' },
                [{ owner: ACCOUNT }, publicOnes, sharedOnes].map((filter) => ({
                    name: { contains: 'x' },
                    tags: ['a=b'],
                    ...ACTIVE,
                    ...filter,
                })),
            ],
            [
                'sees disabled images of its own only',
                { state: 'disabled' },
                [{ activated: true, disabled: true, owner: ACCOUNT }],
            ],
            [
                'sees unactivated images of its own only',
                { state: 'unactivated' },
                [{ activated: false, owner: ACCOUNT }],
            ],
            [
                'sees disabled images of others among all',
                { state: 'all' },
                [{ owner: ACCOUNT }, publicOnes, sharedOnes],
            ],
            [
                'with state creating',
                { state: 'creating' },
                [
                    { state: 'creating', owner: ACCOUNT },
                    { state: 'creating', ...publicOnes },
                    { state: 'creating', ...sharedOnes },
                ],
            ],
            [
                'sees public images',
                { public: 'true' },
                [
                    { ...ACTIVE, public: true, owner: ACCOUNT },
                    { ...ACTIVE, ...publicOnes },
                ],
            ],
            [
                'sees private images',
                { public: 'false' },
                [
                    { ...ACTIVE, public: false, owner: ACCOUNT },
                    { ...ACTIVE, ...sharedOnes },
                ],
            ],
            ['sees its own images as their owner', { owner: ACCOUNT, state: 'all' }, [{ owner: ACCOUNT }]],
            [
                'sees disabled images as their owner',
                { owner: ACCOUNT, state: 'disabled' },
                [{ owner: ACCOUNT, activated: true, disabled: true }],
            ],
            [
                'sees public and shared images of another owner',
                { owner: OWNER },
                [
                    { owner: OWNER, ...ACTIVE, ...publicOnes },
                    { owner: OWNER, ...ACTIVE, ...sharedOnes },
                ],
            ],
            [
                'sees all of them that are activated',
                { owner: OWNER, state: 'all' },
                [
                    { owner: OWNER, ...publicOnes },
                    { owner: OWNER, ...sharedOnes },
                ],
            ],
            [
                'sees them whatever failed',
                { owner: OWNER, state: 'failed' },
                [
                    { owner: OWNER, ...publicOnes },
                    { owner: OWNER, ...sharedOnes },
                ],
            ],
            [
                'sees public ones of another owner',
                { owner: OWNER, public: 'true' },
                [{ owner: OWNER, ...ACTIVE, ...publicOnes }],
            ],
            ['sees no disabled ones of another owner', { owner: OWNER, state: 'disabled' }, []],
            ['sees no unactivated ones of another owner', { owner: OWNER, state: 'unactivated' }, []],
        ];
        for (const [what, values, expected] of cases) {
            it(what, () => assert.deepEqual(filters({ account, ...values }), expected));
        }
        it('need not be a uuid, and then owns nothing', () => {
            assert.deepEqual(filters({ account: '', state: 'disabled' }), [
                { activated: true, disabled: true, owner: '' },
            ]);
        });
        it('of a limited caller sees active images only', () => {
            assert.deepEqual(filters({ account, owner: ACCOUNT, state: 'all' }, LIMITED), [
                { owner: ACCOUNT, ...ACTIVE },
            ]);
            assert.deepEqual(filters({ account, state: 'unactivated' }, LIMITED), []);
        });
    });

    const once = [
        'limit',
        'state',
        'public',
        'sort',
        'marker',
        'account',
        'name',
        'version',
        'owner',
        'os',
        'type',
    ];
    for (const name of [...once, 'tag.role']) {
        it(`refuses ${name} given twice`, () => {
            assert.equal(failure({ [name]: ['1', '1'] }), `422 InvalidParameter: ${name} Invalid`);
        });
    }

    it('refuses more tags than a database can look for at once', () => {
        const tags = (count: number) =>
            Object.fromEntries(Array.from({ length: count }, (_, at) => [`tag.k${at}`, 'v']));
        assert.equal(filters(tags(400))[0]?.tags?.length, 400);
        assert.equal(failure(tags(401)), '422 InvalidParameter: tag Invalid');
        const billingTags = Array.from({ length: 401 }, String);
        assert.equal(failure({ billing_tag: billingTags }), '422 InvalidParameter: billing_tag Invalid');
    });

    it('refuses NUL characters, which no database can look for', () => {
        for (const name of ['name', 'owner', 'os', 'type', 'account', 'tag.x', 'tag.\0', 'billing_tag']) {
            assert.equal(failure({ [name]: 'x\0' }), `422 InvalidParameter: ${name} Invalid`);
        }
    });

    it('checks limit, state, public, sort, marker, in this order', () => {
        const wrong = Object.entries({ limit: '-1', state: 'x', public: 'x', sort: 'x', marker: 'x' });
        for (const [index, [name]] of wrong.entries()) {
            const left = Object.fromEntries(wrong.slice(index).reverse());
            assert.equal(failure(left), `422 InvalidParameter: ${name} Invalid`);
        }
    });
});
