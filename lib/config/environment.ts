/** The environment variables that stand in for configuration keys (daemon.md §1). */

export type Environment = Readonly<Record<string, string | undefined>>;

interface Variable {
    readonly name: string;
    readonly key: string;
    /** Counts only when the instance file does not set the key: these names are used by other programs too. */
    readonly yieldsToFile?: true;
}

/** Later rows win. */
export const environmentVariables: readonly Variable[] = [
    { name: 'HOST', key: 'address', yieldsToFile: true },
    { name: 'PORT', key: 'port', yieldsToFile: true },
    { name: 'IMGAPITEST_LOCAL_BASE_DIR', key: 'dataDir' },
    { name: 'IMGAPI_DATA_DIR', key: 'dataDir' },
    { name: 'IMGAPI_HOST', key: 'address' },
    { name: 'IMGAPI_PORT', key: 'port' },
];

/** The variables of this process that stand in for keys. */
export function processEnvironment(): Environment {
    return Object.fromEntries(environmentVariables.map(({ name }) => [name, process.env[name]]));
}

/** Keys set by the environment, with the variable each came from. A variable that is empty counts as not set. */
export function environmentSettings(
    environment: Environment,
    isInFile: (key: string) => boolean,
): { settings: Record<string, unknown>; origins: ReadonlyMap<string, string> } {
    const settings: Record<string, unknown> = {};
    const origins = new Map<string, string>();
    for (const { name, key, yieldsToFile } of environmentVariables) {
        const value = environment[name];
        if (value === undefined || value === '' || (yieldsToFile && isInFile(key))) {
            continue;
        }
        // Text that is no number is left for validation to refuse.
        settings[key] = key === 'port' && /^\d+$/.test(value) ? Number(value) : value;
        origins.set(key, name);
    }
    return { settings, origins };
}

/**
 * Keeps the AWS SDK from telling operators which version of Node.js its authors are going to want: what this server
 * runs with is decided by its lock file.
 */
export function silenceSdkAdvice(): void {
    process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
}
