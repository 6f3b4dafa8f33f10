/** Jobs in a workflow service: whether it is there, what it is given, what is asked of it (vm-images.md §6 and §7). */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { workflowOf, type Workflow } from '../../lib/dc/workflow-source';
import { assertError, at, newUuid, UNKNOWN, type Answer } from '../support/api';
import { testImage, testUuid } from '../support/images';
import type { ShownJob } from '../support/jobs';
import { LyingServer, hangUp, noHttp, silent, type Behaviour } from '../support/lying-server';
import { DATACENTER, Registry } from '../support/registry';
import { untilWorkflowsReady } from '../support/wfapi';
import { WorkflowStandIn, type StoredWorkflow } from '../support/workflow-stand-in';

const TASKS = ['create-from-vm', 'import-remote-image'];
const FAST = { services: { connectTimeout: '500ms', answerTimeout: '500ms' } };

const json =
    (status: number, body: unknown): Behaviour =>
    (_request, response) => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
const html: Behaviour = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>It works!</h1>');
};

async function startServer(wfapi: object, config: object = {}): Promise<Registry> {
    return Registry.start({ ...DATACENTER, ...FAST, outbound: { allow: ['127.0.0.1'] }, wfapi, ...config });
}

/** Whether the server says that it can reach the service. */
async function connected({ client }: Registry): Promise<boolean> {
    return ((await client.get('/state')).json as { wfapi: { connected: boolean } }).wfapi.connected;
}

async function until(test: () => Promise<boolean> | boolean, within = 15_000): Promise<void> {
    const deadline = Date.now() + within;
    while (!(await test())) {
        assert.ok(Date.now() < deadline, 'it never came to be');
        await wait(20);
    }
}

