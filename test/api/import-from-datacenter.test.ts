/** ImportFromDatacenter, row by row, and both imports by jobs with a workflow service that is up, down, or lies (imports.md §4 and §5). */
import assert from 'node:assert/strict';
import { assertError, at, newUuid, OTHER, OWNER, UNKNOWN, type Answer } from '../support/api';
import { DatacenterSource } from '../support/datacenter-source';
import { testImage } from '../support/images';
import { startedJob, untilEnded } from '../support/jobs';
import * as lying from '../support/lying-server';
import { json, LyingServer, type Behaviour } from '../support/lying-server';
import { DATACENTER, Registry } from '../support/registry';

const own = `account=${OWNER}`;
const QUICK = { connectTimeout: '300ms', answerTimeout: '300ms', idleTimeout: '300ms' };

/** West, with a way to East and one to nowhere. */
const west = (east: DatacenterSource, config: object = {}): Record<string, unknown> => ({
    ...DATACENTER,
    authType: 'none',
    datacenterName: 'west',
    imgapiUrlFromDatacenter: { east: east.url, west: 'http://127.0.0.1:9', gone: 'http://127.0.0.1:9' },
    outbound: QUICK,
    jobs: { retryDelay: '20ms', maxRetryDelay: '100ms', attempts: 2 },
    ...config,
});

const asking =
    (registry: () => Registry) =>
    (uuid: string, query: string, headers: Record<string, string> = {}): Promise<Answer> =>
        registry().client.post(at(uuid, `?action=import-from-datacenter&${query}`), {}, headers);

