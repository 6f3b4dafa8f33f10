import { ApiError } from '../errors';
import type { Job, JobService } from './driver';

/** In the place of the workflow service of a datacenter, as long as it cannot be reached. */
export class UnavailableJobs implements JobService {
    constructor(readonly url: string) {}

    assertAvailable(): void {
        throw unavailable();
    }

    async create(): Promise<Job> {
        throw unavailable();
    }

    async get(): Promise<Job | undefined> {
        throw unavailable();
    }

    async list(): Promise<Job[]> {
        throw unavailable();
    }

    async cancel(): Promise<Job | undefined> {
        throw unavailable();
    }
}

function unavailable(): ApiError {
    return new ApiError('ServiceUnavailableError', 'The workflow service cannot be reached at the moment.');
}
