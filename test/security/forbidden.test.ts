/** A server as installed connects to no address that is not public, whoever asks and however it is written. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { assertError, at, newUuid, type Answer } from '../support/api';
import { forbiddenUrls } from '../support/forbidden-urls';
import { Registry } from '../support/registry';

describe('Requests that name a forbidden address', function () {
    this.timeout(30_000);
    let listener: http.Server;
    let port: number;
    let connections = 0;
    before(async () => {
        listener = http.createServer((_req, res) => res.end('{}'));
        listener.on('connection', () => connections++);
        listener.listen(0, '::');
        await once(listener, 'listening');
        ({ port } = listener.address() as AddressInfo);
    });
    after(async () => {
        listener.closeAllConnections();
        listener.close();
        await once(listener, 'close');
    });

    const modes: Record<string, Record<string, unknown>> = {
        public: {},
        private: { mode: 'private' },
        dc: {
            mode: 'dc',
            datacenterName: 'here',
            ufds: { url: 'ldap://127.0.0.1:1', bindDN: 'cn=root', bindPassword: 'x' },
        },
    };
    for (const [mode, config] of Object.entries(modes)) {
        it(`are refused in mode ${mode}, without a connection`, async () => {
            const registry = await Registry.start(config);
            try {
                const { client } = registry;
                const uuid = newUuid();
                const image = await client.post(at(uuid, '?action=import&skip_owner_check=true'), {
                    ...{ v: 2, uuid, name: 'n', version: '1', type: 'other', os: 'other' },
                    ...{ public: mode === 'public', owner: newUuid() },
                });
                assert.equal(image.status, 200, image.text);
                for (const url of forbiddenUrls(port)) {
                    const source = `source=${encodeURIComponent(url)}`;
                    const secure = url.replace(/^(\s*)ht\s*tps?:/i, '$1https:');
                    const answers: [Answer, string][] = [
                        [await client.post(at(newUuid(), `?action=import&${source}`), {}), 'source'],
                        [await client.post(at(newUuid(), `?action=import-remote&${source}`), {}), 'source'],
                        [await client.put(at(uuid, `/file?${source}`), '{}'), 'source'],
                        [
                            await client.post(at(uuid, '/file/from-url?compression=none'), {
                                file_url: secure,
                            }),
                            'file_url',
                        ],
                    ];
                    for (const [answer, field] of answers) {
                        const [error] = answer.error.errors ?? [];
                        const code = error?.code === 'Invalid' ? 'Invalid' : 'NotAllowed';
                        assertError(answer, 422, 'InvalidParameter', `${field}:${code}`);
                    }
                }
                assert.equal(connections, 0);
                assert.deepEqual(await registry.stored(uuid), []);
            } finally {
                await registry.stop();
            }
        });
    }

    it('are carried out once the operator allows the address', async () => {
        const registry = await Registry.start({ outbound: { allow: [`127.0.0.1:${port}`] } });
        try {
            const url = encodeURIComponent(`http://127.0.0.1:${port}/`);
            const answer = await registry.client.post(at(newUuid(), `?action=import&source=${url}`), {});
            assertError(answer, 503, 'RemoteSourceError');
            assert.ok(connections > 0);
            const other = encodeURIComponent(`http://127.0.0.1:${port === 80 ? 81 : 80}/`);
            const refused = await registry.client.post(at(newUuid(), `?action=import&source=${other}`), {});
            assertError(refused, 422, 'InvalidParameter', 'source:NotAllowed');
        } finally {
            await registry.stop();
        }
    });
});
