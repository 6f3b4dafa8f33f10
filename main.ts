#!/usr/bin/env node
/** The process: arguments, configuration, start, signals. */
import { setFlagsFromString } from 'node:v8';
import { startApp } from './lib/app';
import {
    censorConfig,
    DEFAULT_CONFIG_FILE,
    DEFAULTS_FILE,
    loadConfig,
    processEnvironment,
    type Config,
} from './lib/config';
import { parseArguments, unknownOptionsMessage, usage } from './lib/config/arguments';
import { createLog, logVerbosity, type ServerLog } from './lib/log';
import { VERSION } from './lib/version';
import { SingleProcess } from './lib/workers/single';

/** Exit codes (config.md §5). */
const EXIT_USAGE = 1;
const EXIT_START = 2;
const EXIT_SIGNALS = { SIGTERM: 0, SIGINT: 1 } as const;

function exit(log: ServerLog, code: number): never {
    log.sink.flush();
    process.exit(code);
}

function configure(file: string | undefined, debug: number): { config: Config; log: ServerLog } {
    const warnings: string[] = [];
    try {
        const config = loadConfig({
            ...(file !== undefined && { file }),
            environment: processEnvironment(),
            onWarning: (warning) => warnings.push(warning),
        });
        const log = createLog({ name: 'imgapi', ...logVerbosity(config.logLevel, debug) });
        log.info({ defaultsPath: DEFAULTS_FILE }, 'load config defaults');
        log.info({ configPath: file ?? DEFAULT_CONFIG_FILE }, 'load config path');
        log.info({ config: JSON.stringify(censorConfig(config)) }, 'loaded config');
        warnings.forEach((warning) => log.warn(warning));
        return { config, log };
    } catch (err) {
        const log = createLog({ name: 'imgapi', level: 'info' });
        log.error({ err }, 'error starting up');
        return exit(log, EXIT_START);
    }
}

async function run(file: string | undefined, debug: number): Promise<void> {
    const { config, log } = configure(file, debug);
    process.on('uncaughtException', (err) => {
        log.fatal({ err }, 'a fault in the program; the process ends');
        exit(log, EXIT_START);
    });
    try {
        const app = await startApp(config, log, new SingleProcess(config.limits));
        const { address, port, family } = app.address;
        log.info(`Image API listening on <http://${family === 'IPv6' ? `[${address}]` : address}:${port}>.`);
        log.info('startup complete');
        let stopping = false;
        for (const [signal, code] of Object.entries(EXIT_SIGNALS)) {
            process.on(signal, () => {
                if (stopping) {
                    exit(log, code);
                }
                stopping = true;
                log.info({ signal }, 'stopping');
                void app.stop().then(() => exit(log, code));
            });
        }
    } catch (err) {
        log.error({ err }, 'error starting up');
        exit(log, EXIT_START);
    }
}

function main(): void {
    // Uploads leave a buffer behind for every chunk. Freed by V8 in the background, they count as garbage for so long
    // that it collects the whole heap every few dozen MB: a sixth of an upload's CPU time.
    setFlagsFromString('--no-concurrent-array-buffer-sweeping');
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
