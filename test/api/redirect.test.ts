/** GetImageFile with `redirect=1`: clients may fetch the bytes where they are (`s3.presignRedirect`). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { StorageType } from '../../lib/manifest';
import { assertError, at, newUuid, OTHER, OWNER, sha1, type Answer, type Manifest } from '../support/api';
import { Backends } from '../support/backends';
import type { Registry } from '../support/registry';

const FILE = randomBytes(100_000);

describe('GetImageFile that may redirect', () => {
    let backends: Backends;
    let registry: Registry;

    before(async function () {
        backends = await Backends.start(this);
        const { s3 } = backends.config;
        registry = await backends.serve({ s3: { ...(s3 as object), presignRedirect: true } });
    });
    afterEach(() => backends.heal());
    after(async () => {
        await registry.stop();
        await backends.stop();
    });

    async function imageIn(stor: StorageType): Promise<Manifest> {
        const { uuid } = await registry.client.create();
        await registry.client.upload(uuid, FILE, `compression=none&storage=${stor}`);
        return (await registry.client.action(uuid, 'activate')).manifest;
    }

    const get = (uuid: string, query = '?redirect=1', headers = {}): Promise<Answer> =>
        registry.anonymous.get(at(uuid, `/file${query}`), headers);

    function assertServed(answer: Answer): void {
        assert.equal(answer.status, 200, answer.text);
        assert.ok(answer.body.equals(FILE));
        assert.equal(answer.headers.location, undefined);
    }

    async function assertLeads({ status, headers }: Answer): Promise<void> {
        assert.equal(status, 302);
        const { location = '' } = headers;
        const whole = await fetch(location);
        assert.equal(whole.status, 200);
        assert.equal(whole.headers.get('content-type'), 'application/octet-stream');
        assert.ok(Buffer.from(await whole.arrayBuffer()).equals(FILE));
        const part = await fetch(location, { headers: { range: 'bytes=100-199' } });
        assert.equal(part.status, 206);
        assert.ok(Buffer.from(await part.arrayBuffer()).equals(FILE.subarray(100, 200)));
    }

    it('leads to where the object store gives the bytes, and parts of them', async () => {
        const { uuid } = await imageIn('s3');
        const answer = await get(uuid);
        await assertLeads(answer);
        const { headers } = answer;
        assert.equal(headers.etag, sha1(FILE));
        assert.equal(headers['cache-control'], 'no-store');
        assert.equal(headers['content-length'], '0');
        const served = await get(uuid, '');
        assert.equal(headers['last-modified'], served.headers['last-modified']);
        assert.match(headers.location ?? '', /[?&]X-Amz-Expires=900(&|$)/);
        await assertLeads(await get(uuid, '?redirect=1&index=0'));
    });

    it('leads those who ask for a part of them, which the object store gives', async () => {
        const { uuid } = await imageIn('s3');
        await assertLeads(await get(uuid, '?redirect=1', { range: 'bytes=5-9' }));
        const part = await fetch(registry.url + at(uuid, '/file?redirect=1'), {
            headers: { range: 'bytes=5-9' },
        });
        assert.equal(part.status, 206);
        assert.ok(Buffer.from(await part.arrayBuffer()).equals(FILE.subarray(5, 10)));
    });

    it('serves the bytes to whoever does not ask for it', async () => {
        const { uuid } = await imageIn('s3');
        for (const query of ['', '?redirect=', '?redirect=0']) {
            assertServed(await get(uuid, query));
        }
    });

    it('serves the bytes that are in other storages', async () => {
        for (const stor of ['local', 'manta'] as const) {
            assertServed(await get((await imageIn(stor)).uuid));
        }
    });

    it('answers a client that has them with 304 first', async () => {
        const { uuid } = await imageIn('s3');
        const { status, headers } = await get(uuid, '?redirect=1', { 'if-none-match': sha1(FILE) });
        assert.equal(status, 304);
        assert.equal(headers.location, undefined);
        await assertLeads(await get(uuid, '?redirect=1', { 'if-none-match': 'another' }));
        const modified = { 'if-modified-since': String(headers['last-modified']) };
        assert.equal((await get(uuid, '?redirect=1', modified)).status, 304);
    });

    it('serves requests with conditions that the object store would not understand', async () => {
        const { uuid } = await imageIn('s3');
        const { headers } = await get(uuid);
        assertServed(await get(uuid, '?redirect=1', { 'if-match': sha1(FILE) }));
        const since = { 'if-unmodified-since': String(headers['last-modified']) };
        assertServed(await get(uuid, '?redirect=1', since));
        assert.equal((await get(uuid, '?redirect=1', { 'if-match': 'another' })).status, 412);
        const part = { 'if-range': sha1(FILE), range: 'bytes=1-2' };
        assert.equal((await get(uuid, '?redirect=1', part)).status, 206);
    });

    it('answers HEAD itself', async () => {
        const { uuid } = await imageIn('s3');
        const { status, headers } = await registry.anonymous.head(at(uuid, '/file?redirect=1'));
        assert.deepEqual([status, headers['content-length']], [200, String(FILE.length)]);
    });

    it('takes 0 and 1 only', async () => {
        const { uuid } = await imageIn('s3');
        for (const value of ['2', 'true', 'yes']) {
            const answer = await get(uuid, `?redirect=${value}`);
            assertError(answer, 422, 'InvalidParameter', 'redirect:Invalid');
        }
        const twice = await get(uuid, '?redirect=1&redirect=1');
        assertError(twice, 422, 'InvalidParameter', 'redirect:Invalid');
    });

    it('leads nobody to images that are not for them, or are not there', async () => {
        const { uuid } = await registry.client.create();
        assertError(await get(uuid), 404, 'ResourceNotFound');
        await registry.client.upload(uuid, FILE, 'compression=none&storage=s3');
        assertError(await get(uuid, `?redirect=1&account=${OTHER}`), 404, 'ResourceNotFound');
        await assertLeads(await get(uuid, `?redirect=1&account=${OWNER}`));
        assertError(await get(uuid, '?redirect=1&index=1'), 404, 'ResourceNotFound');
        const second = await registry.anonymous.get(at(uuid, '/file1?redirect=1'));
        assertError(second, 404, 'ResourceNotFound');
        assertError(await get(newUuid()), 404, 'ResourceNotFound');
    });

    it('leads to no bytes that are missing or damaged, nor to an object store that is down', async () => {
        const { uuid } = await imageIn('s3');
        const [object = ''] = (await backends.stored(uuid)).s3 ?? [];
        await backends.damage('s3', uuid, object, FILE.subarray(1));
        assertError(await get(uuid), 500, 'InternalError');
        await backends.driver('s3').delete(`images/${uuid.slice(0, 3)}/${uuid}/${object}`);
        assertError(await get(uuid), 500, 'InternalError');
        const { uuid: other } = await imageIn('s3');
        await backends.proxies.s3?.goAway();
        try {
            assertError(await get(other), 503, 'StorageIsDown');
        } finally {
            await backends.proxies.s3?.comeBack();
        }
    });

    it('does not write into the log what the bytes can be had with', async () => {
        const { uuid } = await imageIn('s3');
        const { headers } = await get(uuid);
        const record = await registry.server.logged(
            ({ audit, res, req }) =>
                audit === true &&
                (res as { statusCode?: number }).statusCode === 302 &&
                JSON.stringify(req).includes(uuid),
        );
        const { Location: logged } = (record.res as { headers: Record<string, string> }).headers;
        assert.equal(logged, `${String(headers.location).replace(/\?.*/, '')}?(censored)`);
    });

    it('is off unless the configuration says otherwise', async () => {
        const { uuid } = await imageIn('s3');
        await registry.stop();
        registry = await backends.serve();
        assertServed(await get(uuid));
    });
});
