/** Reads the configuration files, merges them and computes what follows from them (config.md §1). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { environmentSettings, type Environment, type Given } from './environment';
import { ConfigError } from './error';
import type { Settings } from './rules';
import { hasKey, withKey } from './settings-path';
import { unusedTls } from './tls';
import type { Config } from './types';
import { effectiveConfig, unknownKeyWarnings } from './validate';

/** Where the instance file is unless another is named; `dataDir` does not move it. */
export const DEFAULT_CONFIG_FILE = '/data/imgapi/etc/imgapi.config.json';
/** The defaults of the documented keys, part of the program. */
export const DEFAULTS_FILE = join(__dirname, '..', '..', 'etc', 'defaults.json');

export interface ConfigFiles {
    /** The instance file. */
    file?: string;
    defaultsFile?: string;
}

export interface LoadOptions extends ConfigFiles {
    /** Variables that may override keys; without it the files alone count. */
    environment?: Environment;
    /** Keys that the command line sets; they win over the environment. */
    given?: readonly Given[];
    /** Do not listen by https. */
    withoutTls?: boolean;
    /** Settings that count whatever files and environment say. */
    overrides?: Settings;
    /** Is told, in a sentence each, of keys that have no effect. */
    onWarning?: (message: string) => void;
}

function messageOf(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}

function readJsonObject(path: string): Settings {
    const text = readFileSync(path, 'utf8');
    let value: unknown;
    try {
        value = JSON.parse(text);
    } catch (error) {
        throw new ConfigError(`could not parse ${path}: ${messageOf(error)}`, { cause: error });
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw ConfigError.invalid(`${path} holds ${JSON.stringify(value)}; it must hold a JSON object`);
    }
    return value as Settings;
}

/** Manta's block with its computed keys. What cannot be computed is left for validation to name. */
function withMantaRoot(settings: Settings): Settings {
    const { manta, mode, datacenterName } = settings;
    if (typeof manta !== 'object' || manta === null || Array.isArray(manta)) {
        return settings;
    }
    const block = manta as Settings;
    // Setup templates write "" for a folder that was not chosen.
    const baseDir = block.baseDir === undefined || block.baseDir === '' ? 'imgapi' : block.baseDir;
    const segments = [block.user, 'stor', baseDir, ...(mode === 'dc' ? [datacenterName] : [])];
    const computed: Settings = { ...block, baseDir, rootDir: undefined };
    if (segments.every((segment) => typeof segment === 'string')) {
        computed.rootDir = `/${segments.join('/')}`;
    } else {
        delete computed.rootDir;
    }
    return { ...settings, manta: computed };
}

/**
 * The merge of the two files with the computed keys, not yet checked: what `node lib/config.js` prints.
 *
 * @throws the error of the file system, or ConfigError if a file is not a JSON object
 */
export function readSettings(files: ConfigFiles = {}): { settings: Settings; fromFile: Settings } {
    const defaults = readJsonObject(files.defaultsFile ?? DEFAULTS_FILE);
    const fromFile = readJsonObject(files.file ?? DEFAULT_CONFIG_FILE);
    return { settings: withMantaRoot({ ...defaults, ...fromFile }), fromFile };
}

/**
 * Loads the configuration (config.md §1): files, environment, computed keys, checks, defaults of our own keys.
 *
 * @throws the error of the file system, or ConfigError for the first thing that is wrong
 */
export function loadConfig(options: LoadOptions = {}): Config {
    const { settings, fromFile } = readSettings(options);
    const given = [
        ...environmentSettings(options.environment ?? {}, (key) => hasKey(fromFile, key)),
        ...(options.given ?? []),
    ];
    const merged = given.reduce((all, { key, value }) => withKey(all, key, value), settings);
    const config = effectiveConfig(
        { ...merged, ...options.overrides },
        new Map(given.map(({ key, origin }) => [key, origin])),
    );
    if (options.withoutTls) {
        config.listen.schemes = config.listen.schemes.filter((scheme) => scheme !== 'https');
        if (config.listen.schemes.length === 0) {
            throw ConfigError.invalid(
                'config.listen.schemes is ["https"], and --no-ssl leaves nothing of it',
            );
        }
    }
    const unused = options.withoutTls ? undefined : unusedTls(config);
    [...unknownKeyWarnings(settings), ...(unused === undefined ? [] : [unused])].forEach((warning) =>
        options.onWarning?.(warning),
    );
    return config;
}
