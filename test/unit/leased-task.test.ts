/** A step that is repeated by one process at a time, and on request. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LocalDatabase } from '../../lib/db/local';
import { LeasedTask, type LeasedTaskOptions } from '../../lib/leased-task';
import { gate } from '../support/gate';
import { localDatabase } from '../support/local-database';
import { recordingLog } from '../support/recording-log';

const NEVER = 3_600_000;
const NAME = 'task';

describe('LeasedTask', () => {
    let place: string;
    let database: LocalDatabase;
    let records: object[];
    const tasks: LeasedTask[] = [];
    const clock = { now: () => Date.now(), uuid: randomUUID };

    before(async () => {
        place = await mkdtemp(join(tmpdir(), 'imgapi-task-'));
        database = localDatabase(place);
        await database.open();
    });
    beforeEach(() => (records = []));
    afterEach(async () => {
        await Promise.all(tasks.splice(0).map((task) => task.stop()));
    });
    after(async () => {
        await database.close();
        await rm(place, { recursive: true });
    });

    function makeTask(options: Partial<LeasedTaskOptions> & Pick<LeasedTaskOptions, 'run'>): LeasedTask {
        const task = new LeasedTask({
            name: NAME,
            holder: randomUUID(),
            leases: database.leases,
            clock,
            log: recordingLog(records),
            nextIn: () => NEVER,
            ...options,
        });
        tasks.push(task);
        return task;
    }

    it('runs again after the time that the step asks for', async () => {
        const third = gate();
        let steps = 0;
        makeTask({
            run: async () => {
                if (++steps === 3) {
                    third.open();
                }
            },
            nextIn: () => 1,
        }).start(0);
        await third.opened;
    });

    it('hurry runs a step at once', async () => {
        let steps = 0;
        const task = makeTask({
            run: async () => {
                steps++;
            },
        });
        task.start(NEVER);
        assert.equal(await task.hurry(), true);
        assert.equal(steps, 1);
        assert.equal(await task.hurry(), true);
        assert.equal(steps, 2);
    });

    it('hurry during a step runs another one after it, however often it is called', async () => {
        const begun = gate();
        const going = gate();
        let steps = 0;
        const task = makeTask({
            run: async () => {
                if (++steps === 1) {
                    begun.open();
                    await going.opened;
                }
            },
        });
        task.start(0);
        await begun.opened;
        const hurried = [task.hurry(), task.hurry(), task.hurry()];
        going.open();
        assert.deepEqual(await Promise.all(hurried), [true, true, true]);
        assert.equal(steps, 2);
    });

    it('hurry fails as the step does, and the task goes on', async () => {
        const failures = [new Error('the step failed')];
        const task = makeTask({
            run: async () => {
                const failure = failures.pop();
                if (failure) {
                    throw failure;
                }
            },
        });
        task.start(NEVER);
        await assert.rejects(task.hurry(), /the step failed/);
        assert.equal(await task.hurry(), true);
    });

    it('hurry waits while another process has the lease', async () => {
        await database.leases.acquire(NAME, 'other', NEVER, Date.now());
        const refused = gate();
        let steps = 0;
        const task = makeTask({
            run: async () => {
                steps++;
            },
            nextIn: (ran) => {
                if (!ran) {
                    refused.open();
                }
                return ran ? NEVER : 1;
            },
        });
        task.start(NEVER);
        const hurried = task.hurry();
        await refused.opened;
        assert.equal(steps, 0);
        await database.leases.release(NAME, 'other');
        assert.equal(await hurried, true);
        assert.equal(steps, 1);
    });

    it('stop ends the step and those who wait for one', async () => {
        const begun = gate();
        const task = makeTask({
            run: async (signal) => {
                const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
                begun.open();
                await aborted;
            },
        });
        task.start(0);
        await begun.opened;
        const hurried = task.hurry();
        await task.stop();
        assert.equal(await hurried, false);
        assert.equal(await task.hurry(), false);
        assert.equal(await database.leases.acquire(NAME, 'other', 1, Date.now()), true, 'the lease is free');
        await database.leases.release(NAME, 'other');
    });
});
