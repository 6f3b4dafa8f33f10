/** Jobs as callers see them (vm-images.md §6, imports.md §4): those of this server, and those of an image. */
import assert from 'node:assert/strict';
import type { Execution } from '../../lib/jobs/driver';
import { assertError, at, newUuid, UNKNOWN, type Answer, type Client } from '../support/api';
import { testImage, testUuid } from '../support/images';
import { NOW, plantedJob, TASK } from '../support/jobs';
import { DATACENTER, Registry } from '../support/registry';

const IMAGE = newUuid();

const planted = (n: number, execution: Execution, fields: { task?: string; imageUuid?: string } = {}) =>
    plantedJob(n, execution, {
        imageUuid: IMAGE,
        params: { n, source: 'https://joe:secret@host/path' },
        ...fields,
    });

const targets = (answer: Answer): unknown[] => {
    assert.equal(answer.status, 200, answer.text);
    return (answer.json as { target: string }[]).map(({ target }) => Number(target.slice('/test-'.length)));
};

/** What a job is canceled by. */
const cancel = (client: Client, uuid: string): Promise<Answer> => client.post(`/jobs/${uuid}/cancel`, {});

describe('Jobs', () => {
    let registry: Registry;
    before(async () => {
        registry = await Registry.start();
        await registry.plantJobs(
            planted(3, 'queued'),
            planted(1, 'succeeded'),
            planted(2, 'failed', { task: 'another' }),
            planted(4, 'running', { imageUuid: testUuid(99) }),
            planted(5, 'canceled'),
        );
    });
    after(() => registry.stop());

    describe('ListJobs', () => {
        const list = async (query: string) => targets(await registry.client.get(`/jobs${query}`));

        it('gives all jobs, the newest first', async () => {
            assert.deepEqual(await list(''), [5, 4, 3, 2, 1]);
            assert.deepEqual(await list('?unknown=1&unknown=2'), [5, 4, 3, 2, 1]);
        });

        it('gives those that meet all conditions', async () => {
            assert.deepEqual(await list('?execution=failed'), [2]);
            assert.deepEqual(await list('?task=another'), [2]);
            assert.deepEqual(await list('?task=none-such'), []);
            assert.deepEqual(await list(`?image_uuid=${IMAGE}`), [5, 3, 2, 1]);
            assert.deepEqual(await list(`?image_uuid=${IMAGE}&task=${TASK}&execution=queued`), [3]);
            assert.deepEqual(await list(`?image_uuid=${UNKNOWN}`), []);
        });

        it('gives a part of them', async () => {
            assert.deepEqual(await list('?limit=2'), [5, 4]);
            assert.deepEqual(await list('?limit=2&offset=1'), [4, 3]);
            assert.deepEqual(await list('?offset=4'), [1]);
            assert.deepEqual(await list('?limit=1000&offset=999999999'), []);
        });

        it('refuses values that it does not take', async () => {
            for (const [name, values] of Object.entries({
                execution: ['', 'Queued', 'waiting', 'toString'],
                image_uuid: ['', 'x', IMAGE.toUpperCase()],
                limit: ['', '0', '1001', '-1', '1.5', '1e2', '0x10', 'x', ' 1', '9'.repeat(400)],
                offset: ['', '-1', '1.5', 'x', '9'.repeat(400)],
            })) {
                for (const value of values) {
                    const answer = await registry.client.get(`/jobs?${name}=${encodeURIComponent(value)}`);
                    assertError(answer, 422, 'InvalidParameter', `${name}:Invalid`);
                    assert.match(answer.error.message, new RegExp(`"${name}"`));
                }
                const twice = await registry.client.get(`/jobs?${name}=1&${name}=1`);
                assertError(twice, 422, 'InvalidParameter', `${name}:Invalid`);
            }
        });
    });

    describe('GetJob', () => {
        it('shows a job to whoever knows its uuid, without credentials in it', async () => {
            const answer = await registry.anonymous.get(`/jobs/${testUuid(1)}`);
            assert.equal(answer.status, 200);
            const job = answer.json as Record<string, unknown>;
            assert.deepEqual(
                [job.uuid, job.execution, job.task, job.image_uuid, job.created_at, job.elapsed],
                [testUuid(1), 'succeeded', TASK, IMAGE, new Date(NOW + 60_000).toISOString(), 0.5],
            );
            const params = { n: 1, source: 'https://host/path', image_uuid: IMAGE, task: TASK };
            assert.deepEqual(job.params, params);
            assert.doesNotMatch((await registry.client.get('/jobs')).text, /secret|joe/);
        });

        it('does not know others', async () => {
            for (const uuid of [UNKNOWN, 'x', testUuid(1).replace('4', 'A'), '%00', '%25', "'"]) {
                assertError(await registry.client.get(`/jobs/${uuid}`), 404, 'ResourceNotFound');
            }
        });

        it('is not found by the ways of images, nor the other way round', async () => {
            assertError(await registry.client.get(at(testUuid(1))), 404, 'ResourceNotFound');
            assertError(await registry.client.get(`/jobs/${testUuid(1)}/file`), 404, 'ResourceNotFound');
            assertError(await registry.client.delete(`/jobs/${testUuid(1)}`), 405, 'MethodNotAllowedError');
        });
    });

    describe('CancelJob', () => {
        it('cancels one that is queued or running, and says so', async () => {
            for (const n of [3, 4]) {
                const answer = await cancel(registry.client, testUuid(n));
                assert.equal(answer.status, 200);
                assert.equal((answer.json as { execution: string }).execution, 'canceled');
                const { json } = await registry.anonymous.get(`/jobs/${testUuid(n)}`);
                assert.equal((json as { execution: string }).execution, 'canceled');
            }
        });

        it('leaves one that has ended as it is', async () => {
            for (const n of [1, 2, 5]) {
                const former = await registry.client.get(`/jobs/${testUuid(n)}`);
                const answer = await cancel(registry.client, testUuid(n));
                assert.equal(answer.status, 200);
                assert.deepEqual(answer.json, former.json);
            }
        });

        it('does not know others', async () => {
            for (const uuid of [UNKNOWN, 'x']) {
                assertError(await cancel(registry.client, uuid), 404, 'ResourceNotFound');
            }
        });

        it('has an audit record without credentials of the job', async () => {
            const record = await registry.server.logged(({ route }) => route === 'CancelJob');
            assert.doesNotMatch(JSON.stringify(record), /secret/);
        });
    });

    it('of an image are not shown to everybody', async () => {
        const { uuid } = await registry.client.create();
        assertError(await registry.client.get(at(uuid, '/jobs')), 503, 'ServiceUnavailableError');
        assertError(await registry.client.get(at(UNKNOWN, '/jobs')), 404, 'ResourceNotFound');
        const bad = await registry.client.get(at(uuid, '/jobs?execution=x'));
        assertError(bad, 503, 'ServiceUnavailableError');
    });
});