describe('ImportFromDatacenter', function () {
    this.timeout(40_000);
    let east: DatacenterSource;
    let registry: Registry;
    before(async () => {
        east = await DatacenterSource.start();
        registry = await Registry.start(west(east));
    });
    after(async () => {
        await registry.stop();
        await east.server.stop();
    });
    beforeEach(() => {
        east.behave = undefined;
    });
    const ask = asking(() => registry);
    const fromEast = (uuid: string): Promise<Answer> => ask(uuid, `${own}&datacenter=east`);

    describe('refuses, in this order,', () => {
        const invalid = [422, 'ValidationFailed'] as const;

        it('an account that is none', async () => {
            for (const query of ['datacenter=x', 'account=x', 'account=', `${own}x&datacenter=west`]) {
                assertError(await ask(UNKNOWN, query), ...invalid, 'account:Invalid');
            }
            assert.match((await ask(UNKNOWN, 'datacenter=x')).error.message, /"account" is missing/);
        });

        it('a datacenter that is missing, unknown, or this one', async () => {
            assertError(await ask(UNKNOWN, own), ...invalid, 'datacenter:MissingParameter');
            assertError(await ask(UNKNOWN, `${own}&datacenter=`), ...invalid, 'datacenter:MissingParameter');
            for (const name of ['nowhere', 'west', 'toString', '__proto__']) {
                const answer = await ask(UNKNOWN, `${own}&datacenter=${name}`);
                assertError(answer, ...invalid, 'datacenter:Invalid');
                assert.match(answer.error.message, /east, gone/);
            }
        });

        it('what the other datacenter refuses, in its words', async () => {
            const answer = await fromEast(UNKNOWN);
            assertError(answer, 404, 'ResourceNotFound');
            assert.equal(answer.error.message, `image "${UNKNOWN}" is not there`);
            east.behave = json({ code: 'UnauthorizedError', message: 'who are you?' }, 401);
            assertError(await fromEast(UNKNOWN), 401, 'UnauthorizedError');
        });

        const failures: Record<string, Behaviour> = {
            'is broken': json({ code: 'InternalError', message: 'oops' }, 500),
            'says that it is not the one': json({ code: 'ResourceNotFound', message: 'x' }, 500),
            'has an error that nobody knows': json({ code: 'Novelty', message: 'x' }, 418),
            'answers with a page': (_request, response) => response.writeHead(404).end('<html>'),
            'answers with a redirect': lying.redirect('http://127.0.0.1/'),
            'does not answer': lying.silent,
            'hangs up': lying.hangUp,
            'sends what is no image': json([]),
            'sends another image': json({ uuid: UNKNOWN, state: 'active', owner: OWNER }),
        };
        for (const [how, behave] of Object.entries(failures)) {
            it(`a datacenter that ${how}: 503`, async () => {
                east.behave = behave;
                assertError(await fromEast(newUuid()), 503, 'RemoteSourceError');
            });
        }

        it('a datacenter that is down: 503', async () => {
            assertError(await ask(UNKNOWN, `${own}&datacenter=gone`), 503, 'RemoteSourceError');
        });

        it('an image that is not active there, whoever owns it', async () => {
            const uuid = newUuid();
            for (const state of ['unactivated', 'disabled', 'creating', 'failed', undefined]) {
                east.add(uuid, { state, owner: OTHER });
                const answer = await fromEast(uuid);
                assert.deepEqual([answer.status, answer.error.code, answer.error.errors], [...invalid, []]);
            }
        });

        it('an image of somebody else, though it be here', async () => {
            const raw = testImage(8100, { owner: OWNER });
            await registry.plant(raw);
            east.add(raw.uuid, { owner: OTHER });
            assertError(await fromEast(raw.uuid), 401, 'UnauthorizedError');
        });

        it('an image that is here, in any state, though its origin be missing', async () => {
            const images = [
                testImage(8101, { owner: OWNER }),
                testImage(8102, { owner: OTHER, activated: false }),
                testImage(8103, { owner: OWNER, activated: false, state: 'creating' }),
            ];
            await registry.plant(...images);
            for (const { uuid } of images) {
                east.add(uuid, { origin: UNKNOWN });
                assertError(await fromEast(uuid), 409, 'ImageUuidAlreadyExists');
            }
        });
    });

    describe('judges origins:', () => {
        const chain = (...origins: [fields: object, ...object[]]): string[] => {
            const uuids = [newUuid(), ...origins.map(() => newUuid())];
            east.add(uuids[0]!, { origin: uuids[1] });
            origins.forEach((fields, index) =>
                east.add(uuids[index + 1]!, { origin: uuids[index + 2], ...fields }),
            );
            return uuids;
        };

        it('those of the account come along, base first', async () => {
            const [top = '', middle, base] = chain({ state: 'disabled' }, {});
            const job = startedJob(await fromEast(top));
            const { params } = (await registry.client.get(`/jobs/${job}`)).json as { params: object };
            assert.deepEqual(params, {
                ...{ origins: [base, middle], image_uuid: top, source: east.url },
                ...{ skip_owner_check: false, task: 'import-remote-image' },
                req_id: (params as { req_id: string }).req_id,
            });
        });

        it('those of others have to be here', async () => {
            const [top = '', , theirs = ''] = chain({}, { owner: OTHER });
            const answer = await fromEast(top);
            assertError(answer, 404, 'ResourceNotFound');
            assert.ok(answer.error.message.includes(theirs));
            await registry.plant({ ...testImage(8110, { owner: OTHER }), uuid: theirs });
            startedJob(await fromEast(top));
        });

        it('one that is not active, here or there, is refused', async () => {
            const [top = ''] = chain({}, { state: 'unactivated' });
            assertError(await fromEast(top), 422, 'OriginIsNotActive');
            const [other = '', here = ''] = chain({});
            await registry.plant({ ...testImage(8111, { activated: false }), uuid: here });
            assertError(await fromEast(other), 422, 'OriginIsNotActive');
        });

        it('one that cannot be had is the source’s fault', async () => {
            const uuid = newUuid();
            east.add(uuid, { origin: UNKNOWN });
            const answer = await fromEast(uuid);
            assertError(answer, 503, 'RemoteSourceError');
            assert.ok(answer.error.message.includes(UNKNOWN));
        });

        it('100 at most', async () => {
            const [first, ...rest] = Array.from({ length: 101 }, () => ({}));
            const [top = '', below = ''] = chain(first!, ...rest);
            assertError(await fromEast(top), 500, 'InternalError');
            startedJob(await fromEast(below));
        });
    });

    it('starts a job, without the address having to be allowed', async () => {
        const uuid = newUuid();
        east.add(uuid);
        const answer = await fromEast(uuid);
        const job = startedJob(answer);
        assert.deepEqual(answer.json, { image_uuid: uuid, job_uuid: job });
        assert.equal(answer.headers['workflow-api'], registry.url);
        // The owner cannot be looked up: the directory is down. That may pass, so it is tried again until the end.
        const ended = await untilEnded(registry.client, job);
        assert.equal(ended.execution, 'failed');
        const { error } = ended.chain_results.at(-1) ?? {};
        assert.equal(typeof error === 'object' && error.code, 'ServiceUnavailableError');
        assert.equal((await registry.client.get(at(uuid))).status, 404);
    });
});

/** Speaks as the workflow service does, as far as imports ask it. */
class Workflows {
    /** The jobs that were asked for, as they came. */
    readonly jobs: { body: Record<string, unknown>; headers: Record<string, unknown> }[] = [];
    readonly uuid = newUuid();
    readonly job = newUuid();
    up = false;
    /** What the creation of a job is answered with. */
    create: Behaviour = json({ uuid: this.job, task: 'import-remote-image', execution: 'queued' });

    private constructor(readonly server: LyingServer) {
        server.behave = (request, response) => {
            const route = `${String(request.method)} ${String(request.url).replace(/\?.*/, '')}`;
            if (!this.up) {
                response.writeHead(503).end();
            } else if (route === 'POST /jobs') {
                let text = '';
                request.on('data', (piece) => (text += String(piece)));
                request.on('end', () => {
                    this.jobs.push({
                        body: JSON.parse(text) as Record<string, unknown>,
                        headers: request.headers,
                    });
                    this.create(request, response);
                });
            } else if (route === 'GET /workflows') {
                json([])(request, response);
            } else {
                json({ uuid: this.uuid })(request, response);
            }
        };
    }

    static async start(): Promise<Workflows> {
        return new Workflows(await LyingServer.start(() => undefined));
    }
}

