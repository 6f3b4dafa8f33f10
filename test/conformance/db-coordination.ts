/** Leases, jobs, the replay memory, and the database as a whole. */
import assert from 'node:assert/strict';
import { ApiError } from '../../lib/errors';
import { EtagConflict } from '../../lib/db/driver';
import { testUuid } from '../support/images';
import type { Subject } from './db';

export function describeCoordination(subject: Subject): void {
    describe('leases', () => {
        it('are held by one until they expire or are released, and can be renewed', async () => {
            const { leases } = subject.database;
            const other = (await subject.another()).leases;
            assert.equal(await leases.acquire('sweep', 'a', 100, 1000), true);
            assert.equal(await other.acquire('sweep', 'b', 100, 1099), false);
            assert.equal(await leases.acquire('sweep', 'a', 100, 1050), true);
            assert.equal(await other.acquire('sweep', 'b', 100, 1149), false);
            assert.equal(await other.acquire('sweep', 'b', 100, 1150), true);
            await leases.release('sweep', 'a');
            assert.equal(await leases.acquire('sweep', 'a', 100, 1160), false);
            await other.release('sweep', 'b');
            assert.equal(await leases.acquire('sweep', 'a', 100, 1160), true);
            assert.equal(await other.acquire('purge', 'b', 100, 1160), true);
        });
    });

    describe('tasks', () => {
        it('were done when somebody last said so, for everybody and after a restart', async () => {
            const { tasks } = subject.database;
            assert.equal(await tasks.doneAt('sweep'), undefined);
            await tasks.done('sweep', 1000);
            await tasks.done('other', 5);
            await (await subject.another()).tasks.done('sweep', 1_800_000_000_123);
            assert.equal(await tasks.doneAt('sweep'), 1_800_000_000_123);
            assert.equal(await (await subject.another()).tasks.doneAt('other'), 5);
        });
    });

    describe('jobs', () => {
        const job = (n: number, fields = {}) => ({
            uuid: testUuid(n),
            imageUuid: testUuid(50),
            task: 'import',
            execution: 'queued',
            createdAt: 1000 + n,
            dueAt: undefined,
            finishedAt: undefined,
            value: { n, deep: { list: [1, 'é'] } },
            ...fields,
        });

        it('are written and read with their etag', async () => {
            const { jobs } = subject.database;
            const first = await jobs.put(job(1), null);
            assert.deepEqual(await jobs.get(testUuid(1)), first);
            const second = await jobs.put(job(1, { execution: 'running' }), first.etag);
            assert.notEqual(second.etag, first.etag);
            await assert.rejects(jobs.put(job(1), first.etag), EtagConflict);
            await assert.rejects(jobs.put(job(1), null), EtagConflict);
            await assert.rejects(jobs.put(job(2), 'AAAAAAAA'), EtagConflict);
            assert.equal((await jobs.get(testUuid(1)))?.execution, 'running');
            assert.equal(await jobs.get(testUuid(2)), undefined);
        });

        it('are listed newest first by all of the conditions', async () => {
            const { jobs } = subject.database;
            await jobs.put(job(1), null);
            await jobs.put(job(2, { execution: 'failed' }), null);
            await jobs.put(job(3, { task: 'create', imageUuid: testUuid(51) }), null);
            const list = async (where: object, options: object = {}) =>
                (await jobs.list(where, { limit: 10, ...options })).map(({ value }) => value.n);
            assert.deepEqual(await list({}), [3, 2, 1]);
            assert.deepEqual(await list({ imageUuid: testUuid(50) }), [2, 1]);
            assert.deepEqual(await list({ task: 'import', execution: 'queued' }), [1]);
            assert.deepEqual(await list({}, { limit: 1, offset: 1 }), [2]);
        });

        it('are due from their time on, those that wait for longest first', async () => {
            const { jobs } = subject.database;
            for (const [n, dueAt] of [
                [1, 300],
                [2, 100],
                [3, undefined],
                [4, 200],
                [5, 100],
            ] as const) {
                await jobs.put(job(n, { dueAt }), null);
            }
            const due = async (now: number, options: object = {}) =>
                (await jobs.due(now, { limit: 10, ...options })).map(({ value }) => value.n);
            assert.deepEqual(await due(99), []);
            assert.deepEqual(await due(299), [2, 5, 4]);
            assert.deepEqual(await due(300, { limit: 2 }), [2, 5]);
            assert.deepEqual(await due(300, { limit: 2, offset: 2 }), [4, 1]);
            const stored = await jobs.get(testUuid(2));
            assert.equal(stored?.dueAt, 100);
            await jobs.put({ ...stored, dueAt: undefined }, stored.etag);
            assert.deepEqual(await due(300), [5, 4, 1]);
            assert.equal((await jobs.get(testUuid(2)))?.dueAt, undefined);
        });

        it('are counted by their execution', async () => {
            const { jobs } = subject.database;
            assert.deepEqual(await jobs.countByExecution(), {});
            await jobs.put(job(1), null);
            await jobs.put(job(2, { execution: 'failed' }), null);
            await jobs.put(job(3), null);
            assert.deepEqual(await jobs.countByExecution(), { queued: 2, failed: 1 });
        });

        it('are deleted when they ended long enough ago, a few at a time', async () => {
            const { jobs } = subject.database;
            for (const [n, finishedAt] of [
                [1, 100],
                [2, 200],
                [3, undefined],
                [4, 201],
                [5, 150],
            ] as const) {
                await jobs.put(job(n, { finishedAt }), null);
            }
            // It was canceled, and what it made is not cleaned up yet.
            await jobs.put(job(6, { finishedAt: 100, dueAt: 400 }), null);
            assert.equal(await jobs.prune(99, 10), 0);
            assert.equal(await jobs.prune(200, 2), 2);
            assert.equal(await jobs.get(testUuid(1)), undefined);
            assert.equal(await jobs.prune(200, 2), 1);
            const left = await jobs.list({}, { limit: 10 });
            assert.deepEqual(
                left.map(({ value, finishedAt }) => [value.n, finishedAt]),
                [
                    [6, 100],
                    [4, 201],
                    [3, undefined],
                ],
            );
        });
    });

    describe('replay memory', () => {
        it('takes a value once until it expires', async () => {
            const { replay } = subject.database;
            const other = (await subject.another()).replay;
            assert.equal(await replay.remember('sig', 200, 100), true);
            assert.equal(await other.remember('sig', 300, 199), false);
            assert.equal(await other.remember('sig', 300, 200), true);
            assert.equal(await replay.remember('other', 210, 200), true);
            assert.equal(await replay.prune(210), 1);
            assert.equal(await replay.remember('sig', 400, 299), false);
        });
    });

    describe('the database', () => {
        it('has one id for everyone who opens it', async () => {
            assert.match(subject.database.id, /^[0-9a-f-]{36}$/);
            assert.equal((await subject.another()).id, subject.database.id);
        });

        it('answers a check, and is unavailable once closed', async () => {
            await subject.database.check();
            const other = await subject.another();
            const { images } = other;
            await other.close();
            const unavailable = (error: unknown) =>
                error instanceof ApiError && error.code === 'ServiceUnavailableError';
            await assert.rejects(other.check(), unavailable);
            await assert.rejects(images.get(testUuid(1)), unavailable);
        });
    });
}
