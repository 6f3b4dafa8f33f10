/** The environment variables that stand in for configuration keys (daemon.md §1). */
import { readValue } from './option-values';
import { serverOptions, type ServerOption, type ValueKind, type Variable } from './server-options';

export type Environment = Readonly<Record<string, string | undefined>>;

interface KeyVariable extends Variable {
    readonly key: string;
    readonly kind: ValueKind;
}

/** Later rows win. */
export const environmentVariables: readonly KeyVariable[] = serverOptions.flatMap(
    ({ key, kind, environment = [] }: ServerOption) =>
        key !== undefined && kind !== undefined
            ? environment.map((variable) => ({ ...variable, key, kind }))
            : [],
);

/** The variables of this process that stand in for keys. */
export function processEnvironment(): Environment {
    return Object.fromEntries(environmentVariables.map(({ name }) => [name, process.env[name]]));
}

/** A key that is set from elsewhere than the files. */
export interface Given {
    /** Such as `tls.port`. */
    readonly key: string;
    readonly value: unknown;
    /** The flag or the variable that it is from, for messages. */
    readonly origin: string;
}

/** Keys set by the environment, the later one winning. A variable that is empty counts as not set. */
export function environmentSettings(
    environment: Environment,
    isInFile: (key: string) => boolean,
): readonly Given[] {
    return environmentVariables.flatMap(({ name, key, kind, yieldsToFile }) => {
        const value = environment[name];
        return value === undefined || value === '' || (yieldsToFile && isInFile(key))
            ? []
            : [{ key, value: readValue(kind, value), origin: name }];
    });
}

/**
 * Keeps the AWS SDK from telling operators which version of Node.js its authors are going to want: what this server
 * runs with is decided by its lock file.
 */
export function silenceSdkAdvice(): void {
    process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
}
