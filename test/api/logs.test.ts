/** `GET /logs` of the admin listener, and SIGUSR2 (daemon.md §4). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { randomInt } from 'node:crypto';
import { RecentLog } from '../../lib/recent-log';
import type { LogRecord, TestServer } from '../support/server';
import { withServer } from '../support/signed';
import { adminUrl, untilAnswer } from '../support/watch';
import { ask } from '../support/workers';

const admin = { port: 0 };

const recordsOf = (text: string): LogRecord[] =>
    text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as LogRecord);

async function logs(server: TestServer, query = ''): Promise<LogRecord[]> {
    const answer = await fetch(`${await adminUrl(server)}/logs${query}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'application/x-ndjson');
    return recordsOf(await answer.text());
}

describe('the newest records of the log', () => {
    it('are there by level and number, oldest first, without secrets', async () => {
        await withServer({ config: { admin, noSuchKey: 1 } }, async (client, server) => {
            for (const id of ['one', 'two', 'three']) {
                await client.get('/images', { 'x-request-id': id });
            }
            await server.logged(({ req_id }) => req_id === 'three');
            const all = await logs(server);
            assert.deepEqual(
                all.flatMap(({ audit, req_id }) => (audit === true ? [req_id] : [])),
                ['one', 'two', 'three'],
            );
            assert.ok(!JSON.stringify(all).includes('Signature keyId'));
            assert.deepEqual(
                (await logs(server, '?last=2')).map(({ req_id }) => req_id),
                ['two', 'three'],
            );
            const serious = await logs(server, '?level=warn');
            assert.ok(serious.length > 0 && serious.every(({ level }) => level >= 40));
            assert.ok(serious.some(({ msg }) => msg.includes('noSuchKey')));
            assert.deepEqual(await logs(server, '?level=WARN'), serious);
            assert.deepEqual(await logs(server, '?level=40&last=1000'), serious);
            assert.deepEqual(await logs(server, '?level=fatal'), []);
        });
    });

    it('are refused for values that are none', async () => {
        await withServer({ config: { admin } }, async (_client, server) => {
            const url = await adminUrl(server);
            for (const query of [
                'level=loud',
                'level=',
                'level=-1',
                'level=101',
                'last=0',
                'last=-1',
                'last=1.5',
                'last=1001',
                'last=all',
                'last=1&last=2',
                'level=%00',
            ]) {
                const { status, body } = await ask(`${url}/logs?${query}`);
                assert.equal(status, 422, query);
                assert.equal((JSON.parse(body.toString()) as { code: string }).code, 'InvalidParameter');
            }
        });
    });

    it('of several workers are those of all, and of one that has died', async function () {
        this.timeout(60_000);
        await withServer({ config: { admin, cluster: { workers: 2 } } }, async (_client, server) => {
            await server.logged(({ msg }) => msg === 'startup complete');
            const url = await adminUrl(server);
            for (let count = 0; count < 6; count++) {
                await ask(`${server.url}/images`);
            }
            const { text } = await untilAnswer(
                `${url}/logs`,
                (answer) => recordsOf(answer.text).filter(({ audit }) => audit === true).length === 6,
            );
            const pids = new Set(recordsOf(text).flatMap(({ audit, pid }) => (audit === true ? [pid] : [])));
            assert.equal(pids.size, 2);
            process.kill(Number([...pids][0]), 'SIGKILL');
            await untilAnswer(`${url}/logs?level=error`, (answer) =>
                answer.text.includes('a worker has ended by itself'),
            );
        });
    });

    it('are so many of each kind, however many there were', () => {
        const recent = new RecentLog();
        const line = (level: number, n: number, more = '') =>
            JSON.stringify({ name: 'imgapi', level, n, more, password: 'secret' });
        recent.add(line(50, 0));
        recent.add(Array.from({ length: 5000 }, (_value, n) => line(30, n + 1)).join('\n'));
        recent.add('{"half a li');
        const all = recent
            .newest(0, 100_000)
            .map((text) => JSON.parse(text) as { n: number; password: string });
        assert.equal(all[0]!.n, 0, 'an error is not pushed out by others');
        assert.equal(all.at(-1)!.n, 5000);
        assert.ok(all.length <= 1001);
        assert.ok(all.every(({ password }) => password === '***'));
        for (let n = 0; n < 300; n++) {
            recent.add(line(30, n, 'x'.repeat(100_000)));
        }
        assert.ok(recent.newest(0, 1000).join('').length < 5 << 20, 'by their size as well');
    });
});

describe('SIGUSR2', () => {
    /** Whether a request is logged with its begin and end. */
    async function isTraced(server: TestServer, id: string): Promise<boolean> {
        await ask(`${server.url}/images`);
        await fetch(`${server.url}/images`, { headers: { 'x-request-id': id } });
        await server.logged(({ audit, req_id }) => audit === true && req_id === id);
        return server.log.some(({ evt, req_id }) => evt !== undefined && req_id === id);
    }

    for (const workers of [1, 2]) {
        it(`logs all there is, and then as before (workers: ${workers})`, async function () {
            this.timeout(60_000);
            await withServer({ config: { cluster: { workers }, admin } }, async (_client, server) => {
                await server.logged(({ msg }) => msg === 'startup complete');
                assert.equal(await isTraced(server, 'before'), false);
                server.child.kill('SIGUSR2');
                await server.logged(({ tracing }) => tracing === true);
                for (let n = 0; !(await isTraced(server, `during-${n}`)); n++) {
                    assert.ok(n < 200, 'it is never traced');
                }
                const event = server.log.find(({ evt }) => evt !== undefined)!;
                assert.match(JSON.stringify(event.evt), /^\{"ph":"b","name":"listimages","req_seq":\d+\}$/);
                assert.ok(event.src, 'with source positions');
                server.child.kill('SIGUSR2');
                await server.logged(({ tracing }) => tracing === false);
                for (let n = 0; await isTraced(server, `after-${n}`); n++) {
                    assert.ok(n < 200, 'it is always traced');
                }
                assert.ok(server.running);
            });
        });
    }
});

describe('fluentd_host', () => {
    it('is told the begin and end of requests, and nothing else', async () => {
        const host = `127.${randomInt(1, 255)}.${randomInt(255)}.${randomInt(1, 255)}`;
        const received: string[] = [];
        const fluentd = createServer((socket) => socket.on('data', (data) => received.push(data.toString())));
        fluentd.listen(24_224, host);
        await once(fluentd, 'listening');
        assert.ok((fluentd.address() as AddressInfo).port);
        try {
            await withServer({ config: { fluentd_host: host } }, async (client, server) => {
                const events = () => [
                    ...received.join('').matchAll(/\["debug",(\d+(?:\.\d+)?),(\{.*?\})\]/g),
                ];
                for (let n = 0; events().length < 2; n++) {
                    assert.ok(n < 500, 'nothing comes');
                    await client.get('/images', { 'x-request-id': `f-${n}` });
                }
                const [[, seconds, text]] = events() as [RegExpMatchArray];
                assert.ok(Math.abs(Number(seconds) - Date.now() / 1000) < 60);
                const record = JSON.parse(text!) as LogRecord;
                assert.equal(record.name, 'imgapi');
                assert.match(String(record.req_id), /^f-\d+$/);
                assert.ok(events().every(([, , record]) => record!.includes('"evt"')));
                assert.ok(!server.log.some(({ evt }) => evt !== undefined), 'the log stays as it is');
            });
        } finally {
            fluentd.close();
        }
    });
});
