/** Jobs for tests: to plant, and to follow as clients do, by asking again and again. */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import type { Execution } from '../../lib/jobs/driver';
import { newRow, type JobRow } from '../../lib/jobs/value';
import type { Answer, Client } from './api';
import { testUuid } from './images';

/** A job as it is shown. */
export interface ShownJob {
    uuid: string;
    execution: string;
    task: string;
    image_uuid: string;
    params: Record<string, unknown>;
    progress?: { done: number; total?: number };
    chain_results: { name: string; result: string; error: string | { code?: string; message: string } }[];
    onerror_results?: { name: string; result: string }[];
    oncancel_results?: { name: string; result: string; error: unknown }[];
}

const ENDED = ['succeeded', 'failed', 'canceled'];
const POLL = 25;

/** The job once the test is true of it. @throws AssertionError if it never is */
export async function untilJob(
    client: Client,
    uuid: string,
    test: (job: ShownJob) => boolean,
    within = 15_000,
): Promise<ShownJob> {
    const deadline = Date.now() + within;
    for (;;) {
        const answer = await client.get(`/jobs/${uuid}`);
        assert.equal(answer.status, 200, answer.text);
        const job = answer.json as ShownJob;
        if (test(job)) {
            return job;
        }
        assert.ok(Date.now() < deadline, `the job goes on: ${answer.text}`);
        await wait(POLL);
    }
}

export async function untilEnded(client: Client, uuid: string, within?: number): Promise<ShownJob> {
    return untilJob(client, uuid, ({ execution }) => ENDED.includes(execution), within);
}

/** The uuid of the job that an answer speaks of. */
export function startedJob(answer: Answer): string {
    assert.equal(answer.status, 200, answer.text);
    return (answer.json as { job_uuid: string }).job_uuid;
}

/** No server runs jobs of this kind: they stay as they are planted. */
export const TASK = 'made-by-the-test';
/** Lately: jobs that ended long ago are forgotten. */
export const NOW = Date.now() - 3_600_000;

/** A job to plant. Those of larger numbers were made later. */
export function plantedJob(
    n: number,
    execution: Execution,
    fields: { task?: string; imageUuid: string; params?: Record<string, unknown> },
): JobRow {
    const { task = TASK, imageUuid, params = {} } = fields;
    const now = NOW + n * 60_000;
    const row = newRow(
        { task, imageUuid, target: `/test-${n}`, params },
        { task, name: 'test-1', chain: [], onerror: [], oncancel: [], isPermanent: () => true },
        { uuid: testUuid(n), now, attempts: 3 },
    );
    const hasEnded = execution !== 'queued' && execution !== 'running';
    return {
        ...row,
        execution,
        ...(hasEnded && { dueAt: undefined, finishedAt: now + 1500 }),
        value: {
            ...row.value,
            execution,
            ...(execution !== 'queued' && { started: new Date(now + 1000).toISOString() }),
        },
    };
}
