import { parseArgs } from 'node:util';

export interface Options {
    readonly quick: boolean;
    /** Names of the works to measure; empty for all. */
    readonly only: readonly string[];
    /** Folder for CPU profiles of the servers; undefined for none. */
    readonly cpuProf: string | undefined;
    readonly help: boolean;
}

/** A command line that cannot be followed; the message is for the user. */
export class UsageError extends Error {}

/** @param works the names that `--only` takes. @throws UsageError */
export function parseOptions(args: readonly string[], works: readonly string[]): Options {
    const { values } = parse(args);
    const unknown = values.only.find((name) => !works.includes(name));
    if (unknown !== undefined) {
        throw new UsageError(`--only is "${unknown}"; it takes one of ${works.join(', ')}.`);
    }
    return { quick: values.quick, only: values.only, cpuProf: values['cpu-prof'], help: values.help };
}

function parse(args: readonly string[]) {
    try {
        return parseArgs({
            args: [...args],
            options: {
                quick: { type: 'boolean', default: false },
                only: { type: 'string', multiple: true, default: [] },
                'cpu-prof': { type: 'string' },
                help: { type: 'boolean', short: 'h', default: false },
            },
        });
    } catch (err) {
        throw new UsageError(err instanceof Error ? err.message : String(err));
    }
}

export function usage(works: readonly string[]): string {
    return `usage: npm run bench -- [--quick] [--only NAME]... [--cpu-prof FOLDER]

  --quick            little of everything: shows that it runs, measures nothing
  --only NAME        one of ${works.join(', ')}
  --cpu-prof FOLDER  have each server write a CPU profile there when it ends
`;
}
