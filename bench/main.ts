/** npm run bench: measures this server on this machine, beside floors that are measured in the same run. */
import { mkdirSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { resolve } from 'node:path';
import { Context } from './context';
import { startLoad } from './load';
import type { Measure } from './measure';
import { parseOptions, usage, UsageError, type Options } from './options';
import { full, GIB, quick } from './scale';
import { formatTable } from './table';
import { Workplace } from './workplace';
import { works } from './works';

/** Exit codes. A target that is missed is a result like any other: 0. */
const EXIT_FAILED = 1;
const EXIT_SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** More load than this, before anything has been started, makes the numbers doubtful. */
const CALM = 1;

function describeMachine(): string {
    const processors = cpus();
    return [
        `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}`,
        `${Math.round(totalmem() / GIB)} GiB`,
        `Linux ${release()}`,
        `Node.js ${process.versions.node}`,
    ].join(', ');
}

async function measure({ quick: isQuick, only, cpuProf }: Options, workplace: Workplace): Promise<Measure[]> {
    const profiles = cpuProf === undefined ? undefined : resolve(cpuProf);
    if (profiles !== undefined) {
        mkdirSync(profiles, { recursive: true });
    }
    const context = new Context(workplace, startLoad(workplace), isQuick ? quick : full, profiles);
    const measures: Measure[] = [];
    for (const [name, work] of Object.entries(works)) {
        if (only.length === 0 || only.includes(name)) {
            const begun = performance.now();
            measures.push(...(await work(context)));
            console.error(`${name}: ${((performance.now() - begun) / 1000).toFixed(0)} s`);
        }
    }
    return measures;
}

async function run(options: Options): Promise<void> {
    const [load = 0] = loadavg();
    const workplace = await Workplace.make();
    const interrupted = new AbortController();
    for (const [signal, code] of Object.entries(EXIT_SIGNALS)) {
        process.once(signal, () => {
            interrupted.abort();
            void workplace.close().then(() => process.exit(code));
        });
    }
    try {
        const measures = await measure(options, workplace);
        console.log(`\n${formatTable(measures)}\n\n${describeMachine()}`);
        if (options.quick) {
            console.log('A quick run shows that everything works; its numbers mean nothing.');
        } else if (load > CALM) {
            console.log(
                `The machine was busy before the run (load ${load.toFixed(1)}): do not trust the numbers.`,
            );
        }
    } catch (err) {
        if (!interrupted.signal.aborted) {
            throw err;
        }
    } finally {
        await workplace.close();
    }
}

/** @param args the command line, without node and the script */
export async function main(args: readonly string[]): Promise<void> {
    const names = Object.keys(works);
    try {
        const options = parseOptions(args, names);
        if (options.help) {
            console.log(usage(names));
        } else if (process.platform !== 'linux') {
            throw new UsageError('The benchmark reads /proc, which only Linux has.');
        } else {
            await run(options);
        }
    } catch (err) {
        if (!(err instanceof UsageError)) {
            throw err;
        }
        console.error(`${err.message}\n\n${usage(names)}`);
        process.exitCode = EXIT_FAILED;
    }
}
