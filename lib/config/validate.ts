/** Checks a merged configuration and fills in what the schema gives (config.md §3). */
import Ajv, { type ErrorObject, type ValidateFunction } from 'ajv';
import type { DataValidationCxt } from 'ajv/dist/types';
import { censorConfig, isSecretName, mayBeSecretName } from './censor';
import { ConfigError } from './error';
import type { KeySchema } from './key-schema';
import { nearestName } from './nearest';
import { parseQuantity } from './quantity';
import { rules, unusedBlocks, type Settings } from './rules';
import { configSchema, knownKeys } from './schema';
import type { ChannelConfig, Config } from './types';

const LONGEST_VALUE_SHOWN = 80;

/** Turns a text such as `10s` into its number, in place; false if it is none or out of range. */
function applyQuantity(
    { kind, minimum, maximum, none }: NonNullable<KeySchema['quantity']>,
    value: unknown,
    _schema?: unknown,
    place?: DataValidationCxt,
): boolean {
    const isNone = none && (value === false || (typeof value === 'object' && value !== null));
    const number = isNone ? 0 : parseQuantity(kind, value);
    if (number === undefined || !Number.isInteger(number) || number < minimum || number > maximum) {
        return false;
    }
    if (place) {
        (place.parentData as Record<string | number, unknown>)[place.parentDataProperty] = number;
    }
    return true;
}

function compile(): ValidateFunction {
    // Every error is asked for, because the first one by our order of keys is not the first one ajv meets.
    const ajv = new Ajv({
        allErrors: true,
        verbose: true,
        useDefaults: true,
        allowUnionTypes: true,
        // Every program waits for this when it starts: a test looks whether the schema is one.
        meta: false,
        validateSchema: false,
        code: { optimize: false },
    });
    ajv.addVocabulary(['expected', 'reserved']);
    ajv.addKeyword({ keyword: 'quantity', modifying: true, validate: applyQuantity });
    return ajv.compile(configSchema);
}

let compiled: ValidateFunction | undefined;

/** The names from the root to the value an error is about. */
function pathOf(error: ErrorObject): string[] {
    const path = error.instancePath
        .split('/')
        .slice(1)
        .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
    return error.keyword === 'required' ? [...path, String(error.params.missingProperty)] : path;
}

function show(name: string, value: unknown): string {
    if (isSecretName(name)) {
        return 'of the wrong kind';
    }
    const json = JSON.stringify(censorConfig(value, mayBeSecretName));
    return json.length > LONGEST_VALUE_SHOWN ? `${json.slice(0, LONGEST_VALUE_SHOWN)}…` : json;
}

function reasonOf(error: ErrorObject, origins: ReadonlyMap<string, string>): string {
    const path = pathOf(error);
    const name = path.at(-1) ?? '';
    const schema = error.parentSchema as KeySchema;
    const origin = origins.get(path.join('.'));
    const subject = `config.${path.join('.')}${origin === undefined ? '' : ` (from ${origin})`}`;
    return error.keyword === 'required'
        ? `${subject} is missing; it must be ${schema.properties?.[name]?.expected ?? 'given'}`
        : `${subject} is ${show(name, error.data)}; it must be ${schema.expected}`;
}

/**
 * The configuration the server works with: a checked copy, defaults filled in, times in ms and sizes in bytes.
 *
 * @param origins environment variables and flags that keys such as `tls.port` came from, to be named in errors
 * @throws ConfigError for the first wrong key by the order of config.md §3
 */
export function effectiveConfig(
    settings: Settings,
    origins: ReadonlyMap<string, string> = new Map(),
): Config {
    const effective = structuredClone(settings);
    const validate = (compiled ??= compile());
    validate(effective);
    const errors = validate.errors ?? [];
    for (const key of knownKeys) {
        const error = errors.find((candidate) => pathOf(candidate)[0] === key);
        if (error && !unusedBlocks[key]?.(effective)) {
            throw ConfigError.invalid(reasonOf(error, origins));
        }
        const reason = rules[key]?.(effective);
        if (reason !== undefined) {
            throw ConfigError.invalid(reason);
        }
    }
    effective.databaseDir ??= effective.dataDir;
    if (effective.channels !== undefined) {
        effective.channels = lastOfEachName(effective.channels as ChannelConfig[]);
    }
    return effective as Config;
}

/** The first of some settings whose shape is wrong, with the schema that it should have; others may be missing. */
export function wrongKey(settings: Settings): { path: readonly string[]; schema: KeySchema } | undefined {
    const validate = (compiled ??= compile());
    validate(structuredClone(settings));
    const error = validate.errors?.find(({ keyword }) => keyword !== 'required');
    return error && { path: pathOf(error), schema: error.parentSchema as KeySchema };
}

/** Of channels with the same name the later counts (config.md §2.1). */
function lastOfEachName(channels: readonly ChannelConfig[]): ChannelConfig[] {
    return channels.filter(
        ({ name }, index) => !channels.slice(index + 1).some((later) => later.name === name),
    );
}

function unknownIn(block: Settings, names: readonly string[], prefix: string): string[] {
    return Object.keys(block)
        .filter((key) => !key.startsWith('//') && !names.includes(key))
        .map((key) => {
            const meant = nearestName(key, names);
            const hint = meant === undefined ? '' : `; did you mean "${prefix}${meant}"?`;
            return `config.${prefix}${key} is not a key this server knows and has no effect${hint}`;
        });
}

/** Blocks of our own, whose keys no program but this one reads. Those of `auth` are judged by its rule. */
const ownBlocks = ['listen', 'tls', 'limits', 'cluster', 'admin', 'metrics', 'jobs', 'services', 'outbound'];

/** Sentences about keys that nothing reads, with the name that was probably meant. Keys in `//` are comments. */
export function unknownKeyWarnings(settings: Settings): string[] {
    return [
        ...unknownIn(settings, knownKeys, ''),
        ...ownBlocks.flatMap((name) => {
            const block = settings[name];
            const names = Object.keys(configSchema.properties[name]?.properties ?? {});
            return typeof block === 'object' && block !== null
                ? unknownIn(block as Settings, names, `${name}.`)
                : [];
        }),
    ];
}