describe('The workflow service', function () {
    this.timeout(60_000);

    describe('that is there', () => {
        let wfapi: WorkflowStandIn;
        let registry: Registry;
        let source: Registry;
        const image = testUuid(1);
        before(async () => {
            wfapi = await WorkflowStandIn.start();
            source = await Registry.start();
            registry = await startServer({ ...wfapi.config, workflows: TASKS });
            await registry.plant(testImage(1, { files: [] }));
            await untilWorkflowsReady(registry.server);
        });
        after(async () => {
            await registry.stop();
            await source.stop();
            // With the server every connection has gone.
            await wfapi.service.idle();
            await wfapi.service.stop();
        });
        afterEach(() => {
            wfapi.service.spoil = undefined;
            wfapi.before = undefined;
            wfapi.jobs.clear();
        });

        const list = async (query = ''): Promise<Answer> =>
            registry.anonymous.get(at(image, `/jobs${query}`));
        const uuids = ({ json: jobs }: Answer): string[] => (jobs as ShownJob[]).map(({ uuid }) => uuid);
        const startImport = async (): Promise<Answer> => {
            const { uuid } = await source.client.createActive();
            const url = encodeURIComponent(source.url);
            const query = `?action=import-remote&skip_owner_check=true&source=${url}`;
            return registry.client.post(at(uuid, query), {}, { 'x-request-id': testUuid(77) });
        };

        it('is asked as its clients ask it', () => {
            for (const { method, headers } of wfapi.service.requests) {
                assert.equal(headers['accept-version'], '*');
                assert.equal(headers.accept, 'application/json');
                assert.ok(headers['x-request-id'] && headers['request-id']);
                assert.equal(headers['content-md5'] !== undefined, method !== 'GET');
            }
        });

        it('is said to be connected', async () => {
            assert.equal(await connected(registry), true);
        });

        it('lists the jobs of an image, kind by kind, the newest first', async () => {
            const job = (n: number, fields: object) =>
                wfapi.addJob({
                    image_uuid: image,
                    created_at: new Date(Date.UTC(2024, 0, n)).toISOString(),
                    chain: [{ name: 'secret source' }],
                    ...fields,
                }).uuid;
            const imports = { task: 'import-remote-image' };
            const old = job(1, imports);
            const made = job(2, { task: 'create-from-vm', execution: 'succeeded' });
            const latest = job(3, { ...imports, execution: 'failed' });
            job(4, { task: 'provision' });
            job(5, { ...imports, image_uuid: UNKNOWN });

            const all = await list();
            assert.deepEqual(uuids(all), [made, latest, old]);
            assert.equal(all.text.includes('secret source'), false);
            assert.deepEqual(uuids(await list('?task=import-remote-image')), [latest, old]);
            assert.deepEqual(uuids(await list('?execution=failed&limit=0&offset=x')), [latest]);
            assert.deepEqual(uuids(await list('?execution=running')), []);
            // Whose jobs these are is nobody's business here.
            assert.deepEqual(uuids(await list('?task=provision')), []);
            // For operators: of each kind so many.
            const foreign = [...wfapi.jobs.values()].find(({ image_uuid }) => image_uuid === UNKNOWN);
            assert.deepEqual(uuids(await registry.client.get('/jobs?limit=1')), [made, foreign?.uuid]);
            assert.deepEqual(uuids(await registry.client.get('/jobs?limit=1&offset=1')), [latest]);
        });

        it('gives jobs that end well and jobs that do not, without credentials', async () => {
            const { uuid } = wfapi.addJob({
                task: 'import-remote-image',
                image_uuid: image,
                params: { source: 'http://joe:secret@images.example.com' },
            });
            const answer = await registry.anonymous.get(`/jobs/${uuid}`);
            assert.equal(answer.status, 200);
            assert.equal(answer.text.includes('secret'), false);
            const foreign = wfapi.addJob({ task: 'provision', params: { password: 'x' } });
            assertError(await registry.client.get(`/jobs/${foreign.uuid}`), 404, 'ResourceNotFound');
            assertError(await registry.client.get(`/jobs/${UNKNOWN}`), 404, 'ResourceNotFound');
        });

        it('cancels jobs, and leaves those that have ended as they are', async () => {
            const running = wfapi.addJob({ task: TASKS[1], image_uuid: image, execution: 'running' });
            const ended = wfapi.addJob({ task: TASKS[1], image_uuid: image, execution: 'succeeded' });
            const cancel = async (uuid: string): Promise<string> =>
                ((await registry.client.post(`/jobs/${uuid}/cancel`, {})).json as ShownJob).execution;
            assert.equal(await cancel(running.uuid), 'canceled');
            assert.equal(await cancel(ended.uuid), 'succeeded');
            // It ends just then.
            const last = wfapi.addJob({ task: TASKS[1], image_uuid: image, execution: 'running' });
            wfapi.before = ({ path }) => {
                if (path.endsWith('/cancel')) {
                    last.execution = 'failed';
                }
                return undefined;
            };
            assert.equal(await cancel(last.uuid), 'failed');
        });

        it('refuses an execution that there is none of', async () => {
            assertError(await list('?execution=waiting'), 409, 'ConflictError');
            assertError(
                await registry.client.get('/jobs?execution=x'),
                422,
                'InvalidParameter',
                'execution:Invalid',
            );
            assertError(await registry.client.get(at(UNKNOWN, '/jobs?execution=x')), 404, 'ResourceNotFound');
            assertError(await registry.client.get(at('x', '/jobs')), 404, 'ResourceNotFound');
        });

        it('is told of a job', async () => {
            const answer = await startImport();
            assert.equal(answer.status, 200, answer.text);
            const { image_uuid, job_uuid } = answer.json as { image_uuid: string; job_uuid: string };
            assert.equal(answer.headers['workflow-api'], wfapi.service.url);
            const { params, target, workflow_uuid } = wfapi.jobs.get(job_uuid)!;
            assert.equal(target, `/import-remote-${image_uuid}`);
            assert.equal(wfapi.workflows.get(String(workflow_uuid))?.name, workflowOf(TASKS[1]!)?.name);
            assert.deepEqual(params, {
                image_uuid,
                req_id: testUuid(77),
                source: source.url,
                skip_owner_check: true,
                task: TASKS[1],
            });
            const sent = wfapi.service.requests.findLast(
                ({ method, path }) => `${method} ${path}` === 'POST /jobs',
            );
            assert.equal(sent?.headers['x-request-id'], testUuid(77));
        });

        it('passes on what it refuses a job with', async () => {
            wfapi.before = ({ method, path }) =>
                `${method} ${path}` === 'POST /jobs'
                    ? { status: 409, body: { code: 'InvalidArgument', message: 'there is one already' } }
                    : undefined;
            const answer = await startImport();
            assertError(answer, 409, 'InvalidArgument');
            assert.equal(answer.error.message, 'there is one already');
        });

        it('gets a workflow again that was deleted there', async () => {
            wfapi.workflows.clear();
            const answer = await startImport();
            assert.equal(answer.status, 200, answer.text);
            assert.equal(wfapi.workflows.size, 1);
        });

        it('is at fault, and not the client, whatever else it answers', async () => {
            const none = { code: 'ResourceNotFound', message: 'no' };
            const cases: [string, Behaviour][] = [
                ['a fault', json(500, { code: 'InternalError', message: 'boom' })],
                ['a refusal that is no answer of ours', json(403, { code: 'NotAuthorized', message: 'no' })],
                ['that there is nothing', json(404, none)],
                ['a page', html],
                ['nothing', (_request, response) => response.writeHead(200).end()],
                ['no job', json(200, { uuid: '../../x', execution: 'queued' })],
                ['a list of what are no jobs', json(200, [7, null])],
                ['with silence', silent],
                ['by hanging up', hangUp],
            ];
            for (const [what, behaviour] of cases) {
                // Not to lose the connection, which is another matter.
                wfapi.service.spoil = (request, response) => {
                    const isLook = request.url === '/ping' || request.url?.startsWith('/workflows/') === true;
                    (isLook ? json(200, {}) : behaviour)(request, response);
                };
                assertError(await startImport(), 503, 'ServiceUnavailableError');
                if (what !== 'a list of what are no jobs' && what !== 'no job') {
                    const jobs = await list();
                    assert.equal(jobs.status, 503, `${what}: ${jobs.text}`);
                }
                const one = await registry.client.get(`/jobs/${newUuid()}`);
                assert.equal(
                    one.status,
                    what === 'that there is nothing' ? 404 : 503,
                    `${what}: ${one.text}`,
                );
            }
        });

        it('keeps few connections, whatever happened', () => {
            assert.ok(wfapi.service.open <= 10, `${wfapi.service.open} connections`);
        });
    });

    describe('that comes and goes', () => {
        let wfapi: WorkflowStandIn;
        let registry: Registry;
        let port: number;
        const image = testUuid(1);
        before(async () => {
            const placeholder = await LyingServer.start(html);
            ({ port } = placeholder);
            await placeholder.stop();
            registry = await startServer({
                url: `http://127.0.0.1:${port}`,
                workflows: TASKS,
                pingInterval: '30ms',
                retry: { minTimeout: '20ms', maxTimeout: '50ms' },
            });
            await registry.plant(testImage(1, { files: [] }));
        });
        after(async () => {
            await registry.stop();
            await wfapi.service.stop();
        });

        const assertDown = async (): Promise<void> => {
            assert.equal(await connected(registry), false);
            const paths = [at(image, '/jobs?execution=x'), '/jobs', `/jobs/${UNKNOWN}`];
            for (const path of paths) {
                assertError(await registry.client.get(path), 503, 'ServiceUnavailableError');
            }
            const query = '?action=import-remote&source=http://127.0.0.1:9';
            assertError(await registry.client.post(at(UNKNOWN, query), {}), 503, 'ServiceUnavailableError');
        };

        it('does not keep the server from starting', async () => {
            await assertDown();
        });

        it('is found when it comes up, and given the workflows', async () => {
            wfapi = await WorkflowStandIn.start(port);
            await untilWorkflowsReady(registry.server);
            assert.equal(await connected(registry), true);
            assert.equal(wfapi.workflows.size, 2);
            assert.deepEqual((await registry.client.get(at(image, '/jobs'))).json, []);
        });

        for (const [what, behaviour] of [
            ['answers with a page', html],
            ['says that it is down', json(503, { code: 'ServiceUnavailable', message: 'no backend' })],
            ['answers with nonsense', noHttp],
            ['does not answer', silent],
        ] as [string, Behaviour][]) {
            it(`is lost when it ${what}, and found again`, async () => {
                wfapi.service.spoil = behaviour;
                await until(async () => !(await connected(registry)));
                await assertDown();
                wfapi.service.spoil = undefined;
                await until(() => connected(registry));
                assert.equal((await registry.client.get('/jobs')).status, 200);
            });
        }

        it('counts as out of reach while it has lost its database, though it answers', async () => {
            wfapi.service.spoil = silent;
            await until(async () => !(await connected(registry)));
            wfapi.service.spoil = undefined;
            wfapi.before = ({ path }) =>
                path === '/workflows/workflow-check'
                    ? { status: 503, body: { code: 'ServiceUnavailable', message: 'no' } }
                    : undefined;
            const before = wfapi.service.requests.length;
            const checks = () =>
                wfapi.service.requests.slice(before).filter(({ path }) => path.endsWith('workflow-check'))
                    .length;
            await until(() => checks() >= 3);
            assert.equal(await connected(registry), false);
            wfapi.before = undefined;
            await until(() => connected(registry));
        });

        it('is lost when it ends, and found when it is back', async () => {
            await wfapi.service.stop();
            await until(async () => !(await connected(registry)));
            await assertDown();
            wfapi = await WorkflowStandIn.start(port);
            await until(() => connected(registry));
        });

        it('was spoken of once in the log for each time', () => {
            const lost = registry.server.log.filter(({ msg }) => msg.startsWith('WFAPI: out of reach'));
            const found = registry.server.log.filter(({ msg }) => msg.startsWith('WFAPI: reached'));
            assert.equal(lost.length, found.length);
            assert.equal(lost.length, 7);
        });
    });

    describe('is given workflows', () => {
        let wfapi: WorkflowStandIn;
        beforeEach(async () => {
            wfapi = await WorkflowStandIn.start();
        });
        afterEach(async () => {
            await wfapi.service.stop();
        });

        const ours = workflowOf('import-remote-image')!;
        /** As the service keeps it after a POST. */
        const stored = (fields: Partial<StoredWorkflow> = {}): StoredWorkflow => {
            const tasks = (list: Workflow['chain']) =>
                list.map((task) => ({
                    ...task,
                    uuid: newUuid(),
                    modules: JSON.stringify(task.modules),
                }));
            const { name, timeout, chain, onerror, oncancel } = ours;
            return {
                uuid: newUuid(),
                ...{ name, timeout, max_attempts: 10 },
                chain: tasks(chain),
                onerror: tasks(onerror),
                oncancel: tasks(oncancel),
                ...fields,
            };
        };
        /** What a server that starts does to it. */
        const changes = async (config: object, existing?: StoredWorkflow): Promise<string[]> => {
            if (existing) {
                wfapi.workflows.set(existing.uuid, existing);
            }
            const server = await startServer({
                ...wfapi.config,
                workflows: ['import-remote-image'],
                ...config,
            });
            await untilWorkflowsReady(server.server, ['import-remote-image']);
            await server.stop();
            return wfapi.asked.filter((line) => !line.startsWith('GET'));
        };
        const withLast = (text: string) => {
            const { onerror } = stored();
            return onerror!.map((task, index) => (index === 0 ? { ...task, body: text } : task));
        };

        it('that it does not have', async () => {
            assert.deepEqual(await changes({}), ['POST /workflows']);
            const [kept] = wfapi.workflows.values();
            assert.equal(kept?.name, ours.name);
            // Nothing has changed when the next server starts.
            assert.deepEqual(await changes({ forceMd5Check: true }), ['POST /workflows']);
        });

        it('but not those that it has', async () => {
            assert.deepEqual(await changes({ forceMd5Check: true }, stored()), []);
        });

        for (const [what, fields] of [
            ['its time', { timeout: 1 }],
            ['what is done after a failure', { onerror: withLast('function (job, cb) { cb(); }') }],
            ['what is done when a job is canceled', { oncancel: [] }],
        ] as [string, Partial<StoredWorkflow>][]) {
            it(`in the place of one that differs in ${what}, if it is told to`, async () => {
                assert.deepEqual(await changes({}, stored(fields)), []);
                assert.deepEqual(await changes({ forceMd5Check: true }), ['PUT /workflows/U']);
                assert.deepEqual(await changes({ forceMd5Check: true }), ['PUT /workflows/U']);
                const [kept] = wfapi.workflows.values();
                assert.equal(kept?.timeout, ours.timeout);
            });
        }

        it('in any case, if it is told to', async () => {
            assert.deepEqual(await changes({ forceReplace: true }, stored()), ['PUT /workflows/U']);
        });

        it('by another process that is faster', async () => {
            const theirs = stored();
            wfapi.before = ({ method, path }) => {
                if (`${method} ${path}` === 'POST /workflows') {
                    wfapi.workflows.set(theirs.uuid, theirs);
                }
                return undefined;
            };
            assert.deepEqual(await changes({ forceMd5Check: true }), ['POST /workflows']);
            assert.deepEqual([...wfapi.workflows.keys()], [theirs.uuid]);
        });

        it('by several processes at once', async () => {
            const config = { ...wfapi.config, forceMd5Check: true };
            const server = await startServer(config, { cluster: { workers: 3 } });
            await until(
                () =>
                    server.server.log.filter(({ msg }) => msg === 'WFAPI: a workflow is ready').length === 6,
            );
            assert.equal(wfapi.workflows.size, 2);
            assert.equal(await connected(server), true);
            await server.stop();
        });

        it('until it takes them, and has no jobs before', async () => {
            let refused = 0;
            let isBlocked = true;
            wfapi.before = ({ method }) =>
                isBlocked && method === 'POST' && ++refused > 0
                    ? { status: 500, body: { code: 'InternalError', message: 'not yet' } }
                    : undefined;
            const server = await startServer(wfapi.config);
            await until(() => refused > 5);
            assert.equal(await connected(server), true);
            const query = '?action=import-remote&source=http://127.0.0.1:9';
            assertError(await server.client.post(at(UNKNOWN, query), {}), 503, 'ServiceUnavailableError');
            isBlocked = false;
            await untilWorkflowsReady(server.server);
            await server.stop();
        });

        it('of the kinds that are configured only', async () => {
            const server = await startServer({ ...wfapi.config, workflows: ['create-from-vm', 'other'] });
            await untilWorkflowsReady(server.server, ['create-from-vm']);
            const query = '?action=import-remote&source=http://127.0.0.1:9';
            assertError(await server.client.post(at(UNKNOWN, query), {}), 503, 'ServiceUnavailableError');
            assert.deepEqual(
                [...wfapi.workflows.values()].map(({ name }) => name),
                [workflowOf('create-from-vm')?.name],
            );
            assert.ok(server.server.log.some(({ msg }) => msg.includes('no workflows of these names')));
            await server.stop();
        });
    });
});
