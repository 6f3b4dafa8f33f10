import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Health, type Dependency } from './api/health';
import { answerForProcess } from './api/service';
import { createAuthenticator } from './auth/index';
import type { Clock } from './clock';
import type { Certificates } from './config/certificates';
import type { Config } from './config/types';
import { openDatabase } from './db/index';
import { Compute } from './dc/compute';
import { createWorkflowService, openAccountDirectory } from './dc/index';
import { PrepareScriptFolder } from './dc/prepare-scripts';
import { ApiError } from './errors';
import { openWatchServers, showsRequests } from './http/admin/index';
import { Cors } from './http/cors';
import { Listener } from './http/listener';
import { RequestGate } from './http/request-gate';
import { createHttpServer } from './http/server';
import { Underway } from './http/underway';
import { ArchiveShipping } from './images/archive-shipping';
import { importRemoteJob } from './images/import-job';
import { Importer } from './images/importer';
import { Images } from './images/images';
import { Purge } from './images/purge';
import { Sweep } from './images/sweep';
import { createRemotes } from './imports/index';
import type { ServerLog } from './log';
import { JobEngine } from './jobs/engine';
import { RequestSeries } from './metrics/request-series';
import type { ServerMetrics } from './metrics/server-metrics';
import { Traffic } from './metrics/traffic';
import { createReference } from './reference/index';
import { serverFacts } from './reference/subject';
import { existingRoutes } from './routes';
import { createKeyStores, createStorages, Storages } from './storage/index';
import { LocalSpool } from './storage/local-spool';
import { preferredObjectStore } from './storage/select';
import { VERSION } from './version';
import type { Processes } from './workers/driver';
import { QUIET } from './workers/idle-exit';

const systemClock: Clock = { now: () => Date.now(), uuid: () => randomUUID() };

/** Their library takes time to load and some MB of memory, which only those pay who look at them. */
async function openMetrics(traffic: Traffic): Promise<ServerMetrics> {
    const { ServerMetrics } = await import('./metrics/server-metrics.js');
    return new ServerMetrics(traffic);
}

/** For a service whose client connects by itself. */
function assertConnected(client: { readonly connected: boolean }): Promise<void> {
    return client.connected
        ? Promise.resolve()
        : Promise.reject(new ApiError('ServiceUnavailableError', 'There is no connection to it.'));
}

/** How long requests that were cut off at the end may take to remove what they have begun, in ms. */
const CLEANED_WITHIN = 5000;

/** A running server. */
export interface App {
    /**
     * Stops taking connections, lets transfers finish within `limits.gracefulStop`, and closes everything.
     *
     * @param patience how long idle connections stay open for one more request, in ms: who sends one just when its
     *   connection is closed does not get an answer. 0 if nobody takes this process's place
     */
    stop(patience?: number): Promise<void>;
    /** New connections by TLS get these certificates. */
    setCertificates(certificates: Certificates): void;
}

export interface AppParts {
    readonly config: Config;
    readonly log: ServerLog;
    readonly processes: Processes;
    /** There if it listens by TLS. */
    readonly certificates?: Certificates | undefined;
}

/**
 * Puts the server together and starts it. The one place where drivers, domain and HTTP meet.
 *
 * @throws Error saying why it cannot start; nothing is left open then
 */
