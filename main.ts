#!/usr/bin/env node
/** The process: arguments, configuration, start, signals. */
import cluster from 'node:cluster';
import { setFlagsFromString } from 'node:v8';
import type { App } from './lib/app';
import {
    censorConfig,
    DEFAULT_CONFIG_FILE,
    DEFAULTS_FILE,
    loadConfig,
    processEnvironment,
    mayBeSecretName,
} from './lib/config';
import { takePassedSockets } from './lib/config/activation';
import { parseArguments, unknownOptionsMessage, type RunArguments } from './lib/config/arguments';
import { endpointsOf, type PassedSocket } from './lib/config/listen';
import { insecurities } from './lib/config/insecurities';
import { usage } from './lib/config/usage';
import { createLog, logVerbosity, type ServerLog } from './lib/log';
import { VERSION } from './lib/version';
import { CertificateSource } from './lib/workers/certificate-source';
import { reportStart, startInBackground } from './lib/workers/daemon';
import type { Gathered } from './lib/workers/driver';
import { writePidFile, writePortFile } from './lib/workers/files';
import { QUIET, whenIdle } from './lib/workers/idle-exit';
import { Listening } from './lib/workers/listening';
import type { Settings } from './lib/workers/message';
import { Parent, workerCount } from './lib/workers/parent';
import { assertWritable, becomeUser, futureUser } from './lib/workers/privileges';
import { SingleProcess } from './lib/workers/single';
import { sayTracing, TRACING } from './lib/workers/tracing';
import { WorkerProcess } from './lib/workers/worker';

/** Exit codes (config.md §5). */
const EXIT_USAGE = 1;
const EXIT_START = 2;
const EXIT_SIGNALS = { SIGTERM: 0, SIGINT: 1 } as const;

type LoadedSettings = Settings & { readonly log: ServerLog };

function exit(log: ServerLog, code: number): never {
    log.sink.flush();
    process.exit(code);
}

/** Reads the configuration. @param log is told what is in it; without one, it is made as the configuration says */
function load(log: ServerLog | undefined, args: RunArguments): LoadedSettings {
    const { file, debug, given, withoutTls = false } = args;
    const warnings: string[] = [];
    const config = loadConfig({
        ...(file !== undefined && { file }),
        environment: processEnvironment(),
        given,
        withoutTls,
        onWarning: (warning) => warnings.push(warning),
    });
    const verbosity = logVerbosity(config.logLevel, debug);
    const told = log ?? createLog({ name: 'imgapi', ...verbosity });
    if (config.admin) {
        told.sink.keepRecent();
    }
    told.info({ defaultsPath: DEFAULTS_FILE }, 'load config defaults');
    told.info({ configPath: file ?? DEFAULT_CONFIG_FILE }, 'load config path');
    told.info({ config: JSON.stringify(censorConfig(config, mayBeSecretName)) }, 'loaded config');
    [...warnings, ...insecurities(config)].forEach((warning) => told.warn(warning));
    return { config, verbosity, log: told };
}

function configure(args: RunArguments): LoadedSettings {
    try {
        return load(undefined, args);
    } catch (err) {
        const log = createLog({ name: 'imgapi', level: 'info' });
        log.error({ err }, 'error starting up');
        reportStart({ failure: err instanceof Error ? err.message : String(err) });
        return exit(log, EXIT_START);
    }
}

/** Ends the process at the first signal in an orderly way, at the second at once. */
function endOnSignals(log: ServerLog, stop: () => Promise<void>, kill: () => Promise<void>): void {
    let exitCode: number | undefined;
    for (const [signal, code] of Object.entries(EXIT_SIGNALS)) {
        process.on(signal, () => {
            const again = exitCode !== undefined;
            exitCode = code;
            log.info({ signal }, again ? 'ending at once' : 'stopping');
            void (again ? kill() : stop()).then(() => exit(log, exitCode ?? code));
        });
    }
}

function endOnFault(log: ServerLog): void {
    process.on('uncaughtException', (err) => {
        log.fatal({ err }, 'a fault in the program; the process ends');
        exit(log, EXIT_START);
    });
}

/** What a server has before it has an application, and whoever is the first of its processes holds. */
interface Place {
    readonly listening: Listening;
    readonly passed: readonly PassedSocket[];
    readonly certificates: CertificateSource;
    readonly args: RunArguments;
}

/** The certificates go along where it listens by TLS. @throws Error if they cannot be used */
function withCertificates(settings: Settings, { passed, certificates }: Omit<Place, 'listening'>): Settings {
    const { config } = settings;
    const isSecure = endpointsOf(config, passed).some(({ secure }) => secure);
    return isSecure ? { ...settings, certificates: certificates.read(config) } : settings;
}

function sayWhere({ listening, args }: Place, log: ServerLog): void {
    listening.urls.forEach((url) => log.info(`Image API listening on <${url}>.`));
    if (args.portFile !== undefined) {
        writePortFile(args.portFile, listening.port);
    }
}

/** Ends the server when there has been nothing to do for as long as it is to wait (`serviceTimeout`). */
function endWhenIdle(
    { config }: Settings,
    log: ServerLog,
    ask: () => Promise<readonly Gathered<unknown>[]>,
    stop: () => Promise<void>,
): void {
    if (config.serviceTimeout > 0) {
        whenIdle(config.serviceTimeout, ask, () => {
            log.info({ serviceTimeout: config.serviceTimeout }, 'stopping, because there is nothing to do');
            void stop().then(() => exit(log, 0));
        });
    }
}

