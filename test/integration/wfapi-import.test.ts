/** Imports of images by the workflow `import-remote-image`, run by the workflow engine (imports.md §4.1). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { at, FILE, ICON, type Answer } from '../support/api';
import { startedJob, untilEnded, untilJob, type ShownJob } from '../support/jobs';
import { LyingServer, pass, passing } from '../support/lying-server';
import { DATACENTER, Registry } from '../support/registry';
import { together } from '../support/scenarios';
import { untilWorkflowsReady, WorkflowService } from '../support/wfapi';

/** For a job, in ms: each task is a process of its own that has to load its modules. */
const WITHIN = 90_000;
const ADMIN = '930896af-bf8c-48d4-885c-6573a94b1853';
const MANIFEST = {
    ...{ v: 2, name: 'theirs', version: '1', type: 'other', os: 'other', public: true },
    owner: '00000000-0000-0000-0000-000000000000',
};

/** What is done with requests for a path instead of passing them on; gives whether anything was. */
type Meddling = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Stands before a server and meddles with what is asked about some images. */
class Meddler {
    readonly #meddlings = new Map<string, Meddling>();
    #server: LyingServer | undefined;

    static async before(target: string): Promise<Meddler> {
        const meddler = new Meddler();
        meddler.#server = await LyingServer.start(
            passing(target, (request, response) => {
                const uuid = /^\/images\/([^/?]+)/.exec(request.url ?? '')?.[1] ?? '';
                return meddler.#meddlings.get(uuid)?.(request, response) ?? false;
            }),
        );
        return meddler;
    }

    get url(): string {
        return this.#server!.url();
    }

    meddle(uuid: string, meddling: Meddling): void {
        this.#meddlings.set(uuid, meddling);
    }

    async stop(): Promise<void> {
        await this.#server?.stop();
    }
}

const isFile = ({ url }: IncomingMessage): boolean => url?.includes('/file') === true;
const isAction = ({ url, method }: IncomingMessage, action: string): boolean =>
    method === 'POST' && url?.includes(`action=${action}`) === true;

function errorOf(job: ShownJob): { step?: string; code?: string; message?: string } {
    const { name, error } = job.chain_results.at(-1) ?? {};
    return typeof error === 'object' ? { step: name, ...error } : { step: name, message: error };
}

