import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { endpointsOf, type PassedSocket } from '../config/listen';
import type { ClusterConfig } from '../config/types';
import type { ServerLog } from '../log';
import { Answers } from './answers';
import { PERMIT_KINDS, RECENT_LOG, type Gathered, type PermitKind, type PermitSource } from './driver';
import { Distribution } from './distribution';
import { Gatherings } from './gatherings';
import { QUIET } from './idle-exit';
import type { Listening, ListeningChange } from './listening';
import type { FromWorker, Settings } from './message';
import { permitLimits, PermitPool } from './permit-pool';
import { sayTracing, TRACING } from './tracing';
import { WorkerHandle } from './worker-handle';

/** A worker that was up for less than this has died at once, in ms. */
const AT_ONCE = 10_000;
/** Before another one is started after two in a row have died at once, in ms; doubled for each further one. */
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 30_000;

/** How long a worker that is replaced leaves idle connections open, in ms: most clients send something by then. */
const ROLL_PATIENCE = 5000;

/** A worker that has not ended so long after it had to is killed, in ms. */
const OVERDUE = 30_000;

/** How long workers that are killed may take to be gone, in ms. */
const KILLED_WITHIN = 2000;

/** How many workers a configuration asks for. */
export function workerCount({ workers }: ClusterConfig): number {
    return workers === 'auto' ? availableParallelism() : workers;
}

export interface ParentOptions {
    /** Reads the configuration again. @throws Error that says what is wrong with it */
    load: () => Settings;
    log: ServerLog;
    /** Open already at the places that the settings want. */
    listening: Listening;
    /** The sockets that were passed to this process. */
    passed: readonly PassedSocket[];
    /** Is told when it listens at other places than before. */
    onListening: () => void;
}

/**
 * The parent of the workers of a server: it starts them, shares connections and permits among them, gathers their logs
 * and answers, and replaces those that end. Of images, database and storages it knows nothing.
 *
 * Connections are accepted here and handed to the workers in turn. Were all workers to accept from one socket, Linux
 * would give most connections to whoever was awake, and a few long-lived ones of a proxy could all be on the same
 * worker; here, one that is busy is passed over, and a connection that nobody can take yet waits. That costs some time
 * of the parent for each connection, and nothing for the requests on it.
 */
export class Parent {
    readonly #options: ParentOptions;
    readonly #log: ServerLog;
    readonly #distribution = new Distribution();
    readonly #workers = new Map<WorkerHandle, Record<PermitKind, PermitSource>>();
    readonly #gatherings = new Gatherings();
    /** Of what only the parent knows. */
    readonly #answers = new Answers();
    #isTracing = false;
    /** Starts the workers that are missing, some time after one has died. */
    #refill: NodeJS.Timeout | undefined;
    #settings: Settings;
    readonly #pools: Record<PermitKind, PermitPool>;
    #diedAtOnce = 0;
    #started = false;
    #stopping = false;
    #rolling = false;
    #rollsWanted = 0;

