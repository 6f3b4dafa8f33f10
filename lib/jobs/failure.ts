/** What a step's failure is to those who look at the job. */
import { ApiError } from '../errors';
import type { JobStep, StepResult } from './driver';
import { withoutCredentials } from '../config/credentials';

/** A step did not end within its time. */
export class StepTimeout extends Error {
    override readonly name = 'StepTimeout';
    constructor({ name, timeout }: JobStep) {
        super(`Step ${name} did not end within ${timeout / 1000} seconds.`);
    }
}

/** A step was begun so often by processes that did not live to see its end that it is not begun again. */
export class StepAbandoned extends Error {
    override readonly name = 'StepAbandoned';
    constructor({ name }: JobStep, attempts: number) {
        super(`Step ${name} was begun ${attempts} times, and the server ended each time before it was done.`);
    }
}

/** The failure in WFAPI's form. Of what the server did not expect, only its log knows more. */
export function errorOf(err: unknown, jobUuid: string): Exclude<StepResult['error'], string> {
    if (err instanceof ApiError) {
        return { code: err.code, message: withoutCredentials(err.message) };
    }
    if (err instanceof StepTimeout || err instanceof StepAbandoned) {
        return { code: err.name, message: err.message };
    }
    return {
        code: 'InternalError',
        message: `The server could not complete the step; its log has the reason under job ${jobUuid}.`,
    };
}