/** A server of one process. */
async function runAlone(settings: Settings, log: ServerLog, place: Place): Promise<void> {
    const { config, certificates } = settings;
    const { startApp } = await import('./lib/app.js');
    const processes = new SingleProcess(config, place.listening);
    const app = await startApp({ config, log, processes, certificates });
    sayWhere(place, log);
    log.info('startup complete');
    let isTracing = false;
    process.on('SIGUSR2', () => {
        isTracing = !isTracing;
        sayTracing(log, isTracing);
    });
    reportStart({ started: true });
    endWhenIdle(
        settings,
        log,
        () => processes.gather(QUIET, null),
        () => app.stop(),
    );
    process.on('SIGHUP', () => {
        if (!certificates) {
            log.info('nothing of the configuration can be loaded again while the process runs');
            return;
        }
        const next = place.certificates.readAgain(config);
        if (next) {
            app.setCertificates(next);
        }
    });
    endOnSignals(
        log,
        () => app.stop(),
        () => Promise.resolve(),
    );
}

/** The parent of several workers. It does not load what only they need. */
async function runParent(settings: Settings, log: ServerLog, place: Place): Promise<void> {
    const { listening, passed, args } = place;
    const parent = new Parent(settings, {
        load: () => {
            const { config, verbosity } = load(log, args);
            return withCertificates({ config, verbosity }, place);
        },
        log,
        listening,
        passed,
        onListening: () => sayWhere(place, log),
    });
    process.on('SIGHUP', () => parent.roll());
    process.on('SIGUSR2', () => parent.toggleTracing());
    endOnSignals(
        log,
        () => parent.stop(),
        () => parent.kill(),
    );
    if (!(await parent.start())) {
        reportStart({ failure: 'no worker could start; the log has the reason' });
        exit(log, EXIT_START);
    }
    reportStart({ started: true });
    endWhenIdle(
        settings,
        log,
        () => parent.quiet(),
        () => parent.stop(),
    );
}

/** One of several workers: it ends when the parent says so, or has gone. */
async function runWorker(): Promise<void> {
    let running: { app: App; log: ServerLog } | undefined;
    let stopping = false;
    const end = (patience: number) => {
        if (!running) {
            // Nothing is under way yet.
            process.exit(0);
        }
        if (!stopping) {
            stopping = true;
            const { app, log } = running;
            log.info('stopping');
            void app.stop(patience).then(() => exit(log, 0));
        }
    };
    const worker = new WorkerProcess(end);
    // Those of a terminal or a service manager reach all processes. A worker that is told by the parent as well does
    // not take that for the second signal.
    process.on('SIGTERM', () => end(0)).on('SIGINT', () => end(0));

    const { config, verbosity, certificates } = await worker.settings;
    const log = createLog({ name: 'imgapi', ...verbosity });
    endOnFault(log);
    worker.answer(TRACING, (on) => {
        log.setTracing(on);
        return null;
    });
    try {
        const { startApp } = await import('./lib/app.js');
        running = { app: await startApp({ config, log, processes: worker, certificates }), log };
    } catch (err) {
        log.error({ err }, 'error starting up');
        exit(log, EXIT_START);
    }
}

/** The sockets to listen on that are open already. */
function passedSockets({ fd, hasTarget }: RunArguments): readonly PassedSocket[] {
    const passed = takePassedSockets();
    if (fd !== undefined) {
        return [{ fd }];
    }
    return hasTarget ? [] : passed;
}

async function run(args: RunArguments): Promise<void> {
    const { log, ...loaded } = configure(args);
    endOnFault(log);
    try {
        const passed = passedSockets(args);
        const { config } = loaded;
        const user = futureUser(config.user);
        const certificates = new CertificateSource(log);
        const settings = withCertificates(loaded, { passed, certificates, args });
        const listening = new Listening(
            (err) => log.error({ err }, 'a connection could not be accepted'),
            user,
        );
        await listening.open(endpointsOf(config, passed), config);
        // Not before it listens: a second server that is started by mistake leaves the file of the first alone.
        if (args.pidFile !== undefined) {
            writePidFile(args.pidFile);
        }
        if (user) {
            becomeUser(user);
            log.info({ user: user.name, uid: user.uid, gid: user.gid }, 'root is given up');
        }
        assertWritable({ dataDir: config.dataDir, databaseDir: config.databaseDir });
        const place = { listening, passed, certificates, args };
        await (workerCount(config.cluster) === 1 ? runAlone : runParent)(settings, log, place);
    } catch (err) {
        log.error({ err }, 'error starting up');
        reportStart({ failure: err instanceof Error ? err.message : String(err) });
        exit(log, EXIT_START);
    }
}

function main(): void {
    // Uploads leave a buffer behind for every chunk. Freed by V8 in the background, they count as garbage for so long
    // that it collects the whole heap every few dozen MB: a sixth of an upload's CPU time.
    setFlagsFromString('--no-concurrent-array-buffer-sweeping');
    // They are no reason to end, from the very beginning.
    process.on('SIGHUP', () => undefined).on('SIGUSR2', () => undefined);
    if (cluster.isWorker) {
        void runWorker();
        return;
    }
    const argv = process.argv.slice(2);
    const args = parseArguments(argv);
    switch (args.kind) {
        case 'help':
            process.stdout.write(usage());
            break;
        case 'version':
            process.stdout.write(`IMGAPI ${VERSION}\n`);
            break;
        case 'unknown':
            process.stderr.write(`${unknownOptionsMessage(args.options)}\n\n`);
            process.stdout.write(usage());
            process.exitCode = EXIT_USAGE;
            break;
        case 'invalid':
            process.stderr.write(`${args.message}\n\n`);
            process.stdout.write(usage());
            process.exitCode = EXIT_USAGE;
            break;
        case 'run':
            if (args.daemonize) {
                void startInBackground(__filename, argv).then((code) => process.exit(code));
            } else {
                void run(args);
            }
            break;
    }
}

main();