describe('Jobs in a datacenter', () => {
    describe('that leaves them to this server', () => {
        let registry: Registry;
        let uuid: string;
        before(async () => {
            registry = await Registry.start(DATACENTER);
            uuid = testUuid(50);
            await registry.plant(testImage(50, { files: [] }));
            await registry.plantJobs(
                planted(1, 'succeeded', { imageUuid: uuid }),
                planted(2, 'failed', { imageUuid: uuid, task: 'another' }),
                planted(3, 'queued', { imageUuid: uuid }),
                planted(4, 'queued'),
            );
        });
        after(() => registry.stop());

        it('are listed for an image, the newest first', async () => {
            const list = async (query: string) =>
                targets(await registry.anonymous.get(at(uuid, `/jobs${query}`)));
            assert.deepEqual(await list(''), [3, 2, 1]);
            assert.deepEqual(await list('?task=another'), [2]);
            assert.deepEqual(await list('?task=none-such'), []);
            assert.deepEqual(await list('?execution=queued'), [3]);
            assert.deepEqual(await list(`?execution=succeeded&task=${TASK}&limit=x`), [1]);
        });

        it('are not listed for what is no image, or in a state there is none of', async () => {
            assertError(await registry.client.get(at(UNKNOWN, '/jobs')), 404, 'ResourceNotFound');
            assertError(await registry.client.get(at('x', '/jobs')), 404, 'ResourceNotFound');
            const bad = await registry.client.get(at(uuid, '/jobs?execution=waiting'));
            assertError(bad, 422, 'InvalidParameter', 'execution:Invalid');
        });
    });

    describe('that has a workflow service, which cannot be reached', () => {
        let registry: Registry;
        before(async () => {
            const wfapi = { url: 'http://127.0.0.1:1', workflows: ['import-remote-image'] };
            registry = await Registry.start({ ...DATACENTER, wfapi });
        });
        after(() => registry.stop());

        it('are unavailable', async () => {
            const uuid = testUuid(50);
            await registry.plant(testImage(50, { files: [] }));
            for (const answer of [
                await registry.client.get('/jobs'),
                await registry.client.get(`/jobs/${UNKNOWN}`),
                await cancel(registry.client, UNKNOWN),
                await registry.client.get(at(uuid, '/jobs')),
                await registry.client.get(at(uuid, '/jobs?execution=x')),
            ]) {
                assertError(answer, 503, 'ServiceUnavailableError');
            }
        });
    });
});