    constructor(settings: Settings, options: ParentOptions) {
        this.#settings = settings;
        this.#options = options;
        this.#log = options.log;
        const limits = permitLimits(settings.config);
        this.#pools = { all: new PermitPool(limits.all), tls: new PermitPool(limits.tls) };
        this.#answers.set(
            RECENT_LOG,
            ({ level, last }) => options.log.sink.recent?.newest(level, last) ?? [],
        );
        cluster.setupPrimary({
            args: process.argv.slice(2),
            // What Node.js itself says when it has to end goes where that of the parent would.
            stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
        });
    }

    /** A method, because it changes while something is waited for. */
    #isStopping(): boolean {
        return this.#stopping;
    }

    /** Those that take connections or are about to. */
    get #serving(): WorkerHandle[] {
        return [...this.#workers.keys()].filter(({ standing }) => standing === 'serving');
    }

    /**
     * Starts the workers: one, which prepares the database if need be, then the others.
     *
     * @returns false if they cannot start, and the log has the reason; true if they are up, or are to stop already
     */
    async start(): Promise<boolean> {
        this.#options.listening.start((socket, secure) => this.#distribution.give(socket, secure));
        const first = this.#fork(this.#settings);
        if (!(await first.up) && !this.#isStopping()) {
            const { code, signal } = await first.ended;
            if (signal !== null || code === null) {
                this.#log.error(
                    { worker: first.pid, code, signal },
                    'error starting up: a worker was killed',
                );
            }
            return false;
        }
        this.#started = true;
        this.#fill();
        await Promise.all(this.#serving.map(({ up }) => up));
        if (!this.#isStopping()) {
            this.#options.onListening();
            this.#log.info('startup complete');
            if (this.#rollsWanted > 0) {
                this.roll();
            }
        }
        return true;
    }

    /** Starts what is missing. */
    #fill(): void {
        const missing = workerCount(this.#settings.config.cluster) - this.#serving.length;
        for (let count = 0; count < missing && !this.#stopping; count++) {
            this.#fork(this.#settings);
        }
    }

    #fork(settings: Settings): WorkerHandle {
        const worker = new WorkerHandle(settings, this.#log.sink, (from, message) =>
            this.#hear(from, message),
        );
        this.#workers.set(worker, {
            all: this.#pools.all.attach(worker.holders.all),
            tls: this.#pools.tls.attach(worker.holders.tls),
        });
        void worker.up.then((isUp) => isUp && this.#isUp(worker));
        void worker.ended.then((ending) => this.#hasEnded(worker, ending));
        return worker;
    }

    #isUp(worker: WorkerHandle): void {
        this.#log.info({ worker: worker.pid }, 'a worker is up');
        if (worker.standing !== 'leaving') {
            this.#distribution.add(worker);
        }
        if (this.#isTracing) {
            this.#trace([worker]);
        }
    }

    /** Has all processes log all there is, or as much as before again. */
    toggleTracing(): void {
        this.#isTracing = !this.#isTracing;
        sayTracing(this.#log, this.#isTracing);
        this.#trace([...this.#workers.keys()].filter(({ upSince }) => upSince !== undefined));
    }

    #trace(workers: readonly WorkerHandle[]): void {
        void this.#gatherings.gather(workers, TRACING.name, this.#isTracing);
    }

    #hasEnded(worker: WorkerHandle, ending: { code: number | null; signal: NodeJS.Signals | null }): void {
        this.#workers.delete(worker);
        this.#distribution.remove(worker);
        PERMIT_KINDS.forEach((kind) => this.#pools[kind].detach(worker.holders[kind]));
        this.#gatherings.gone(worker);
        const record = { worker: worker.pid, ...ending };
        if (worker.standing === 'leaving') {
            this.#log.info(record, 'a worker has ended, as it was asked to');
        }
        if (worker.standing !== 'serving' || !this.#started) {
            return;
        }
        worker.standing = 'leaving';
        this.#log.error(record, 'a worker has ended by itself; another takes its place');
        if (this.#refill) {
            // It is among those that are started then.
            return;
        }
        const upFor = worker.upSince === undefined ? 0 : performance.now() - worker.upSince;
        this.#diedAtOnce = upFor < AT_ONCE ? this.#diedAtOnce + 1 : 0;
        const delay =
            this.#diedAtOnce < 2 ? 0 : Math.min(FIRST_DELAY * 2 ** (this.#diedAtOnce - 2), LONGEST_DELAY);
        if (delay > 0) {
            this.#log.warn({ delay }, 'workers die one after the other; the next ones are started later');
        }
        this.#refill = setTimeout(() => {
            this.#refill = undefined;
            this.#fill();
        }, delay);
    }

    #hear(from: WorkerHandle, message: FromWorker): void {
        const permits = this.#workers.get(from);
        switch (message.kind) {
            case 'gather': {
                const { id, about, question, within } = message;
                const others = [...this.#workers.keys()].filter(
                    (worker) => worker !== from && worker.upSince !== undefined,
                );
                void Promise.all([
                    this.#gatherings.gather(others, about, question, within),
                    this.#answers.knows(about) ? this.#answers.give(about, question) : undefined,
                ]).then(([gathered, own]) =>
                    from.send({ kind: 'gathered', id, gathered: own ? [...gathered, own] : gathered }),
                );
                break;
            }
            case 'answer':
                this.#gatherings.answered(message.id, message.gathered);
                break;
            case 'taken':
                this.#distribution.taken(from);
                break;
            case 'leaving':
                this.#distribution.remove(from);
                break;
            case 'want':
                permits?.[message.pool].want(message.id);
                break;
            case 'cancel':
                permits?.[message.pool].cancel(message.id);
                break;
            case 'give-back':
                permits?.[message.pool].giveBack(message.count, message.confirms);
                break;
        }
    }

    /**
     * Replaces the workers one by one, with the configuration as it is now: each new one takes connections before an old
     * one ceases to, and the old ones finish what is under way (`limits.gracefulStop`). A configuration that is wrong,
     * or that no worker can start with, is logged and changes nothing. Asked for again meanwhile, it does it again.
     */
    roll(): void {
        this.#rollsWanted++;
        if (this.#started && !this.#rolling) {
            this.#rolling = true;
            void this.#rollAsWanted();
        }
    }

    async #rollAsWanted(): Promise<void> {
        while (this.#rollsWanted > 0) {
            this.#rollsWanted = 0;
            await this.#rollOnce();
        }
        this.#rolling = false;
    }

    async #rollOnce(): Promise<void> {
        if (this.#stopping) {
            return;
        }
        const next = this.#loadNext();
        if (!next) {
            return;
        }
        const change = await this.#listenAsWell(next);
        if (!change) {
            return;
        }
        this.#log.info('replacing the workers');
        const patience = Math.min(ROLL_PATIENCE, this.#settings.config.limits.gracefulStop);
        const count = workerCount(next.config.cluster);
        const former = () => this.#serving.find(({ settings }) => settings !== next);
        for (let one = former(); one && !this.#isStopping(); one = former()) {
            const replaced = this.#serving.filter(({ settings }) => settings === next).length;
            if (replaced < count && !(await this.#replacementUp(next)) && !this.#isStopping()) {
                this.#log.error('a new worker could not start; those that are there stay');
                if (this.#settings !== next) {
                    change.undo();
                }
                return;
            }
            if (replaced === 0) {
                this.#settle(change);
            }
            if (one.standing === 'serving') {
                this.#retire(one, patience);
            }
        }
        this.#settle(change);
        this.#fill();
        await Promise.all(this.#serving.map(({ up }) => up));
        if (!this.#isStopping()) {
            this.#log.info('the workers are replaced');
        }
    }

    /** The configuration as it is now; undefined, which is logged, if it cannot be used. */
    #loadNext(): Settings | undefined {
        try {
            return this.#options.load();
        } catch (err) {
            this.#log.error({ err }, 'the configuration cannot be used; the workers stay as they are');
            return undefined;
        }
    }

    /** Listens where new settings want it, beside where it did; undefined, which is logged, if that cannot be done. */
    async #listenAsWell({ config }: Settings): Promise<ListeningChange | undefined> {
        const { listening, passed } = this.#options;
        try {
            return await listening.change(endpointsOf(config, passed), config);
        } catch (err) {
            this.#log.error({ err }, 'the configuration cannot be used; the workers stay as they are');
            return undefined;
        }
    }

    #settle(change: ListeningChange): void {
        if (this.#isStopping()) {
            change.undo();
        } else if (change.commit()) {
            try {
                this.#options.onListening();
            } catch (err) {
                this.#log.error({ err }, 'the server listens elsewhere now, but could not say so');
            }
        }
    }

    /** Starts a worker with new settings, which become those of all once it is up. */
    async #replacementUp(next: Settings): Promise<boolean> {
        const former = permitLimits(this.#settings.config);
        const limits = permitLimits(next.config);
        for (const kind of PERMIT_KINDS) {
            if (former[kind].requests === 0) {
                // Nobody else asks for permits; it may before it is heard to be up.
                this.#pools[kind].setLimits(limits[kind]);
            }
        }
        const worker = this.#fork(next);
        worker.standing = 'trial';
        if (!(await worker.up)) {
            return false;
        }
        if (!this.#isStopping()) {
            worker.standing = 'serving';
        }
        if (this.#settings !== next) {
            this.#settings = next;
            this.#diedAtOnce = 0;
            this.#log.setVerbosity(next.verbosity);
            for (const kind of PERMIT_KINDS) {
                if (limits[kind].requests > 0) {
                    this.#pools[kind].setLimits(limits[kind]);
                }
            }
        }
        return true;
    }

    #retire(worker: WorkerHandle, patience: number): void {
        this.#distribution.remove(worker);
        worker.stop(patience);
        const overdue = setTimeout(() => {
            this.#log.error({ worker: worker.pid }, 'a worker does not end; it is killed');
            worker.kill();
        }, worker.settings.config.limits.gracefulStop + OVERDUE);
        void worker.ended.then(() => clearTimeout(overdue));
    }

    /** For how long each worker has had nothing to do. */
    async quiet(): Promise<Gathered<unknown>[]> {
        const workers = [...this.#workers.keys()];
        return this.#started
            ? this.#gatherings.gather(workers, QUIET.name, null)
            : [{ pid: process.pid, failure: 'it is starting' }];
    }

    /** Has all workers finish what is under way, and end (`limits.gracefulStop`). */
    async stop(): Promise<void> {
        this.#stopping = true;
        clearTimeout(this.#refill);
        this.#options.listening.close();
        this.#distribution.close();
        const all = [...this.#workers.keys()];
        all.forEach((worker) => this.#retire(worker, 0));
        await Promise.all(all.map(({ ended }) => ended));
    }

    /** Ends all workers at once. */
    async kill(): Promise<void> {
        this.#stopping = true;
        const all = [...this.#workers.keys()];
        all.forEach((worker) => worker.kill());
        // One that hangs in the kernel is not waited for.
        await Promise.race([Promise.all(all.map(({ ended }) => ended)), sleep(KILLED_WITHIN)]);
    }
}
