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
import { parseArguments, unknownOptionsMessage, usage } from './lib/config/arguments';
import { createLog, logVerbosity, type ServerLog } from './lib/log';
import { VERSION } from './lib/version';
import type { Settings } from './lib/workers/message';
import { Parent, workerCount } from './lib/workers/parent';
import { SingleProcess } from './lib/workers/single';
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
function load(log: ServerLog | undefined, file: string | undefined, debug: number): LoadedSettings {
    const warnings: string[] = [];
    const config = loadConfig({
        ...(file !== undefined && { file }),
        environment: processEnvironment(),
        onWarning: (warning) => warnings.push(warning),
    });
    const verbosity = logVerbosity(config.logLevel, debug);
    const told = log ?? createLog({ name: 'imgapi', ...verbosity });
    told.info({ defaultsPath: DEFAULTS_FILE }, 'load config defaults');
    told.info({ configPath: file ?? DEFAULT_CONFIG_FILE }, 'load config path');
    told.info({ config: JSON.stringify(censorConfig(config, mayBeSecretName)) }, 'loaded config');
    warnings.forEach((warning) => told.warn(warning));
    return { config, verbosity, log: told };
}

function configure(file: string | undefined, debug: number): LoadedSettings {
    try {
        return load(undefined, file, debug);
    } catch (err) {
        const log = createLog({ name: 'imgapi', level: 'info' });
        log.error({ err }, 'error starting up');
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

/** A server of one process. */
async function runAlone({ config }: Settings, log: ServerLog): Promise<void> {
    try {
        const { startApp } = await import('./lib/app.js');
        const app = await startApp(config, log, new SingleProcess(config.limits));
        const { address, port, family } = app.address;
        log.info(`Image API listening on <http://${family === 'IPv6' ? `[${address}]` : address}:${port}>.`);
        log.info('startup complete');
        process.on('SIGHUP', () => app.reload());
        endOnSignals(
            log,
            () => app.stop(),
            () => Promise.resolve(),
        );
    } catch (err) {
        log.error({ err }, 'error starting up');
        exit(log, EXIT_START);
    }
}

/** The parent of several workers. It does not load what only they need. */
async function runParent(settings: Settings, log: ServerLog, load: () => Settings): Promise<void> {
    const parent = new Parent(settings, { load, log });
    process.on('SIGHUP', () => parent.roll());
    endOnSignals(
        log,
        () => parent.stop(),
        () => parent.kill(),
    );
    if (!(await parent.start())) {
        exit(log, EXIT_START);
    }
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

    const { config, verbosity } = await worker.settings;
    const log = createLog({ name: 'imgapi', ...verbosity });
    endOnFault(log);
    try {
        const { startApp } = await import('./lib/app.js');
        running = { app: await startApp(config, log, worker), log };
        worker.up(running.app.address);
    } catch (err) {
        log.error({ err }, 'error starting up');
        exit(log, EXIT_START);
    }
}

function run(file: string | undefined, debug: number): Promise<void> {
    const { log, ...settings } = configure(file, debug);
    endOnFault(log);
    return workerCount(settings.config.cluster) === 1
        ? runAlone(settings, log)
        : runParent(settings, log, () => {
              const { config, verbosity } = load(log, file, debug);
              return { config, verbosity };
          });
}

function main(): void {
    // Uploads leave a buffer behind for every chunk. Freed by V8 in the background, they count as garbage for so long
    // that it collects the whole heap every few dozen MB: a sixth of an upload's CPU time.
    setFlagsFromString('--no-concurrent-array-buffer-sweeping');
    // It is no reason to end, from the very beginning.
    process.on('SIGHUP', () => undefined);
    if (cluster.isWorker) {
        void runWorker();
        return;
    }
    const args = parseArguments(process.argv.slice(2));
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
            void run(args.file, args.debug);
            break;
    }
}

main();
