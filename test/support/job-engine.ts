/** Job engines on real databases, with definitions made for tests. */
import { EventEmitter, once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JobsConfig } from '../../lib/config/types';
import type { JobStore, LeaseStore } from '../../lib/db/driver';
import type { LocalDatabase } from '../../lib/db/local';
import { ApiError } from '../../lib/errors';
import type { Job, JobContext, JobDefinition, JobStep } from '../../lib/jobs/driver';
import { JobEngine } from '../../lib/jobs/engine';
import { testUuid } from './images';
import { localDatabase } from './local-database';
import { recordingLog } from './recording-log';

/** Fast, but for what has its own test. */
export const FAST: JobsConfig = {
    concurrency: 4,
    attempts: 3,
    retryDelay: 10,
    maxRetryDelay: 1000,
    leaseTime: 300,
    retention: 60_000,
};

export const TASK = 'test-task';
export const IMAGE = testUuid(7);

export interface LogRecord {
    level: number;
    msg: string;
    err?: Error;
}

export type Run = JobStep['run'];

/** A step that counts how often it was begun. */
export function step(
    name: string,
    run: Run = async () => `${name} done`,
    timeout = 10_000,
): JobStep & { begun: number } {
    const self = {
        name,
        timeout,
        begun: 0,
        run: async (context: JobContext) => {
            self.begun++;
            return run(context);
        },
    };
    return self;
}

/** A step that tells when it is reached, and then waits until it is told to end or to go on. */
export function gate(name: string): ReturnType<typeof step> & {
    reached: () => Promise<JobContext>;
    open: () => void;
} {
    const events = new EventEmitter();
    let waiting: JobContext | undefined;
    const reached = async () => waiting ?? ((await once(events, 'reached')) as [JobContext])[0];
    const self = step(name, async (context) => {
        waiting = context;
        events.emit('reached', context);
        try {
            await once(events, 'open', { signal: context.signal });
        } finally {
            waiting = undefined;
        }
        return `${name} passed`;
    });
    return Object.assign(self, { reached, open: () => void events.emit('open') });
}

export class Permanent extends ApiError {}

/** Rejects like a database that cannot be reached. */
export function unreachable(): never {
    throw new ApiError('ServiceUnavailableError', 'The database is away.');
}

export function definition(
    chain: JobStep[],
    {
        onerror = [],
        oncancel = [],
        name = 'test-1.0.0',
    }: Partial<Pick<JobDefinition, 'onerror' | 'oncancel' | 'name'>> = {},
): JobDefinition {
    return { task: TASK, name, chain, onerror, oncancel, isPermanent: (err) => err instanceof Permanent };
}

/** An engine as a process of its own would have it. */
export class Process {
    readonly engine: JobEngine;
    /** The stores as the engine sees them, to be tampered with. */
    readonly jobs: JobStore;
    readonly leases: LeaseStore;
    /** While set, the process cannot reach the database. */
    away = false;

    constructor(
        world: JobWorld,
        readonly database: LocalDatabase,
        config: Partial<JobsConfig>,
        definitions: readonly JobDefinition[],
    ) {
        const guard = <T extends unknown[], R>(method: (...given: T) => Promise<R>) => {
            return async (...given: T): Promise<R> => (this.away ? unreachable() : method(...given));
        };
        const { jobs, leases } = database;
        this.jobs = {
            put: guard(async (job, etag) => {
                const stored = await jobs.put(job, etag);
                world.written.emit('put');
                return stored;
            }),
            get: guard((uuid) => jobs.get(uuid)),
            list: guard((where, options) => jobs.list(where, options)),
            due: guard((now, options) => jobs.due(now, options)),
            countByExecution: guard(() => jobs.countByExecution()),
            prune: guard((finishedBefore, limit) => jobs.prune(finishedBefore, limit)),
        };
        this.leases = {
            acquire: guard((name, holder, ttl, now) => leases.acquire(name, holder, ttl, now)),
            release: guard((name, holder) => leases.release(name, holder)),
        };
        this.engine = new JobEngine({
            jobs: this.jobs,
            leases: this.leases,
            clock: world.clock,
            log: world.log,
            holder: randomUUID(),
            config: { ...FAST, ...config },
            grace: { step: 200, stop: 100 },
        });
        definitions.forEach((one) => this.engine.register(one));
    }
}

export class JobWorld {
    readonly records: LogRecord[] = [];
    /** Emits `put` after each write of a job. */
    readonly written = new EventEmitter().setMaxListeners(100);
    readonly clock = { now: () => Date.now(), uuid: randomUUID };
    readonly log = recordingLog(this.records);
    readonly #processes: Process[] = [];

    private constructor(
        readonly place: string,
        readonly database: LocalDatabase,
    ) {}

    static async make(): Promise<JobWorld> {
        const place = await mkdtemp(join(tmpdir(), 'imgapi-jobs-'));
        const database = localDatabase(place);
        await database.open();
        return new JobWorld(place, database);
    }

    async remove(): Promise<void> {
        await Promise.all(this.#processes.map(({ engine }) => engine.stop()));
        await Promise.all(this.#processes.map(({ database }) => database.close()));
        await this.database.close();
        await rm(this.place, { recursive: true });
    }

    /** A process with a connection of its own, not started yet. */
    async process(
        definitions: JobDefinition | JobDefinition[],
        config: Partial<JobsConfig> = {},
    ): Promise<Process> {
        const database = localDatabase(this.place);
        await database.open();
        const process = new Process(this, database, config, [definitions].flat());
        this.#processes.push(process);
        return process;
    }

    /** An engine that is at work. */
    async engine(
        definitions: JobDefinition | JobDefinition[],
        config: Partial<JobsConfig> = {},
    ): Promise<JobEngine> {
        const { engine } = await this.process(definitions, config);
        engine.start();
        return engine;
    }

    create(engine: JobEngine, params: Record<string, unknown> = {}): Promise<Job> {
        return engine.create({ task: TASK, imageUuid: IMAGE, target: `/test-${IMAGE}`, params });
    }

    /** The job as the database has it. */
    async job(uuid: string): Promise<Job> {
        const stored = await this.database.jobs.get(uuid);
        if (!stored) {
            throw new Error(`There is no job ${uuid}.`);
        }
        return stored.value as Job;
    }

    /** Waits until a job is as the test wants it. */
    async until(uuid: string, test: (job: Job) => boolean): Promise<Job> {
        for (;;) {
            const next = once(this.written, 'put');
            const job = await this.job(uuid);
            if (test(job)) {
                return job;
            }
            await next;
        }
    }

    /** Waits until nothing is left to do for a job. */
    async untilDone(uuid: string): Promise<Job> {
        for (;;) {
            const next = once(this.written, 'put');
            const stored = await this.database.jobs.get(uuid);
            if (stored && stored.dueAt === undefined) {
                return stored.value as Job;
            }
            await next;
        }
    }

    logged(level: number): string[] {
        return this.records.filter((record) => record.level >= level).map(({ msg }) => msg);
    }
}
