/** The options of main.js for people: the usage text, and the rows of the table in the operator's guide. */
import { readFileSync } from 'node:fs';
import { formatQuantity } from './quantity';
import type { KeySchema } from './key-schema';
import { DEFAULTS_FILE } from './load';
import { configSchema } from './schema';
import { serverOptions, type ServerOption } from './server-options';

/** An option, with what belongs to it in words. */
export interface DescribedOption {
    /** Such as `-f`, `--file`. */
    readonly names: readonly string[];
    readonly value: string | undefined;
    readonly help: string;
    readonly key: string | undefined;
    /** What holds without it; undefined if it is off. */
    readonly otherwise: string | undefined;
    readonly variables: readonly string[];
}

function schemaOf(key: string): KeySchema | undefined {
    return key
        .split('.')
        .reduce<KeySchema | undefined>((schema, name) => schema?.properties?.[name], configSchema);
}

function defaultOf(key: string, documented: Readonly<Record<string, unknown>>): string | undefined {
    const schema = schemaOf(key);
    const value = documented[key] ?? schema?.default;
    if (value === undefined || value === false || value === '') {
        return undefined;
    }
    if (schema?.quantity && typeof value === 'number') {
        return value === 0 ? '0' : formatQuantity(schema.quantity.kind, value);
    }
    return [value].flat().map(String).join(', ');
}

/** Every option of main.js. */
export function describedOptions(): DescribedOption[] {
    const documented = JSON.parse(readFileSync(DEFAULTS_FILE, 'utf8')) as Record<string, unknown>;
    return serverOptions.map((option: ServerOption) => {
        const { name, aliases = [], short, value, help, key, environment = [] } = option;
        return {
            names: [
                ...(short === undefined ? [] : [`-${short}`]),
                ...[name, ...aliases].map((long) => `--${long}`),
            ],
            value,
            help,
            key,
            otherwise: option.otherwise ?? (key === undefined ? undefined : defaultOf(key, documented)),
            variables: [...environment]
                .reverse()
                .map((variable) =>
                    variable.yieldsToFile
                        ? `${variable.name} if the file does not set the key`
                        : variable.name,
                ),
        };
    });
}

/** Columns of a line of the usage text. */
const WIDTH = 100;
const MARGIN = ' '.repeat(12);

function wrapped(text: string): string[] {
    const lines: string[] = [];
    let line = MARGIN;
    for (const word of text.split(' ')) {
        if (line.length + word.length > WIDTH && line !== MARGIN) {
            lines.push(line.trimEnd());
            line = MARGIN;
        }
        line += `${word} `;
    }
    return [...lines, line.trimEnd()];
}

/** The usage text, ending in a newline. */
export function usage(): string {
    const options = describedOptions().flatMap(({ names, value, help, otherwise, variables }) => {
        const notes = [
            ...(otherwise === undefined ? [] : [`default: ${otherwise}`]),
            ...(variables.length === 0 ? [] : [`environment: ${variables.join(', ')}`]),
        ];
        return [
            `    ${names.join(', ')}${value === undefined ? '' : ` ${value}`}`,
            ...wrapped(help + (notes.length === 0 ? '' : ` [${notes.join('; ')}]`)),
        ];
    });
    return [
        'usage: node main.js [OPTIONS] [URI]',
        '',
        'URI is where to listen, and nowhere else: unix:///PATH, tcp://HOST:PORT, https://HOST:PORT or',
        'fd://NUMBER. The command line wins over the environment, and that over the config file. A time',
        'is a number of seconds, or has a unit as 500ms, 10s and 3m have; a size one as 512KiB and 1MiB.',
        '',
        'options:',
        ...options,
        '',
    ].join('\n');
}
