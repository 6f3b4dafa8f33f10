/** Whether this server can do its work, and may be sent requests (daemon.md §4). */
import type Logger from 'bunyan';
import { ApiError } from '../errors';
import { topic, type Processes } from '../workers/driver';
import type { Call } from './call';

/** ms for which the outcome of a check is used again. */
const FRESH = 1000;
/** ms that a check may take; it is not ended then, but not waited for either. */
const CHECK_WITHIN = 1500;
/** ms that the other processes have to tell: a little more, and still less than the 2 s that an answer may take. */
const TELL_WITHIN = 1800;

/** Something that the server cannot do all of its work without. */
export interface Dependency {
    /** As it is shown, such as `storage:s3`. */
    readonly name: string;
    /** Resolves if it can be used. Called at most once a second, and not again before it has settled. */
    check(): Promise<void>;
}

/** What is wrong with each dependency; `ok` for one that can be used. */
export type Findings = Readonly<Record<string, string>>;

/** What a process knows of its health. */
export interface ProcessHealth {
    readonly stage: 'starting' | 'ready' | 'stopping';
    readonly findings: Findings;
}

const HEALTH = topic<null, ProcessHealth>('health');

class Watched {
    #running: { since: number; outcome: Promise<string> } | undefined;
    #last: { at: number; finding: string } | undefined;
    #isDown = false;

    constructor(
        private readonly dependency: Dependency,
        private readonly log: Logger,
    ) {}

    get name(): string {
        return this.dependency.name;
    }

    async finding(): Promise<string> {
        const now = performance.now();
        if (this.#last && now - this.#last.at < FRESH) {
            return this.#last.finding;
        }
        this.#running ??= { since: now, outcome: this.#check() };
        const { since, outcome } = this.#running;
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<string>((resolve) => {
            timer = setTimeout(
                () => resolve(this.#found('does not answer')),
                Math.max(0, since + CHECK_WITHIN - now),
            );
        });
        try {
            return await Promise.race([outcome, late]);
        } finally {
            clearTimeout(timer);
        }
    }

    async #check(): Promise<string> {
        let failure: { err: unknown } | undefined;
        try {
            await this.dependency.check();
        } catch (err) {
            failure = { err };
        }
        this.#running = undefined;
        const finding = this.#found(failure ? told(failure.err) : 'ok', failure?.err);
        this.#last = { at: performance.now(), finding };
        return finding;
    }

    /** The log tells when it changes, and why: what is shown to others does not say all. */
    #found(finding: string, err?: unknown): string {
        const isDown = finding !== 'ok';
        if (isDown && !this.#isDown) {
            this.log.warn({ dependency: this.name, reason: finding, err }, 'a dependency cannot be used');
        } else if (!isDown && this.#isDown) {
            this.log.info({ dependency: this.name }, 'a dependency can be used again');
        }
        this.#isDown = isDown;
        return finding;
    }
}

/** A failure in words that name no path and no secret: those meant for clients, or the code of the system. */
function told(err: unknown): string {
    if (err instanceof ApiError) {
        return err.message;
    }
    const code = (err as { code?: unknown } | undefined)?.code;
    return typeof code === 'string' && /^\w{1,40}$/.test(code)
        ? `failed with ${code}; the log has more`
        : 'failed; the log has more';
}

/** The health of this process and, with several workers, of the others. */
export class Health {
    #stage: ProcessHealth['stage'] = 'starting';
    readonly #watched: readonly Watched[];

    constructor(
        dependencies: readonly Dependency[],
        private readonly processes: Processes,
        log: Logger,
    ) {
        this.#watched = dependencies.map((dependency) => new Watched(dependency, log));
        processes.answer(HEALTH, () => this.own());
    }

    /** Requests are taken. */
    ready(): void {
        this.#stage = 'ready';
    }

    /** The server ends: nobody should be sent here any more. */
    stopping(): void {
        this.#stage = 'stopping';
    }

    get stage(): ProcessHealth['stage'] {
        return this.#stage;
    }

    /** What this process finds; within 1.5 s. */
    async own(): Promise<ProcessHealth> {
        const found = await Promise.all(
            this.#watched.map(async (one): Promise<[string, string]> => [one.name, await one.finding()]),
        );
        return { stage: this.#stage, findings: Object.fromEntries(found) };
    }

    /** What all processes find together: a dependency that one of them cannot use is not ok. Within 2 s. */
    async all(): Promise<ProcessHealth> {
        const gathered = await this.processes.gather(HEALTH, null, TELL_WITHIN);
        const told = gathered.flatMap((one) => ('answer' in one ? [one.answer] : []));
        // One that is replaced has nothing to say any more.
        const staying = told.filter(({ stage }) => stage !== 'stopping');
        const counted = staying.length > 0 ? staying : told;
        const findings: Record<string, string> = {};
        for (const one of counted) {
            for (const [name, finding] of Object.entries(one.findings)) {
                if ((findings[name] ?? 'ok') === 'ok') {
                    findings[name] = finding;
                }
            }
        }
        for (const one of gathered) {
            if ('failure' in one) {
                findings[`process ${one.pid}`] = one.failure;
            }
        }
        const stage = counted.some((one) => one.stage === 'ready') ? 'ready' : this.#stage;
        return { stage, findings };
    }
}

export function isHealthy({ findings }: ProcessHealth): boolean {
    return Object.values(findings).every((finding) => finding === 'ok');
}

export function isReady(health: ProcessHealth): boolean {
    return health.stage === 'ready' && isHealthy(health);
}

function answer(call: Call, isFine: boolean): void {
    call.sendBytes(isFine ? 200 : 503, Buffer.from(isFine ? 'ok' : 'unavailable'), {
        'Content-Type': 'text/plain',
        'Cache-Control': 'no-store',
    });
}

/** GET /healthz: whether this process can use all that it depends on. */
export async function healthz(call: Call): Promise<void> {
    answer(call, isHealthy(await call.services.health.own()));
}

/** GET /readyz: the same, and neither starting nor ending. */
export async function readyz(call: Call): Promise<void> {
    const { health } = call.services;
    answer(call, health.stage === 'ready' && isReady(await health.own()));
}
