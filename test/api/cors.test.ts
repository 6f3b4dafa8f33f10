/** Pages of other origins in a browser (`cors`, daemon.md §1). */
import assert from 'node:assert/strict';
import { RawConnection } from '../support/raw-connection';
import { withServer } from '../support/signed';

const ALLOW = 'access-control-allow-origin';

const PREFLIGHT = {
    origin: 'https://ui.example.com',
    'access-control-request-method': 'PUT',
    'access-control-request-headers': 'authorization,content-md5',
};

describe('cors', () => {
    it('is on every answer, errors included, and answers preflights of requests that need a signature', async () => {
        await withServer({ config: { cors: '*' } }, async (client, server) => {
            const { uuid } = await client.create();
            for (const answer of [
                await client.get('/ping'),
                await client.get('/no-such-path'),
                await client.get('/images?state=x'),
                await server.fetch('/images', { method: 'POST' }),
                await server.fetch('/images', { method: 'OPTIONS' }),
            ]) {
                const headers: Headers =
                    answer.headers instanceof Headers
                        ? answer.headers
                        : new Headers(answer.headers as Record<string, string>);
                assert.equal(headers.get(ALLOW), '*', String(answer.status));
            }
            const preflight = await server.fetch(`/images/${uuid}/file`, {
                method: 'OPTIONS',
                headers: PREFLIGHT,
            });
            assert.equal(preflight.status, 204);
            assert.equal(preflight.headers.get(ALLOW), '*');
            assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /\bPUT\b/);
            assert.match(
                preflight.headers.get('access-control-allow-headers') ?? '',
                /Authorization.*Content-MD5/,
            );

            const raw = await RawConnection.open(server.url);
            raw.socket.write('this is no HTTP\r\n\r\n');
            assert.match(await raw.closed, /^HTTP\/1\.1 400 (.*\r\n)+Access-Control-Allow-Origin: \*\r\n/);
        });
    });

    it('names the origin of the request where some are allowed only', async () => {
        await withServer(
            { config: { cors: 'https://ui.example.com, https://b.example.com' } },
            async (_, server) => {
                const allowed = async (origin: string) =>
                    (await server.fetch('/ping', { headers: { origin } })).headers;
                const headers = await allowed('https://b.example.com');
                assert.equal(headers.get(ALLOW), 'https://b.example.com');
                assert.equal(headers.get('vary'), 'Origin');
                const others = await allowed('https://evil.example.com');
                assert.equal(others.get(ALLOW), null);
                assert.equal(others.get('vary'), 'Origin', 'what a cache keeps is not for everybody');
            },
        );
    });

    it('is off unless it is asked for', async () => {
        await withServer({}, async (_, server) => {
            assert.equal(
                (await server.fetch('/ping', { headers: { origin: 'https://a' } })).headers.get(ALLOW),
                null,
            );
            assert.equal(
                (await server.fetch('/images', { method: 'OPTIONS', headers: PREFLIGHT })).status,
                405,
            );
        });
    });
});
