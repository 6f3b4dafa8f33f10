/** `GET /healthz` and `GET /readyz` (daemon.md §4). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { rename } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { at, FILE } from '../support/api';
import { DATACENTER } from '../support/registry';
import { TestServer } from '../support/server';
import { withServer } from '../support/signed';
import { SlowUpload, untilStaged } from '../support/slow-upload';
import { adminUrl, untilAnswer } from '../support/watch';
import { ask } from '../support/workers';

const admin = { port: 0 };

describe('health checks', () => {
    it('say "ok" and nothing else on the main listener, to HEAD as well', async () => {
        await withServer({}, async (_client, server) => {
            for (const path of ['/healthz', '/readyz']) {
                const answer = await server.fetch(path);
                assert.equal(answer.status, 200);
                assert.equal(await answer.text(), 'ok');
                assert.equal(answer.headers.get('content-type'), 'text/plain');
                assert.ok(answer.headers.get('x-request-id'));
                assert.equal((await server.fetch(path, { method: 'HEAD' })).status, 200);
                assert.equal((await server.fetch(path, { method: 'POST' })).status, 405);
            }
        });
    });

    it('name what cannot be used on the admin listener, without paths, and notice when it can be again', async () => {
        await withServer({ config: { admin, databaseType: 'local' } }, async (_client, server) => {
            const url = await adminUrl(server);
            const fine = (await (await fetch(`${url}/healthz`)).json()) as object;
            assert.deepEqual(fine, { status: 'ok', database: 'ok', 'storage:local': 'ok' });
            const images = join(server.dataDir, 'images');
            await rename(images, `${images}-away`);
            const bad = await untilAnswer(`${url}/readyz`, ({ status }) => status === 503);
            const found = JSON.parse(bad.text) as Record<string, string>;
            assert.equal(found.status, 'unavailable');
            assert.equal(found.database, 'ok');
            assert.match(found['storage:local']!, /\w/);
            assert.notEqual(found['storage:local'], 'ok');
            assert.ok(!bad.text.includes(server.dataDir), bad.text);
            const main = await server.fetch('/healthz');
            assert.deepEqual([main.status, await main.text()], [503, 'unavailable']);
            await rename(`${images}-away`, images);
            await untilAnswer(`${url}/readyz`, ({ status }) => status === 200);
            await server.logged(({ msg }) => msg === 'a dependency can be used again');
        });
    });

    it('tell of a directory that cannot be reached', async () => {
        await withServer(
            { config: { ...DATACENTER, authType: 'none', admin, databaseType: 'local' } },
            async (_client, server) => {
                const answer = await fetch(`${await adminUrl(server)}/healthz`);
                assert.equal(answer.status, 503);
                const text = await answer.text();
                assert.match((JSON.parse(text) as { ufds: string }).ufds, /no connection/);
                assert.ok(!text.includes('secret'), text);
            },
        );
    });

    it('answer within 2 s when the database says nothing', async () => {
        const sockets = new Set<Socket>();
        const silent = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
        silent.listen(0, '127.0.0.1');
        await once(silent, 'listening');
        const { port } = silent.address() as AddressInfo;
        const config = {
            databaseType: 'moray',
            moray: { pg: { hosts: [`127.0.0.1:${port}`], user: 'u', password: 'secret', database: 'd' } },
            admin,
        };
        try {
            await withServer({ config }, async (_client, server) => {
                const url = await adminUrl(server);
                for (const place of [`${server.url}/readyz`, `${url}/readyz`, `${url}/healthz`]) {
                    const begin = performance.now();
                    const answer = await ask(place);
                    assert.ok(performance.now() - begin < 2000, `${place} took too long`);
                    assert.equal(answer.status, 503);
                    assert.ok(!answer.body.toString().includes('secret'));
                }
            });
        } finally {
            sockets.forEach((socket) => socket.destroy());
            silent.close();
        }
    });

    it('say that the server ends while transfers finish', async () => {
        await withServer({ config: { admin } }, async (client, server) => {
            const url = await adminUrl(server);
            const { uuid } = await client.create();
            const upload = new SlowUpload(server.url, at(uuid, '/file?compression=none'));
            await upload.send(FILE);
            await untilStaged(server.dataDir, uuid, 0);
            server.child.kill('SIGTERM');
            const { text } = await untilAnswer(`${url}/readyz`, ({ status }) => status === 503);
            assert.equal((JSON.parse(text) as { server: string }).server, 'stopping');
            assert.equal((await fetch(`${url}/healthz`)).status, 200);
            assert.equal((await upload.finish()).status, 200);
            await server.ended();
            assert.equal(server.child.exitCode, 0);
        });
    });
});

describe('the admin listener', () => {
    let server: TestServer;
    let url: string;

    before(async () => {
        server = await TestServer.start({ config: { admin } });
        url = await adminUrl(server);
    });
    after(() => server.stop());

    it('is not there unless it is configured', async () => {
        await withServer({}, async (_client, other) => {
            assert.ok(!other.log.some(({ msg }) => msg.includes('Health, metrics')));
        });
    });

    it('refuses other methods and paths', async () => {
        const wrong = await fetch(`${url}/healthz`, { method: 'POST', body: 'x' });
        assert.equal(wrong.status, 405);
        assert.equal(wrong.headers.get('allow'), 'GET, HEAD');
        for (const path of ['/nothing', '/images', '/healthz/', '/__proto__', '/constructor', '/..%2f']) {
            const answer = await fetch(url + path);
            assert.equal(answer.status, 404, path);
            assert.equal(((await answer.json()) as { code: string }).code, 'ResourceNotFound');
        }
        assert.equal((await fetch(`${url}/healthz`, { method: 'HEAD' })).status, 200);
    });

    it('answers web pages under a name of their own with 403', async () => {
        const statusFor = async (host: string): Promise<number | undefined> => {
            const request = http.get(`${url}/healthz`, { headers: { host } });
            const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
            answer.resume();
            return answer.statusCode;
        };
        assert.equal(await statusFor('rebound.example.com'), 403);
        assert.equal(await statusFor('rebound.example.com:6971'), 403);
        assert.equal(await statusFor('127.0.0.1.example.com'), 403);
        assert.equal(await statusFor('localhost:6971'), 200);
        assert.equal(await statusFor('[::1]:6971'), 200);
    });

    it('that cannot have its port makes the start fail, and says which', async () => {
        const { port } = new URL(url);
        await assert.rejects(
            TestServer.start({ config: { admin: { port: Number(port) } } }),
            /code 2.*admin\.port.*EADDRINUSE/,
        );
    });
});
