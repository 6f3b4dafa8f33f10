/** `GET /metrics` (daemon.md §4, metrics-and-extras.md §1). */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { routes } from '../../lib/routes';
import { at, FILE } from '../support/api';
import { DATACENTER } from '../support/registry';
import { withServer } from '../support/signed';
import { skip } from '../support/skip';
import { adminUrl } from '../support/watch';
import { ask } from '../support/workers';

const admin = { port: 0 };

/** An address of this machine on which nobody else has the port of the metrics. */
const ownAddress = (): string => `127.${randomInt(1, 255)}.${randomInt(255)}.${randomInt(1, 255)}`;

async function textOf(url: string): Promise<string> {
    const answer = await fetch(url);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4');
    return answer.text();
}

/** The values of a series by the value of one of its labels. */
function valuesBy(text: string, name: string, label: string): Record<string, number> {
    const values: Record<string, number> = {};
    for (const [, labels = '', value] of text.matchAll(new RegExp(`^${name}\\{(.*)\\} (.*)$`, 'gm'))) {
        const [, key = ''] = new RegExp(`(?:^|,)${label}="([^"]*)"`).exec(labels) ?? [];
        values[key] = (values[key] ?? 0) + Number(value);
    }
    return values;
}

describe('metrics', () => {
    it('of a datacenter are at port 8881 of adminIp: two series, and nothing else', async () => {
        const adminIp = ownAddress();
        const labels = { instanceUuid: 'i-1', serverUuid: 's-1', serviceName: 'imgapi' };
        const config = { ...DATACENTER, authType: 'none', adminIp, ...labels };
        await withServer({ config }, async (client, server) => {
            const url = `http://${adminIp}:8881/metrics`;
            const before = await textOf(url);
            assert.equal(before.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length, 0);
            for (const path of ['/ping', '/images', '/nothing', '/', '/docs', '/docs/', '/favicon.ico']) {
                await fetch(server.url + path, {
                    redirect: 'manual',
                    headers: { 'user-agent': 'tester/1 x' },
                });
            }
            await client.request('DELETE', '/ping');
            for (const query of ['?action=fly', '']) {
                await client.request('POST', at('no-uuid', query));
            }
            await client.request('POST', '/images?action=create-from-vm');
            await client.request('POST', at('no-uuid', '/acl?action=remove'));
            await client.request('POST', at('no-uuid', '/clone'));
            await client.get(at('no-uuid', '/jobs'));
            const text = await textOf(url);
            const names = new Set(
                text
                    .split('\n')
                    .filter((line) => line !== '')
                    .map((line) => line.replace(/^# (HELP|TYPE) /, '').replace(/[{ ].*/, '')),
            );
            assert.deepEqual([...names].sort(), [
                'http_request_duration_seconds',
                'http_request_duration_seconds_count',
                'http_request_duration_seconds_sum',
                'http_requests_completed',
            ]);
            assert.deepEqual(valuesBy(text, 'http_requests_completed', 'route'), {
                ping: 1,
                listimages: 1,
                unknown: 2,
                get100200: 1,
                getdocs100200: 1,
                publicdocs: 1,
                favicon: 1,
                updateimage: 2,
                createimage: 1,
                addimageacl: 1,
                cloneimage: 1,
                getimagejobs: 1,
            });
            assert.equal(valuesBy(text, 'http_requests_completed', 'user_agent')['tester/1'], 7);
            for (const label of ['datacenter="test"', 'instance="i-1"', 'server="s-1"', 'service="imgapi"']) {
                assert.ok(text.includes(label), label);
            }
            assert.equal((await fetch(`http://${adminIp}:8881/`)).status, 404);
        });
    });

    it('of a datacenter are off without adminIp, which is no reason not to start', async () => {
        await withServer({ config: { ...DATACENTER, authType: 'none' } }, async (client, server) => {
            await server.logged(({ level, msg }) => level === 40 && msg.includes('adminIp'));
            assert.equal((await client.get('/ping')).status, 200);
        });
    });

    it('are nowhere in the other modes', async () => {
        const adminIp = ownAddress();
        await withServer({ config: { adminIp } }, async () => {
            await assert.rejects(ask(`http://${adminIp}:8881/metrics`), { code: 'ECONNREFUSED' });
        });
    });

    it('of the admin listener tell of storages, transfers, refusals, images and jobs, and promtool takes them', async function () {
        await withServer({ config: { admin } }, async (client, server) => {
            const image = await client.createActive();
            await client.get(at(image.uuid, '/file'));
            await server.fetch('/images', { method: 'POST', body: '{}' });
            const url = `${await adminUrl(server)}/metrics`;
            const text = await textOf(url);
            const bytes = valuesBy(text, 'imgapi_storage_bytes_total', 'direction');
            assert.equal(bytes.read, FILE.length);
            // The manifest is archived as well.
            assert.ok(bytes.written! > FILE.length);
            const operations = valuesBy(text, 'imgapi_storage_operation_seconds_count', 'operation');
            assert.equal(operations.read, 1);
            assert.equal(operations.commit, operations.stage);
            assert.deepEqual(valuesBy(text, 'imgapi_signature_refusals_total', 'reason'), { missing: 1 });
            assert.deepEqual(valuesBy(text, 'imgapi_images', 'state'), { active: 1 });
            assert.deepEqual(valuesBy(text, 'imgapi_dependency_up', 'dependency'), {
                database: 1,
                'storage:local': 1,
            });
            assert.match(text, /^imgapi_storage_free_bytes\{storage="local"\} \d+/m);
            assert.match(text, /^imgapi_uploads_in_flight 0$/m);
            assert.match(text, /^imgapi_requests_in_flight 0$/m);
            assert.match(text, new RegExp(`^imgapi_received_bytes_total (?!0$)\\d+$`, 'm'));
            assert.match(text, /^process_resident_memory_bytes \d{8,}$/m);
            assert.match(text, /^nodejs_eventloop_lag_p99_seconds \d/m);

            const { stdout, stderr, error } = spawnSync('promtool', ['check', 'metrics'], {
                input: text,
                encoding: 'utf8',
            });
            if (error) {
                skip(this, 'promtool is not installed; on Debian: apt-get install prometheus');
            }
            // Its name is what dashboards ask for. That buckets go without their suffix is nothing to promtool.
            assert.equal(
                (stdout + stderr).trim(),
                'http_requests_completed counter metrics should have "_total" suffix',
            );
        });
    });

    it('of several workers are those of all of them', async function () {
        this.timeout(60_000);
        await withServer({ config: { admin, cluster: { workers: 2 } } }, async (_client, server) => {
            await server.logged(({ msg }) => msg === 'startup complete');
            const url = `${await adminUrl(server)}/metrics`;
            for (let count = 0; count < 10; count++) {
                await ask(`${server.url}/ping`);
            }
            const text = (await ask(url)).body.toString();
            assert.equal(valuesBy(text, 'http_requests_completed', 'route').ping, 10);
            assert.match(text, /^imgapi_processes 2$/m);
            assert.match(text, /^imgapi_requests_in_flight 0$/m);
        });
    });
});

describe('the names of routes in metrics', () => {
    it('are one for each row that the original did not have under another', async () => {
        const { seriesName } = await import('../../lib/http/series-name.js');
        const byName = Object.fromEntries(routes.map((route) => [route.name, seriesName(route)]));
        assert.equal(byName.AddImageFileFromUrl, 'addimagefilefromurl');
        assert.equal(byName.AdminImportRemoteImage, 'updateimage');
        assert.equal(byName.GetSecondImageFile, 'getimagefile');
        assert.equal(seriesName(undefined), 'unknown');
        assert.ok(Object.values(byName).every((name) => /^[a-z0-9]+$/.test(name)));
    });
});
