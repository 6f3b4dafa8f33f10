/** The paths of the time when images were datasets (endpoints.md §3 Legacy). */
import assert from 'node:assert/strict';
import { assertError, assertServerHeaders, send, type Answer } from '../support/api';
import { Registry } from '../support/registry';

const UUID = '930896af-bf8c-48d4-885c-6573a94b1853';

/** What is asked for below /datasets, and where that leads. */
const LOCATIONS: readonly (readonly [dataset: string, location: string])[] = [
    [UUID, `/images/${UUID}`],
    [UUID.toUpperCase(), `/images?name=${UUID.toUpperCase()}`],
    ['base', '/images?name=base'],
    ['base:1.0.0', '/images?name=base&version=1.0.0'],
    ['base%3A1.0.0', '/images?name=base&version=1.0.0'],
    ['base:', '/images?name=base&version='],
    ['sdc:sdc:base', '/images?name=base'],
    ['sdc:sdc:base:1.0.0', '/images?name=base&version=1.0.0'],
    ['a:b:c:d:e', '/images?name=a%3Ab%3Ac%3Ad%3Ae'],
    ['a%20b%26c=d%23e', '/images?name=a%20b%26c%3Dd%23e'],
    ['a+b', '/images?name=a%2Bb'],
    ['one%2Ftwo', '/images?name=one%2Ftwo'],
    ['%C3%A9%0d%0aSet-Cookie%3A%20x', '/images?name=%C3%A9%0D%0ASet-Cookie&version=%20x'],
];

describe('Datasets', () => {
    let registry: Registry;
    before(async () => {
        registry = await Registry.start();
    });
    after(() => registry.stop());

    function assertLeadsTo(answer: Answer, location: string): void {
        assert.equal(answer.status, 301, answer.text);
        assert.equal(answer.headers.location, location);
        assert.equal(answer.headers['content-length'], '0');
        assert.equal(answer.text, '');
        assertServerHeaders(answer.headers);
        const dates = answer.rawHeaders.filter((text, index) => index % 2 === 0 && /^date$/i.test(text));
        assert.equal(dates.length, 1, 'one Date header');
    }

    it('are listed where images are', async () => {
        assertLeadsTo(await registry.anonymous.get('/datasets'), '/images');
        assertLeadsTo(await registry.anonymous.get('//datasets'), '/images');
    });

    for (const [dataset, location] of LOCATIONS) {
        it(`are found by ${dataset}`, async () => {
            assertLeadsTo(await registry.anonymous.get(`/datasets/${dataset}`), location);
        });
    }

    it('lead to something that is there', async () => {
        const image = await registry.client.createActive({ name: 'with space', version: '1+2' });
        for (const dataset of [
            `with%20space:1+2`,
            `with%20space`,
            `x:y:with%20space`,
            `x:y:with%20space:1+2`,
        ]) {
            const { headers } = await registry.anonymous.get(`/datasets/${dataset}`);
            assert.deepEqual((await registry.anonymous.get(String(headers.location))).uuids, [image.uuid]);
        }
        const { headers } = await registry.anonymous.get(`/datasets/${image.uuid}`);
        assert.equal((await registry.anonymous.get(String(headers.location))).manifest.uuid, image.uuid);
    });

    it('are only read', async () => {
        for (const path of ['/datasets', '/datasets/base']) {
            const answer = await registry.client.post(path, {});
            assertError(answer, 405, 'MethodNotAllowedError');
            assert.equal(answer.headers.allow, 'GET');
        }
    });

    it('are answered to HEAD, and whatever the client accepts', async () => {
        assertLeadsTo(await registry.anonymous.head('/datasets/base'), '/images?name=base');
        const answer = await registry.anonymous.get('/datasets/base', { accept: 'text/html' });
        assertLeadsTo(answer, '/images?name=base');
    });

    it('have no folders below them', async () => {
        for (const path of ['/datasets/', '/datasets/a/b', '/datasets/a/']) {
            assertError(await registry.anonymous.get(path), 404, 'ResourceNotFound');
        }
    });

    it('are refused where the path is not properly escaped', async () => {
        for (const path of ['/datasets/%', '/datasets/%zz', '/datasets/%E9']) {
            assertError(await send(registry.url, 'GET', path), 400, 'BadRequestError');
        }
    });

    it('are in the audit log', async () => {
        await registry.anonymous.get('/datasets/audited:1');
        const record = await registry.server.logged(
            ({ audit, req }) => audit === true && (req as { url?: string }).url === '/datasets/audited:1',
        );
        const { route, res } = record as { route?: string; res?: { statusCode?: number } };
        assert.equal(route, 'GetDataset');
        assert.equal(res?.statusCode, 301);
    });
});