export async function startApp({ config, log, processes, certificates }: AppParts): Promise<App> {
    const clock = systemClock;
    const identity = {
        serverName: config.serverName ?? `IMGAPI/${VERSION}`,
        hostname: hostname(),
        ...((config.cors ?? '') !== '' && { cors: new Cors(config.cors ?? '') }),
    };
    const closers: (() => Promise<void>)[] = [];
    const closeAll = async () => {
        for (let close = closers.pop(); close; close = closers.pop()) {
            try {
                await close();
            } catch (err) {
                log.error({ err }, 'a part of the server could not be closed properly');
            }
        }
    };
    try {
        if (config.fluentd_host !== undefined && config.fluentd_host !== '') {
            log.sendEvents(config.fluentd_host);
        }
        const traffic = new Traffic();
        const series = showsRequests(config) ? new RequestSeries() : undefined;
        const metrics = config.admin && (await openMetrics(traffic));
        const plainStorages = await createStorages(config, log);
        const storages = metrics
            ? new Storages(plainStorages.all().map((driver) => metrics.storage(driver)))
            : plainStorages;
        const keyStores = config.authType === 'signature' ? await createKeyStores(config, log) : [];
        for (const storage of [...storages.all(), ...keyStores]) {
            await storage.open();
            closers.push(() => storage.close());
        }
        const database = await openDatabase(config, log, clock);
        closers.push(() => database.close());
        if (metrics) {
            metrics.database = database;
        }
        const holder = clock.uuid();
        const plainAuth = createAuthenticator({
            config,
            log,
            clock,
            replay: database.replay,
            leases: database.leases,
            holder,
            objectStores: [...storages.all().filter(({ type }) => type !== 'local'), ...keyStores],
        });
        const auth = metrics ? metrics.authenticator(plainAuth) : plainAuth;
        await auth.open();
        closers.push(() => auth.close());

        const remotes = createRemotes({ config, log, serverName: identity.serverName });
        closers.push(() => remotes.close());
        const accounts = await openAccountDirectory(config, log);
        closers.push(async () => accounts?.close());
        const compute = new Compute({ config, serverName: identity.serverName });
        closers.push(() => compute.close());

        const images = new Images({ config, database, storages, clock, log });
        const { serverName } = identity;
        const workflowService = createWorkflowService(config, { log, clock, serverName });
        const engine = new JobEngine({
            jobs: database.jobs,
            leases: database.leases,
            clock,
            log,
            holder,
            config: config.jobs,
        });
        const jobs = workflowService ?? engine;
        const importer = new Importer({ config, images, remotes, accounts, clock, log });
        engine.register(importRemoteJob({ config, images, importer, clock, log }));
        const routes = existingRoutes(config);
        const health = new Health(
            [
                { name: 'database', check: () => database.check() },
                ...storages.all().map((storage): Dependency => ({
                    name: `storage:${storage.type}`,
                    check: () => storage.check(),
                })),
                ...(accounts ? [{ name: 'ufds', check: () => assertConnected(accounts) }] : []),
                ...(workflowService
                    ? [{ name: 'wfapi', check: () => assertConnected(workflowService) }]
                    : []),
            ],
            processes,
            log,
        );
        const reference = createReference({ routes, version: VERSION, server: serverFacts(config) });
        const services = {
            config,
            version: VERSION,
            log,
            images,
            jobs,
            storages,
            auth,
            accounts,
            compute,
            prepareScripts: new PrepareScriptFolder(),
            remotes,
            importer,
            clock,
            processes,
            reference,
            health,
        };
        answerForProcess(services);
        const underway = new Underway();
        const app = createHttpServer({
            underway,
            services,
            routes,
            identity,
            sink: log.sink,
            traffic,
            series,
            ...(config.limits.requests > 0 && {
                gate: new RequestGate((holder) => processes.permits(holder, 'all')),
            }),
            ...(config.tls.requests > 0 && {
                tlsGate: new RequestGate((holder) => processes.permits(holder, 'tls')),
            }),
        });

        const { images: records, pending, leases, tasks } = database;
        const sweep = new Sweep({
            databaseId: () => database.id,
            images: records,
            pending,
            leases,
            tasks,
            storages,
            clock,
            log,
            holder,
            silence: config.limits.uploadSilence,
        });
        sweep.start();
        closers.push(() => sweep.stop());
        const interval = config.limits.purgeInterval;
        const purge = new Purge({ images, store: records, leases, clock, log, holder, interval });
        purge.start();
        closers.push(() => purge.stop());
        const objectStore = preferredObjectStore(config.storageTypes);
        if (objectStore !== undefined) {
            const shipping = new ArchiveShipping({
                spool: new LocalSpool(config),
                target: storages.get(objectStore),
                leases,
                clock,
                log,
                holder,
                interval: config.limits.archiveInterval,
            });
            shipping.start();
            closers.push(() => shipping.stop());
        }
        if (workflowService) {
            workflowService.start();
            closers.push(() => workflowService.stop());
        } else {
            engine.start();
            closers.push(() => engine.stop());
        }

        // Closed last, so that it can be seen how the server ends.
        closers.unshift(
            await openWatchServers({
                config,
                health,
                processes,
                identity,
                log,
                series,
                metrics,
                images,
                imageCounts: records,
                storages,
                sink: log.sink,
                jobs: workflowService ? undefined : database.jobs,
            }),
        );
        const { limits } = config;
        const plain = new Listener(app, { identity, limits, log });
        const secure = certificates && new Listener(app, { identity, limits, certificates, log });
        const listeners = secure ? [plain, secure] : [plain];
        let jobsSeen = performance.now();
        processes.answer(QUIET, () => {
            if (engine.running > 0) {
                jobsSeen = performance.now();
            }
            return Math.min(performance.now() - jobsSeen, ...listeners.map(({ quiet }) => quiet));
        });
        health.ready();
        processes.serve((socket, isSecure) => (isSecure && secure ? secure : plain).serve(socket));
        return {
            stop: async (patience = 0) => {
                if (patience === 0) {
                    health.stopping();
                }
                processes.leave();
                await Promise.all(listeners.map((listener) => listener.stop(limits.gracefulStop, patience)));
                await underway.none(CLEANED_WITHIN);
                await closeAll();
            },
            setCertificates: (next) => secure?.setCertificates(next),
        };
    } catch (err) {
        await closeAll();
        throw err;
    }
}
