import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { EtagConflict } from '../../lib/db/driver';
import { ApiError } from '../../lib/errors';
import type { Job } from '../../lib/jobs/driver';
import { definition, gate, IMAGE, JobWorld, Permanent, step, TASK, unreachable } from '../support/job-engine';
import { testUuid } from '../support/images';

const WARN = 40;
const ERROR = 50;

const names = (results: unknown) => (results as { name: string }[]).map(({ name }) => name);

describe('The job engine', () => {
    let world: JobWorld;

    beforeEach(async () => {
        world = await JobWorld.make();
    });
    afterEach(() => world.remove());

    describe('runs a job', () => {
        it('that is durable before its creation is answered, in the form of the workflow service', async () => {
            const { engine } = await world.process(
                definition([step('one', undefined, 1500), step('two', undefined, 1000)]),
            );
            const job = await world.create(engine, { req_id: 'r', source: 'https://source' });
            assert.deepEqual(await engine.get(job.uuid), job);
            const { uuid, workflow_uuid, created_at, exec_after, ...rest } = job;
            assert.match(uuid, /^[0-9a-f-]{36}$/);
            assert.match(
                String(workflow_uuid),
                /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/,
            );
            assert.equal(exec_after, created_at);
            assert.ok(Math.abs(Date.parse(created_at) - Date.now()) < 5000);
            assert.deepEqual(rest, {
                name: 'test-1.0.0',
                execution: 'queued',
                params: { req_id: 'r', source: 'https://source', image_uuid: IMAGE, task: TASK },
                target: `/test-${IMAGE}`,
                task: TASK,
                image_uuid: IMAGE,
                timeout: 3,
                num_attempts: 0,
                max_attempts: 3,
                elapsed: 0,
                chain_results: [],
                onerror_results: [],
                oncancel_results: [],
            });
        });

        it('whose workflow has a uuid that depends on its name only', async () => {
            const [one, same, other] = await Promise.all(
                ['a-1', 'a-1', 'a-2'].map(async (name) => {
                    const { engine } = await world.process(definition([], { name }));
                    return (await world.create(engine)).workflow_uuid;
                }),
            );
            assert.equal(one, same);
            assert.notEqual(one, other);
        });

        it('step by step, each recorded before the next begins', async () => {
            const first = gate('first');
            const second = gate('second');
            const engine = await world.engine(definition([first, second]));
            const { uuid } = await world.create(engine, { n: 1 });
            const context = await first.reached();
            assert.equal(context.uuid, uuid);
            assert.deepEqual(context.params, { n: 1, image_uuid: IMAGE, task: TASK });
            const running = await world.job(uuid);
            assert.equal(running.execution, 'running');
            assert.deepEqual(running.chain_results, []);
            first.open();
            await second.reached();
            const [result, none] = (await world.job(uuid)).chain_results;
            assert.equal(none, undefined);
            assert.ok(result);
            assert.deepEqual([result.name, result.result, result.error], ['first', 'first passed', '']);
            assert.ok(Date.parse(result.started_at) <= Date.parse(result.finished_at));
            second.open();
            const done = await world.untilDone(uuid);
            assert.equal(done.execution, 'succeeded');
            assert.deepEqual(names(done.chain_results), ['first', 'second']);
            assert.deepEqual([first.begun, second.begun], [1, 1]);
            const shown = await engine.get(uuid);
            assert.ok(typeof shown?.elapsed === 'number' && shown.elapsed >= 0 && shown.elapsed < 20);
        });

        it('that has no steps', async () => {
            const engine = await world.engine(definition([]));
            const { uuid } = await world.create(engine);
            assert.equal((await world.untilDone(uuid)).execution, 'succeeded');
        });

        it('not of a kind it does not know, and not with two steps of a name', async () => {
            const { engine } = await world.process([]);
            await assert.rejects(world.create(engine), TypeError);
            assert.throws(() => engine.register(definition([step('a'), step('a')])), TypeError);
        });

        it('beside others, but no more at once than it may', async () => {
            let running = 0;
            let most = 0;
            const counted = step('counted', async () => {
                most = Math.max(most, ++running);
                await wait(10);
                running--;
                return '';
            });
            const engine = await world.engine(definition([counted]), { concurrency: 2 });
            const jobs = await Promise.all([1, 2, 3, 4, 5].map(() => world.create(engine)));
            for (const { uuid } of jobs) {
                await world.untilDone(uuid);
            }
            assert.equal(most, 2);
            assert.equal(counted.begun, 5);
        });
    });

    describe('tells', () => {
        it('how far a transfer is, about once a second and when the step ends', async () => {
            const moving = gate('moving');
            const engine = await world.engine(definition([moving]), { leaseTime: 10_000 });
            const { uuid } = await world.create(engine);
            const context = await moving.reached();
            let writes = 0;
            world.written.on('put', () => writes++);
            for (let done = 1; done <= 1000; done++) {
                context.progress(done, undefined);
            }
            const job = await world.until(uuid, ({ progress }) => progress !== undefined);
            assert.deepEqual(job.progress, { done: 1000 });
            assert.equal(writes, 1);
            context.progress(2000, 3000);
            moving.open();
            assert.deepEqual((await world.untilDone(uuid)).progress, { done: 2000, total: 3000 });
        });
    });

    describe('when a step fails', () => {
        it('tries again, and goes on once it succeeds', async () => {
            let failures = 2;
            const shaky = step('shaky', async () => {
                if (failures-- > 0) {
                    throw new Error('not yet');
                }
                return 'at last';
            });
            const before = step('before');
            const engine = await world.engine(definition([before, shaky]));
            const { uuid } = await world.create(engine);
            const retried = await world.until(uuid, ({ num_attempts }) => num_attempts === 2);
            assert.equal(retried.execution, 'running');
            assert.deepEqual(names(retried.chain_results), ['before']);
            const job = await world.untilDone(uuid);
            assert.equal(job.execution, 'succeeded');
            assert.equal(job.chain_results[1]?.result, 'at last');
            assert.deepEqual([before.begun, shaky.begun], [1, 3]);
        });

        it('waits longer each time, up to a limit, and says when it tries again', async () => {
            const begun: number[] = [];
            const hopeless = step('hopeless', async () => {
                begun.push(performance.now());
                throw new Error('no');
            });
            const engine = await world.engine(definition([hopeless]), {
                attempts: 5,
                retryDelay: 40,
                maxRetryDelay: 100,
            });
            const { uuid } = await world.create(engine);
            const waiting = await world.until(
                uuid,
                ({ exec_after, created_at }) => exec_after !== created_at,
            );
            const delay = Date.parse(String(waiting.exec_after)) - Date.parse(waiting.created_at);
            assert.ok(delay >= 20 && delay < 1000, String(delay));
            assert.equal((await world.untilDone(uuid)).execution, 'failed');
            const pauses = begun.slice(1).map((time, n) => time - (begun[n] ?? 0));
            [20, 40, 50, 50].forEach((least, n) => assert.ok((pauses[n] ?? 0) >= least - 1, String(pauses)));
            assert.ok(
                pauses.every((pause) => pause < 2000),
                String(pauses),
            );
        });

        it('gives up after so many attempts, cleans up in order, and has failed only then', async () => {
            const hopeless = step('hopeless', async () => {
                throw new ApiError('RemoteSourceError', 'The source at https://joe:secret@host/x is away.');
            });
            const never = step('never');
            const first = gate('undo');
            const second = step('undo more');
            const engine = await world.engine(definition([hopeless, never], { onerror: [first, second] }));
            const { uuid } = await world.create(engine);
            await first.reached();
            const cleaning = await world.job(uuid);
            assert.equal(cleaning.execution, 'running');
            assert.deepEqual(cleaning.chain_results[0]?.error, {
                code: 'RemoteSourceError',
                message: 'The source at https://host/x is away.',
            });
            first.open();
            const job = await world.untilDone(uuid);
            assert.equal(job.execution, 'failed');
            assert.deepEqual(names(job.onerror_results), ['undo', 'undo more']);
            assert.deepEqual([hopeless.begun, never.begun, second.begun], [3, 0, 1]);
            const shown = await engine.get(uuid);
            assert.equal(shown?.execution, 'failed');
        });

        it('gives up at once if the failure would come again', async () => {
            const refused = step('refused', async () => {
                throw new Permanent('ImageUuidAlreadyExists', 'It exists.');
            });
            const engine = await world.engine(definition([refused]));
            const { uuid } = await world.create(engine);
            const job = await world.untilDone(uuid);
            assert.equal(job.execution, 'failed');
            assert.deepEqual(job.chain_results[0]?.error, {
                code: 'ImageUuidAlreadyExists',
                message: 'It exists.',
            });
            assert.equal(refused.begun, 1);
        });

        it('tells nobody but the log of failures that the server did not expect', async () => {
            const broken = step('broken', async () => {
                throw new Error('/secret/path at line 5');
            });
            const engine = await world.engine(definition([broken]), { attempts: 1 });
            const { uuid } = await world.create(engine);
            const { chain_results } = await world.untilDone(uuid);
            const error = chain_results[0]?.error as { code: string; message: string };
            assert.equal(error.code, 'InternalError');
            assert.ok(error.message.includes(uuid));
            assert.doesNotMatch(JSON.stringify(chain_results), /secret/);
            assert.ok(world.records.some(({ err }) => err?.message.includes('/secret/path') === true));
        });

        it('does what it can to clean up, whatever fails of it', async () => {
            const stuck = step('stuck', async () => {
                throw new Error('no');
            });
            const rest = step('rest');
            const failing = step('failing', async () => {
                throw new Permanent('Upload', 'Refused.');
            });
            const engine = await world.engine(definition([failing], { onerror: [stuck, rest] }), {
                attempts: 5,
            });
            const { uuid } = await world.create(engine);
            const job = await world.untilDone(uuid);
            assert.equal(job.execution, 'failed');
            const [one, two] = job.onerror_results as Job['chain_results'];
            assert.notEqual(one?.error, '');
            assert.equal(two?.error, '');
            assert.deepEqual([stuck.begun, rest.begun], [3, 1]);
        });

        it('ends it when its time is up, and tries again', async () => {
            let heard: unknown;
            const slow = step(
                'slow',
                async ({ signal }) => {
                    await once(signal, 'abort');
                    heard = signal.reason;
                    throw new Error('aborted');
                },
                30,
            );
            const engine = await world.engine(definition([slow]), { attempts: 2 });
            const { uuid } = await world.create(engine);
            const { chain_results } = await world.untilDone(uuid);
            assert.equal(slow.begun, 2);
            assert.equal((heard as Error).name, 'StepTimeout');
            const error = chain_results[0]?.error as { code: string; message: string };
            assert.equal(error.code, 'StepTimeout');
            assert.match(error.message, /slow .* 0\.03 seconds/);
        });

        it('goes on without one that does not end when it is told to', async () => {
            const deaf = step('deaf', () => new Promise(() => undefined), 20);
            const engine = await world.engine(definition([deaf]), { attempts: 1 });
            const { uuid } = await world.create(engine);
            assert.equal((await world.untilDone(uuid)).execution, 'failed');
            assert.deepEqual(world.logged(ERROR), ['a step of a job did not end when it was told to']);
        });

        it('takes one that throws before it gives a promise as failed', async () => {
            const rash = { ...step('rash'), run: () => unreachable() };
            const engine = await world.engine(definition([rash]), { attempts: 1 });
            const { uuid } = await world.create(engine);
            assert.equal((await world.untilDone(uuid)).execution, 'failed');
        });
    });

    describe('cancels a job', () => {
        const undo = () => step('undo');

        it('that is queued: it never begins, and there is nothing to undo', async () => {
            const [work, back] = [step('work'), undo()];
            const { engine } = await world.process(definition([work], { oncancel: [back] }));
            const { uuid } = await world.create(engine);
            assert.equal((await engine.cancel(uuid))?.execution, 'canceled');
            engine.start();
            const other = await world.create(engine);
            await world.untilDone(other.uuid);
            const job = await world.untilDone(uuid);
            assert.equal(job.execution, 'canceled');
            assert.deepEqual([work.begun, back.begun], [1, 0]);
        });

        it('that runs here: the step hears of it at once, and what was done is undone', async () => {
            const [work, rest, back] = [gate('work'), step('rest'), undo()];
            const engine = await world.engine(definition([work, rest], { oncancel: [back] }), {
                leaseTime: 60_000,
            });
            const { uuid } = await world.create(engine);
            const { signal } = await work.reached();
            const heard = once(signal, 'abort');
            const answer = await engine.cancel(uuid);
            assert.equal(answer?.execution, 'canceled');
            assert.deepEqual(answer.chain_results.at(-1)?.error, {
                code: 'JobCanceled',
                message: 'The job was canceled.',
            });
            await heard;
            const job = await world.untilDone(uuid);
            assert.equal(job.execution, 'canceled');
            assert.deepEqual(names(job.chain_results), ['work']);
            assert.deepEqual(names(job.oncancel_results), ['undo']);
            assert.deepEqual([work.begun, rest.begun, back.begun], [1, 0, 1]);
        });

        it('that runs in another process', async () => {
            const [work, back] = [gate('work'), undo()];
            const kind = definition([work], { oncancel: [back] });
            const engine = await world.engine(kind);
            const { engine: idle } = await world.process(kind);
            const { uuid } = await world.create(engine);
            await work.reached();
            await idle.cancel(uuid);
            const job = await world.untilDone(uuid);
            assert.deepEqual(names(job.oncancel_results), ['undo']);
            assert.deepEqual([work.begun, back.begun], [1, 1]);
        });

        it('that waits for its next attempt', async () => {
            const back = undo();
            const failing = step('failing', async () => {
                throw new Error('no');
            });
            const engine = await world.engine(definition([failing], { oncancel: [back] }), {
                retryDelay: 60_000,
                maxRetryDelay: 60_000,
            });
            const { uuid } = await world.create(engine);
            await world.until(uuid, ({ exec_after, created_at }) => exec_after !== created_at);
            await engine.cancel(uuid);
            const job = await world.untilDone(uuid);
            assert.equal(job.execution, 'canceled');
            assert.deepEqual([failing.begun, back.begun], [1, 1]);
        });

        it('that is cleaning up after a failure', async () => {
            const [cleaning, back] = [gate('cleaning'), undo()];
            const failing = step('failing', async () => {
                throw new Permanent('Upload', 'Refused.');
            });
            const engine = await world.engine(
                definition([failing], { onerror: [cleaning], oncancel: [back] }),
            );
            const { uuid } = await world.create(engine);
            await cleaning.reached();
            await engine.cancel(uuid);
            const job = await world.untilDone(uuid);
            assert.equal(job.execution, 'canceled');
            assert.equal((job.chain_results[0]?.error as { code: string }).code, 'Upload');
            assert.equal(back.begun, 1);
        });

        it('that has ended not any more', async () => {
            const back = undo();
            const failing = step('failing', async () => {
                throw new Permanent('Upload', 'Refused.');
            });
            const engine = await world.engine(definition([failing], { oncancel: [back] }));
            const { uuid } = await world.create(engine);
            const failed = await world.untilDone(uuid);
            assert.equal((await engine.cancel(uuid))?.execution, 'failed');
            assert.deepEqual(await world.job(uuid), failed);
            assert.equal(back.begun, 0);
        });

        it('not if there is none', async () => {
            const { engine } = await world.process([]);
            assert.equal(await engine.cancel(testUuid(1)), undefined);
            assert.equal(await engine.get(testUuid(1)), undefined);
        });

        it('against writes that come in between', async () => {
            const work = gate('work');
            const process = await world.process(definition([work]));
            const { engine, jobs } = process;
            engine.start();
            const { uuid } = await world.create(engine);
            await work.reached();
            const put = jobs.put.bind(jobs);
            let disturbed = 0;
            jobs.put = async (job, etag) => {
                if (job.execution === 'canceled' && disturbed++ < 3) {
                    const current = await world.database.jobs.get(uuid);
                    assert.ok(current);
                    await assert.rejects(put(job, 'AAAAAAAA'), EtagConflict);
                    throw new EtagConflict(uuid);
                }
                return put(job, etag);
            };
            await engine.cancel(uuid);
            const job = await world.untilDone(uuid);
            assert.equal(job.execution, 'canceled');
            assert.equal(disturbed > 3, true);
        });

        it('and undoes it even if the process that had it died', async () => {
            const back = gate('undo');
            const work = gate('work');
            const kind = definition([work], { oncancel: [step('first undo'), back] });
            const dying = await world.process(kind);
            dying.engine.start();
            const { uuid } = await world.create(dying.engine);
            await work.reached();
            await dying.engine.cancel(uuid);
            await back.reached();
            dying.away = true;
            const engine = await world.engine(kind);
            await world.until(uuid, () => back.begun === 2);
            back.open();
            const job = await world.untilDone(uuid);
            assert.deepEqual(names(job.oncancel_results), ['first undo', 'undo']);
            assert.equal((await engine.get(uuid))?.execution, 'canceled');
        });
    });

    describe('when a process dies', () => {
        it('goes on in another one with the step that was not done', async () => {
            const [first, second] = [step('first'), gate('second')];
            const kind = definition([first, second]);
            const dying = await world.process(kind);
            dying.engine.start();
            const { uuid } = await world.create(dying.engine);
            await second.reached();
            dying.away = true;
            const killed = performance.now();
            await world.engine(kind);
            await world.until(uuid, ({ num_attempts }) => num_attempts === 2);
            assert.ok(performance.now() - killed < 2000);
            await second.reached();
            second.open();
            assert.equal((await world.untilDone(uuid)).execution, 'succeeded');
            assert.deepEqual([first.begun, second.begun], [1, 2]);
        });

        it('tells a process that only seemed dead to end, which then keeps its hands off the job', async () => {
            const work = gate('work');
            const kind = definition([work]);
            const stalled = await world.process(kind);
            stalled.engine.start();
            const { uuid } = await world.create(stalled.engine);
            const context = await work.reached();
            stalled.away = true;
            const ended = once(context.signal, 'abort');
            await ended;
            assert.equal((context.signal.reason as { kind: string }).kind, 'lost');
            context.progress(1, 2);
            await world.engine(kind);
            await world.until(uuid, ({ num_attempts }) => num_attempts === 2);
            await work.reached();
            stalled.away = false;
            work.open();
            const job = await world.untilDone(uuid);
            assert.equal(job.progress, undefined);
            assert.equal(job.execution, 'succeeded');
        });

        it('counts the attempt, so that a job that kills every process ends some time', async () => {
            const fatal = gate('fatal');
            const clean = step('clean');
            const kind = definition([fatal], { onerror: [clean] });
            let uuid = '';
            for (let n = 1; n <= 2; n++) {
                const dying = await world.process(kind, { attempts: 2 });
                dying.engine.start();
                uuid ||= (await world.create(dying.engine)).uuid;
                await world.until(uuid, ({ num_attempts }) => num_attempts === n);
                await fatal.reached();
                dying.away = true;
            }
            await world.engine(kind);
            const job = await world.untilDone(uuid);
            assert.equal(job.execution, 'failed');
            assert.equal((job.chain_results[0]?.error as { code: string }).code, 'StepAbandoned');
            assert.deepEqual([fatal.begun, clean.begun], [2, 1]);
        });

        it('keeps the time of the next attempt', async () => {
            const failing = step('failing', async () => {
                throw new Error('no');
            });
            const kind = definition([failing]);
            const process = await world.process(kind, { retryDelay: 1000, maxRetryDelay: 1000 });
            process.engine.start();
            const { uuid } = await world.create(process.engine);
            const { exec_after } = await world.until(uuid, (job) => job.exec_after !== job.created_at);
            await process.engine.stop();
            await world.engine(kind);
            await world.until(uuid, ({ num_attempts }) => num_attempts === 2);
            assert.ok(Date.now() >= Date.parse(String(exec_after)));
        });
    });

    describe('of several processes', () => {
        it('works on each job in one of them', async () => {
            let running = new Set<string>();
            let twice = 0;
            const work = step('work', async ({ uuid }) => {
                twice += running.has(uuid) ? 1 : 0;
                running = running.add(uuid);
                await wait(5);
                running.delete(uuid);
                return '';
            });
            const kind = definition([work, step('more')]);
            const engines = [await world.engine(kind), await world.engine(kind), await world.engine(kind)];
            const jobs: Job[] = [];
            for (let n = 0; n < 30; n++) {
                jobs.push(await world.create(engines[n % 3]!));
            }
            for (const { uuid } of jobs) {
                assert.equal((await world.untilDone(uuid)).execution, 'succeeded');
            }
            assert.deepEqual([work.begun, twice], [30, 0]);
        });

        it('takes over what another has no room for', async () => {
            const work = gate('work');
            const kind = definition([work]);
            const full = await world.engine(kind, { concurrency: 1 });
            await world.create(full);
            await work.reached();
            const { uuid } = await world.create(full);
            await world.engine(kind);
            await world.until(uuid, ({ execution }) => execution === 'running');
        });
    });

    describe('when the process stops', () => {
        it('interrupts the jobs, which go on at the next start as if nothing had been', async () => {
            const work = gate('work');
            const kind = definition([work]);
            const { engine } = await world.process(kind, { leaseTime: 60_000, attempts: 1 });
            engine.start();
            const { uuid } = await world.create(engine);
            const { signal } = await work.reached();
            await engine.stop();
            assert.equal((signal.reason as { kind: string }).kind, 'stopped');
            const job = await world.job(uuid);
            assert.deepEqual([job.execution, job.num_attempts, job.chain_results], ['running', 0, []]);
            await world.engine(kind, { leaseTime: 60_000 });
            await work.reached();
            work.open();
            assert.equal((await world.untilDone(uuid)).execution, 'succeeded');
        });

        it('keeps the result of a step that ends well all the same', async () => {
            const work = step('work', async ({ signal }) => {
                await once(signal, 'abort');
                return 'done after all';
            });
            const next = step('next');
            const { engine } = await world.process(definition([work, next]));
            engine.start();
            const { uuid } = await world.create(engine);
            await world.until(uuid, ({ execution }) => execution === 'running');
            await engine.stop();
            const job = await world.job(uuid);
            assert.deepEqual(names(job.chain_results), ['work']);
            assert.equal(next.begun, 0);
        });

        it('does not wait for ever', async () => {
            const deaf = step('deaf', () => new Promise(() => undefined));
            const { engine } = await world.process(definition([deaf]));
            engine.start();
            const { uuid } = await world.create(engine);
            await world.until(uuid, ({ execution }) => execution === 'running');
            await engine.stop();
            assert.ok(world.logged(ERROR).includes('jobs did not stop when they were told to'));
        });

        it('still takes jobs, for the next start', async () => {
            const kind = definition([step('work')]);
            const { engine } = await world.process(kind);
            engine.start();
            await engine.stop();
            const { uuid } = await world.create(engine);
            assert.equal((await world.job(uuid)).execution, 'queued');
            await world.engine(kind);
            await world.untilDone(uuid);
        });
    });

    describe('when the database fails', () => {
        it('tells the caller that no job was made', async () => {
            const process = await world.process(definition([step('work')]));
            process.away = true;
            await assert.rejects(
                world.create(process.engine),
                (err) => err instanceof ApiError && err.code === 'ServiceUnavailableError',
            );
        });

        it('writes a result when it is back, without running the step again', async () => {
            const work = gate('work');
            const process = await world.process(definition([work]), { leaseTime: 5000 });
            process.engine.start();
            const { uuid } = await world.create(process.engine);
            await work.reached();
            process.away = true;
            work.open();
            await wait(100);
            process.away = false;
            assert.equal((await world.untilDone(uuid)).execution, 'succeeded');
            assert.equal(work.begun, 1);
            assert.ok(world.logged(WARN).length > 0);
        });

        it('knows its own write again that was done without an answer', async () => {
            const work = gate('work');
            const { engine, jobs } = await world.process(definition([work, step('next')]));
            engine.start();
            const { uuid } = await world.create(engine);
            await work.reached();
            const put = jobs.put.bind(jobs);
            let failed = false;
            jobs.put = async (job, etag) => {
                const stored = await put(job, etag);
                if (!failed) {
                    failed = true;
                    unreachable();
                }
                return stored;
            };
            work.open();
            const job = await world.untilDone(uuid);
            assert.deepEqual(
                [failed, job.execution, names(job.chain_results)],
                [true, 'succeeded', ['work', 'next']],
            );
            assert.equal(work.begun, 1);
        });

        it('looks for jobs again when it is back', async () => {
            const process = await world.process(definition([step('work')]));
            const { uuid } = await world.create(process.engine);
            process.away = true;
            process.engine.start();
            await wait(250);
            process.away = false;
            assert.equal((await world.untilDone(uuid)).execution, 'succeeded');
            const said = world.logged(WARN).filter((msg) => msg.startsWith('could not look for jobs'));
            assert.equal(said.length, 1);
        });

        it('survives what it does not expect', async () => {
            const { engine, jobs } = await world.process(definition([step('work')]));
            const put = jobs.put.bind(jobs);
            let broken = true;
            jobs.put = async (job, etag) => {
                if (broken && job.execution === 'running') {
                    broken = false;
                    throw new TypeError('broken');
                }
                return put(job, etag);
            };
            engine.start();
            const { uuid } = await world.create(engine);
            assert.equal((await world.untilDone(uuid)).execution, 'succeeded');
            assert.deepEqual(world.logged(ERROR), ['working on a job failed in a way it should not']);
        });
    });

    describe('and jobs of a kind that there is none of', () => {
        it('leaves them alone, saying so once, and works on the others', async () => {
            const { engine: former } = await world.process({
                ...definition([step('old')]),
                task: 'forgotten',
            });
            const lost: Job[] = [];
            for (let n = 0; n < 120; n++) {
                lost.push(
                    await former.create({ task: 'forgotten', imageUuid: IMAGE, target: '/x', params: {} }),
                );
            }
            const engine = await world.engine(definition([step('work')]));
            const { uuid } = await world.create(engine);
            await world.untilDone(uuid);
            assert.equal((await world.job(lost[0]!.uuid)).execution, 'queued');
            assert.equal(world.logged(WARN).length, 1);
            assert.equal((await engine.cancel(lost[1]!.uuid))?.execution, 'canceled');
        });
    });

    describe('forgets', () => {
        it('jobs that ended longer ago than they are kept, and no others', async () => {
            const { engine, jobs } = await world.process([]);
            const now = Date.now();
            const row = (n: number, finishedAt: number | undefined) => ({
                uuid: testUuid(n),
                imageUuid: IMAGE,
                task: TASK,
                execution: finishedAt === undefined ? 'running' : 'succeeded',
                createdAt: 1,
                dueAt: undefined,
                finishedAt,
                value: {},
            });
            for (let n = 0; n < 250; n++) {
                await jobs.put(row(n, now - 60_001), null);
            }
            await jobs.put(row(1000, now - 50_000), null);
            await jobs.put(row(1001, undefined), null);
            await engine.prune();
            const left = await jobs.list({}, { limit: 10 });
            assert.deepEqual(left.map(({ uuid }) => uuid).sort(), [testUuid(1000), testUuid(1001)]);
        });

        it('them by itself', async () => {
            const engine = await world.engine(definition([step('work')]), { retention: 1 });
            const { uuid } = await world.create(engine);
            while ((await engine.get(uuid)) !== undefined) {
                await wait(10);
            }
        });
    });

    describe('shows', () => {
        it('jobs without the credentials in their addresses, which the steps have', async () => {
            let source: unknown;
            const engine = await world.engine(
                definition([
                    step('work', async ({ params }) => {
                        source = params.source;
                        return 'got https://joe:pw@host/x';
                    }),
                ]),
            );
            const params = {
                source: 'https://joe:p@ss@host/path?x=a@b',
                deep: [{ url: 'http://token@host', mail: 'joe@example.com', pass: 'word' }],
                odd: ['https:joe:pw@host', 'https:\\\\joe:pw@host/', 'HTTP://joe:pw@host'],
            };
            const created = await world.create(engine, params);
            await world.untilDone(created.uuid);
            assert.equal(source, params.source);
            const [listed] = await engine.list({}, { limit: 1 });
            const got = await engine.get(created.uuid);
            for (const job of [created, listed, got, await engine.cancel(created.uuid)]) {
                const { source: shown, deep, odd } = job?.params as typeof params;
                assert.equal(shown, 'https://host/path?x=a@b');
                assert.deepEqual(deep, [{ url: 'http://host', mail: 'joe@example.com', pass: '***' }]);
                assert.deepEqual(odd, ['https:host', 'https:\\\\host/', 'HTTP://host']);
            }
            assert.equal(got?.chain_results[0]?.result, 'got https://host/x');
        });

        it('lists by image, kind and state, the newest first', async () => {
            const { engine } = await world.process([definition([]), { ...definition([]), task: 'other' }]);
            const made: Job[] = [];
            for (const [task, n] of [
                [TASK, 1],
                ['other', 1],
                [TASK, 2],
            ] as const) {
                made.push(await engine.create({ task, imageUuid: testUuid(n), target: '/x', params: {} }));
                await wait(2);
            }
            const list = async (filter: object, options: object = {}) =>
                (await engine.list(filter, { limit: 10, ...options })).map(({ uuid }) =>
                    made.findIndex((job) => job.uuid === uuid),
                );
            await engine.cancel(made[0]!.uuid);
            assert.deepEqual(await list({}), [2, 1, 0]);
            assert.deepEqual(await list({ imageUuid: testUuid(1) }), [1, 0]);
            assert.deepEqual(await list({ task: TASK }), [2, 0]);
            assert.deepEqual(await list({ execution: 'canceled' }), [0]);
            assert.deepEqual(await list({}, { limit: 1, offset: 1 }), [1]);
        });
    });
});