describe('Imports by the workflow service', function () {
    this.timeout(40_000);
    let east: DatacenterSource;
    let workflows: Workflows;
    let registry: Registry;
    before(async () => {
        east = await DatacenterSource.start();
        workflows = await Workflows.start();
        registry = await Registry.start(
            west(east, {
                wfapi: {
                    url: workflows.server.url(),
                    workflows: ['import-remote-image'],
                    pingInterval: '50ms',
                    retry: { minTimeout: '50ms' },
                },
                services: { connectTimeout: '300ms', answerTimeout: '300ms' },
                allowInsecure: true,
            }),
        );
    });
    after(async () => {
        await registry.stop();
        await Promise.all([east.server.stop(), workflows.server.stop()]);
    });
    const askEast = asking(() => registry);
    const fromEast = (uuid: string, headers?: Record<string, string>) =>
        askEast(uuid, `${own}&datacenter=east`, headers);
    const remote = (uuid: string, query = '', headers: Record<string, string> = {}) =>
        registry.client.post(
            at(uuid, `?action=import-remote&source=${encodeURIComponent(east.url)}${query}`),
            {},
            headers,
        );

    describe('that is out of reach', () => {
        it('are refused before the source is asked, but after what is here', async () => {
            const raw = testImage(8200);
            await registry.plant(raw);
            const asked = east.server.requests.length;
            assertError(await remote(raw.uuid), 409, 'ImageUuidAlreadyExists');
            assertError(await remote(newUuid()), 503, 'ServiceUnavailableError');
            assert.equal(east.server.requests.length, asked);
        });

        it('are refused after all else from a datacenter', async () => {
            assertError(await fromEast(UNKNOWN), 404, 'ResourceNotFound');
            const [top, theirs] = [newUuid(), newUuid()];
            east.add(theirs, { owner: OTHER });
            east.add(top, { origin: theirs });
            assertError(await fromEast(top), 404, 'ResourceNotFound');
            const uuid = newUuid();
            east.add(uuid);
            assertError(await fromEast(uuid), 503, 'ServiceUnavailableError');
        });
    });

    describe('that is there', () => {
        before(async () => {
            workflows.up = true;
            await registry.server.logged(({ msg }) => msg === 'WFAPI: added a workflow');
        });

        /** The answer once the workflow is known to be there: the log says so a moment earlier. */
        async function ready(ask: () => Promise<Answer>): Promise<Answer> {
            for (;;) {
                const answer = await ask();
                if (answer.status !== 503 || !answer.error.message.includes('does not have the workflow')) {
                    return answer;
                }
            }
        }

        it('become jobs of it, with all they need to know', async () => {
            const [uuid, base] = [newUuid(), newUuid()];
            east.add(base);
            east.add(uuid, { origin: base });
            const headers = { 'x-request-id': 'the-request' };
            const params = {
                ...{ origins: [base], image_uuid: uuid, req_id: 'the-request', source: east.url },
                ...{ allowInsecure: true, task: 'import-remote-image', workflow: workflows.uuid },
                target: `/import-remote-${uuid}`,
            };
            for (const [ask, skip] of [
                [() => remote(uuid, '&skip_owner_check=true', headers), true],
                [() => remote(uuid, '', headers), false],
                [() => fromEast(uuid, headers), false],
            ] as const) {
                const answer = await ready(ask);
                assert.deepEqual(answer.json, { image_uuid: uuid, job_uuid: workflows.job });
                assert.equal(answer.headers['workflow-api'], workflows.server.url());
                const { body, headers: sent } = workflows.jobs.at(-1) ?? {};
                assert.deepEqual(body, { ...params, skip_owner_check: skip });
                assert.equal(sent?.['x-request-id'], 'the-request');
            }
            assert.equal((await registry.client.get(at(uuid))).status, 404);
        });

        const refusals: [how: string, behave: Behaviour, status: number, code: string][] = [
            ['is broken', json({ code: 'InternalError', message: 'x' }, 500), 503, 'ServiceUnavailableError'],
            [
                'goes on to lose the workflow',
                json({ code: 'ResourceNotFound', message: 'x' }, 404),
                503,
                'ServiceUnavailableError',
            ],
            ['has such a job', json({ code: 'InvalidArgument', message: 'x' }, 409), 409, 'InvalidArgument'],
            ['answers with a page', lying.bytes('<html>'), 503, 'ServiceUnavailableError'],
            ['answers with no job', json({}), 503, 'ServiceUnavailableError'],
            ['answers without end', lying.endless('[1,'), 503, 'ServiceUnavailableError'],
            ['does not answer', lying.silent, 503, 'ServiceUnavailableError'],
            ['hangs up', lying.hangUp, 503, 'ServiceUnavailableError'],
        ];
        for (const [how, behave, status, code] of refusals) {
            it(`and ${how} are answered ${status}`, async () => {
                const uuid = newUuid();
                east.add(uuid);
                workflows.create = behave;
                for (const ask of [() => remote(uuid), () => fromEast(uuid)]) {
                    const answer = await ready(ask);
                    assertError(answer, status, code);
                    assert.equal(answer.headers['workflow-api'], undefined);
                }
                assert.equal((await registry.client.get(at(uuid))).status, 404);
            });
        }
    });
});
