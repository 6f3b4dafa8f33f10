/** How the process ends on signals (config.md §5). */
import assert from 'node:assert/strict';
import { FILE, at } from '../support/api';
import { withServer } from '../support/signed';
import { SlowUpload, untilStaged } from '../support/slow-upload';

describe('signals', () => {
    it('SIGHUP does not end the process', async () => {
        await withServer({}, async (client, server) => {
            server.child.kill('SIGHUP');
            await server.logged(({ msg }) => msg.includes('can be loaded again'));
            assert.equal((await client.get('/ping')).status, 200);
        });
    });

    for (const [first, second, code] of [
        ['SIGTERM', 'SIGTERM', 0],
        ['SIGTERM', 'SIGINT', 1],
        ['SIGINT', 'SIGTERM', 0],
    ] as const) {
        it(`${second} after ${first} ends the process at once, whatever it is at`, async () => {
            await withServer({ config: { limits: { gracefulStop: '1h' } } }, async (client, server) => {
                const { uuid } = await client.create();
                const upload = new SlowUpload(server.url, at(uuid, '/file?compression=none'));
                await upload.send(Buffer.alloc(1 << 20, FILE));
                await untilStaged(server.dataDir, uuid, 1 << 19);
                server.child.kill(first);
                await server.logged(({ msg }) => msg === 'stopping');
                server.child.kill(second);
                await server.ended();
                assert.equal(server.child.exitCode, code);
                await assert.rejects(upload.answered);
            });
        });
    }
});