describe('AdminImportRemoteImage by a workflow', function () {
    this.timeout(180_000);
    let wfapi: WorkflowService;
    let source: Registry;
    let target: Registry;
    /** Before the source. */
    let abroad: Meddler;
    /** Before the target, for the tasks of jobs. */
    let home: Meddler;
    before(async function () {
        wfapi = await WorkflowService.start(this);
        source = await Registry.start();
        target = await Registry.start({
            ...DATACENTER,
            authType: 'none',
            adminUuid: ADMIN,
            wfapi: wfapi.config,
            outbound: { allow: ['127.0.0.1'] },
        });
        abroad = await Meddler.before(source.url);
        home = await Meddler.before(target.url);
        await wfapi.setServices({ imgapiUrl: home.url });
        await untilWorkflowsReady(target.server);
    });
    after(async () => {
        await target.stop();
        await source.stop();
        await home.stop();
        await abroad.stop();
        await wfapi.stop();
    });

    const remote = (uuid: string): Promise<Answer> =>
        target.client.post(
            at(uuid, `?action=import-remote&skip_owner_check=true&source=${encodeURIComponent(abroad.url)}`),
            {},
        );
    const run = async (uuid: string): Promise<ShownJob> =>
        untilEnded(target.client, startedJob(await remote(uuid)), WITHIN);
    const states = (...uuids: string[]): Promise<unknown[]> =>
        Promise.all(
            uuids.map(async (uuid) => {
                const answer = await target.client.get(at(uuid));
                return answer.status === 200 ? answer.manifest.state : answer.status;
            }),
        );
    /** An image of the source, with an origin of its own, which was not imported before. */
    const chain = async (): Promise<{ base: string; top: string }> => {
        const base = await source.client.createActive();
        const top = await source.client.createActive({ origin: base.uuid }, randomBytes(1000));
        return { base: base.uuid, top: top.uuid };
    };

    together((scenario) => {
        scenario('brings the image, its file, its icon and its origins, base first', async () => {
            const base = await source.client.createActive({ name: 'base' }, randomBytes(100_000));
            await source.client.uploadIcon(base.uuid);
            const middle = await source.client.createActive({ origin: base.uuid });
            // Clones have disabled origins.
            await source.client.action(middle.uuid, 'disable');
            const top = await source.client.createActive({ origin: middle.uuid }, randomBytes(50_000));
            const answer = await remote(top.uuid);
            const job = startedJob(answer);
            assert.deepEqual(answer.json, { image_uuid: top.uuid, job_uuid: job });
            assert.equal(answer.headers['workflow-api'], wfapi.url);
            const ended = await untilEnded(target.client, job, WITHIN);
            assert.equal(ended.execution, 'succeeded', JSON.stringify(ended));
            assert.deepEqual(ended.params.origins, [base.uuid, middle.uuid]);
            for (const { uuid } of [base, middle, top]) {
                const there = await source.client.get(at(uuid));
                const here = await target.client.get(at(uuid));
                assert.deepEqual(here.manifest, { ...there.manifest, owner: here.manifest.owner });
                const file = await target.client.get(at(uuid, '/file'));
                assert.deepEqual(file.body, (await source.client.get(at(uuid, '/file'))).body);
            }
            assert.deepEqual((await target.client.get(at(base.uuid, '/icon'))).body, ICON);
            // Clients ask the service itself.
            const there = (await wfapi.get(`/jobs/${job}`)) as ShownJob;
            assert.equal(there.execution, 'succeeded');
            const listed = (await target.client.get(at(top.uuid, '/jobs'))).json as ShownJob[];
            assert.deepEqual(
                listed.map(({ uuid }) => uuid),
                [job],
            );
        });

        scenario('takes back what it has made when it fails, and nothing else', async () => {
            const here = await source.client.createActive();
            const first = await run(here.uuid);
            assert.equal(first.execution, 'succeeded', JSON.stringify(first));
            const middle = await source.client.createActive({ origin: here.uuid });
            const top = await source.client.createActive({ origin: middle.uuid });
            abroad.meddle(top.uuid, (request, response) => {
                if (isFile(request)) {
                    response.writeHead(200, { 'content-length': FILE.length }).end(Buffer.alloc(FILE.length));
                }
                return isFile(request);
            });
            const job = await run(top.uuid);
            assert.equal(job.execution, 'failed');
            const { step, code } = errorOf(job);
            assert.deepEqual([step, code], ['add_image_file', 'Download'], JSON.stringify(job));
            assert.deepEqual(await states(here.uuid, middle.uuid, top.uuid), ['active', 404, 404]);
        });

        scenario('takes back origins, too, when the image cannot be activated', async () => {
            const { base, top } = await chain();
            home.meddle(top, (request, response) => {
                const hit = isAction(request, 'activate');
                if (hit) {
                    response
                        .writeHead(422, { 'content-type': 'application/json' })
                        .end('{"code":"ValidationFailed","message":"not today"}');
                }
                return hit;
            });
            const job = await run(top);
            assert.deepEqual(errorOf(job), {
                step: 'activate_image',
                code: 'ValidationFailed',
                message: 'IMGAPI: not today',
                statusCode: 422,
            });
            assert.deepEqual(await states(base, top), [404, 404]);
        });

        scenario('leaves alone an image that somebody else made meanwhile', async () => {
            const { base, top } = await chain();
            home.meddle(base, (request, response) => {
                const hit = isAction(request, 'import');
                if (hit) {
                    // The job begins now: another request is faster.
                    void target.client
                        .post(at(top, '?action=import'), { ...MANIFEST, uuid: top })
                        .then(() => {
                            home.meddle(base, () => false);
                            pass(target.url, request, response);
                        });
                }
                return hit;
            });
            const job = await run(top);
            assert.equal(errorOf(job).code, 'ImageUuidAlreadyExists', JSON.stringify(job));
            assert.equal((await target.client.get(at(top))).manifest.name, 'theirs');
            assert.deepEqual(await states(base), [404]);
        });

        scenario('does without importing an origin that somebody else brought meanwhile', async () => {
            const { base, top } = await chain();
            home.meddle(base, (request, response) => {
                const hit = isAction(request, 'import');
                if (hit) {
                    home.meddle(base, () => false);
                    void (async () => {
                        await target.client.post(at(base, '?action=import'), { ...MANIFEST, uuid: base });
                        await target.client.upload(base);
                        await target.client.action(base, 'activate');
                        pass(target.url, request, response);
                    })();
                }
                return hit;
            });
            const job = await run(top);
            assert.equal(job.execution, 'succeeded', JSON.stringify(job));
            assert.deepEqual(job.params.created, [top]);
            assert.equal((await target.client.get(at(base))).manifest.name, 'theirs');
        });

        scenario('waits for nobody who has begun to import an origin, and leaves it', async () => {
            const { base, top } = await chain();
            home.meddle(base, (request, response) => {
                const hit = isAction(request, 'import');
                if (hit) {
                    home.meddle(base, () => false);
                    void target.client
                        .post(at(base, '?action=import'), { ...MANIFEST, uuid: base })
                        .then(() => pass(target.url, request, response));
                }
                return hit;
            });
            const job = await run(top);
            assert.equal(errorOf(job).code, 'OriginIsNotActive', JSON.stringify(job));
            assert.deepEqual(await states(base, top), ['unactivated', 404]);
        });

        scenario('goes on when an answer is lost', async () => {
            const { base, top } = await chain();
            let lost = 0;
            home.meddle(base, (request, response) => {
                const hit = isAction(request, 'import') && lost++ === 0;
                if (hit) {
                    loseAnswer(request, response, target.url);
                }
                return hit;
            });
            const job = await run(top);
            assert.equal(job.execution, 'succeeded', JSON.stringify(job));
            assert.deepEqual(job.params.created, [base, top]);
        });

        scenario('takes back an image that it never heard of having made', async () => {
            const { base, top } = await chain();
            let lost = 0;
            home.meddle(top, (request, response) => {
                const hit = isAction(request, 'import') && ++lost <= 3;
                if (hit) {
                    loseAnswer(request, response, target.url);
                }
                return hit;
            });
            const job = await run(top);
            assert.equal(job.execution, 'failed');
            assert.equal(errorOf(job).step, 'import_image', JSON.stringify(job));
            assert.deepEqual(await states(base, top), [404, 404]);
        });

        scenario('is canceled, and takes back what it has made', async () => {
            const { base, top } = await chain();
            let release: (() => void) | undefined;
            const canceled = new Promise<void>((resolve) => {
                release = resolve;
            });
            abroad.meddle(top, (request, response) => {
                const hit = isFile(request);
                if (hit) {
                    void canceled.then(() => pass(source.url, request, response));
                }
                return hit;
            });
            const job = startedJob(await remote(top));
            await untilJob(target.client, job, ({ chain_results: done }) => done.length === 2, WITHIN);
            const answer = await target.client.post(`/jobs/${job}/cancel`, {});
            assert.equal((answer.json as ShownJob).execution, 'canceled', answer.text);
            release?.();
            const ended = await untilJob(
                target.client,
                job,
                ({ oncancel_results: done }) => done?.length === 2,
                WITHIN,
            );
            assert.equal(ended.execution, 'canceled');
            assert.deepEqual(await states(base, top), [404, 404]);
            const again = await target.client.post(`/jobs/${job}/cancel`, {});
            assert.equal((again.json as ShownJob).execution, 'canceled');
        });
    });

    it('takes back what it has made when its time is up', async () => {
        const stalled = (uuid: string): void =>
            abroad.meddle(uuid, (request, response) => {
                if (isFile(request)) {
                    response.writeHead(200, { 'content-length': FILE.length }).write('x');
                }
                return isFile(request);
            });
        const [found] = (await wfapi.get('/workflows?name=import-remote-image-8.0.0')) as {
            uuid: string;
            timeout: number;
            chain: { name: string; timeout: number }[];
        }[];
        assert.ok(found);
        const change = (fields: object): Promise<unknown> =>
            wfapi.put(`/workflows/${found.uuid}`, { ...found, ...fields });
        const short = found.chain.map((task) =>
            task.name === 'add_image_file' ? { ...task, timeout: 2 } : task,
        );
        const one = await chain();
        stalled(one.top);
        await change({ chain: short });
        const slowTask = startedJob(await remote(one.top));
        // The whole of the job, while it is at an origin: what the task has noted is lost.
        const two = await chain();
        stalled(two.base);
        await change({ timeout: 15 });
        const slowJob = startedJob(await remote(two.top));
        await change({});

        const first = await untilEnded(target.client, slowTask, WITHIN);
        assert.deepEqual(errorOf(first), { step: 'add_image_file', message: 'task timeout error' });
        assert.deepEqual(await states(one.base, one.top), [404, 404]);
        const second = await untilEnded(target.client, slowJob, WITHIN);
        assert.equal(errorOf(second).message, 'workflow timeout', JSON.stringify(second));
        assert.deepEqual(await states(two.base, two.top), [404, 404]);
    });
});

/** Has a request done, but cuts the connection instead of answering it. */
function loseAnswer(request: IncomingMessage, response: ServerResponse, target: string): void {
    void fetch(target + String(request.url), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{}',
    }).then(async (answer) => {
        assert.equal(answer.status, 200, await answer.text());
        response.destroy();
    });
}
