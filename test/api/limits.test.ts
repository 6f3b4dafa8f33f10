/** `limits.requests` and `limits.queue` (daemon.md §1). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { at, assertError, FILE, type Client } from '../support/api';
import { RawConnection } from '../support/raw-connection';
import type { TestServer } from '../support/server';
import { withServer } from '../support/signed';
import { SlowUpload, untilStaged } from '../support/slow-upload';
import { openFiles } from '../support/workers';

describe('a limit to the requests under way', () => {
    async function withBusy(
        limits: Record<string, unknown>,
        work: (parts: { client: Client; server: TestServer }, uploads: SlowUpload[]) => Promise<void>,
    ): Promise<void> {
        await withServer({ config: { limits } }, async (client, server) => {
            const images = [await client.create(), await client.create()];
            const uploads: SlowUpload[] = [];
            for (const { uuid } of images) {
                const upload = new SlowUpload(server.url, at(uuid, '/file?compression=none'));
                await upload.send(FILE);
                await untilStaged(server.dataDir, uuid, 0);
                uploads.push(upload);
            }
            await work({ client, server }, uploads);
        });
    }

    it('has further ones wait, and answers those beyond the queue with 503', async () => {
        await withBusy({ requests: 2, queue: 2 }, async ({ client }, [first, second]) => {
            const three = [1, 2, 3].map(() => client.get('/images?state=all'));
            const refused = await Promise.race(three);
            assertError(refused, 503, 'ServiceUnavailableError');
            assert.match(String(refused.headers['retry-after']), /^[1-9]\d*$/);
            for (const path of ['/ping', '/healthz', '/readyz']) {
                assert.equal((await client.get(path)).status, 200, 'a sign of life does not wait');
            }
            assert.equal((await first!.finish()).status, 200);
            const statuses = (await Promise.all(three)).map(({ status }) => status);
            assert.deepEqual(statuses.sort(), [200, 200, 503]);
            assert.equal((await second!.finish()).status, 200);
        });
    });

    it('forgets a client that did not want to wait', async () => {
        await withBusy({ requests: 2, queue: 1 }, async ({ client, server }, [first, second]) => {
            /** Two requests, of which one has a place in the queue. Gives that one. */
            const waitingOne = async (): Promise<http.ClientRequest> => {
                const two = ['a', 'b'].map((id) =>
                    http.get(`${client.url}/images`, {
                        agent: false,
                        headers: { 'x-request-id': id },
                    }),
                );
                two.forEach((request) => request.on('error', () => undefined));
                const refused = await Promise.race(
                    two.map(async (request) => {
                        const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
                        assert.equal(answer.statusCode, 503);
                        answer.resume();
                        return request;
                    }),
                );
                return two.find((request) => request !== refused)!;
            };
            const impatient = await waitingOne();
            impatient.destroy();
            await server.logged(
                (record) =>
                    record.audit === true &&
                    record.latency !== undefined &&
                    record.req_id === impatient.getHeader('x-request-id') &&
                    record.err !== undefined &&
                    (record.err as { name: string }).name === 'ClientGone',
            );
            const patient = await waitingOne();
            await Promise.all([once(patient, 'response'), first!.finish(), second!.finish()]);
        });
    });

    it('gets everything back when a connection goes that had sent several requests at once', async () => {
        await withServer({ config: { limits: { requests: 3 } } }, async (client, server) => {
            const { uuid } = await client.createActive({}, Buffer.alloc(16 << 20));
            const connection = await RawConnection.open(server.url);
            connection.socket.pause();
            const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
            connection.write([at(uuid, '/file'), at(uuid, '/file'), at(uuid)].map(get).join(''));
            const pid = server.child.pid ?? 0;
            const downloads = () => openFiles(pid, /\/file0-[^/]+$/);
            while (downloads() < 2) {
                await wait(10);
            }
            connection.socket.destroy();
            const three = await Promise.all([1, 2, 3].map(() => client.get('/images')));
            assert.deepEqual(
                three.map(({ status }) => status),
                [200, 200, 200],
            );
            const audited = () => server.log.filter(({ route }) => route === 'GetImageFile').length;
            while (downloads() > 0 || audited() < 2) {
                await wait(10);
            }
        });
    });
});
