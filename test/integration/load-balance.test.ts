/** HAProxy before two server processes of one folder (DESIGN "Several processes"; ops.md §7). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { join } from 'node:path';
import { at, Client, sha1 } from '../support/api';
import { HaProxy } from '../support/haproxy';
import { testKeys } from '../support/registry';
import { makeFolder, TestServer } from '../support/server';
import { credentials } from '../support/signed';
import { answeringPids, ask, Load } from '../support/workers';

describe('two servers behind HAProxy', function () {
    this.timeout(60_000);

    let place: Awaited<ReturnType<typeof makeFolder>>;
    const servers: TestServer[] = [];
    let proxy: HaProxy;

    const startServer = (port = 0) =>
        TestServer.start({
            dataDir: join(place.path, 'data'),
            config: { port, authType: 'signature', authKeys: { alice: [testKeys()[0].publicLine] } },
        });

    before(async function () {
        place = await makeFolder();
        servers.push(await startServer());
        servers.push(await startServer());
        proxy = await HaProxy.start(
            this,
            servers.map(({ url }) => url),
        );
        await proxy.until('be0', true);
        await proxy.until('be1', true);
    });
    after(async () => {
        await (proxy as HaProxy | undefined)?.stop();
        await Promise.all(servers.map((server) => server.stop()));
        await place.remove();
    });

    it('both answer, and each sees what was written by the other', async () => {
        const pids = await answeringPids(proxy.url);
        assert.deepEqual(new Set(pids.keys()), new Set(servers.map(({ child }) => child.pid)));
        const client = new Client(proxy.url, credentials);
        const { uuid } = await client.createActive();
        for (let count = 0; count < 8; count++) {
            assert.equal((await ask(proxy.url + at(uuid))).status, 200);
        }
    });

    it('can be restarted one after the other under load, and no request fails', async () => {
        const client = new Client(proxy.url, credentials);
        const bytes = randomBytes(64 << 10);
        const { uuid } = await client.createActive({}, bytes);
        const target = proxy.url + at((await client.create()).uuid, '/file?compression=none');
        const kept = new http.Agent({ keepAlive: true, maxSockets: 4 });
        const file = async (agent: http.Agent | false) => {
            const got = await ask(proxy.url + at(uuid, '/file'), { agent });
            assert.equal(sha1(got.body), sha1(bytes));
            return got;
        };
        const load = new Load([
            () => file(kept),
            () => file(kept),
            () => file(false),
            () => ask(target, { method: 'PUT', body: bytes }),
        ]);
        await load.goesOn();
        for (const [number, server] of servers.entries()) {
            assert.equal(await server.stop(), 0);
            await proxy.until(`be${number}`, false);
            await load.goesOn();
            servers[number] = await startServer(Number(new URL(server.url).port));
            await proxy.until(`be${number}`, true);
            await load.goesOn();
        }
        await load.stop();
        kept.destroy();
    });
});
