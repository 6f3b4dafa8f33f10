/** The audit record of each request (config.md §7). */
import assert from 'node:assert/strict';
import sshpk from 'sshpk';
import {
    assertError,
    at,
    FILE,
    MANIFEST,
    newUuid,
    send,
    type ErrorBody,
    type Manifest,
} from '../support/api';
import { signedHeaders } from '../support/keys';
import { RawConnection } from '../support/raw-connection';
import { Registry, testKeys } from '../support/registry';

interface AuditRecord {
    level: number;
    msg: string;
    name: string;
    v: number;
    time: string;
    hostname: string;
    pid: number;
    audit: boolean;
    _audit: boolean;
    route?: string;
    action?: string;
    remoteUser?: string;
    keyFingerprint?: string;
    role?: string;
    req_id: string;
    remoteAddress: string;
    remotePort: number;
    latency: number;
    secure: boolean;
    err?: { name: string; message: string };
    req: {
        method: string;
        url: string;
        query: object;
        headers: Record<string, string>;
        httpVersion: string;
        version: string;
        body?: unknown;
    };
    res: { statusCode: number; headers: Record<string, unknown>; body?: unknown };
}

describe('Audit records', () => {
    let registry: Registry;

    before(async () => {
        const [{ publicLine }] = testKeys();
        registry = await Registry.start({
            authKeys: { alice: [publicLine], bob: [publicLine] },
            auth: { roles: { bob: 'write' } },
        });
    });
    after(() => registry.stop());

    /** The audit record of a request, by an id it is sent with. */
    async function audited(
        request: (headers: Record<string, string>) => Promise<unknown>,
    ): Promise<AuditRecord> {
        const id = newUuid();
        await request({ 'x-request-id': id });
        const record = await registry.server.logged((entry) => entry.audit === true && entry.req_id === id);
        return record as unknown as AuditRecord;
    }

    it('say who did what with which result', async () => {
        const record = await audited((headers) =>
            registry.client.post('/images?account=' + MANIFEST.owner, MANIFEST, headers),
        );
        assert.equal(record.msg, 'handled: 200');
        assert.equal(record.level, 30);
        assert.equal(record.name, 'imgapi');
        assert.equal(record.v, 0);
        assert.ok(Math.abs(Date.parse(record.time) - Date.now()) < 60_000);
        assert.equal(record.pid, registry.server.child.pid);
        assert.ok(record.hostname);
        assert.equal(record.audit, true);
        assert.equal(record._audit, true);
        assert.equal(record.route, 'CreateImage');
        assert.equal(record.remoteUser, 'alice');
        assert.equal(record.remoteAddress, '127.0.0.1');
        assert.ok(Number.isInteger(record.remotePort));
        assert.ok(Number.isInteger(record.latency) && record.latency >= 0);
        assert.equal(record.secure, false);
        assert.equal(record.err, undefined);
        assert.equal(record.req.method, 'POST');
        assert.equal(record.req.url, '/images?account=' + MANIFEST.owner);
        assert.deepEqual(record.req.query, { account: MANIFEST.owner });
        assert.equal(record.req.httpVersion, '1.1');
        assert.equal(record.req.version, '~1');
        assert.deepEqual(record.req.body, MANIFEST);
        assert.equal(record.res.statusCode, 200);
        assert.ok(record.res.headers.Etag);
    });

    it('hold what a change was answered with: the uuid of a new image is in it', async () => {
        let answered: unknown;
        const record = await audited(async (headers) => {
            answered = (await registry.client.post('/images', MANIFEST, headers)).json;
        });
        assert.deepEqual(record.res.body, answered);
        const compact = await audited((headers) =>
            registry.client.post('/images', MANIFEST, { ...headers, accept: 'text/plain' }),
        );
        assert.equal((compact.res.body as Manifest).name, MANIFEST.name);
    });

    it('are written for clients that went away, with their address', async () => {
        const { uuid } = await registry.client.create();
        const record = await audited(async (headers) => {
            const connection = await RawConnection.open(registry.url);
            const head = {
                ...headers,
                ...signedHeaders('alice', testKeys()[0]),
                host: 'x',
                expect: '100-continue',
                'content-length': '1000',
            };
            connection.write(
                [
                    `PUT ${at(uuid, '/file?compression=none')} HTTP/1.1`,
                    ...Object.entries(head).map(([name, value]) => `${name}: ${value}`),
                    '\r\n',
                ].join('\r\n'),
            );
            await connection.until(/100 Continue/);
            connection.close();
        });
        assert.equal(record.route, 'AddImageFile');
        assert.equal(record.remoteAddress, '127.0.0.1');
        assert.ok(Number.isInteger(record.remotePort));
        assert.notEqual(record.msg, 'handled: 200');
        await registry.untilStored(uuid, []);
    });

    it('hold no credentials of URLs, however those are written', async () => {
        const { uuid } = await registry.client.create();
        for (const url of [
            'https://me:secret@x/',
            'https:me:secret@x',
            'https:\\\\me:secret@x/',
            'https://secret@x',
        ]) {
            for (const given of [encodeURIComponent(url), url.replaceAll('\\', '/')]) {
                const record = await audited((headers) =>
                    registry.client.put(at(uuid, `/file?source=${given}`), '{}', headers),
                );
                assert.ok(!JSON.stringify(record).includes('secret'), record.req.url);
                assert.match(record.req.url, /\?source=https.*\*\*\*@x/);
            }
            const record = await audited((headers) =>
                registry.client.post(at(uuid, '/file/from-url?compression=none'), { file_url: url }, headers),
            );
            assert.ok(!JSON.stringify(record).includes('secret'), JSON.stringify(record.req.body));
        }
        const plain = 'source=http%3A%2F%2F127.0.0.1%3A1%2Fa%40b&name=c@d';
        const record = await audited((headers) =>
            registry.client.put(at(uuid, `/file?${plain}`), '{}', headers),
        );
        assert.equal(record.req.url, at(uuid, `/file?${plain}`));
    });

    it('name the user, the key and the role of every signed request, refused ones included', async () => {
        const [{ publicLine }] = testKeys();
        const fingerprint = sshpk.parseKey(publicLine, 'ssh').fingerprint('sha256').toString();
        const { uuid } = await registry.client.create();
        const bob = registry.as('bob');
        for (const [user, role, status, request] of [
            ['alice', 'admin', 200, (headers) => registry.client.action(uuid, 'disable', {}, headers)],
            ['alice', 'admin', 422, (headers) => registry.client.action(uuid, 'fly', {}, headers)],
            ['alice', 'admin', 404, (headers) => registry.client.action('x', 'disable', {}, headers)],
            ['bob', 'write', 200, (headers) => bob.action(uuid, 'enable', {}, headers)],
            ['bob', 'write', 403, (headers) => bob.action(uuid, 'import', {}, headers)],
            ['bob', 'write', 403, (headers) => bob.get('/state', headers)],
            ['bob', 'write', 403, (headers) => bob.put(at(uuid, '/file?source=x'), FILE, headers)],
            ['bob', 'write', 200, (headers) => bob.get('/images', headers)],
            ['bob', 'write', 404, (headers) => bob.head(at(newUuid()), headers)],
        ] satisfies [string, string, number, (headers: Record<string, string>) => Promise<unknown>][]) {
            const record = await audited(request);
            assert.equal(record.res.statusCode, status);
            assert.deepEqual(
                [record.remoteUser, record.keyFingerprint, record.role],
                [user, fingerprint, role],
                record.req.url,
            );
        }
        assert.equal(fingerprint.slice(0, 7), 'SHA256:');
    });

    it('name nobody where nobody has proved who they are', async () => {
        const forged = { ...signedHeaders('bob', testKeys()[1]) };
        const { uuid } = await registry.client.create();
        for (const path of ['/images', at(uuid, '/icon'), '/state']) {
            for (const credentials of [{}, forged]) {
                const record = await audited((headers) =>
                    registry.anonymous.get(path, { ...headers, ...credentials }),
                );
                assert.deepEqual(
                    [record.remoteUser, record.keyFingerprint, record.role],
                    [undefined, undefined, undefined],
                );
            }
        }
    });

    it('name the action', async () => {
        const { uuid } = await registry.client.create();
        const record = await audited((headers) => registry.client.action(uuid, 'disable', {}, headers));
        assert.equal(record.route, 'DisableImage');
        assert.equal(record.action, 'disable');
    });

    it('tell the error of a refused request', async () => {
        const record = await audited((headers) => registry.client.get('/images?limit=x', headers));
        assert.equal(record.msg, 'handled: 422');
        assert.equal(record.err?.name, 'InvalidParameterError');
        assert.equal((record.res.body as ErrorBody).code, 'InvalidParameter');
    });

    it('are written for requests without a route, too', async () => {
        for (const [path, status] of [
            ['/nowhere', 404],
            ['/images/%zz', 400],
        ] as const) {
            const record = await audited((headers) => registry.client.get(path, headers));
            assert.equal(record.msg, `handled: ${status}`);
            assert.equal(record.route, undefined);
        }
        const badHost = await audited((headers) =>
            registry.client.get('/images', { ...headers, host: 'a b' }),
        );
        assert.equal(badHost.res.statusCode, 400);
        const method = await audited((headers) => registry.client.request('POST', '/ping', { headers }));
        assert.equal(method.res.statusCode, 405);
    });

    it('are written for uploads and downloads, without their bytes', async () => {
        const { uuid } = await registry.client.create();
        const upload = await audited((headers) =>
            registry.client.put(at(uuid, '/file?compression=none'), FILE, headers),
        );
        assert.equal(upload.route, 'AddImageFile');
        assert.equal(upload.req.body, undefined);
        const download = await audited((headers) => registry.client.get(at(uuid, '/file'), headers));
        assert.equal(download.route, 'GetImageFile');
        assert.equal(download.res.body, undefined);
        assert.equal(download.res.headers['Content-Length'], FILE.length);
    });

    it('do not hold the bodies of successful reads, nor long ones of writes', async () => {
        const list = await audited((headers) => registry.client.get('/images', headers));
        assert.equal(list.res.body, undefined);
        const long = await audited((headers) =>
            registry.client.post('/images', { ...MANIFEST, tags: { a: 'x'.repeat(50_000) } }, headers),
        );
        assert.ok(JSON.stringify(long).length < 10_000);
    });

    it('are not written for pings', async () => {
        const id = newUuid();
        await registry.client.get('/ping', { 'x-request-id': id });
        await registry.client.head('/ping?a=b', { 'x-request-id': id });
        await audited((headers) => registry.client.get('/state', headers));
        assert.ok(!registry.server.log.some((record) => record.req_id === id));
    });

    it('never hold credentials', async () => {
        const secrets = ['secret-proxy', 'secret-cookie', 'secret-registry', 'secret-config'];
        const record = await audited((headers) =>
            registry.client.get('/images', {
                ...headers,
                'proxy-authorization': 'secret-proxy',
                cookie: 'secret-cookie',
                'x-registry-auth': 'secret-registry',
                'x-registry-config': 'secret-config',
                'x-harmless': 'shown',
            }),
        );
        const { headers } = record.req;
        assert.equal(headers.authorization, '(censored)');
        assert.equal(headers['x-registry-auth'], '(censored)');
        assert.equal(headers['x-harmless'], 'shown');
        const log = JSON.stringify(registry.server.log);
        for (const secret of [...secrets, 'Signature keyId', 'PRIVATE KEY']) {
            assert.ok(!log.includes(secret), secret);
        }
    });

    it('do not hold credentials of refused requests either', async () => {
        const { authorization, date } = signedHeaders('mallory', testKeys()[1]);
        const record = await audited((headers) =>
            send(registry.url, 'GET', '/state', { headers: { ...headers, authorization, date } }),
        );
        assert.equal(record.msg, 'handled: 401');
        assert.ok(!JSON.stringify(record).includes(authorization.slice(-40)));
        assertError(await registry.anonymous.get('/state', { authorization }), 401, 'UnauthorizedError');
    });
});
