/** A server's start and its end (config.md §5 and §7). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { Client } from '../support/api';
import { RawConnection } from '../support/raw-connection';
import { TestServer } from '../support/server';

const ROOT = resolve(__dirname, '../..');
/** Far more than an end takes that waits for nobody, far less than the 15 s that transfers are given. */
const AT_ONCE = 5000;

describe('A server', () => {
    let server: TestServer;

    beforeEach(async () => {
        server = await TestServer.start();
    });
    afterEach(async () => {
        await server.stop('SIGKILL');
    });

    /** Sends the signals, and gives the exit code if the process ends at once. */
    async function exitCode(send: () => Promise<void> | void): Promise<number | null> {
        const ended = once(server.child, 'exit', { signal: AbortSignal.timeout(AT_ONCE) });
        await send();
        const [code] = (await ended) as [number | null];
        return code;
    }

    it('ends with 2 on a port in use, and says what to do', async () => {
        const first = await TestServer.start();
        try {
            const port = Number(new URL(first.url).port);
            await assert.rejects(
                TestServer.start({ config: { port } }),
                /ended with code 2.*another program listens there; stop it, or set another/,
            );
        } finally {
            await first.stop();
        }
    });

    it('says where its configuration is from', () => {
        const record = (msg: string) => server.log.find((entry) => entry.msg === msg);
        assert.equal(record('load config defaults')?.defaultsPath, resolve(ROOT, 'etc/defaults.json'));
        assert.match(String(record('load config path')?.configPath), /imgapi\.config\.json$/);
    });

    for (const [signal, code] of [
        ['SIGTERM', 0],
        ['SIGINT', 1],
    ] as const) {
        it(`ends with ${code} on ${signal}, whoever is connected without a request`, async () => {
            const connection = await RawConnection.open(server.url);
            // Whatever connected before a request was answered has been accepted.
            await server.fetch('/ping');
            assert.equal(await exitCode(() => void server.child.kill(signal)), code);
            await connection.closed;
        });
    }

    for (const [first, second, code] of [
        ['SIGTERM', 'SIGTERM', 0],
        ['SIGTERM', 'SIGINT', 1],
        ['SIGINT', 'SIGTERM', 0],
        ['SIGINT', 'SIGINT', 1],
    ] as const) {
        it(`waits for an upload on ${first}, and ends at once with ${code} on ${second} after it`, async () => {
            const { uuid } = await new Client(server.url).create();
            const connection = await RawConnection.open(server.url);
            connection.write(
                `PUT /images/${uuid}/file?compression=none HTTP/1.1\r\n` +
                    'Host: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n',
            );
            await connection.until(/100 Continue/);
            const ended = exitCode(async () => {
                server.child.kill(first);
                await server.logged(({ msg }) => msg === 'stopping');
                assert.ok(server.running);
                server.child.kill(second);
            });
            assert.equal(await ended, code);
            await connection.closed;
        });
    }
});
