/** Query strings that repeat a parameter or nest it: refused by every route, for every parameter that it has. */
import assert from 'node:assert/strict';
import type { Route } from '../../lib/api/route';
import { routes } from '../../lib/routes';
import { assertError, OWNER, type Answer, type Manifest } from '../support/api';
import { CHANNELS } from '../support/channels';
import { Registry } from '../support/registry';
import { routesOf } from '../support/routes';

describe('Parameters that repeat or nest', () => {
    let registry: Registry;
    let datacenter: Registry;
    let image: Manifest;

    before(async () => {
        [registry, datacenter] = await Promise.all([
            Registry.start({ channels: CHANNELS }),
            Registry.start({
                mode: 'dc',
                datacenterName: 'test',
                ufds: { url: 'ldap://127.0.0.1:1', bindDN: 'cn=root', bindPassword: 'secret' },
            }),
        ]);
        image = await registry.client.createActive();
        await datacenter.plant((await registry.record(image.uuid))!);
    });
    after(() => Promise.all([registry.stop(), datacenter.stop()]));

    /** Asks a row; its `action` is among the parts, unless the row is the one for none. */
    function ask(row: Route, parts: readonly string[], action = row.actions?.[0] ?? ''): Promise<Answer> {
        const { client } = (row.modes ?? ['public']).includes('public') ? registry : datacenter;
        const query = [...(action === '' ? [] : [`action=${action}`]), ...parts].join('&');
        return client.request(row.method, `${row.path.replace(/:\w+/, image.uuid)}?${query}`, {
            headers: row.body === 'json' ? { 'content-type': 'application/json' } : {},
            body: row.body === undefined ? undefined : '{}',
        });
    }

    for (const row of routes) {
        const names = [
            ...new Set([
                ...row.parameters.map(({ name }) => name.replace('KEY', 'role')),
                ...(row.actions ? ['action'] : []),
            ]),
        ];
        for (const name of names) {
            it(`${row.name}: ${name}`, async () => {
                // A second `action` makes it twice.
                const action = name === 'action' ? '' : undefined;
                const nested = ['[]', '[x]', '[x][y]', '[', '%5Bx%5D', '[0]'].map((end) => [
                    `${name}${end}=${OWNER}`,
                ]);
                for (const parts of nested) {
                    const answer = await ask(row, parts, action);
                    assertError(answer, 422, 'InvalidParameter', `${name}:Invalid`);
                }
                if (row.parameters.find((one) => one.name === name)?.schema?.type === 'array') {
                    return;
                }
                for (const value of [OWNER, '']) {
                    const answer = await ask(row, [`${name}=${value}`, 'x=1', `${name}=${value}`], action);
                    assertError(answer, 422, 'InvalidParameter', `${name}:Invalid`);
                    assert.match(answer.error.message, /given 2 times/);
                }
            });
        }
    }

    it('do not make an operator of an account', async () => {
        const operators = routes.filter(({ errors }) => errors.includes('OperatorOnly'));
        assert.equal(operators.length, 3);
        for (const row of operators) {
            for (const end of ['[]', '[x]']) {
                const answer = await ask(row, [`account${end}=${OWNER}`, 'source=http://127.0.0.1:1']);
                assertError(answer, 422, 'InvalidParameter', 'account:Invalid');
            }
        }
    });

    it('are told after who asks and whether the path is one', async () => {
        const query = '?account=a&account=b';
        for (const { method, path, auth, parameters } of routesOf({ channels: CHANNELS })) {
            if (parameters.some(({ name }) => name === 'account') && path.includes(':uuid')) {
                const odd = path.replace(':uuid', 'x') + query;
                const answer = await registry.anonymous.request(method, odd);
                assert.equal(answer.status, auth === 'strict' ? 401 : 404, `${method} ${odd}`);
            }
        }
    });

    it('are passed over where the route does not know them', async () => {
        const plain = await registry.client.get('/images');
        for (const query of [
            'x=1&x=2',
            'x[y]=1',
            'compression=a&compression=b',
            '[name]=1',
            'names[]=1',
            '__proto__[x]=1&__proto__=1&__proto__=2',
            'constructor=1&constructor=2&toString[a]=1',
            'hasOwnProperty[x]=1',
        ]) {
            const answer = await registry.client.get(`/images?${query}`);
            assert.equal(answer.text, plain.text, query);
        }
    });

    it('are fine for billing tags; for tags the keys of a tag count', async () => {
        assert.equal((await registry.client.get('/images?billing_tag=a&billing_tag=b')).text, '[]');
        assert.equal((await registry.client.get('/images?tag.a=1&tag.b=1&tag.=')).text, '[]');
        for (const [query, field] of [
            ['tag[role]=web', 'tag:Invalid'],
            ['tag.a=1&tag.b=1&tag.a=2', 'tag.a:Invalid'],
            ['tag.[x]=1', 'tag.:Invalid'],
        ] as const) {
            assertError(await registry.client.get(`/images?${query}`), 422, 'InvalidParameter', field);
        }
    });
});
